"""The fields of the classes that a tool may take: attrs classes, dataclasses and TypedDicts."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

import attrs
from attrs import NOTHING, Factory, frozen

from agent.checks import schema_of
from agent.tools.docstrings import Described, read_docstring


class NoSchema(TypeError):
    """A type has no schema; the text says which, and why, as it goes on after a name."""


@frozen
class Field:
    """A field of a class, or a parameter of a function.

    :ivar name: as whoever makes the object gives it.
    :ivar default: NOTHING where there is none that could be told.
    :ivar limits: what else than its type a value must be, as JSON Schema.
    """

    name: str
    kind: Any
    required: bool
    default: Any
    limits: Mapping[str, Any] = Factory(dict)


def has_fields(cls: Any) -> bool:
    """Whether it is such a class."""
    return is_typeddict(cls) or (
        isinstance(cls, type) and (attrs.has(cls) or dataclasses.is_dataclass(cls))
    )


def describe(cls: type) -> Described:
    """What its own docstring says."""
    text = cls.__dict__.get("__doc__")
    # What dataclasses writes where there is no docstring.
    is_made = dataclasses.is_dataclass(cls) and str(text).startswith(f"{cls.__name__}(")
    return read_docstring(None if is_made else text)


def fields_of(cls: Any) -> list[Field]:
    """What it is made of.

    :raises NoSchema: an annotation names what does not exist, or a dataclass has an InitVar.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise NoSchema(
            f"holds a {cls.__name__}, whose annotations cannot be read: {error}"
        ) from error
    if is_typeddict(cls):
        return [_key(cls, name, hint) for name, hint in hints.items()]
    if attrs.has(cls):
        return [_attribute(a, hints) for a in attrs.fields(cls) if a.init]
    if any(isinstance(hint, dataclasses.InitVar) for hint in hints.values()):
        raise NoSchema(f"holds a {cls.__name__}, which has an InitVar")
    return [
        Field(f.name, hints[f.name], _is_required(f), _of_dataclass(f.default))
        for f in dataclasses.fields(cls)
        if f.init
    ]


def _attribute(a: "attrs.Attribute[Any]", hints: dict[str, Any]) -> Field:
    kind, required = hints.get(a.name, a.type), a.default is NOTHING
    return Field(a.alias or a.name, kind, required, _told(a.default), schema_of(a.validator))


def _key(cls: Any, name: str, hint: Any) -> Field:
    required = name in cls.__required_keys__
    # Where annotations are strings, the class itself does not know of these two.
    while get_origin(hint) in (Required, NotRequired):
        required = get_origin(hint) is Required
        (hint,) = get_args(hint)
    return Field(name, hint, required, NOTHING)


def _told(default: Any) -> Any:
    return NOTHING if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]


def _is_required(told: "dataclasses.Field[Any]") -> bool:
    return told.default is dataclasses.MISSING and told.default_factory is dataclasses.MISSING


def _of_dataclass(default: Any) -> Any:
    return NOTHING if default is dataclasses.MISSING else default
