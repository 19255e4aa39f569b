"""What it says: honestly, and in its first words what it is."""

import pytest

from agent.embedded.answers.words import (
    MAX_UTTERANCES,
    Answered,
    Cue,
    echoed_answer,
    pieces,
    say_exactly,
    spoken_answer,
    transcript,
)
from tests.embedded.driving import Driver, loud, quiet


def answer(cue: Cue, answers: int) -> str:
    """The one utterance of an answer."""
    [words] = spoken_answer(cue, answers)
    return words


def echoed(cue: Cue, answers: int) -> str:
    """The same of the model that has no voice."""
    [words] = echoed_answer(cue, answers)
    return words


def test_its_first_words_say_what_it_is() -> None:
    assert answer(Cue(heard=1.84), 0) == (
        "Hello. I am the demo model that comes with trio voice agent. "
        "I run without a key and I cannot understand words, "
        "but I heard you speak for 1.8 seconds. "
        "Set OPENAI_API_KEY to talk to a real model."
    )


def test_later_words_are_short_and_vary() -> None:
    answers = [answer(Cue(heard=2.2), n) for n in range(1, 5)]
    assert answers[0] == "I heard you speak for two seconds."
    assert len(set(answers)) == 4
    assert max(map(len, answers)) < 80


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "less than a second"), (1.0, "one second"), (12.4, "twelve seconds"), (70, "70 s")],
)
def test_times_are_spoken(seconds: float, words: str) -> None:
    assert words in answer(Cue(heard=seconds), 1)


def test_typed_text_is_said_back() -> None:
    assert answer(Cue(typed="Good  morning."), 1) == "You wrote: Good morning."
    assert answer(Cue(typed="Who are you?"), 1) == "You wrote: Who are you?"
    assert "You wrote: Hi." in answer(Cue(typed="Hi"), 0)
    assert len(answer(Cue(typed="x" * 5_000), 0)) < 600


def test_what_the_person_is_taken_to_say_is_said_back() -> None:
    assert answer(Cue(heard=2, said="Two tickets."), 1) == "You said: Two tickets."


@pytest.mark.parametrize(
    ("instructions", "text"),
    [
        ('Greet the person. Say exactly: "Hello there!"', "Hello there!"),
        (r'Say exactly: "A \"quoted\" word." Nothing else.', 'A "quoted" word.'),
        ('Say exactly: "A "quoted" word."', 'A "quoted" word.'),
        ('Say exactly: "two\nlines"', "two\nlines"),
        (r'Say exactly: "caf\u00e9 \ud83d\ude00"', "café 😀"),
        # Half a character is none that could be sent or spoken.
        (r'Say exactly: "\ud800 x"', r"\ud800 x"),
        ('Say exactly: "open', None),
        ('Say something like "this"', None),
        ("", None),
        (None, None),
    ],
)
def test_a_greeting_is_found_in_instructions(instructions: str | None, text: str | None) -> None:
    assert say_exactly(instructions) == (() if text is None else (text,))


def test_several_utterances_are_found_in_instructions() -> None:
    instructions = r'Say exactly: "Let me \"look\"." Then say exactly: "It is sunny."'
    assert say_exactly(instructions) == ('Let me "look".', "It is sunny.")
    many = 'Say exactly: "x' + '" Then say exactly: "x' * 20 + '"'
    assert say_exactly(many) == ("x",) * MAX_UTTERANCES
    # As a greeting is sent: what is escaped separates nothing.
    escaped = r'Say exactly: "a\" Then say exactly: \"b"'
    assert say_exactly(escaped) == ('a" Then say exactly: "b',)


def test_a_greeting_is_said_after_what_it_is() -> None:
    driver = Driver()
    instructions = 'Say exactly: "Welcome!"'
    for _ in range(2):
        driver.send("response.create", response={"instructions": instructions})
        driver.pass_time(5)
    assert [request.text for request in driver.requests] == [
        "This is the demo model, without a key. Welcome!",
        "Welcome!",
    ]


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_half_a_character_ends_nothing(modality: str) -> None:
    driver = Driver()
    wanted = {"instructions": r'Say exactly: "\ud800 x"', "output_modalities": [modality]}
    driver.send("response.create", response=wanted)
    driver.pass_time(5)
    assert driver.events("response.done")[0]["response"]["status"] == "completed"
    assert all(request.text.encode().endswith(rb"\ud800 x") for request in driver.requests)


def test_an_answer_that_nobody_heard_does_not_count() -> None:
    driver = Driver(voice_seconds=None)
    driver.typed("hello")
    driver.send("response.cancel")
    driver.send("response.create")
    assert all("I am the demo model" in request.text for request in driver.requests)


def test_an_echo_says_that_it_is_one() -> None:
    assert "your own words" in echoed(Cue(heard=2), 0)
    assert "demo model" in echoed(Cue(heard=2), 0)
    assert "a chime" in echoed(Cue(typed="x"), 1)
    assert "would have said: Hi" in echoed(Cue(told=("Hi",)), 1)
    assert "would have said: f answered: 1." in echoed(Cue(answered=(Answered("f", "1"),)), 1)


def test_what_functions_answered_is_told() -> None:
    cue = Cue(answered=(Answered("get_weather", "sunny, 21 degrees"), Answered("f", "{}")))
    assert answer(cue, 1) == "get_weather answered: sunny, 21 degrees. f answered: {}."
    assert "I am the demo model" in answer(cue, 0)
    assert "get_weather answered: sunny" in answer(cue, 0)
    assert answer(Cue(awaited=("f", "g")), 1) == "I still wait for an answer of f and g."


def test_the_voice_gets_what_was_heard() -> None:
    driver = Driver()
    driver.append(quiet(16) + loud(50) + quiet(16))
    [request] = driver.requests
    assert request.heard.count(b"\x10\x27") == 50 * 768
    assert "1.6 seconds" in request.text


@pytest.mark.parametrize("text", ["", " ", "one", "Two words.", " a\n\nb  c ", "  "])
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


# -- transcripts of what the person said ---------------------------------------------------------

COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


def transcribed(driver: Driver, model: str | None) -> None:
    driver.update(audio={"input": {"transcription": {"model": model}}})
    driver.append(quiet(16) + loud(56) + quiet(16))
    driver.pass_time(1)


def test_a_transcript_is_honest() -> None:
    driver = Driver()
    transcribed(driver, "gpt-4o-mini-transcribe")
    [completed] = driver.events(COMPLETED)
    assert completed["transcript"] == "(speech, 1.8 s; the embedded model does not recognise words)"
    assert completed["item_id"] == driver.events("input_audio_buffer.committed")[0]["item_id"]
    assert completed["content_index"] == 0
    assert completed["usage"]["type"] == "tokens"
    assert driver.events(DELTA)[0]["delta"] == completed["transcript"]
    created, began = driver.time_of("response.created"), driver.time_of(COMPLETED)
    assert created < began < created + 0.3


def test_whisper_is_paid_by_time() -> None:
    driver = Driver()
    transcribed(driver, "whisper-1")
    usage = driver.events(COMPLETED)[0]["usage"]
    assert usage == {"type": "duration", "seconds": 2.29}
    assert not driver.events(DELTA)


def test_without_transcription_there_is_no_transcript() -> None:
    driver = Driver()
    driver.append(quiet(16) + loud(50) + quiet(16))
    driver.pass_time(5)
    assert not driver.events(COMPLETED)


def test_somebody_else_may_know_what_was_said() -> None:
    driver = Driver(understand={1: "A table for two.", 2: None}.get)
    transcribed(driver, "whisper-1")
    driver.pass_time(5)
    transcribed(driver, "whisper-1")
    first, second = driver.events(COMPLETED)
    assert first["transcript"] == "A table for two."
    assert second["transcript"] == transcript(1.792, None)
