"""JSON text <-> events.

The rules: a known type with a missing or ill-typed field is malformed (`ProtocolError`); an
unknown type becomes an `UnknownEvent`; an unknown field goes to `extra`; an absent field is
`UNSET` and stays absent when it is encoded again; null stays null.
"""

import binascii
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs
import orjson
from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, override

from agent.protocol.base import UNSET, Model, Unset
from agent.protocol.client_events import InputAudioBufferAppendEvent, RealtimeClientEvent
from agent.protocol.items import (
    ConversationItem,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutput,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
    UnknownItem,
)
from agent.protocol.server_events import RealtimeServerEvent
from agent.strict import exactly, faults, strict_converter

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
    return _decode(data, _SERVER_EVENTS)


def decode_client_event(data: str | bytes) -> RealtimeClientEvent | UnknownEvent:
    """What a client sent.

    :raises ProtocolError: it is not JSON, not an object with a type, or not of that type's form.
    """
    return _decode(data, _CLIENT_EVENTS)


def encode(event: RealtimeClientEvent | RealtimeServerEvent | UnknownEvent) -> str:
    """The event's JSON text."""
    if type(event) is InputAudioBufferAppendEvent and event.event_id is UNSET and not event.extra:
        # Fifty of these a second go out for as long as a call lasts: nothing else is on this path.
        audio = binascii.b2a_base64(event.audio, newline=False).decode("ascii")
        return f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
    return orjson.dumps(to_json(event)).decode()


def to_json(value: Any) -> Any:
    """A value of this package as the JSON value that it stands for."""
    if isinstance(value, Model):
        cls: Any = type(value)
        known = {name: getattr(value, name) for name in _own_fields(cls)}
        tags = {tag: getattr(value, tag) for tag in _tags(cls)}
        present = {name: to_json(item) for name, item in known.items() if item is not UNSET}
        return tags | present | dict(value.extra)
    if isinstance(value, UnknownEvent | UnknownItem):
        return value.data
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode("ascii")
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any, wanted: type[E]) -> E:
    """A JSON value as the class of this package that it stands for.

    :raises ProtocolError: it is not of that class's form.
    """
    try:
        return CONVERTER.structure(value, wanted)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise ProtocolError(
            "; ".join(f"{path}: {message}" if path else message for path, message in faults(error))
        ) from error


def _decode(data: str | bytes, classes: Mapping[str, type[E]]) -> E | UnknownEvent:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ProtocolError("not a JSON object with a type")
    name: str = value["type"]
    wanted = classes.get(name)
    if wanted is None:
        return UnknownEvent(type=name, data=value)
    try:
        return from_json(value, wanted)
    except ProtocolError as error:
        raise ProtocolError(f"{name}: {error}") from error


@cache
def _own_fields(cls: Any) -> tuple[str, ...]:
    return tuple(a.name for a in attrs.fields(cls) if a.name != "extra")


@cache
def _tags(cls: Any) -> tuple[str, ...]:
    """The fields that are the same in all objects of a class, and so belong to the class."""
    return tuple(
        tag for tag in ("type", "role") if hasattr(cls, tag) and tag not in _own_fields(cls)
    )


def _by_type(union: Any) -> dict[str, Any]:
    return {cls.type: cls for cls in get_args(union)}


_SERVER_EVENTS: Final[dict[str, type[RealtimeServerEvent]]] = _by_type(RealtimeServerEvent)
_CLIENT_EVENTS: Final[dict[str, type[RealtimeClientEvent]]] = _by_type(RealtimeClientEvent)
_MESSAGES: Final = {
    "user": RealtimeConversationItemUserMessage,
    "assistant": RealtimeConversationItemAssistantMessage,
    "system": RealtimeConversationItemSystemMessage,
}
_OTHER_ITEMS: Final = {
    "function_call": RealtimeConversationItemFunctionCall,
    "function_call_output": RealtimeConversationItemFunctionCallOutput,
}


# -- how cattrs structures what the API sends ---------------------------------------------------


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _bytes(value: Any, _: Any) -> bytes:
    return binascii.a2b_base64(exactly(str, value), strict_mode=True)


def _is_model(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Model)


def _model_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    known = frozenset((*_own_fields(cls), *_tags(cls)))
    build = make_dict_structure_fn(cls, converter, extra=override(struct_hook=_as_it_is))

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, not {type(value).__name__}")
        if not known.issuperset(value):
            # Also a field that is itself called "extra" on the wire.
            value = {**value, "extra": {k: v for k, v in value.items() if k not in known}}
        return build(value, cls)

    return structure


def _is_maybe(cls: Any) -> bool:
    return get_origin(cls) in (Union, UnionType) and Unset in get_args(cls)


def _maybe_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner: Any = Union[tuple(arg for arg in get_args(cls) if arg not in (Unset, type(None)))]  # noqa: UP007
    structure = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _item(converter: Converter, value: Any, _: Any) -> ConversationItem:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise TypeError("expected an item with a type")
    name = value["type"]
    wanted = _MESSAGES.get(str(value.get("role"))) if name == "message" else _OTHER_ITEMS.get(name)
    if wanted is None:
        return UnknownItem(type=name, data=value)
    return converter.structure(value, wanted)


def _make_converter() -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(bytes, _bytes)
    converter.register_structure_hook_factory(_is_maybe, _maybe_hook)
    converter.register_structure_hook_factory(_is_model, _model_hook)
    converter.register_structure_hook_func(
        lambda cls: cls == ConversationItem, partial(_item, converter)
    )
    return converter


CONVERTER: Final = _make_converter()
