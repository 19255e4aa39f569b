"""A fault plan: what goes wrong on the wire of an embedded session, and when.

A plan is made for tests and demos of clients. Its file is one JSON object:

    {
      "seed": 7,
      "session_seconds": 60,
      "faults": [
        {"when": {"sent": "response.output_audio.delta", "nth": 3},
         "do": {"effect": "stall", "seconds": 5}},
        {"when": {"received": "response.create"},
         "do": {"effect": "error", "type": "server_error", "message": "Try again."}},
        {"when": {"seconds": 20}, "do": {"effect": "drop"}}
      ]
    }

`when` counts events of one type (`*`: of any) as they stand on the wire, or seconds since the
session began. `nth` counts from 1, and is 1 where it is absent; null means each time.

What a fault does, it does just before the event that set it off. Effects on a message (duplicate,
late, lose, malformed) are had by the event that set them off where that is one of the server's,
and by the next one that the server sends otherwise; an event of the client's can only be lost.
`fail` waits for an event that can tell of a failure: `response.done`, which becomes that of a
failed response, or a completed transcription, in whose place comes a failed one. What came before
it of the response came all the same: of a quota that is used up a client learns late.
Several faults that are set off together act in the order of the plan.

Nothing here is random but by the plan's own seed: the same session meets the same faults.
"""

from pathlib import Path
from typing import Any, Final

import orjson
from attrs import field, frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError

from agent.checks import BadField, check, in_range
from agent.embedded.faults.effects import EFFECTS, MAX_SECONDS, Effect
from agent.embedded.files import read_file
from agent.errors import ConfigError
from agent.strict import exactly, faults, strict_converter

ANY: Final = "*"
"""The event type that stands for all of them."""
MAX_FAULTS: Final = 1000


@frozen(kw_only=True)
class Trigger:
    """When a fault happens: exactly one of `sent`, `received` and `seconds`.

    :ivar sent: an event type of the server's.
    :ivar received: an event type of the client's.
    :ivar seconds: since the session began.
    :ivar nth: which event of the type, from 1; None: each.
    """

    sent: str | None = None
    received: str | None = None
    seconds: float | None = field(default=None, validator=in_range(0, MAX_SECONDS))
    nth: int | None = field(default=1, validator=in_range(1))

    def __attrs_post_init__(self) -> None:
        if [self.sent, self.received, self.seconds].count(None) != 2:
            raise BadField("", "must have exactly one of sent, received, seconds")


@frozen
class Fault:
    """One thing that goes wrong."""

    when: Trigger
    do: Effect


@frozen(kw_only=True)
class FaultPlan:
    """All that goes wrong in a session.

    :ivar faults: in the order in which those that happen together act.
    :ivar seed: of what is made up.
    :ivar session_seconds: how long the session lasts; None: as long as it would.
    """

    faults: tuple[Fault, ...] = field(
        default=(), validator=check(lambda value: len(value) <= MAX_FAULTS, "too many")
    )
    seed: int = 0
    session_seconds: float | None = field(default=None, validator=in_range(1, MAX_SECONDS))


def faults_from_json(value: Any) -> FaultPlan:
    """A plan from a JSON object, every field of its own type and none unknown.

    :raises ConfigError: with the path of each field at fault.
    """
    try:
        return _CONVERTER.structure(_object(value), FaultPlan)
    except (BaseValidationError, ValueError, TypeError) as error:
        found = [f"{path}: {words}" if path else words for path, words in faults(error)]
        raise ConfigError("; ".join(found)) from error


def read_faults(path: Path) -> FaultPlan:
    """The plan in a JSON file.

    :raises ConfigError: it cannot be read, or is no plan; the text names the file and the field.
    """
    return read_file(path, _parsed)


def _parsed(text: str) -> FaultPlan:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"is not JSON: {error}") from error
    return faults_from_json(value)


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _make_converter() -> Converter:
    converter = strict_converter(forbid_extra_keys=True)

    def effect(value: Any, _: Any) -> Any:
        kind = _object(value).get("effect")
        if not isinstance(kind, str) or kind not in EFFECTS:
            raise BadField("effect", f"must be one of {', '.join(EFFECTS)}")
        rest = {name: item for name, item in value.items() if name != "effect"}
        return converter.structure(rest, EFFECTS[kind])

    def all_faults(value: Any, _: Any) -> tuple[Fault, ...]:
        # As a list, because cattrs then tells at which place in it a fault is.
        return tuple(converter.structure(exactly(list, value), list[Fault]))

    def objects_only(cls: Any) -> Any:
        structure = converter.gen_structure_attrs_fromdict(cls)
        return lambda value, wanted: structure(_object(value), wanted)

    classes = {FaultPlan, Fault, Trigger, *EFFECTS.values()}
    converter.register_structure_hook_factory(lambda cls: cls in classes, objects_only)
    converter.register_structure_hook_func(lambda cls: cls == Effect, effect)
    converter.register_structure_hook_func(lambda cls: cls == tuple[Fault, ...], all_faults)
    return converter


_CONVERTER: Final = _make_converter()
