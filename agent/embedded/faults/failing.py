"""Failures, as the service tells them: by an `error` event, or in place of a success."""

from typing import Any, Final

import orjson

from agent.embedded.faults.effects import Fail, SendError

_DONE: Final = "response.done"
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_NOT_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.failed"
CAN_FAIL: Final = frozenset({_DONE, _TRANSCRIBED})
"""The types of the events that can be told as failures."""


def failed(effect: Fail, message: str) -> str:
    """The failure, in place of an event whose type is one of `CAN_FAIL`."""
    event: dict[str, Any] = orjson.loads(message)
    error = {"type": effect.type, "code": effect.code, "message": effect.message}
    if event["type"] == _DONE:
        details = {"type": "failed", "error": error}
        event["response"] |= {"status": "failed", "status_details": details}
    else:
        kept = ("event_id", "item_id", "content_index")
        event = {name: event[name] for name in kept}
        event |= {"type": _NOT_TRANSCRIBED, "error": error | {"param": None}}
    return orjson.dumps(event).decode()


def error_event(effect: SendError, event_id: str, answers: str | None) -> str:
    """An `error` event.

    :param event_id: its own id.
    :param answers: the id of the client's event that it is an answer to.
    """
    error = {
        "type": effect.type,
        "code": effect.code,
        "message": effect.message,
        "param": effect.param,
        "event_id": answers,
    }
    return orjson.dumps({"type": "error", "event_id": event_id, "error": error}).decode()
