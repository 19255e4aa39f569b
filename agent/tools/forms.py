"""Forms: what JSON may stand in a place. Each is a JSON Schema and the code that goes by it.

Both are made side by side, so that what the schema allows is what is accepted. As everywhere here
(see agent.strict), nothing is converted on the quiet; but an int serves for a float, and an
integral float such as 3.0 for an int, because models write them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import orjson
from attrs import evolve, frozen
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from agent.strict import exactly, faults

Schema: TypeAlias = dict[str, Any]

MAX_EXACT: Final = 2**53
"""Beyond this a fraction no longer stands for just one whole number."""


@frozen
class Form:
    """What may stand in one place.

    :ivar structure: makes of JSON the Python value; raises ValueError, TypeError or an error group
        of cattrs' where it does not fit.
    """

    schema: Schema
    structure: Callable[[Any], Any]

    def described(self, words: str) -> "Form":
        """The same, with a description unless there are no words."""
        return evolve(self, schema={**self.schema, "description": words}) if words else self

    def limited(self, limits: Mapping[str, Any]) -> "Form":
        """The same, with the schema of what the class that the value goes into checks by itself."""
        told = dict(limits)
        if "enum" in told and self.takes(None):
            told["enum"] = [*told["enum"], None]
        return evolve(self, schema={**self.schema, **told}) if told else self

    def takes(self, value: Any) -> bool:
        """Whether this JSON may stand there."""
        try:
            self.structure(value)
        except (BaseValidationError, ValueError, TypeError):
            return False
        return True


@frozen
class Part:
    """A named part of an object.

    :ivar required: whether it has to be there; if not, whoever makes the object knows its default.
    """

    name: str
    form: Form
    required: bool


def choice(pairs: Sequence[tuple[str | int | bool | None, Any]]) -> Form:
    """One of these.

    :param pairs: the JSON and what is made of it.
    """
    values = [value for value, _ in pairs]
    types = list(dict.fromkeys(_JSON_TYPES[type(value)] for value in values))
    told: Schema = {"type": types[0]} if len(types) == 1 else {}
    words = f"expected one of {', '.join(orjson.dumps(value).decode() for value in values)}"

    def structure(value: Any) -> Any:
        if type(value) is float and value.is_integer():
            value = int(value)
        for candidate, made in pairs:
            if type(value) is type(candidate) and value == candidate:
                return made
        raise ValueError(words)

    return Form({**told, "enum": values}, structure)


def array(item: Form, make: Callable[[list[Any]], Any] = list) -> Form:
    """A list of any length."""

    def structure(value: Any) -> Any:
        parts = enumerate(exactly(list, value))
        return make(_each((at, item, inner) for at, inner in parts))

    return Form({"type": "array", "items": item.schema}, structure)


def distinct(item: Form, make: Callable[[list[Any]], Any]) -> Form:
    """A list in which nothing stands twice, made into a set."""
    plain = array(item)

    def structure(value: Any) -> Any:
        items = plain.structure(value)
        made = make(items)
        if len(made) < len(items):
            raise ValueError("expected items that all differ")
        return made

    return Form({**plain.schema, "uniqueItems": True}, structure)


def row(items: Sequence[Form]) -> Form:
    """A list of just so many, each of its own form, made into a tuple."""
    length = len(items)

    def structure(value: Any) -> Any:
        if len(exactly(list, value)) != length:
            raise ValueError(f"expected {length} items, not {len(value)}")
        triples = zip(range(length), items, value, strict=True)
        return tuple(_each(triples))

    lengths = {"minItems": length, "maxItems": length}
    # An empty prefixItems is not allowed.
    prefix = {"prefixItems": [item.schema for item in items]} if items else {}
    return Form({"type": "array", **prefix, **lengths}, structure)


def mapping(item: Form) -> Form:
    """An object with any names."""

    def structure(value: Any) -> Any:
        found = exactly(dict, value)
        return dict(zip(found, _each((name, item, found[name]) for name in found), strict=True))

    return Form({"type": "object", "additionalProperties": item.schema}, structure)


def union(forms: Sequence[Form]) -> Form:
    """Whichever form takes the value first."""

    def structure(value: Any) -> Any:
        errors = []
        for form in forms:
            try:
                return form.structure(value)
            except (BaseValidationError, ValueError, TypeError) as error:
                errors.append(error)
        raise _of_all(errors)

    if len(forms) == 2 and NULL in forms:
        other = next(form for form in forms if form is not NULL)
        kind = other.schema.get("type")
        if isinstance(kind, str) and kind != "null":
            return Form(_or_null(other.schema), structure)
    return Form({"anyOf": [form.schema for form in forms]}, structure)


def record(name: str, parts: Sequence[Part], make: Callable[..., Any]) -> Form:
    """An object with just these names.

    :param name: what it is called in errors that the program's own log shows.
    :param make: is called with the parts that are there, by their names.
    """
    known = {part.name: part for part in parts}

    def structure(value: Any) -> Any:
        errors = list(_misfits(known, exactly(dict, value)))
        found = {}
        for part in (known[key] for key in value if key in known):
            try:
                found[part.name] = part.form.structure(value[part.name])
            except (BaseValidationError, ValueError, TypeError) as error:
                errors.append(_at(part.name, error))
        if errors:
            raise ClassValidationError(name, errors, dict)
        return make(**found)

    return Form(
        {
            "type": "object",
            "properties": {part.name: part.form.schema for part in parts},
            "required": [part.name for part in parts if part.required],
            "additionalProperties": False,
        },
        structure,
    )


def _misfits(known: dict[str, Part], value: Schema) -> Iterable[Exception]:
    for part in known.values():
        if part.required and part.name not in value:
            yield _at(part.name, KeyError(part.name))
    if extra := value.keys() - known.keys():
        yield ForbiddenExtraKeysError("", dict, extra)


def _at(name: str, error: Exception) -> Exception:
    error.add_note(AttributeValidationNote("", name, None))
    return error


def _each(triples: Iterable[tuple[int | str, Form, Any]]) -> list[Any]:
    found, errors = [], []
    for at, form, value in triples:
        try:
            found.append(form.structure(value))
        except (BaseValidationError, ValueError, TypeError) as error:
            error.add_note(IterableValidationNote("", at, None))
            errors.append(error)
    if errors:
        raise IterableValidationError("items", errors, list)
    return found


def _of_all(errors: Sequence[BaseValidationError | ValueError | TypeError]) -> Exception:
    """What to say of a value that no form of a union takes.

    A group comes of a form that the value is of the right kind for, as an object is for a class:
    if there is just one, its faults are what is to be mended.
    """
    groups = [error for error in errors if isinstance(error, BaseValidationError)]
    if len(groups) == 1:
        return groups[0]
    told = [" and ".join(_told(fault) for fault in faults(error)) for error in errors]
    return ValueError(", or ".join(dict.fromkeys(told)))


def _told(fault: tuple[str, str]) -> str:
    path, words = fault
    return f"{path}: {words}" if path else words


def _or_null(schema: Schema) -> Schema:
    either = {**schema, "type": [schema["type"], "null"]}
    return {**either, "enum": [*schema["enum"], None]} if "enum" in schema else either


def _integer(value: Any) -> int:
    if type(value) is float and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    return int(exactly(int, value))


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError("expected a number")
    return float(value)


def _null(value: Any) -> None:
    if value is not None:
        raise TypeError("expected null")


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(exactly(str, value))
    except ValueError:
        raise ValueError("expected a date such as 2026-11-23") from None


def _datetime(value: Any) -> datetime:
    # A date alone would become midnight on the quiet.
    try:
        if len(exactly(str, value)) > len("2026-11-23"):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("expected a date and time such as 2026-11-23T10:15:00+01:00")


_JSON_TYPES: Final = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
NULL: Final = Form({"type": "null"}, _null)
SCALARS: Final[dict[Any, Form]] = {
    str: Form({"type": "string"}, partial(exactly, str)),
    int: Form({"type": "integer"}, _integer),
    float: Form({"type": "number"}, _number),
    bool: Form({"type": "boolean"}, partial(exactly, bool)),
    None: NULL,
    type(None): NULL,
    Any: Form({}, lambda value: value),
    datetime: Form({"type": "string", "format": "date-time"}, _datetime),
    date: Form({"type": "string", "format": "date"}, _date),
}
"""The forms of the types that have no parts."""
