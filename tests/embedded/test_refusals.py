"""What is refused beyond what was captured (test_error_table.py): in the same codes and words."""

from base64 import b64encode
from typing import Any

import pytest

from tests.embedded.driving import Driver, Event, error_of, quiet, types

TURN_DETECTION = "session.audio.input.turn_detection"


def detection(**fields: Any) -> Event:
    return {"audio": {"input": {"turn_detection": fields}}}


# -- whole events --------------------------------------------------------------------------------

EVENTS: list[tuple[str | bytes, str, str | None, str]] = [
    ("[]", "invalid_type", "", "expected an object, but got an array"),
    ("{}", "missing_required_parameter", "type", "Missing required parameter: 'type'."),
    ('{"type": 5}', "invalid_type", "type", "expected a string, but got an integer"),
    (
        '{"type": "input_audio_buffer.append"}',
        "missing_required_parameter",
        "audio",
        "Missing required parameter: 'audio'.",
    ),
    (
        '{"type": "input_audio_buffer.append", "audio": "?"}',
        "invalid_value",
        "audio",
        "Invalid 'audio'. Expected base64-encoded audio bytes",
    ),
    (
        '{"type": "input_audio_buffer.append", "audio": "AAAA"}',
        "invalid_value",
        "audio",
        "Invalid 'audio'. Expected base64-encoded audio bytes",
    ),
    (
        '{"type": "response.cancel", "colour": 1}',
        "unknown_parameter",
        "colour",
        "Unknown parameter: 'colour'.",
    ),
    (
        '{"type": "response.create", "response": {"modalities": ["text"]}}',
        "unknown_parameter",
        "response.modalities",
        "Unknown parameter: 'response.modalities'.",
    ),
    (
        '{"type": "response.create", "response": {"output_modalities": ["text", "audio"]}}',
        "invalid_value",
        "response.output_modalities",
        "Supported combinations are: ['text'] and ['audio'].",
    ),
]


@pytest.mark.parametrize(("data", "code", "param", "words"), EVENTS, ids=lambda x: str(x)[:60])
def test_a_bad_event_is_refused_and_the_session_survives(
    data: str | bytes, code: str, param: str | None, words: str
) -> None:
    driver = Driver()
    error = error_of(driver.send_raw(data))
    assert (error["type"], error["code"], error["param"], error["event_id"]) == (
        "invalid_request_error",
        code,
        param,
        None,
    )
    assert words in error["message"]
    assert types(driver.typed("hello"))[-1] == "response.created"


def test_an_id_that_is_no_string_is_not_named() -> None:
    driver = Driver()
    error = error_of(driver.send("response.cancel", event_id=7))
    assert (error["code"], error["event_id"]) == ("invalid_type", None)


def test_too_little_audio_is_no_commit() -> None:
    driver = Driver()
    driver.update(audio={"input": {"turn_detection": None}})
    driver.append(bytes(99 * 48))
    error = error_of(driver.send("input_audio_buffer.commit"))
    assert "buffer only has 99.00ms of audio." in error["message"]
    driver.append(bytes(48))
    assert types(driver.send("input_audio_buffer.commit")) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]


# -- session.update ------------------------------------------------------------------------------

UPDATES: list[tuple[Event, str, str, str]] = [
    ({"foo": 1}, "unknown_parameter", "session.foo", "Unknown parameter: 'session.foo'."),
    ({"temperature": 0.8}, "unknown_parameter", "session.temperature", "Unknown parameter"),
    ({"modalities": ["text"]}, "unknown_parameter", "session.modalities", "Unknown parameter"),
    ({"voice": "alloy"}, "unknown_parameter", "session.voice", "Unknown parameter"),
    (
        {"type": "transcription"},
        "invalid_parameter",
        "session.type",
        "Passing a transcription session update event to a realtime session is not allowed.",
    ),
    ({"type": "other"}, "invalid_value", "session.type", "Supported values are: 'realtime'."),
    ({"model": "other"}, "invalid_value", "session.model", "cannot be changed"),
    ({"instructions": 5}, "invalid_type", "session.instructions", "expected a string"),
    ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities", "[]"),
    ({"output_modalities": "text"}, "invalid_type", "session.output_modalities", "an array"),
    ({"max_output_tokens": "all"}, "invalid_value", "session.max_output_tokens", "'inf'"),
    ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens", ">= 1"),
    (
        {"max_output_tokens": 5000},
        "integer_above_max_value",
        "session.max_output_tokens",
        "<= 4096",
    ),
    ({"tools": [{"name": "x"}]}, "missing_required_parameter", "session.tools[0].type", "Missing"),
    (
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
        "integer_below_min_value",
        "session.audio.input.format.rate",
        "Expected a value >= 24000, but got 16000 instead.",
    ),
    (
        {"audio": {"output": {"voice": "siren"}}},
        "invalid_value",
        "session.audio.output.voice",
        "'alloy', 'ash'",
    ),
    (
        {"audio": {"output": {"speed": 2}}},
        "decimal_above_max_value",
        "session.audio.output.speed",
        "<= 1.5",
    ),
    (
        {"audio": {"input": {"noise_reduction": {"type": "far"}}}},
        "invalid_value",
        "session.audio.input.noise_reduction.type",
        "'near_field' and 'far_field'",
    ),
    (
        {"audio": {"input": {"transcription": {"modle": "x"}}}},
        "unknown_parameter",
        "session.audio.input.transcription.modle",
        "Unknown parameter",
    ),
    (detection(type="vad"), "invalid_value", f"{TURN_DETECTION}.type", "'server_vad' and"),
    (
        detection(type="server_vad", threshold=1.5),
        "decimal_above_max_value",
        f"{TURN_DETECTION}.threshold",
        "<= 1",
    ),
    (
        detection(type="server_vad", silence_duration_ms=-1),
        "integer_below_min_value",
        f"{TURN_DETECTION}.silence_duration_ms",
        ">= 0",
    ),
    (
        detection(type="server_vad", silence_duration_ms=1.5),
        "invalid_type",
        f"{TURN_DETECTION}.silence_duration_ms",
        "an integer, but got a decimal",
    ),
    (
        detection(type="server_vad", idle_timeout_ms=100),
        "integer_below_min_value",
        f"{TURN_DETECTION}.idle_timeout_ms",
        ">= 5000",
    ),
    (
        detection(type="semantic_vad", threshold=0.5),
        "unknown_parameter",
        f"{TURN_DETECTION}.threshold",
        "Unknown parameter",
    ),
    (
        detection(type="server_vad", create_response="yes"),
        "invalid_type",
        f"{TURN_DETECTION}.create_response",
        "a boolean, but got a string",
    ),
]


@pytest.mark.parametrize(("bad", "code", "param", "words"), UPDATES, ids=lambda x: str(x)[:60])
def test_an_update_is_refused_as_a_whole(bad: Event, code: str, param: str, words: str) -> None:
    driver = Driver()
    error = error_of(
        driver.update(instructions="not to be taken", **bad)
        if "instructions" not in bad
        else driver.update(**bad)
    )
    assert (error["code"], error["param"]) == (code, param)
    assert words.strip("[]") in error["message"]
    [updated] = driver.update()
    assert updated["session"] == driver.events("session.created")[0]["session"]


def test_an_update_needs_its_type() -> None:
    driver = Driver()
    error = error_of(driver.send("session.update", session={"instructions": "x"}))
    assert error["message"] == "Missing required parameter: 'session.type'."
    assert error["code"] == "missing_required_parameter"
    assert error["param"] == "session.type"


def test_reasoning_is_for_reasoning_models() -> None:
    plain, reasoning = Driver(model="gpt-realtime"), Driver(model="gpt-realtime-2.1")
    error = error_of(plain.update(reasoning={"effort": "low"}))
    assert error["param"] == "session.reasoning"
    assert types(reasoning.update(reasoning={"effort": "low"})) == ["session.updated"]


def test_an_update_changes_only_what_it_names() -> None:
    driver = Driver()
    before = driver.events("session.created")[0]["session"]
    [updated] = driver.update(**detection(type="server_vad", silence_duration_ms=700))
    expected = before["audio"]["input"]["turn_detection"] | {"silence_duration_ms": 700}
    assert updated["session"]["audio"]["input"]["turn_detection"] == expected
    [updated] = driver.update(**detection(type="server_vad", threshold=0.3))
    expected |= {"threshold": 0.3}
    assert updated["session"]["audio"]["input"]["turn_detection"] == expected
    before["audio"]["input"]["turn_detection"] = expected
    assert updated["session"] == before


def test_null_clears() -> None:
    driver = Driver()
    driver.update(
        instructions="x",
        tools=[{"type": "function", "name": "f"}],
        audio={"input": {"transcription": {"model": "whisper-1"}}},
    )
    [updated] = driver.update(
        instructions=None,
        tools=None,
        audio={"input": {"transcription": None, "turn_detection": None}},
    )
    session = updated["session"]
    assert (session["instructions"], session["tools"]) == ("", [])
    assert session["audio"]["input"]["transcription"] is None
    assert session["audio"]["input"]["turn_detection"] is None


def test_another_kind_of_turn_detection_starts_from_its_own_defaults() -> None:
    driver = Driver()
    driver.update(**detection(type="server_vad", threshold=0.9))
    [updated] = driver.update(**detection(type="semantic_vad"))
    assert updated["session"]["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    [updated] = driver.update(**detection(type="server_vad"))
    assert updated["session"]["audio"]["input"]["turn_detection"]["threshold"] == 0.5


def test_turn_detection_from_null_needs_its_type() -> None:
    driver = Driver()
    driver.update(audio={"input": {"turn_detection": None}})
    error = error_of(driver.update(**detection(threshold=0.9)))
    assert error["param"] == f"{TURN_DETECTION}.type"


def test_the_voice_stays_once_it_was_heard() -> None:
    driver = Driver()
    assert types(driver.update(audio={"output": {"voice": "marin"}})) == ["session.updated"]
    driver.typed("hello")
    driver.pass_time(5)
    error = error_of(driver.update(instructions="x", audio={"output": {"voice": "alloy"}}))
    assert error["code"] == "cannot_update_voice"
    assert error["message"] == (
        "Cannot update a conversation's voice if assistant audio is present."
    )
    [updated] = driver.update(audio={"output": {"voice": "marin"}})
    assert updated["session"]["instructions"] != "x"


def test_written_answers_leave_the_voice_free() -> None:
    driver = Driver()
    driver.update(output_modalities=["text"])
    driver.typed("hello")
    driver.pass_time(5)
    assert types(driver.update(audio={"output": {"voice": "marin"}})) == ["session.updated"]


def test_a_huge_append_is_heard_in_pieces() -> None:
    driver = Driver()
    driver.send("input_audio_buffer.append", audio=b64encode(quiet(1000)).decode())
    assert driver.engine.next_deadline() == driver.now
    # Another event waits for all of it.
    driver.send("input_audio_buffer.clear")
    assert driver.engine.next_deadline() != driver.now
