"""A client's message as the event that it is, or the refusal that it earns."""

from typing import Any

import orjson

from agent.embedded.forms.refusals import Refusal, wrong_type
from agent.protocol.client_events import RealtimeClientEvent
from agent.protocol.codec import ProtocolError, UnknownEvent, client_event_of, json_object


def parsed(data: str | bytes) -> dict[str, Any]:
    """The JSON object that a message is.

    :param data: text, or bytes if the message was a binary one.
    :raises Refusal: it is something else.
    """
    if isinstance(data, bytes):
        raise Refusal("invalid_event", "Expected a text message, but got a binary one.")
    try:
        return json_object(data)
    except ProtocolError as error:
        return _object_without_type(data, error)


def decoded(value: dict[str, Any]) -> RealtimeClientEvent:
    """The event that a JSON object stands for, whose form was checked.

    :raises Refusal: the check knows a form that the event's class does not.
    """
    try:
        event = client_event_of(value)
    except ProtocolError as error:
        raise Refusal("invalid_value", str(error)) from error
    if isinstance(event, UnknownEvent):
        raise Refusal("invalid_value", f"Invalid value: '{event.type}'.", "type")
    return event


def event_id_of(value: Any) -> str | None:
    """The client's own id of its event, where it gave one."""
    event_id = value.get("event_id") if isinstance(value, dict) else None
    return event_id if isinstance(event_id, str) else None


def _object_without_type(data: str, error: ProtocolError) -> dict[str, Any]:
    """What the message is in place of an event: whose type is missing or bad is told later."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as bad:
        raise Refusal("invalid_json", f"The message is not valid JSON: {bad}.") from bad
    if not isinstance(value, dict):
        raise wrong_type("", "an object", value)
    if isinstance(value.get("type"), str):
        raise Refusal("invalid_value", f"Invalid value: {error}.") from error
    return value
