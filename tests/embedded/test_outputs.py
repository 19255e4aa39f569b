"""What a response is made of: several items, limits of tokens, formats and speed of its audio."""

from base64 import b64decode
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.embedded.driving import Driver, Event, error_of, hum, types
from tests.embedded.sockets import HummingVoice, open_session

TWICE = 'Say exactly: "Let me look." Then say exactly: "It is sunny."'
ITEM = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.deltas",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
]


def say_twice(driver: Driver, seconds: float = 20, **response: Any) -> list[Event]:
    response = {"instructions": TWICE, **response}
    return driver.send("response.create", response=response) + driver.pass_time(seconds)


def done(driver: Driver) -> Event:
    """The newest response."""
    response: Event = driver.events("response.done")[-1]["response"]
    return response


# -- several items -------------------------------------------------------------------------------


def test_a_response_may_have_two_items_of_audio() -> None:
    driver = Driver(voice_seconds=1)
    events = say_twice(driver)
    assert types(events) == [
        "response.created",
        *ITEM,
        *ITEM,
        "response.done",
        "rate_limits.updated",
    ]
    audio = driver.events("response.output_audio.delta")
    assert [event["output_index"] for event in audio] == [0] * 4 + [1] * 4
    assert len({event["item_id"] for event in audio}) == 2
    assert [item["content"][0]["transcript"] for item in done(driver)["output"]] == [
        "This is the demo model, without a key. Let me look.",
        "It is sunny.",
    ]
    assert all("phase" not in item for item in done(driver)["output"])
    assert done(driver)["usage"]["output_token_details"]["audio_tokens"] == 40


def test_words_are_half_a_second_ahead_of_their_audio() -> None:
    driver = Driver(voice_seconds=10)
    words = "word " * 100
    driver.typed("hello")
    driver.pass_time(20)
    driver.send("response.create", response={"instructions": f'Say exactly: "{words}"'})
    seen = len(driver.log)
    driver.pass_time(20)
    said, spoken, leads = 0, 0.0, []
    for _, event in driver.log[seen:]:
        if event["type"] == "response.output_audio_transcript.delta":
            said += len(event["delta"])
        elif event["type"] == "response.output_audio.delta":
            spoken += len(b64decode(event["delta"])) / 48_000
            leads.append(said / len(words) * 10 - spoken)
    # Words are sent whole, and this one takes 0.1 s.
    assert all(0.5 <= lead < 0.61 for lead in leads[:-2])
    assert len(leads) == 40


def test_models_that_reason_tell_their_phases() -> None:
    driver = Driver(model="gpt-realtime-2", voice_seconds=1)
    say_twice(driver)
    phases = [item["phase"] for item in done(driver)["output"]]
    assert phases == ["commentary", "final_answer"]
    driver.typed("hello")
    driver.pass_time(5)
    assert [item["phase"] for item in done(driver)["output"]] == ["final_answer"]


def test_each_item_asks_for_its_voice_when_the_one_before_has_it() -> None:
    driver = Driver(voice_seconds=None)
    say_twice(driver, seconds=1)
    [first] = driver.requests
    assert first.text.endswith("Let me look.")
    driver.engine.speech_ready(first.response_id, hum(1), driver.now)
    driver.pass_time(5)
    second = driver.requests[-1]
    assert (second.text, second.response_id) == ("It is sunny.", first.response_id)
    assert driver.engine.awaiting_speech() == {first.response_id}
    assert types(driver.pass_time(5)) == []
    driver.engine.speech_failed(second.response_id, "hoarse", driver.now)
    driver.pass_time(1)
    assert done(driver)["status"] == "failed"
    assert [item["status"] for item in done(driver)["output"]] == ["completed", "incomplete"]
    assert driver.engine.awaiting_speech() == frozenset()


async def test_a_slow_voice_speaks_one_item_after_the_other(autojump_clock: MockClock) -> None:
    voice = HummingVoice(seconds=1, delay=5)
    async with open_session(voice) as socket:
        socket.tell("response.create", response={"instructions": TWICE})
        done = await socket.hear("response.done")
        assert [item["status"] for item in done["response"]["output"]] == ["completed"] * 2
        assert done["response"]["usage"]["output_token_details"]["audio_tokens"] == 40
        assert 10 < trio.current_time() < 11
    assert voice.said[1] == "It is sunny."


def test_only_what_was_opened_is_closed() -> None:
    driver = Driver(voice_seconds=2)
    say_twice(driver, seconds=0.5)
    driver.send("response.cancel")
    assert len(done(driver)["output"]) == 1
    driver = Driver(voice_seconds=2)
    say_twice(driver, seconds=0.95)
    driver.send("response.cancel")
    assert [item["status"] for item in done(driver)["output"]] == ["completed", "incomplete"]
    assert done(driver)["usage"]["output_token_details"]["audio_tokens"] > 40


def test_each_item_is_truncated_by_itself() -> None:
    driver = Driver(voice_seconds=2)
    say_twice(driver, seconds=0.95)
    first, second = [e["item"]["id"] for e in driver.events("response.output_item.added")]
    heard = len(driver.events("response.output_audio.delta")) * 250 - 2_000
    assert 0 < heard < 2_000

    def truncate(item_id: str, ms: int) -> list[Event]:
        return driver.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=ms
        )

    assert error_of(truncate(second, heard + 1))["code"] == "invalid_value"
    assert types(truncate(second, heard)) == ["conversation.item.truncated"]
    assert types(truncate(first, 2_000)) == ["conversation.item.truncated"]
    # The item is deleted while it streams: its events go on, and it can be truncated no more.
    driver.send("conversation.item.delete", item_id=second)
    driver.pass_time(5)
    assert done(driver)["status"] == "completed"
    assert error_of(truncate(second, 0))["code"] == "item_truncate_invalid_item_id"


# -- limits of tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 5, 30, 60, 100, 4096])
@pytest.mark.parametrize("modality", ["audio", "text"])
def test_no_answer_is_longer_than_its_limit(modality: str, limit: int) -> None:
    driver = Driver(voice_seconds=1)
    say_twice(driver, max_output_tokens=limit, output_modalities=[modality])
    response = done(driver)
    usage = response["usage"]
    assert usage["output_tokens"] <= limit
    assert response["max_output_tokens"] == limit
    unlimited = Driver(voice_seconds=1)
    say_twice(unlimited, output_modalities=[modality])
    whole = done(unlimited)["usage"]["output_tokens"]
    if whole <= limit:
        assert (response["status"], usage["output_tokens"]) == ("completed", whole)
        return
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][-1]["status"] == "incomplete"
    # A word is not cut in two.
    assert usage["output_tokens"] > limit - 6


def test_the_limit_is_one_for_all_items() -> None:
    driver = Driver(voice_seconds=1)
    say_twice(driver, max_output_tokens=45)
    assert [item["status"] for item in done(driver)["output"]] == ["completed", "incomplete"]


def test_a_cut_answer_has_only_the_words_that_came() -> None:
    driver = Driver(voice_seconds=20)
    say_twice(driver, max_output_tokens=100)
    [item] = done(driver)["output"]
    words = item["content"][0]["transcript"]
    assert "This is the demo model, without a key. Let me look.".startswith(words)
    assert len(words) < 30


# -- speed and formats ---------------------------------------------------------------------------


def test_speed_is_the_voices_business() -> None:
    driver = Driver()
    driver.update(audio={"output": {"speed": 1.5}})
    driver.typed("hello")
    assert driver.requests[0].speed == 1.5
    assert Driver().typed("hello")


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
@pytest.mark.parametrize("for_session", [True, False])
def test_audio_goes_out_in_the_format_that_is_wanted(name: str, for_session: bool) -> None:
    driver = Driver(voice_seconds=2.1)
    audio = {"output": {"format": {"type": name}}}
    if for_session:
        driver.update(audio=audio)
    driver.send("response.create", response={} if for_session else {"audio": audio})
    driver.pass_time(10)
    deltas = [b64decode(e["delta"]) for e in driver.events("response.output_audio.delta")]
    # 8,000 bytes a second: 250 ms, and 100 ms at the end.
    assert [len(delta) for delta in deltas] == [2_000] * 8 + [800]
    assert done(driver)["audio"]["output"]["format"] == {"type": name}
    assert done(driver)["usage"]["output_token_details"]["audio_tokens"] == 42
    item_id = done(driver)["output"][0]["id"]
    for ms, answer in ((2_101, "error"), (2_100, "conversation.item.truncated")):
        assert types(
            driver.send(
                "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=ms
            )
        ) == [answer]


def test_a_format_of_one_response_is_not_the_sessions() -> None:
    driver = Driver(voice_seconds=0.25)
    audio = {"output": {"format": {"type": "audio/pcmu"}, "voice": "cedar"}}
    driver.send("response.create", response={"audio": audio})
    driver.pass_time(5)
    driver.typed("hello")
    driver.pass_time(5)
    sizes = [len(b64decode(e["delta"])) for e in driver.events("response.output_audio.delta")]
    assert sizes == [2_000, 12_000]


# -- what it costs -------------------------------------------------------------------------------


def test_what_was_read_before_is_cached_in_steps() -> None:
    driver = Driver(voice_seconds=4)
    for _ in range(6):
        driver.typed("x" * 100)
        driver.pass_time(5)
    usages = [event["response"]["usage"] for event in driver.events("response.done")]
    inputs = [usage["input_token_details"] for usage in usages]
    assert inputs[0]["cached_tokens"] == 0
    for before, details in pairwise(inputs):
        cached = details["cached_tokens_details"]
        for kind in ("text_tokens", "audio_tokens"):
            assert cached[kind] == before[kind] // 64 * 64 <= details[kind]
        assert details["cached_tokens"] == cached["text_tokens"] + cached["audio_tokens"]
    assert inputs[-1]["cached_tokens"] > 256


def prompt_read(driver: Driver, **response: Any) -> int:
    """The tokens of text ahead of the conversation, of which there is none."""
    driver.send("response.create", response={"input": [], **response})
    driver.pass_time(20)
    tokens: int = done(driver)["usage"]["input_token_details"]["text_tokens"]
    return tokens


def test_instructions_and_tools_are_read_too() -> None:
    driver = Driver(voice_seconds=1)
    tools = [{"type": "function", "name": "f", "description": "x" * 4_000}]
    driver.update(instructions="x" * 10_000)
    assert prompt_read(driver) == 2_500
    assert 1_000 < prompt_read(driver, instructions="x" * 400, tools=tools) - 100 < 1_020
    driver.update(instructions=None, tools=tools)
    assert 1_000 < prompt_read(driver) < 1_020
    assert prompt_read(driver, tools=[]) == 0


def test_other_instructions_are_not_cached() -> None:
    driver = Driver(voice_seconds=1)
    driver.update(instructions="x" * 1_024)
    cached = []
    for own in ({}, {}, {"instructions": "y" * 2_048}, {}):
        driver.send("response.create", response=own)
        driver.pass_time(20)
        cached.append(done(driver)["usage"]["input_token_details"]["cached_tokens"])
    assert [tokens >= 256 for tokens in cached] == [False, True, False, True]


def test_instructions_and_tools_must_fit() -> None:
    driver = Driver(voice_seconds=1)
    tools = [{"type": "function", "name": "f"}]
    assert types(driver.update(instructions="x" * 65_536)) == ["session.updated"]
    for events, path in (
        (driver.update(instructions="x" * 65_537), "session.instructions"),
        (driver.update(tools=tools), "session.instructions"),
        (driver.send("response.create", response={"tools": tools}), "response.instructions"),
    ):
        error = error_of(events)
        assert (error["code"], error["param"]) == ("context_length_exceeded", path)


def test_the_conversation_has_the_room_that_instructions_leave() -> None:
    driver = Driver(voice_seconds=1)
    driver.update(instructions="x" * 32_000)
    for _ in range(27):
        driver.send(
            "conversation.item.create",
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "x" * 4_000}],
            },
        )
    driver.send("response.create")
    driver.pass_time(20)
    assert done(driver)["usage"]["input_tokens"] == 28_000


def test_usage_has_tokens_of_reasoning_where_the_model_reasons() -> None:
    for model, told in (("gpt-realtime", {}), ("gpt-realtime-2.1", {"reasoning_tokens": 0})):
        driver = Driver(model=model)
        driver.typed("hello")
        driver.pass_time(5)
        details = done(driver)["usage"]["output_token_details"]
        assert details.items() >= told.items()
        assert details.keys() == {"text_tokens", "audio_tokens", *told}
