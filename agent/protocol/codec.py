"""JSON text <-> events.

The rules: a known type without a field that it cannot do without is malformed (`ProtocolError`);
an unknown type becomes an `UnknownEvent`; an unknown field goes to `extra`, and so does one that
is of another form than it should be; an absent field is `UNSET` and stays absent when it is
encoded again; null stays null. A whole number serves where a
fraction is expected, and a fraction without decimals where a whole number is, as for the official
client.
"""

import binascii
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

import orjson
from attrs import frozen
from cattrs.errors import BaseValidationError

from agent.protocol.base import UNSET, Model
from agent.protocol.client_events import InputAudioBufferAppendEvent, RealtimeClientEvent
from agent.protocol.items import UnknownItem
from agent.protocol.server_events import RealtimeServerEvent
from agent.protocol.structuring import WIRE, own_fields, tags
from agent.strict import faults

MAX_DEPTH: Final = 128
"""Levels of arrays and objects in a message. JSON Schemas of tools have some ten; what is deeper
than twice this can be read by orjson but not written."""

MAX_VALUES: Final = 50_000
"""Values in a message, with the commas in its texts. A session with 128 tools of large schemas has
some 15,000; each costs microseconds to read, in which the call stands still."""

E = TypeVar("E")


class ProtocolError(ValueError):
    """A message that the other side must not have sent: not JSON, or not of its type's form."""


@frozen(kw_only=True)
class UnknownEvent:
    """An event of a type that is not known here, kept whole.

    :ivar data: the event's JSON object.
    """

    type: str
    data: dict[str, Any]


def decode_server_event(data: str | bytes) -> RealtimeServerEvent | UnknownEvent:
    """What a server sent.

    :raises ProtocolError: it is not JSON, not an object with a type, or not of that type's form.
    """
    return server_event_of(json_object(data))


def decode_client_event(data: str | bytes) -> RealtimeClientEvent | UnknownEvent:
    """What a client sent.

    :raises ProtocolError: it is not JSON, not an object with a type, or not of that type's form.
    """
    return client_event_of(json_object(data))


def encode(event: RealtimeClientEvent | RealtimeServerEvent | UnknownEvent) -> str:
    """The event's JSON text."""
    if type(event) is InputAudioBufferAppendEvent and event.event_id is UNSET and not event.extra:
        # Fifty of these a second go out for as long as a call lasts: nothing else is on this path.
        audio = binascii.b2a_base64(event.audio, newline=False).decode("ascii")
        return f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
    return dump(to_json(event))


def json_object(data: str | bytes) -> dict[str, Any]:
    """A message as the JSON object with a `type` that it has to be.

    :raises ProtocolError: it is not one.
    """
    values = _values(data)
    if values > MAX_VALUES:
        raise ProtocolError(f"more than {MAX_VALUES} values")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ProtocolError("not a JSON object with a type")
    if values > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ProtocolError(f"more than {MAX_DEPTH} levels deep")
    return value


def server_event_of(value: dict[str, Any]) -> RealtimeServerEvent | UnknownEvent:
    """The server's event that a JSON object with a type stands for.

    :raises ProtocolError: it is not of its type's form.
    """
    return _event_of(value, _SERVER_EVENTS)


def client_event_of(value: dict[str, Any]) -> RealtimeClientEvent | UnknownEvent:
    """The client's event that a JSON object with a type stands for.

    :raises ProtocolError: it is not of its type's form.
    """
    return _event_of(value, _CLIENT_EVENTS)


def to_json(value: Any) -> Any:
    """A value of this package as the JSON value that it stands for."""
    if isinstance(value, Model):
        cls: Any = type(value)
        known = {name: getattr(value, name) for name in own_fields(cls)}
        constant = {tag: getattr(value, tag) for tag in tags(cls)}
        present = {name: to_json(item) for name, item in known.items() if item is not UNSET}
        return constant | present | dict(value.extra)
    if isinstance(value, UnknownEvent | UnknownItem):
        return value.data
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode("ascii")
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def dump(value: Any) -> str:
    """A JSON value as text."""
    return orjson.dumps(value).decode()


def from_json(value: Any, wanted: type[E]) -> E:
    """A JSON value as the class of this package that it stands for.

    :raises ProtocolError: it is not of that class's form.
    """
    try:
        return WIRE.structure(value, wanted)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise ProtocolError(
            "; ".join(f"{path}: {message}" if path else message for path, message in faults(error))
        ) from error


def _event_of(value: dict[str, Any], classes: Mapping[str, type[E]]) -> E | UnknownEvent:
    name: str = value["type"]
    wanted = classes.get(name)
    if wanted is None:
        return UnknownEvent(type=name, data=value)
    try:
        return from_json(value, wanted)
    except ProtocolError as error:
        raise ProtocolError(f"{name}: {error}") from error


def _values(data: str | bytes) -> int:
    """At least as many values as the message can have. Counting is far cheaper than reading."""
    if isinstance(data, str):
        return data.count("{") + data.count("[") + data.count(",")
    return data.count(b"{") + data.count(b"[") + data.count(b",")


def _depth(value: Any) -> int:
    """Levels of arrays and objects, without recursion."""
    level, depth = [value], 0
    while level:
        inner = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        depth += 1
    return depth


def _by_type(union: Any) -> dict[str, Any]:
    return {cls.type: cls for cls in get_args(union)}


_SERVER_EVENTS: Final[dict[str, type[RealtimeServerEvent]]] = _by_type(RealtimeServerEvent)
_CLIENT_EVENTS: Final[dict[str, type[RealtimeClientEvent]]] = _by_type(RealtimeClientEvent)
