"""Every event of the official package's unions, made of its own types: nothing of it is lost.

There is no list of events here. What a newer release of the package adds is tried by itself, and
where it is not known to our classes the failing test names it.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import realtime
from pydantic import BaseModel, ConfigDict

from agent.protocol import ProtocolError, decode_client_event, decode_server_event, encode
from agent.protocol.base import Model
from agent.protocol.items import UnknownItem
from tests.protocol.official import instances, models, newer_instances, type_of, whole_instances

Json = dict[str, Any]

SERVER_EVENTS = models(realtime.RealtimeServerEvent)
CLIENT_EVENTS = models(realtime.RealtimeClientEvent)
DECODE = dict.fromkeys(SERVER_EVENTS, decode_server_event) | dict.fromkeys(
    CLIENT_EVENTS, decode_client_event
)
EVENTS = pytest.mark.parametrize("official", [*SERVER_EVENTS, *CLIENT_EVENTS], ids=type_of)


def decoded(official: type[BaseModel], event: Json) -> Any:
    return DECODE.get(official, decode_server_event)(json.dumps(event))


def plain(value: Any) -> str:
    """JSON that is the same for the same values; 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_with_integers(value), sort_keys=True)


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check(official: type[BaseModel], event: Json) -> None:
    """All that is promised of an event that the official type allows."""
    ours = decoded(official, event)
    assert type(ours).__name__ == official.__name__, f"{official.__name__} is not known"
    theirs = official.model_validate(event)
    assert list(untyped(ours, theirs, official.__name__)) == []
    back = json.loads(encode(ours))
    assert plain(back) == plain(event)
    assert official.model_validate(back) == theirs


def untyped(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    """Where the official package has a field or a class and we have none."""
    if isinstance(theirs, BaseModel):
        if not isinstance(ours, Model):
            yield f"{path}: {type(theirs).__name__}"
            return
        yield from (f"{path}.{name}" for name in ours.extra)
        for field in attrs.fields(type(ours)):
            inner = getattr(theirs, field.name, None)
            yield from untyped(getattr(ours, field.name), inner, f"{path}.{field.name}")
    elif isinstance(ours, UnknownItem):
        yield path
    elif isinstance(theirs, list):
        for at, (our_inner, their_inner) in enumerate(zip(ours, theirs, strict=True)):
            yield from untyped(our_inner, their_inner, f"{path}[{at}]")


@EVENTS
def test_every_field_and_kind_of_an_official_event_is_known(official: type[BaseModel]) -> None:
    for event in whole_instances(official):
        check(official, event)


@EVENTS
@given(st.data())
def test_an_official_event_is_known_and_comes_back_whole(
    official: type[BaseModel], data: st.DataObject
) -> None:
    check(official, data.draw(instances(official)))


@EVENTS
@given(st.data())
def test_what_a_newer_release_adds_survives_at_every_level(
    official: type[BaseModel], data: st.DataObject
) -> None:
    event = data.draw(newer_instances(official)) | {"type": type_of(official)}
    assert plain(json.loads(encode(decoded(official, event)))) == plain(event)


@EVENTS
@given(st.data())
def test_whole_numbers_and_fractions_serve_for_each_other(
    official: type[BaseModel], data: st.DataObject
) -> None:
    event = data.draw(instances(official))
    for other in (_with_integers(event), _with_fractions(event)):
        assert plain(json.loads(encode(decoded(official, other)))) == plain(event)


def _with_fractions(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_fractions(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_fractions(inner) for inner in value]
    return float(value) if type(value) is int else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="allow")


class ResponseTelepathyEvent(_Strict):
    type: Literal["response.telepathy"]
    thought: str


class MoodOfItem(_Strict):
    joy: float


class InputAudioBufferClearedEvent(_Strict):
    type: Literal["input_audio_buffer.cleared"]
    mood: MoodOfItem


class ConversationItemDeletedEvent(_Strict):
    type: Literal["conversation.item.deleted"]
    item_id: MoodOfItem


@pytest.mark.parametrize(
    ("newer", "named"),
    [
        (ResponseTelepathyEvent, "ResponseTelepathyEvent"),
        (InputAudioBufferClearedEvent, r"InputAudioBufferClearedEvent\.mood"),
    ],
)
@given(data=st.data())
def test_what_is_new_in_the_official_package_is_named(
    newer: type[BaseModel], named: str, data: st.DataObject
) -> None:
    assert models(realtime.RealtimeServerEvent | newer) == [*SERVER_EVENTS, newer]
    with pytest.raises(AssertionError, match=named):
        check(newer, data.draw(instances(newer)))


@given(instances(ConversationItemDeletedEvent))
def test_a_field_that_becomes_another_thing_is_named(event: Json) -> None:
    with pytest.raises(ProtocolError, match=r"conversation\.item\.deleted: item_id"):
        check(ConversationItemDeletedEvent, event)
