"""Type hints, as forms."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import partial
from inspect import formatannotation
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from attrs import NOTHING

from agent.errors import one_line
from agent.tools.fields import Field, NoSchema, describe, fields_of, has_fields
from agent.tools.forms import (
    NULL,
    SCALARS,
    Form,
    Part,
    Schema,
    array,
    choice,
    distinct,
    mapping,
    record,
    row,
    union,
)
from agent.tools.outputs import BadOutput, to_json

_ARRAYS: Final = (list, Sequence, Collection, Iterable)
_SETS: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    set: set,
    AbstractSet: frozenset,
    frozenset: frozenset,
}
_OBJECTS: Final = (dict, Mapping)


class Forms:
    """The forms of one function's types.

    :ivar definitions: the schemas of the types that hold themselves.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._done: dict[Any, Form] = {}
        self._open: dict[Any, str] = {}
        self._referred: set[Any] = set()

    def part(self, told: Field, words: str) -> Part:
        """A parameter or a field, with its description and its default."""
        form = self.of(told.kind).limited(told.limits)
        if told.default is None and not form.takes(None):
            # `x: int = None` is often written, and a model that sees the default may send it.
            form = union([form, NULL])
        form = form.described(_annotation(told.kind) or words)
        default = _default(told.default, form)
        return Part(told.name, Form({**form.schema, **default}, form.structure), told.required)

    def of(self, kind: Any) -> Form:
        """The form of a type.

        :raises NoSchema: it has none.
        """
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.of(args[0]).described(_annotation(kind))
        if not _is_hashable(kind):
            raise NoSchema(f"has a type without a schema: {_shown(kind)}")
        return (
            SCALARS.get(kind)
            or self._alternatives(origin, args)
            or self._collection(kind, origin or kind, args)
            or self._renamed(kind)
            or self._class(kind)
        )

    def _alternatives(self, origin: Any, args: tuple[Any, ...]) -> Form | None:
        if origin is Literal:
            return choice([_literal(value) for value in args])
        if origin in (Union, UnionType):
            return union([self.of(arm) for arm in args])
        return None

    def _collection(self, kind: Any, base: Any, args: tuple[Any, ...]) -> Form | None:
        if base in _ARRAYS:
            return array(self.of(*args or [Any]))
        if base in _SETS:
            return distinct(self._hashable(*args or [Any]), _SETS[base])
        if base is tuple:
            return self._tuple(kind, args)
        if base in _OBJECTS:
            key, value = args or (str, Any)
            if key is not str:
                raise NoSchema(f"has a type without a schema: {_shown(kind)}, keys must be str")
            return mapping(self.of(value))
        return None

    def _renamed(self, kind: Any) -> Form | None:
        if hasattr(kind, "__supertype__"):  # a NewType
            return self.of(kind.__supertype__)
        if hasattr(kind, "__value__"):  # a `type` statement
            return self._named(kind, lambda: self.of(kind.__value__))
        return None

    def _tuple(self, kind: Any, args: tuple[Any, ...]) -> Form:
        if kind is tuple:
            return array(self.of(Any), tuple)
        if len(args) == 2 and args[1] is ...:
            return array(self.of(args[0]), tuple)
        return row([self.of(arg) for arg in args])

    def _hashable(self, kind: Any) -> Form:
        form = self.of(kind)
        for arm in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
            if getattr(get_origin(arm) or arm, "__hash__", None) is None:
                raise NoSchema(f"has a set of what cannot be in one: {_shown(arm)}")
        return form

    def _class(self, kind: Any) -> Form:
        if isinstance(kind, type) and issubclass(kind, Enum):
            return choice([_member(member) for member in kind])
        if has_fields(kind):
            return self._named(kind, lambda: self._record(kind))
        raise NoSchema(f"has a type without a schema: {_shown(kind)}")

    def _named(self, kind: Any, build: Callable[[], Form]) -> Form:
        """The form of a type that may hold itself: then it is a definition that is referred to."""
        if kind in self._done:
            return self._done[kind]
        if kind in self._open:
            self._referred.add(kind)
            return Form({"$ref": f"#/$defs/{self._open[kind]}"}, partial(self._late, kind))
        self._open[kind] = self._free_name(kind.__name__)
        form = build()
        name = self._open.pop(kind)
        if kind in self._referred:
            self.definitions[name] = form.schema
            form = Form({"$ref": f"#/$defs/{name}"}, form.structure)
        self._done[kind] = form
        return form

    def _late(self, kind: Any, value: Any) -> Any:
        if kind not in self._done:
            raise TypeError("a default that holds the very class it belongs to")
        return self._done[kind].structure(value)

    def _free_name(self, name: str) -> str:
        taken = {*self.definitions, *self._open.values()}
        number = 2
        free = name
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        return free

    def _record(self, cls: Any) -> Form:
        told = describe(cls)
        parts = []
        for each in fields_of(cls):
            try:
                parts.append(self.part(each, told.parameters.get(each.name, "")))
            except NoSchema as error:
                raise NoSchema(f"holds a {cls.__name__}, whose {each.name} {error}") from error
        return record(cls.__name__, parts, cls).described(told.summary)


def _default(value: Any, form: Form) -> Schema:
    """The default as a schema tells it: only where it is JSON, and one that might be sent."""
    if value is NOTHING:
        return {}
    try:
        plain = to_json(value)
    except BadOutput:
        return {}
    return {"default": plain} if form.takes(plain) else {}


def _literal(value: Any) -> tuple[str | int | bool | None, Any]:
    if isinstance(value, Enum):
        return _member(value)
    if type(value) in (str, int, bool, type(None)):
        return value, value
    raise NoSchema(f"has a type without a schema: a Literal of {value!r}")


def _member(member: Enum) -> tuple[str | int | bool | None, Any]:
    if type(member.value) not in (str, int, bool):
        kind = type(member).__name__
        raise NoSchema(f"has a type without a schema: {kind}, with a value of {member.value!r}")
    return member.value, member


def _annotation(kind: Any) -> str:
    """The words in Annotated[X, "words"]; none where there are none."""
    extras = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((word for word in extras if isinstance(word, str)), "")


def _is_hashable(kind: Any) -> bool:
    try:
        hash(kind)
    except TypeError:
        return False
    return True


def _shown(kind: Any) -> str:
    return one_line(formatannotation(kind))
