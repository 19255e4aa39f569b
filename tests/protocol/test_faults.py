"""Every known error: what it ends, in the words in which the real service was seen to say it."""

import orjson
import pytest

from agent.protocol import decode_server_event
from agent.protocol.actions import (
    Action,
    Cause,
    Fail,
    Heard,
    Note,
    PartKey,
    Send,
    StopPlayout,
    Warn,
)
from agent.protocol.conversation import Conversation
from agent.protocol.faults import KNOWN, Severity, severity
from agent.protocol.session import TurnDetection

FATAL, TURN, HARMLESS = Severity.FATAL, Severity.TURN, Severity.HARMLESS

SAID = [
    (FATAL, "invalid_api_key", "Incorrect API key provided: sk-****."),
    (FATAL, "invalid_model", 'Model "x" is not supported in realtime mode.'),
    (FATAL, "missing_model", "You must provide a model parameter."),
    (FATAL, "model_not_found", "The model `x` does not exist or you do not have access to it."),
    (FATAL, "beta_api_shape_disabled", "The Realtime Beta API is no longer supported."),
    (FATAL, "insufficient_quota", "You exceeded your current quota."),
    (FATAL, "session_expired", "Your session hit the maximum duration of 60 minutes."),
    (FATAL, "account_deactivated", "Your OpenAI account has been deactivated."),
    (FATAL, "billing_not_active", "Your account is not active."),
    (TURN, "rate_limit_exceeded", "Rate limit reached for M: Limit 1000, Used 1000."),
    (TURN, "inference_rate_limit_exceeded", "Rate limit reached for M on tokens per min."),
    (TURN, "server_error", "The server had an error while processing your request."),
    (TURN, "invalid_event", "Expected a text message."),
    (TURN, "invalid_json", "The message is not valid JSON."),
    (TURN, "invalid_value", "Invalid value: 'nope'."),
    (TURN, "invalid_type", "Invalid type for 'session.speed'."),
    (TURN, "unknown_parameter", "Unknown parameter: 'session.foo'."),
    (TURN, "missing_required_parameter", "Missing required parameter: 'session.type'."),
    (TURN, "integer_below_min_value", "Expected a value >= 24000."),
    (TURN, "cannot_update_voice", "Cannot update a conversation's voice."),
    (TURN, "invalid_tool_call_id", "Tool call ID 'call_X' not found in conversation."),
    (TURN, "unsupported_content_type", "Only model output audio messages can be truncated"),
    (HARMLESS, "response_cancel_not_active", "Cancellation failed: no active response found"),
    (HARMLESS, "conversation_already_has_active_response", "Conversation already has an active"),
    (HARMLESS, "item_truncate_invalid_item_id", "Error truncating item."),
    (HARMLESS, "item_delete_invalid_item_id", "Error deleting item."),
    (HARMLESS, "item_not_found", "Item not found."),
    (HARMLESS, "input_audio_buffer_commit_empty", "Error committing input audio buffer."),
]
RESULT = {FATAL: Fail, TURN: Warn, HARMLESS: Note}
VAD = TurnDetection(type="server_vad")
KEY = PartKey("r", "item", 0)


def error_event(code: str | None, message: str, event_id: str | None = None) -> bytes:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
    return orjson.dumps({"type": "error", "error": error | {"event_id": event_id}})


def told(conversation: Conversation, data: bytes) -> list[Action]:
    return conversation.receive(decode_server_event(data))


def test_no_known_code_is_left_out() -> None:
    assert {code for _, code, _ in SAID} == set(KNOWN)


@pytest.mark.parametrize(("ends", "code", "message"), SAID)
def test_an_error_that_nothing_of_ours_caused(ends: Severity, code: str, message: str) -> None:
    [action] = told(Conversation(turn_detection=VAD), error_event(code, message))
    assert type(action) is RESULT[ends]
    assert message in (action.message if isinstance(action, Fail) else action.text)  # type: ignore[union-attr]


@pytest.mark.parametrize(("ends", "code", "message"), SAID)
def test_the_same_in_a_response_that_failed(ends: Severity, code: str, message: str) -> None:
    error = {"type": "x", "code": code, "message": message}
    details = {"type": "failed", "error": error}
    response = {"id": "r", "status": "failed", "status_details": details}
    done = orjson.dumps({"type": "response.done", "response": response})
    actions = told(Conversation(turn_detection=VAD), done)
    complaints = [type(action) for action in actions if isinstance(action, Warn | Fail)]
    # The response is lost in any case: nothing about it is harmless.
    assert complaints == [Fail if ends is FATAL else Warn]


@pytest.mark.parametrize("code", [None, "", "a_code_of_next_year"])
def test_what_is_not_known_costs_a_turn_at_most(code: str | None) -> None:
    assert severity(code) is TURN


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("invalid_value", "Audio content of 3700ms is already shorter than 3760ms"),
        (None, "Audio content of 3700ms is already shorter than 3760ms"),
        ("unsupported_content_type", "Only model output audio messages can be truncated"),
        ("item_truncate_invalid_item_id", "Error truncating item."),
    ],
)
def test_a_correction_that_came_too_late_costs_nothing(code: str | None, message: str) -> None:
    conversation = Conversation(turn_detection=VAD)
    where = {"response_id": "r", "item_id": "item", "output_index": 0, "content_index": 0}
    delta = {"type": "response.output_audio.delta", **where, "delta": "AAAA" * 640}
    told(conversation, orjson.dumps(delta))
    heard = [Heard(key=KEY, received=960, played=480, whole=False)]
    [send] = [
        a
        for a in conversation.playout_stopped(StopPlayout(Cause.SPEECH), heard)
        if isinstance(a, Send)
    ]
    [action] = told(conversation, error_event(code, message, str(send.event.event_id)))
    assert isinstance(action, Note)
    assert "conversation.item.truncate" in action.text
    # The same error out of the blue is worth a warning, unless its code is harmless by itself.
    [again] = told(conversation, error_event(code, message, str(send.event.event_id)))
    assert type(again) is RESULT[severity(code)]


def test_a_fatal_error_is_fatal_whatever_caused_it() -> None:
    conversation = Conversation(turn_detection=None)
    created = {"type": "response.created", "response": {"id": "r"}}
    told(conversation, orjson.dumps(created))
    [cancel] = conversation.playout_stopped(StopPlayout(Cause.PROGRAM), [])
    assert isinstance(cancel, Send)
    [action] = told(conversation, error_event("session_expired", "x", str(cancel.event.event_id)))
    assert isinstance(action, Fail)
