"""What a tool returns, as JSON text for the model."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from enum import Enum
from typing import Any, Final

import attrs
import orjson

MAX_OUTPUT: Final = 32 * 1024
"""Bytes of JSON."""
MAX_DEPTH: Final = 64
"""Lists and objects within each other; a cycle is deeper than any."""


class BadOutput(ValueError):
    """A result that is not JSON, or too much of it; the text says which."""


def encode_output(value: Any) -> str:
    """A result as JSON text.

    Objects of attrs classes and dataclasses become objects, enumerations their values, dates and
    times ISO texts, tuples and sets lists. Keys are texts; whole numbers become such.

    :raises BadOutput: it is not JSON (NaN is not), or longer than `MAX_OUTPUT`.
    """
    text = _dumped(to_json(value))
    if len(text) > MAX_OUTPUT:
        raise BadOutput(f"the result has {len(text)} bytes; at most {MAX_OUTPUT} are allowed")
    return text.decode()


def to_json(value: Any) -> Any:
    """The value as dicts, lists, texts, numbers, booleans and None.

    :raises BadOutput: it cannot be, or is of more than `MAX_OUTPUT` values.
    """
    return _Walk().plain(value, MAX_DEPTH)


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:  # lone surrogates, numbers of more than 64 bits
        raise BadOutput(f"the result is not JSON: {error}") from error


class _Walk:
    def __init__(self) -> None:
        # Each takes a byte or more of JSON, so that a huge result is not walked to its end: all
        # of the agent would wait meanwhile.
        self._left = MAX_OUTPUT

    def plain(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise BadOutput(
                f"the result has more than {MAX_OUTPUT} values; "
                f"at most {MAX_OUTPUT} bytes are allowed"
            )
        if depth < 0:
            raise BadOutput(f"the result is nested more than {MAX_DEPTH} deep, or holds itself")
        match value:
            case Enum():
                return self.plain(value.value, depth)
            case None | bool() | int() | str():
                return value
            case float():
                return _finite(value)
            case date() | time():  # a datetime is a date, too
                return value.isoformat()
        return self._parts(value, depth - 1)

    def _parts(self, value: Any, depth: int) -> Any:
        match value:
            case list() | tuple():
                return [self.plain(inner, depth) for inner in value]
            case AbstractSet():
                return [self.plain(inner, depth) for inner in _ordered(value)]
            case Mapping():
                return {_key(key): self.plain(inner, depth) for key, inner in value.items()}
        return {name: self.plain(inner, depth) for name, inner in _fields(value)}


def _fields(value: Any) -> Iterable[tuple[str, Any]]:
    cls = type(value)
    if attrs.has(cls):
        return [(a.alias, getattr(value, a.name)) for a in attrs.fields(cls)]
    if dataclasses.is_dataclass(cls):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(cls)]
    raise BadOutput(f"the result is not JSON: it holds an object of the type {cls.__name__}")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise BadOutput(f"the result is not JSON: it holds {value}")
    return float(value)  # orjson takes no subclass, such as NumPy's


def _key(key: Any) -> str:
    plain = key.value if isinstance(key, Enum) else key
    if type(plain) is int:
        return str(plain)
    if not isinstance(plain, str):
        raise BadOutput(f"the result is not JSON: a key is of the type {type(key).__name__}")
    return plain


def _ordered(values: AbstractSet[Any]) -> Iterable[Any]:
    """Sorted where they can be: the order of a set of texts differs from run to run."""
    try:
        return sorted(values)
    except TypeError:
        return values
