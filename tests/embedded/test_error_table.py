"""Each error that the real service was seen to answer with: code, words and field."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from tests.embedded.driving import Driver, Event, loud, quiet

MINE = "event_of_the_client"


@frozen
class Case:
    """What a client does, and the error that comes of it.

    :ivar event: the event that is refused; RESPONSE and ITEM in it stand for those ids of the
        last answer.
    :ivar after: what comes before it.
    """

    event: str | bytes | Event
    code: str | None
    message: str
    param: str | None = None
    after: Callable[[Driver], Any] = lambda driver: None
    model: str = "gpt-realtime"


def answer(driver: Driver, seconds: float = 60) -> None:
    driver.typed("hello")
    driver.pass_time(seconds)


def begin(driver: Driver) -> None:
    answer(driver, 0.0)


def open_item(driver: Driver) -> None:
    answer(driver, 0.21)


def write(driver: Driver) -> None:
    driver.update(output_modalities=["text"])
    answer(driver)


def truncate(item_id: str, ms: int) -> Event:
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": ms,
    }


def update(**session: Any) -> Event:
    return {"type": "session.update", "session": session}


def output_of(call_id: str) -> Event:
    item = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    return {"type": "conversation.item.create", "item": item}


ACTIVE = (
    "Conversation already has an active response in progress: RESPONSE. "
    "Wait until the response is finished before creating a new one."
)
SUPPORTED = (
    "Supported values are: 'session.update', 'input_audio_buffer.append', "
    "'input_audio_buffer.commit', 'input_audio_buffer.clear', 'conversation.item.create', "
    "'conversation.item.truncate', 'conversation.item.delete', 'conversation.item.retrieve', "
    "'response.create', 'response.cancel', and 'session.close'."
)
ONLY_AUDIO = "Only model output audio messages can be truncated"
GONE = "the item with id 'item_x' does not exist."
TOO_LITTLE = (
    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
    "but buffer only has {:.2f}ms of audio."
)
RATE = "session.audio.input.format.rate"

CASES = {
    "binary": Case(b"{}", "invalid_event", "Expected a text message, but got a binary one."),
    "no JSON": Case("{", "invalid_json", "The message is not valid JSON:"),
    "no such type": Case(
        {"type": "nope"}, "invalid_value", f"Invalid value: 'nope'. {SUPPORTED}", "type"
    ),
    "not on a WebSocket": Case(
        {"type": "output_audio_buffer.clear"},
        "invalid_value",
        f"Invalid value: 'output_audio_buffer.clear'. {SUPPORTED}",
        "type",
    ),
    "long event_id": Case(
        {"type": "response.cancel", "event_id": "x" * 513},
        "string_above_max_length",
        "Invalid 'event_id': string too long. Expected a string with maximum length 512, but got "
        "a string with length 513 instead.",
        "event_id",
    ),
    "long append": Case(
        {"type": "input_audio_buffer.append", "audio": "A" * (15 * 1024 * 1024 + 4)},
        "string_above_max_length",
        "Invalid 'audio': string too long. Expected a string with maximum length 15728640, but "
        "got a string with length 15728644 instead.",
        "audio",
    ),
    "nothing to cancel": Case(
        {"type": "response.cancel"},
        "response_cancel_not_active",
        "Cancellation failed: no active response found",
    ),
    "over": Case(
        {"type": "response.cancel"},
        "response_cancel_not_active",
        "Cancellation failed: no active response found",
        after=answer,
    ),
    "active": Case(
        {"type": "response.create"},
        "conversation_already_has_active_response",
        ACTIVE,
        after=begin,
    ),
    "shorter": Case(
        truncate("ITEM", 3_760),
        "invalid_value",
        "Audio content of 3700ms is already shorter than 3760ms",
        after=answer,
    ),
    "no audio yet": Case(
        truncate("ITEM", 0), "unsupported_content_type", ONLY_AUDIO, after=open_item
    ),
    "no audio at all": Case(
        truncate("ITEM", 0), "unsupported_content_type", ONLY_AUDIO, after=write
    ),
    "truncate unknown": Case(
        truncate("item_x", 0), "item_truncate_invalid_item_id", f"Error truncating item: {GONE}"
    ),
    "delete unknown": Case(
        {"type": "conversation.item.delete", "item_id": "item_x"},
        "item_delete_invalid_item_id",
        f"Error deleting item: {GONE}",
    ),
    "retrieve unknown": Case(
        {"type": "conversation.item.retrieve", "item_id": "item_x"},
        "item_retrieve_invalid_item_id",
        f"Error retrieving item: {GONE}",
    ),
    "unknown field": Case(
        update(type="realtime", foo=1),
        "unknown_parameter",
        "Unknown parameter: 'session.foo'.",
        "session.foo",
    ),
    "no session.type": Case(
        update(instructions="x"),
        "missing_required_parameter",
        "Missing required parameter: 'session.type'.",
        "session.type",
    ),
    "low rate": Case(
        update(type="realtime", audio={"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}),
        "integer_below_min_value",
        f"Invalid '{RATE}': integer below minimum value. Expected a value >= 24000, but got 16000 "
        "instead.",
        RATE,
    ),
    "commit nothing": Case(
        {"type": "input_audio_buffer.commit"},
        "input_audio_buffer_commit_empty",
        TOO_LITTLE.format(0),
    ),
    "commit little": Case(
        {"type": "input_audio_buffer.commit"},
        "input_audio_buffer_commit_empty",
        TOO_LITTLE.format(96),
        after=lambda driver: driver.append(quiet(3)),
    ),
    "voice": Case(
        update(type="realtime", audio={"output": {"voice": "cedar"}}),
        "cannot_update_voice",
        "Cannot update a conversation's voice if assistant audio is present.",
        after=answer,
    ),
    "no such call": Case(
        output_of("call_X"),
        "invalid_tool_call_id",
        "Tool call ID 'call_X' not found in conversation.",
    ),
    "assistant audio": Case(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_audio", "audio": "AAAA"}],
            },
        },
        "missing_required_parameter",
        "Missing required parameter: 'item.content[0].text'.",
        "item.content[0].text",
    ),
    "reasoning": Case(
        update(type="realtime", reasoning={"effort": "low"}),
        "unknown_parameter",
        "Unknown parameter: 'session.reasoning'.",
        "session.reasoning",
    ),
    "other kind of session": Case(
        update(type="transcription"),
        "invalid_parameter",
        "Passing a transcription session update event to a realtime session is not allowed.",
        "session.type",
    ),
    "no approval was asked": Case(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "mcp_approval_response",
                "approval_request_id": "mcpr_x",
                "approve": True,
            },
        },
        "invalid_approval_request_id",
        "Approval request ID 'mcpr_x' not found in conversation.",
    ),
}


def last_ids(driver: Driver) -> dict[str, str]:
    """What RESPONSE and ITEM stand for."""
    created, opened = (
        driver.events(f"response.{name}") for name in ("created", "output_item.added")
    )
    ids = {"RESPONSE": created[-1]["response"]["id"]} if created else {}
    return ids | ({"ITEM": opened[-1]["item"]["id"]} if opened else {})


@pytest.mark.parametrize("name", CASES)
def test_the_error_is_the_services_own_and_the_session_survives_it(name: str) -> None:
    case = CASES[name]
    driver = Driver(model=case.model, voice_seconds=3.7)
    case.after(driver)
    ids = last_ids(driver)
    data = case.event
    if isinstance(data, dict):
        data = json.dumps({"event_id": MINE, **data}).replace("ITEM", ids.get("ITEM", ""))
        mine = json.loads(data)["event_id"]
    else:
        mine = None
    [event] = driver.send_raw(data)
    error = event["error"]
    assert event["type"] == "error"
    assert error.pop("message").startswith(
        case.message.replace("RESPONSE", ids.get("RESPONSE", ""))
    )
    assert error == {
        "type": "invalid_request_error",
        "code": case.code,
        "param": case.param,
        "event_id": mine,
    }
    assert driver.engine.closing is None
    driver.pass_time(60)
    driver.update(output_modalities=["text"])
    driver.typed("still there?")
    driver.pass_time(60)
    assert driver.events("response.done")[-1]["response"]["status"] == "completed"


def test_an_answer_that_a_turn_asks_for_in_vain_is_nobodys_event() -> None:
    driver = Driver(voice_seconds=60)
    detection = {"type": "server_vad", "interrupt_response": False}
    driver.update(audio={"input": {"turn_detection": detection}})
    driver.send("response.create", event_id=MINE)
    driver.append(loud(20) + quiet(20))
    [event] = driver.events("error")
    assert event["error"]["code"] == "conversation_already_has_active_response"
    assert event["error"]["event_id"] is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(3_600, "60 minutes"), (1_800, "30 minutes"), (90, "90 seconds")]
)
def test_a_session_ends_when_it_said_that_it_would(seconds: int, words: str) -> None:
    driver = Driver(session_seconds=seconds)
    session = driver.events("session.created")[0]["session"]
    assert session["expires_at"] == 1_800_000_000 + seconds
    assert driver.pass_time(seconds - 0.01) == []
    [event] = driver.pass_time(0.01)
    message = f"Your session hit the maximum duration of {words}."
    assert event["error"] == {
        "type": "invalid_request_error",
        "code": "session_expired",
        "message": message,
        "param": None,
        "event_id": None,
    }
    closing = driver.engine.closing
    assert closing is not None
    assert (closing.code, closing.reason) == (1001, message)
