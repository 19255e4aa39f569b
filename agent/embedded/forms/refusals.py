"""What the model refuses, in the words and codes of the real service."""

from collections.abc import Sequence
from typing import Any

INVALID_REQUEST = "invalid_request_error"


class Refusal(Exception):
    """A client's event that is refused: the client's fault, answered by an `error` event.

    :ivar code: the stable word for it.
    :ivar message: the sentence for people.
    :ivar param: the path of the field at fault.
    """

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def listed(words: Sequence[str]) -> str:
    """`'a'`, `'a' and 'b'`, or `'a', 'b', and 'c'`."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) <= 2:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"


def unknown_parameter(path: str) -> Refusal:
    """A field that there is not."""
    return Refusal("unknown_parameter", f"Unknown parameter: '{path}'.", path)


def missing_parameter(path: str) -> Refusal:
    """A field that must be there."""
    message = f"Missing required parameter: '{path}'."
    return Refusal("missing_required_parameter", message, path)


def wrong_type(path: str, expected: str, value: Any) -> Refusal:
    """A field of another JSON type; `expected` with its article."""
    message = f"Invalid type for '{path}': expected {expected}, but got {_kind(value)} instead."
    return Refusal("invalid_type", message, path)


def not_among(path: str, value: Any, supported: Sequence[str]) -> Refusal:
    """A value that is not one of those that there are."""
    message = f"Invalid value: '{value}'. Supported values are: {listed(supported)}."
    return Refusal("invalid_value", message, path)


def out_of_range(path: str, value: float, *, kind: str, limit: float, below: bool) -> Refusal:
    """A number beyond a limit; `kind` is integer or decimal."""
    side, sign = ("below minimum", ">=") if below else ("above maximum", "<=")
    code = f"{kind}_{'below_min' if below else 'above_max'}_value"
    message = (
        f"Invalid '{path}': {kind} {side} value. "
        f"Expected a value {sign} {limit}, but got {value} instead."
    )
    return Refusal(code, message, path)


def too_long(path: str, length: int, limit: int) -> Refusal:
    """A string of more characters than allowed."""
    message = (
        f"Invalid '{path}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )
    return Refusal("string_above_max_length", message, path)


def bad_pattern(path: str, pattern: str) -> Refusal:
    """A string of other characters than allowed."""
    message = (
        f"Invalid '{path}': string does not match pattern. Expected a string that matches the "
        f"pattern '^{pattern}$'."
    )
    return Refusal("invalid_value", message, path)


def _kind(value: Any) -> str:
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
        str: "a string",
        list: "an array",
    }
    return kinds.get(type(value), "an object")
