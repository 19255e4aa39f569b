"""Validators for the attrs classes that hold what people configure."""

from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import Attribute

Check: TypeAlias = Callable[[Any, "Attribute[Any]", Any], None]


class BadField(ValueError):
    """A field's value is of the right type but not acceptable.

    :ivar name: the field's name.
    """

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name


def one_of(*choices: str) -> Check:
    """One of these words, or unset (None)."""
    return check(
        lambda value: value is None or value in choices, f"must be one of {', '.join(choices)}"
    )


def in_range(least: float, most: float | None = None) -> Check:
    """A number from `least` to `most`, both included, or unset (None)."""
    words = f"must be {least} or more" if most is None else f"must be {least} to {most}"
    return check(
        lambda value: value is None or (value >= least and (most is None or value <= most)), words
    )


def check(acceptable: Callable[[Any], bool], words: str) -> Check:
    """A validator out of a predicate and the words for when it is false."""

    def validate(_: Any, attribute: "Attribute[Any]", value: Any) -> None:
        if not acceptable(value):
            raise BadField(attribute.name, words)

    return validate
