"""Malformed messages made out of good ones, for fault plans."""

import random
from typing import Any, Final

import orjson

_NOT_JSON: Final = (
    "<html><body>502 Bad Gateway</body></html>",
    "undefined",
    "{'type': 'error'}",
    "}{",
    "",
)
_WRONG: Final[tuple[Any, ...]] = (None, True, -1, 0.5, "wrong", [], {}, [[]], {"wrong": [1]})
_NESTED: Final = 20_000
_MOST_BYTES: Final = 256


def nonsense(kind: str, message: str, chance: random.Random) -> str | bytes:
    """Something malformed.

    :param kind: `truncated`, `not_json`, `wrong_types`, `nested` or `binary`.
    :param message: the JSON text of the good event.
    """
    match kind:
        case "truncated":
            return message[: chance.randrange(1, max(2, len(message)))]
        case "not_json":
            return chance.choice(_NOT_JSON)
        case "wrong_types":
            return _wrongly_typed(message, chance)
        case "nested":
            return "[" * _NESTED + "]" * _NESTED
        case _:
            return chance.randbytes(chance.randint(1, _MOST_BYTES))


def _wrongly_typed(message: str, chance: random.Random) -> str:
    """The event with each field of another JSON type, all but its own type's name."""
    event: dict[str, Any] = orjson.loads(message)
    wrong = {
        name: chance.choice([other for other in _WRONG if type(other) is not type(value)])
        for name, value in event.items()
        if name != "type"
    }
    return orjson.dumps({"type": event["type"]} | wrong).decode()
