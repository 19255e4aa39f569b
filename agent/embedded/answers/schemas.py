"""The common part of JSON Schema, read from whatever a client declared: types, limits, references.

A schema that makes no sense is not refused: it allows what is left of it.
"""

import math
from typing import Any, Final

MAX_ITEMS: Final = 16
"""Items of an array, whatever its schema asks for."""
_MAX_HOPS: Final = 8
"""References and alternatives on the way to a type: one that refers to itself has no end."""
_MAX_PADDING: Final = 1_000

Schema = dict[str, Any]


def schema_of(value: Any) -> Schema:
    """A schema, or one that allows anything."""
    return value if isinstance(value, dict) else {}


def resolved(value: Any, root: Schema) -> Schema:
    """Without `$ref` (into `root`) and alternatives, of which the first that is not null counts."""
    schema = schema_of(value)
    for _ in range(_MAX_HOPS):
        variants = listed(schema, "anyOf") or listed(schema, "oneOf")
        if isinstance(schema.get("$ref"), str):
            schema = schema_of(_referred(schema["$ref"], root))
        elif variants:
            real = [schema_of(v) for v in variants if schema_of(v).get("type") != "null"]
            rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
            schema = rest | (real[0] if real else {"type": "null"})
        else:
            return schema
    return {}


def type_of(schema: Schema) -> str:
    """The type; of several the first that is not null, and `string` where none is told."""
    told = schema.get("type")
    types = [name for name in (told if isinstance(told, list) else [told]) if isinstance(name, str)]
    real = [name for name in types if name != "null"] or types
    return real[0] if real else ("object" if "properties" in schema else "string")


def is_text(schema: Schema) -> bool:
    """Any text will do."""
    return type_of(schema) == "string" and "enum" not in schema and "const" not in schema


def properties_of(schema: Schema) -> Schema:
    """An object's properties by name."""
    return schema_of(schema.get("properties"))


def required_of(schema: Schema) -> set[str]:
    """The names of an object's required properties."""
    return {name for name in listed(schema, "required") if isinstance(name, str)}


def listed(schema: Schema, keyword: str) -> list[Any]:
    """A keyword's value, where it is an array as it should be."""
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def lengths(schema: Schema) -> tuple[int, int]:
    """The least and the most items of an array."""
    least, most = _number(schema, "minItems"), _number(schema, "maxItems")
    top = MAX_ITEMS if most is None else max(0, min(int(most), MAX_ITEMS))
    return min(int(least or 0), top), top


def fits(schema: Schema, number: float) -> bool:
    """The schema allows this number."""
    low, high = _limits(schema)
    step = _number(schema, "multipleOf")
    return (
        low <= number <= high
        and (type_of(schema) != "integer" or number.is_integer())
        and (not step or math.remainder(number, step) == 0)
    )


def least(schema: Schema) -> float:
    """The smallest number that the schema allows; 0 where there is none."""
    low, high = _limits(schema)
    value = low if math.isfinite(low) else min(0, high)
    return math.ceil(value) if type_of(schema) == "integer" else value


def of_length(schema: Schema, text: str) -> str:
    """The text, cut or padded to the length that the schema wants."""
    least_length, most = _number(schema, "minLength"), _number(schema, "maxLength")
    padded = text.ljust(min(int(least_length or 0), _MAX_PADDING), "?")
    return padded if most is None else padded[: max(0, int(most))]


def _limits(schema: Schema) -> tuple[float, float]:
    minimum, above = _number(schema, "minimum"), _number(schema, "exclusiveMinimum")
    maximum, below = _number(schema, "maximum"), _number(schema, "exclusiveMaximum")
    low = [value for value in (minimum, None if above is None else above + 1) if value is not None]
    high = [value for value in (maximum, None if below is None else below - 1) if value is not None]
    return max(low, default=-math.inf), min(high, default=math.inf)


def _number(schema: Schema, keyword: str) -> float | None:
    value = schema.get(keyword)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _referred(reference: str, root: Schema) -> Any:
    at: Any = root if reference.startswith("#") else None
    for name in reference.split("/")[1:]:
        at = schema_of(at).get(name)
    return at
