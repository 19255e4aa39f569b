"""Whatever comes, decoding gives an event or a ProtocolError, and an event encodes to itself."""

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent

from agent.protocol import (
    UNSET,
    ProtocolError,
    UnknownEvent,
    decode_client_event,
    decode_server_event,
    encode,
)
from agent.protocol.base import Model
from agent.protocol.structuring import MAX_NAME
from tests.fuzzing import Json, Message, hostile, nested
from tests.protocol.official import newer_instances

MANY = 100
"""Messages that are made of one draw: 100,000 where there are 1,000 draws."""
HUGE = 16 * 2**20
DELTA: Json = {
    "type": "response.output_audio.delta",
    "event_id": "e",
    "response_id": "r",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "delta": "AQI=",
}


def holds(message: Message, decode: Callable[[Message], Any] = decode_server_event) -> bool:
    """Whether it is an event; in any case, nothing is raised but what is promised."""
    try:
        event: Any = decode(message)
    except ProtocolError as error:
        why = str(error)
    else:
        assert {UnknownEvent, Model} & {*type(event).__mro__}
        assert decode(encode(event)) == event
        return True
    assert len(why) < 1000, "an error is a line for the log"
    return False


@given(
    st.lists(
        newer_instances(RealtimeServerEvent) | newer_instances(RealtimeClientEvent), min_size=1
    ),
    st.integers(0, 2**64),
)
def test_any_message_is_an_event_or_malformed(valid: list[Json], seed: int) -> None:
    for message in hostile(valid, Random(seed), MANY):
        holds(message)
        holds(message, decode_client_event)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_malformed(data: bytes) -> None:
    holds(data)
    holds(data, decode_client_event)


@pytest.mark.parametrize("field", [*DELTA, "new"])
def test_a_huge_text_in_any_field(field: str) -> None:
    text = base64.b64encode(bytes(HUGE * 3 // 4)).decode()
    is_allowed = field not in ("response_id", "item_id")  # the rest is kept as it is
    assert holds(json.dumps(DELTA | {field: text})) == is_allowed


@pytest.mark.parametrize("field", ["response_id", "item_id"])
def test_a_name_is_short(field: str) -> None:
    assert holds(json.dumps(DELTA | {field: "n" * MAX_NAME}))
    assert not holds(json.dumps(DELTA | {field: "n" * (MAX_NAME + 1)}))


def test_an_items_name_is_short() -> None:
    whole = {"type": "message", "role": "user", "content": [], "id": "n" * (MAX_NAME + 1)}
    event: Any = decode_server_event(json.dumps({"type": "conversation.item.done", "item": whole}))
    assert event.item.id is UNSET
    unknown = whole | {"type": "hologram"}
    assert not holds(json.dumps({"type": "conversation.item.done", "item": unknown}))


@pytest.mark.parametrize(
    ("type_", "field", "element"),
    [
        ("rate_limits.updated", "rate_limits", '{"name": "tokens"}'),
        ("rate_limits.updated", "rate_limits", "5"),
        ("rate_limits.updated", "new", "[]"),
        ("future", "new", "null"),
    ],
)
def test_a_huge_array(type_: str, field: str, element: str) -> None:
    elements = ",".join([element] * 30_000)
    holds(f'{{"type": "{type_}", "rate_limits": [], "{field}": [{elements}]}}')


@pytest.mark.parametrize("depth", [1, 100, 127, 128, 129, 255, 1000, 2000, 500_000])
def test_what_is_too_deep_is_malformed(depth: int) -> None:
    # The event is the first level, and what is in the array is none.
    assert holds(nested(DELTA, depth)) == (depth < 128)


def test_numbers_too_large_to_be_written_are_no_whole_numbers() -> None:
    for number in (2.0**64, 1e308, -(2.0**70), 2**64):
        wire = DELTA | {"output_index": number}
        assert holds(json.dumps(wire))
        event: Any = decode_server_event(json.dumps(wire))
        assert event.output_index is UNSET
