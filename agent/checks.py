"""Validators for the attrs classes that hold what people configure.

A `Check` carries what it demands as JSON Schema, too: what validates is what is documented.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, TypeAlias

from attrs import Attribute, Factory, frozen

Validator: TypeAlias = Callable[[Any, "Attribute[Any]", Any], None]


class BadField(ValueError):
    """A field's value is of the right type but not acceptable.

    :ivar name: the field's name.
    """

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name


@frozen
class Check:
    """A validator out of a predicate and the words for when it is false.

    :ivar schema: the same as JSON Schema, beside the field's type; as far as that can say it.
    """

    acceptable: Callable[[Any], bool]
    words: str
    schema: Mapping[str, Any] = Factory(dict)

    def __call__(self, _: Any, attribute: "Attribute[Any]", value: Any) -> None:
        """Validate, as attrs calls it.

        :raises BadField: the value is not acceptable.
        """
        if not self.acceptable(value):
            raise BadField(attribute.name, self.words)


@frozen
class AllOf:
    """A validator that is several, one after the other. (attrs' own keeps its parts to itself.)"""

    parts: tuple[Validator, ...]

    def __call__(self, instance: Any, attribute: "Attribute[Any]", value: Any) -> None:
        """Validate, as attrs calls it; raises what the parts raise."""
        for part in self.parts:
            part(instance, attribute, value)

    @property
    def schema(self) -> Mapping[str, Any]:
        """What all of them demand."""
        return reduce(lambda told, part: {**told, **schema_of(part)}, self.parts, {})


def schema_of(validator: Any) -> Mapping[str, Any]:
    """What a field's validator demands, as JSON Schema; nothing, where it cannot tell."""
    return validator.schema if isinstance(validator, Check | AllOf) else {}


def all_of(*parts: Validator) -> AllOf:
    """All of these, in this order."""
    return AllOf(parts)


def one_of(*choices: str) -> Check:
    """One of these words, or unset (None)."""
    return check(
        lambda value: value is None or value in choices,
        f"must be one of {', '.join(choices)}",
        enum=list(choices),
    )


def in_range(least: float, most: float | None = None) -> Check:
    """A number from `least` to `most`, both included, or unset (None)."""
    words = f"must be {least} or more" if most is None else f"must be {least} to {most}"
    limits = {"minimum": least} if most is None else {"minimum": least, "maximum": most}
    return check(
        lambda value: value is None or (value >= least and (most is None or value <= most)),
        words,
        **limits,
    )


def check(acceptable: Callable[[Any], bool], words: str, **schema: Any) -> Check:
    """A validator out of a predicate and the words for when it is false.

    :param schema: the same as keywords of JSON Schema. None is left out of account: whether the
        field may be null is for its type to say.
    """
    return Check(acceptable, words, schema)
