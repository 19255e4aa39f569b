"""Small checks of JSON that make bigger ones: each takes a value and its path, or refuses it.

The service is strict where the events' types are lenient: an unknown field or a bad value refuses
the whole event and names the path.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from agent.embedded.forms.refusals import (
    Refusal,
    bad_pattern,
    missing_parameter,
    not_among,
    out_of_range,
    too_long,
    unknown_parameter,
    wrong_type,
)

Check: TypeAlias = Callable[[Any, str], None]

_NAME: Final = re.compile("[a-zA-Z0-9_-]+")


def anything(_value: Any, _path: str) -> None:
    """Any JSON."""


def boolean(value: Any, path: str) -> None:
    """true or false."""
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)


def text(limit: int | None = None) -> Check:
    """A string of at most so many characters."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if limit is not None and len(value) > limit:
            raise too_long(path, len(value), limit)

    return check


def one_of(*supported: str) -> Check:
    """One of these strings."""

    def check(value: Any, path: str) -> None:
        text()(value, path)
        if value not in supported:
            raise not_among(path, value, supported)

    return check


def named(limit: int) -> Check:
    """A name: letters, digits, `_` and `-`, at most so many."""

    def check(value: Any, path: str) -> None:
        text(limit)(value, path)
        if _NAME.fullmatch(value) is None:
            raise bad_pattern(path, _NAME.pattern)

    return check


def integer(low: int, high: int | None = None) -> Check:
    """A whole number between two limits, both allowed."""
    return _number("integer", low, high)


def decimal(low: float, high: float | None = None) -> Check:
    """A number between two limits, both allowed."""
    return _number("decimal", low, high)


def _number(kind: str, low: float, high: float | None) -> Check:
    types = (int,) if kind == "integer" else (int, float)
    article = "an integer" if kind == "integer" else "a decimal"

    def check(value: Any, path: str) -> None:
        if type(value) not in types:
            raise wrong_type(path, article, value)
        if value < low:
            raise out_of_range(path, value, kind=kind, limit=low, below=True)
        if high is not None and value > high:
            raise out_of_range(path, value, kind=kind, limit=high, below=False)

    return check


def nullable(inner: Check) -> Check:
    """null, or what `inner` takes."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def array(inner: Check) -> Check:
    """An array of what `inner` takes."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(path, "an array", value)
        for index, item in enumerate(value):
            inner(item, f"{path}[{index}]")

    return check


def mapping(inner: Check) -> Check:
    """An object of any fields, whose values `inner` takes."""

    def check(value: Any, path: str) -> None:
        fields(dict.fromkeys(value, inner) if isinstance(value, dict) else {})(value, path)

    return check


def fields(known: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object of these fields and no others; at the top of an event the path is empty."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        for name in required:
            if name not in value:
                raise missing_parameter(_join(path, name))
        for name, item in value.items():
            if name not in known:
                raise unknown_parameter(_join(path, name))
            known[name](item, _join(path, name))

    return check


def tagged(tag: str, variants: Mapping[str, Check]) -> Check:
    """An object whose field `tag` says which of the variants it is."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        if tag not in value:
            raise missing_parameter(_join(path, tag))
        one_of(*variants)(value[tag], _join(path, tag))
        variants[value[tag]](value, path)

    return check


def either(first: type, then: Check, otherwise: Check) -> Check:
    """`then` for values of the Python type `first`, `otherwise` for the rest."""

    def check(value: Any, path: str) -> None:
        (then if isinstance(value, first) else otherwise)(value, path)

    return check


def modalities(value: Any, path: str) -> None:
    """`["audio"]` or `["text"]`, never both."""
    array(text())(value, path)
    if value not in (["audio"], ["text"]):
        message = (
            f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        )
        raise Refusal("invalid_value", message, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
