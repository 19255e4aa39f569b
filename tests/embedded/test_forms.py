"""The forms of the client's events know every field that the official package's types have.

The forms are written by hand, because the service refuses what the types let pass. Here each field
and each value of an enumeration of these types, at any depth, is put before a session: what it
does not know of them has to stand in `REFUSED`. A newer package's new field is named by that test.
"""

import itertools
import json
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from attrs import evolve, frozen
from openai.types.realtime import RealtimeClientEvent, RealtimeTranscriptionSessionCreateRequest
from pydantic import BaseModel

from tests.embedded.driving import Driver, Event
from tests.protocol.official import models, type_of

REFUSED = {
    # Items of the server's, that no client can create.
    f"<{event}>.{place}<{item}>"
    for event, place in (
        ("conversation.item.create", "item"),
        ("response.create", "response.input"),
    )
    for item in ("mcp_list_tools", "mcp_call", "mcp_approval_request")
}
"""What the package has and the embedded model refuses."""
MODEL = "<session.update>.session<realtime>.model="
"""The model of a session cannot be changed."""

_PROBES: tuple[Any, ...] = ({"?": 0}, 0)
"""Values of which no check takes both."""
_TAGS = ("type", "role")
_SIMPLE: dict[Any, Any] = {str: "x", int: 1, float: 1.0, bool: True, object: {}, dict: {}, list: []}


def variants(annotation: Any) -> list[Any]:
    """What a value may be, without null: classes, literals, lists, mappings."""
    if get_origin(annotation) is Annotated:
        return variants(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [v for part in get_args(annotation) for v in variants(part)]
    return [] if annotation is type(None) else [annotation]


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def least(annotation: Any) -> Any:
    """The least value of a type."""
    first = variants(annotation)[0]
    if is_model(first):
        return least_object(first)
    if get_origin(first) is Literal:
        return get_args(first)[0]
    return _SIMPLE[get_origin(first) or first]


def least_object(model: type[BaseModel]) -> Event:
    """What must be there, and what says which variant it is."""
    return {
        name: least(field.annotation)
        for name, field in model.model_fields.items()
        if field.is_required() or name in _TAGS
    }


@frozen
class Place:
    """Where something stands in an event.

    :ivar path: as the session names it.
    :ivar label: the same, with the variants on the way.
    :ivar wrap: makes the event of what stands there.
    """

    path: str
    label: str
    wrap: Callable[[Any], Event]
    transcribes: bool = False

    def field(self, model: type[BaseModel], name: str, kind: Event) -> "Place":
        """A field of an object of this kind: the first of it, so that it is the first refused."""
        rest = least_object(model) | kind
        return evolve(
            self,
            path=f"{self.path}.{name}" if self.path else name,
            label=f"{self.label}.{name}",
            wrap=lambda value: self.wrap({name: value} | rest | {name: value}),
            transcribes=self.transcribes or model is RealtimeTranscriptionSessionCreateRequest,
        )

    def first(self) -> "Place":
        """The first of a list that stands here."""
        return evolve(self, path=f"{self.path}[0]", wrap=lambda value: self.wrap([value]))

    def value(self) -> "Place":
        """A value of a mapping that stands here."""
        return evolve(self, path=f"{self.path}.k", wrap=lambda value: self.wrap({"k": value}))

    def error(self, value: Any) -> Event:
        """How the session answers when this stands here; nothing where it has no objection."""
        event = self.wrap(value)
        while True:
            driver = Driver(model="gpt-realtime-2.1", transcribe_only=self.transcribes)
            [answer] = driver.send_raw(json.dumps(event))[:1] or [{}]
            error: Event = answer.get("error", {})
            if error.get("code") != "missing_required_parameter":
                return error
            # What the service needs and the types do not.
            put(event, error["param"], "x")


def put(event: Event, path: str, value: Any) -> None:
    *ahead, name = path.replace("[0]", ".0").split(".")
    at: Any = event
    for step in ahead:
        at = at[int(step)] if isinstance(at, list) else at[step]
    assert name not in at
    at[name] = value


def differences(place: Place, annotation: Any) -> Iterator[str]:
    """What of a type the session does not take at a place."""
    for variant in variants(annotation):
        if is_model(variant):
            yield from of_object(place, variant)
        elif get_origin(variant) is Literal:
            for value in get_args(variant):
                if place.error(value).get("param") == place.path:
                    yield f"{place.label}={value}"
        elif get_origin(variant) is list:
            yield from differences(place.first(), get_args(variant)[0])
        elif get_origin(variant) is dict:
            yield from differences(place.value(), get_args(variant)[1])


def of_object(place: Place, model: type[BaseModel]) -> Iterator[str]:
    kinds = list(kinds_of(model))
    label = place.label + "".join(f"<{tag}>" for tag in kinds[0].values() if len(kinds) == 1)
    place = evolve(place, label=label)
    for kind in list(kinds):
        if any(is_refused(place.field(model, n, kind), kind[n]) for n in kind):
            kinds.remove(kind)
            yield place.label if kind == {} or not kinds else f"{place.label}={kind}"
    for name in model.model_fields if kinds else ():
        if name not in kinds[0]:
            inner = [place.field(model, name, kind) for kind in kinds]
            known = [at for at in inner if is_known(at)]
            annotation = model.model_fields[name].annotation
            yield from differences(known[0], annotation) if known else [inner[0].label]


def kinds_of(model: type[BaseModel]) -> Iterator[Event]:
    """The tags of each variant that a class stands for."""
    tags = {
        name: get_args(found[0])
        for name in _TAGS
        if name in model.model_fields
        and get_origin((found := variants(model.model_fields[name].annotation))[0]) is Literal
    }
    for values in itertools.product(*tags.values()):
        yield dict(zip(tags, values, strict=True))


def is_refused(place: Place, value: Any) -> bool:
    return place.error(value).get("param") == place.path


def is_known(place: Place) -> bool:
    """There is such a field; it has to be seen that the session looked at it."""
    errors = [place.error(probe) for probe in _PROBES]
    if any(e.get("code") == "unknown_parameter" and e["param"] == place.path for e in errors):
        return False
    assert any(str(e.get("param")).startswith(place.path) for e in errors), (place.label, errors)
    return True


EVENTS = [
    model for model in models(RealtimeClientEvent) if "output_audio_buffer" not in type_of(model)
]


@pytest.mark.parametrize("model", EVENTS, ids=type_of)
def test_every_field_of_the_official_types_is_known(model: type[BaseModel]) -> None:
    found = {d for d in of_object(Place("", "", lambda value: value), model) if MODEL not in d}
    label = f"<{type_of(model)}>."
    assert found == {refused for refused in REFUSED if refused.startswith(label)}
