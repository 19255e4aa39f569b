"""The arguments of a call: JSON text of the model's, made into keyword arguments."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from cattrs.errors import BaseValidationError

from agent.errors import one_line
from agent.protocol.calls import MAX_ARGUMENTS
from agent.strict import exactly, faults

MAX_DEPTH: Final = 32
"""Lists and objects within each other, the arguments themselves included."""
MAX_TOLD: Final = 20
"""Faults that the text of an error tells; the rest are only counted."""


class BadArguments(ValueError):
    """The model's fault: what it sent is not what the tool takes. The text is for the model.

    :ivar faults: a path such as `stops[0].city` (empty for the whole) and what is wrong there.
    """

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        told = [one_line(f"{path}: {words}" if path else words) for path, words in found[:MAX_TOLD]]
        more = f"; and {len(found) - MAX_TOLD} more" if len(found) > MAX_TOLD else ""
        super().__init__(f"bad arguments: {'; '.join(told)}{more}")
        self.faults = tuple(found)


def decode_arguments(
    text: str, structure: Callable[[Any], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Keyword arguments out of JSON text. No text at all stands for no arguments.

    :param structure: makes them of the object; None takes it as it is.
    :raises BadArguments: it is not JSON, no object, too long, too deep, or does not fit.
    """
    value = _object(text)
    if structure is None:
        return value
    try:
        return structure(value)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise BadArguments(faults(error)) from error


def _object(text: str) -> dict[str, Any]:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_ARGUMENTS:
        raise BadArguments([("", f"more than the {MAX_ARGUMENTS} bytes that are allowed")])
    try:
        value = orjson.loads(data) if data.strip() else {}
    except orjson.JSONDecodeError as error:
        raise BadArguments([("", f"not JSON: {error}")]) from error
    if _is_deep(value):
        raise BadArguments([("", f"nested more than {MAX_DEPTH} deep")])
    try:
        return dict(exactly(dict, value))
    except TypeError as error:
        raise BadArguments([("", str(error))]) from error


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def _inside(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()
