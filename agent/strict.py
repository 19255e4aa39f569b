"""How outside data becomes attrs objects: nothing is converted on the quiet.

cattrs by itself would make "5" of 5, 7 of "7" and True of 1. Whoever structures JSON here, from
the model's socket to an HTTP body, starts from `strict_converter`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_origin

from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from agent.checks import BadField


def strict_converter(*, forbid_extra_keys: bool = False) -> Converter:
    """A converter which takes each JSON type for itself only; an int also serves for a float."""
    converter = Converter(forbid_extra_keys=forbid_extra_keys)
    for primitive in (str, int, bool):
        converter.register_structure_hook(primitive, partial(exactly, primitive))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_array, _array_hook)
    converter.register_structure_hook_func(lambda cls: cls == dict[str, str], _texts)
    return converter


def exactly(wanted: type, value: Any, _: Any = None) -> Any:
    """The value, if it is of just this type.

    :raises TypeError: it is of another.
    """
    if type(value) is not wanted:
        raise TypeError(f"expected {_NAMES.get(wanted, wanted.__name__)}, not {_name(value)}")
    return value


def faults(error: BaseValidationError | ValueError | TypeError) -> list[tuple[str, str]]:
    """What structuring complained of: (path, message) pairs, the path without a leading dot.

    An unknown field is a fault at that field's own path.
    """
    found = []
    for line in transform_error(error, format_exception=_words):
        message, _, path = line.rpartition(" @ ")
        for part in message.split("\n"):
            name, _, text = part.rpartition("\0")
            where = ".".join(piece for piece in (path.removeprefix("$"), name) if piece)
            found.append((where.lstrip("."), text))
    return found


def _words(error: BaseException, _: Any) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        return "\n".join(f"{name}\0unknown field" for name in sorted(error.extra_fields))
    if isinstance(error, BadField):
        return f"{error.name}\0{error}"
    return "missing" if isinstance(error, KeyError) else str(error)


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, not {_name(value)}")
    return float(value)


def _texts(value: Any, _: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError("expected an object whose values are texts")
    return value


def _is_array(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _array_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = get_args(cls)[0]
    structure = converter.get_structure_hook(inner)

    def build(value: Any, _: Any) -> Any:
        return tuple(structure(item, inner) for item in exactly(list, value))

    return build


_NAMES = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _name(value: Any) -> str:
    if value is None:
        return "null"
    return _NAMES.get(type(value), "a number" if isinstance(value, float) else str(type(value)))
