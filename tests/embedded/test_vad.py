"""Finding speech: in real speech, whose positions the waveform tells, and not in other sound."""

from array import array

import pytest

from agent.audio import SAMPLE_RATE
from agent.embedded.person.hearing import MAX_BUFFER_SECONDS, Hearing, Turn, TurnBegan, TurnEnded
from agent.embedded.person.vad import (
    BLOCK_SAMPLES,
    SileroProbability,
    SpeechChange,
    SpeechStarted,
    SpeechStopped,
    VoiceActivity,
)
from agent.embedded.settings import TurnRules
from tests.embedded.driving import LoudIsSpeech, loud, quiet
from tests.speech import noise, silence, speech, tone

SENTENCE = "Good morning, everyone."


def changes(pcm: bytes, *, threshold: float = 0.5, silence_ms: int = 200) -> list[SpeechChange]:
    """What Silero's detector finds in audio that comes in frames of 10 ms."""
    activity = VoiceActivity(
        SileroProbability(),
        threshold=threshold,
        silence_samples=silence_ms * SAMPLE_RATE // 1000,
    )
    return [c for start in range(0, len(pcm), 480) for c in activity.feed(pcm[start : start + 480])]


@pytest.mark.parametrize("voice", ["en", "en+f3"])
@pytest.mark.parametrize("before", [0.5, 1.237])
def test_speech_is_found_where_it_is(voice: str, before: float) -> None:
    words = speech(SENTENCE, voice=voice)
    found = changes(silence(before) + words + silence(1), silence_ms=500)
    assert [type(change) for change in found] == [SpeechStarted, SpeechStopped]
    started, stopped = found
    assert isinstance(stopped, SpeechStopped)
    true_start = round(before * SAMPLE_RATE)
    true_end = true_start + len(words) // 2
    assert started.at == pytest.approx(true_start, abs=0.1 * SAMPLE_RATE)
    assert stopped.silent_since == pytest.approx(true_end, abs=0.15 * SAMPLE_RATE)
    assert stopped.at - stopped.silent_since == SAMPLE_RATE // 2


def test_speech_is_found_in_noise() -> None:
    words = array("h", silence(0.5) + speech(SENTENCE) + silence(1))
    hiss = array("h", noise(len(words) / SAMPLE_RATE, amplitude=100))
    mixed = array("h", (max(-32768, min(32767, a + b)) for a, b in zip(words, hiss, strict=True)))
    found = changes(mixed.tobytes(), silence_ms=500)
    assert [type(change) for change in found] == [SpeechStarted, SpeechStopped]
    assert found[0].at == pytest.approx(SAMPLE_RATE / 2, abs=0.1 * SAMPLE_RATE)


@pytest.mark.parametrize(
    "sound",
    [silence(2), tone(2), tone(2, hertz=1_000, amplitude=20_000), noise(2), noise(2, amplitude=50)],
    ids=["silence", "tone", "loud tone", "noise", "soft noise"],
)
def test_other_sound_is_not_speech(sound: bytes) -> None:
    assert changes(sound) == []


def test_a_click_is_not_speech() -> None:
    click = loud(1)
    activity = VoiceActivity(LoudIsSpeech(), threshold=0.5, silence_samples=4_800)
    assert activity.feed(quiet(10) + click + quiet(20)) == []
    assert len(activity.feed(loud(2) + quiet(20))) == 2


def test_no_threshold_is_never_reached_and_a_low_one_is_soon() -> None:
    words = silence(0.5) + speech(SENTENCE) + silence(1)
    assert changes(words, threshold=1.0) == []
    early, late = changes(words, threshold=0.1)[0], changes(words, threshold=0.9)[0]
    assert early.at < late.at


def test_after_a_long_silence_speech_is_found_again() -> None:
    words = speech(SENTENCE) + silence(1)
    found = changes(silence(0.5) + words + silence(3) + words, silence_ms=500)
    assert [type(c) for c in found] == [SpeechStarted, SpeechStopped] * 2
    gap = found[2].at - found[0].at
    assert gap == pytest.approx(len(words) // 2 + 3 * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)


def test_what_silence_hid_from_the_detector_is_forgotten() -> None:
    block = speech(SENTENCE)[12_000:13_024]
    used, fresh = SileroProbability(), SileroProbability()
    for start in range(0, 20_480, 1_024):
        used.probability(speech(SENTENCE)[start : start + 1_024])
    assert used.probability(block) != fresh.probability(block)
    for _ in range(20):
        assert used.probability(bytes(1_024)) == 0.0
    fresh.reset()
    assert used.probability(block) == fresh.probability(block)


def test_each_long_silence_makes_it_forget() -> None:
    words = speech(SENTENCE)
    used, fresh = SileroProbability(), SileroProbability()
    for _ in range(2):
        for start in range(0, 20_480, 1_024):
            used.probability(words[start : start + 1_024])
        for _ in range(20):
            used.probability(bytes(1_024))
    assert used.probability(words[12_000:13_024]) == fresh.probability(words[12_000:13_024])


def test_a_detection_that_begins_anew_remembers_nothing() -> None:
    script = Script([0.0] * 100)
    activity = VoiceActivity(script, threshold=0.5, silence_samples=4_800)
    before = script.resets
    activity.feed(quiet(10))
    assert script.resets == before
    activity.restart(10 * BLOCK_SAMPLES)
    assert script.resets == before + 1


class Script:
    """A detector that was told its answers; it counts how often it was to forget."""

    def __init__(self, answers: list[float]) -> None:
        self._answers = iter(answers)
        self.resets = 0

    def probability(self, block: bytes) -> float:
        return next(self._answers)

    def reset(self) -> None:
        self.resets += 1


def scripted(answers: list[float], *, silence_blocks: int = 3) -> list[SpeechChange]:
    activity = VoiceActivity(
        Script(answers), threshold=0.5, silence_samples=silence_blocks * BLOCK_SAMPLES
    )
    # One block more: the resampler holds some of it back.
    return activity.feed(quiet(len(answers)) + bytes(1_024))


def test_between_the_thresholds_nothing_changes() -> None:
    assert scripted([0.0, 0.4, 0.49, 0.4]) == []
    in_speech = [0.9, 0.9, 0.36, 0.36, 0.36, 0.36, 0.36]
    assert scripted(in_speech) == [SpeechStarted(0)]


def test_a_pause_in_speech_that_is_too_short_ends_nothing() -> None:
    pauses = [0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1]
    assert scripted(pauses) == [
        SpeechStarted(0),
        SpeechStopped(8 * BLOCK_SAMPLES, 5 * BLOCK_SAMPLES),
    ]


# -- turns and their audio -----------------------------------------------------------------------


def rules(**changed: float) -> TurnRules:
    wanted = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200} | changed
    return TurnRules(
        threshold=wanted["threshold"],
        prefix_padding_ms=int(wanted["prefix_padding_ms"]),
        silence_duration_ms=int(wanted["silence_duration_ms"]),
        create_response=True,
        interrupt_response=True,
    )


def turns(hearing: Hearing, pcm: bytes) -> list[Turn]:
    return [
        t for start in range(0, len(pcm), 960) for t in hearing.append(pcm[start : start + 960])
    ]


def ms(samples: int) -> float:
    return samples * 1000 / SAMPLE_RATE


@pytest.mark.parametrize("prefix_ms", [0, 96, 300, 500])
@pytest.mark.parametrize("silence_ms", [0, 100, 200, 640])
def test_a_turn_has_the_padding_and_the_silence_that_were_asked_for(
    prefix_ms: int, silence_ms: int
) -> None:
    hearing = Hearing(
        LoudIsSpeech(), rules(prefix_padding_ms=prefix_ms, silence_duration_ms=silence_ms)
    )
    began, ended = turns(hearing, quiet(20) + loud(10) + quiet(30))
    assert isinstance(began, TurnBegan)
    assert isinstance(ended, TurnEnded)
    assert ms(began.start) == 20 * 32 - prefix_ms
    assert ms(ended.end) == 30 * 32 + silence_ms
    assert ended.speech_seconds == pytest.approx(0.32)
    assert len(ended.pcm) == (ended.end - began.start) * 2
    assert ended.pcm == bytes(prefix_ms * 48) + loud(10) + bytes(silence_ms * 48)


def test_a_turn_reaches_back_no_further_than_the_turn_before() -> None:
    hearing = Hearing(LoudIsSpeech(), rules(prefix_padding_ms=2000))
    first, ended, second, _ = turns(hearing, (quiet(10) + loud(10)) * 2 + quiet(10))
    assert isinstance(first, TurnBegan)
    assert first.start == 0
    assert isinstance(ended, TurnEnded)
    assert isinstance(second, TurnBegan)
    assert second.start == ended.end


def test_while_nobody_speaks_only_the_padding_is_kept() -> None:
    hearing = Hearing(LoudIsSpeech(), rules())
    turns(hearing, quiet(1_000))
    assert hearing.buffered_bytes < 0.5 * SAMPLE_RATE * 2


def test_a_turn_without_end_is_cut() -> None:
    hearing = Hearing(LoudIsSpeech(), rules())
    began, ended, again = turns(hearing, loud(round((MAX_BUFFER_SECONDS + 1) / 0.032)))
    assert isinstance(began, TurnBegan)
    assert isinstance(ended, TurnEnded)
    assert len(ended.pcm) == MAX_BUFFER_SECONDS * SAMPLE_RATE * 2
    assert isinstance(again, TurnBegan)
    assert again.start == ended.end


def test_without_detection_the_buffer_is_bounded_too() -> None:
    hearing = Hearing(LoudIsSpeech(), None)
    assert turns(hearing, loud(round((MAX_BUFFER_SECONDS + 5) / 0.032))) == []
    assert hearing.buffered_bytes == MAX_BUFFER_SECONDS * SAMPLE_RATE * 2


def test_a_commit_by_hand_ends_the_turn() -> None:
    hearing = Hearing(LoudIsSpeech(), rules())
    assert len(turns(hearing, quiet(20) + loud(10))) == 1
    turn = hearing.take()
    assert turn.pcm.endswith(loud(10))
    assert turn.speech_seconds == pytest.approx(0.32)
    # Silence brings no end: there is no turn. Speech that goes on is a new one.
    assert turns(hearing, quiet(20)) == []
    [began] = turns(hearing, loud(5))
    assert isinstance(began, TurnBegan)
    assert ms(began.start) == 50 * 32 - 300


def test_clearing_forgets_the_turn() -> None:
    hearing = Hearing(LoudIsSpeech(), rules())
    turns(hearing, quiet(20) + loud(10))
    hearing.clear()
    assert hearing.buffered_bytes == 0
    assert turns(hearing, quiet(20)) == []


def test_new_rules_hold_at_once_and_positions_go_on() -> None:
    hearing = Hearing(LoudIsSpeech(), rules())
    turns(hearing, quiet(10) + loud(10))
    hearing.obey(rules(silence_duration_ms=640))
    assert turns(hearing, quiet(15)) == []
    [ended] = turns(hearing, quiet(10))
    assert isinstance(ended, TurnEnded)
    assert ms(ended.end) == 20 * 32 + 640
    hearing.obey(None)
    assert turns(hearing, loud(20)) == []
    hearing.obey(rules())
    began, _ = turns(hearing, quiet(20) + loud(3) + quiet(10))
    assert isinstance(began, TurnBegan)
    assert ms(began.start) == 85 * 32 - 300
