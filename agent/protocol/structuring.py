"""How cattrs makes this package's classes of the API's JSON.

Of a union, an object's `type` names the class; one that no class has stays JSON where the union
allows it. The rules for single fields are in codec.py.

There are two converters. `STRICT` is for what people write: each fault is told. `WIRE` is for what
a server sends: the official client takes anything there, and a call must not lose its barge-in to
an odd field. So a field that may be absent, but is of another form, is kept as it is among the
unknown ones, and an item that is not of its type's form is kept whole as an `UnknownItem`. Only
what nothing can be done without is a fault.
"""

import binascii
from collections.abc import Callable
from functools import cache, partial
from operator import eq
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, override

from agent.protocol.base import Model, Unset
from agent.protocol.items import (
    ConversationItem,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
    UnknownItem,
)
from agent.protocol.tools import Mcp, RealtimeFunctionTool, Tool
from agent.strict import exactly, strict_converter

MAX_EXACT: Final = 2**53
"""Beyond this a fraction no longer stands for just one whole number."""
MAX_NAME: Final = 512
"""Characters of an id. Captured ones have some 30; the reference lets a client's have this many.
Ids are what is kept of events, so that their length bounds what a server can make a call keep."""


@cache
def own_fields(cls: Any) -> tuple[str, ...]:
    """The names of a class's fields on the wire that differ from object to object."""
    return tuple(a.name for a in attrs.fields(cls) if a.name != "extra")


@cache
def tags(cls: Any) -> tuple[str, ...]:
    """The fields that are the same in all objects of a class, and so belong to the class."""
    return tuple(
        tag for tag in ("type", "role") if hasattr(cls, tag) and tag not in own_fields(cls)
    )


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _bytes(value: Any, _: Any) -> bytes:
    text = exactly(str, value)
    # Some servers leave the padding out.
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


def _name(value: Any, wanted: Any) -> str | None:
    if value is None and wanted is not str:
        return None
    name: str = exactly(str, value)
    if len(name) > MAX_NAME:
        raise ValueError(f"a name of more than {MAX_NAME} characters")
    return name


def _json(value: Any, _: Any) -> dict[str, Any]:
    return exactly(dict, value)  # type: ignore[no-any-return]  # it is what it was checked for


def _integer(value: Any, _: Any) -> int:
    if type(value) is float and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    return int(exactly(int, value))


def _is_model(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Model)


def _strict_model_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    known = frozenset((*own_fields(cls), *tags(cls)))
    hooks: dict[str, Any] = {name: override(struct_hook=_name) for name in known if _is_name(name)}
    build = make_dict_structure_fn(cls, converter, extra=override(struct_hook=_as_it_is), **hooks)

    def structure(value: Any, _: Any) -> Any:
        exactly(dict, value)
        if not known.issuperset(value):
            # Also a field that is itself called "extra" on the wire.
            value = {**value, "extra": {k: v for k, v in value.items() if k not in known}}
        return build(value, cls)

    return structure


def _wire_model_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    strict = _strict_model_hook(cls, converter)
    optional = {a.name for a in attrs.fields(cls) if a.name != "extra" and _is_maybe(a.type)}

    def structure(value: Any, wanted: Any) -> Any:
        try:
            return strict(value, wanted)
        except (BaseValidationError, ValueError, TypeError):
            # Only now, so that what is in order costs nothing more.
            odd = {name for name in optional.intersection(value) if not fits(name, value)}
            if not odd:
                raise
            good = strict({name: value[name] for name in value if name not in odd}, wanted)
            extra = good.extra | {name: value[name] for name in odd}
            return attrs.evolve(good, extra=extra)

    types = {a.name: a.type for a in attrs.fields(cls)}

    def fits(name: str, value: Any) -> bool:
        hook = _name if _is_name(name) else converter.get_structure_hook(types[name])
        try:
            hook(value[name], types[name])
        except (BaseValidationError, ValueError, TypeError):
            return False
        return True

    return structure


def _is_name(field: str) -> bool:
    return field == "id" or field.endswith("_id")


def _is_union(cls: Any) -> bool:
    return get_origin(cls) in (Union, UnionType)


def _is_maybe(cls: Any) -> bool:
    return _is_union(cls) and Unset in get_args(cls)


def _maybe_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner: Any = Union[tuple(arg for arg in get_args(cls) if arg not in (Unset, type(None)))]  # noqa: UP007
    structure = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _union_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    arms = get_args(cls)
    by_python_type = {get_origin(arm) or arm: arm for arm in arms if not _is_model(arm)}
    lists = by_python_type.pop(tuple, None)
    if int in by_python_type:
        by_python_type.setdefault(float, int)
    by_tag = {arm.type: arm for arm in arms if _is_model(arm) and "type" in tags(arm)}
    untagged = next((arm for arm in arms if _is_model(arm) and "type" not in tags(arm)), None)
    hooks = {arm: converter.get_structure_hook(arm) for arm in arms}

    def structure(value: Any, _: Any) -> Any:
        if isinstance(value, dict):
            arm = by_tag.get(str(value.get("type")), untagged) or by_python_type.get(dict)
        else:
            arm = lists if isinstance(value, list) else by_python_type.get(type(value))
        if arm is None:
            raise TypeError(f"{type(value).__name__} is none of the kinds that may stand here")
        return hooks[arm](value, arm)

    return structure


def _tool(converter: Converter, value: Any, _: Any) -> Tool:
    name = exactly(dict, value).get("type")
    if name is None or name == "function":
        return converter.structure(value, RealtimeFunctionTool)
    return converter.structure(value, Mcp) if name == Mcp.type else value


def _item(converter: Converter, value: Any, _: Any) -> Any:
    name = exactly(dict, value).get("type")
    if not isinstance(name, str):
        raise TypeError("expected an item with a type")
    wanted = _MESSAGES.get(str(value.get("role"))) if name == "message" else _OTHER_ITEMS.get(name)
    if wanted is None:
        unknown = UnknownItem(type=name, data=value)
        _name(unknown.id or None, None)
        return unknown
    return converter.structure(value, wanted)


def _wire_item(converter: Converter, value: Any, wanted: Any) -> Any:
    try:
        return _item(converter, value, wanted)
    except (BaseValidationError, ValueError, TypeError):
        unknown = UnknownItem(type=exactly(str, exactly(dict, value).get("type")), data=value)
        _name(unknown.id or None, None)
        return unknown


_MESSAGES: Final[dict[str, Any]] = {
    cls.role: cls
    for cls in (
        RealtimeConversationItemUserMessage,
        RealtimeConversationItemAssistantMessage,
        RealtimeConversationItemSystemMessage,
    )
}
_OTHER_ITEMS: Final[dict[str, Any]] = {
    cls.type: cls
    for cls in get_args(ConversationItem)
    if cls is not UnknownItem and cls.type != "message"
}


def _make_converter(model_hook: Any, item_hook: Any) -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(bytes, _bytes)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook_func(lambda cls: cls == dict[str, Any], _json)
    converter.register_structure_hook_factory(_is_model, model_hook)
    converter.register_structure_hook_factory(_is_union, _union_hook)
    converter.register_structure_hook_factory(_is_maybe, _maybe_hook)
    for union, hook in ((ConversationItem, item_hook), (Tool, _tool)):
        converter.register_structure_hook_func(partial(eq, union), partial(hook, converter))
    return converter


STRICT: Final = _make_converter(_strict_model_hook, _item)
WIRE: Final = _make_converter(_wire_model_hook, _wire_item)
