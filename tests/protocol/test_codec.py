"""JSON <-> events: what is special. What holds for all of them is in test_conformance."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import (
    UNSET,
    ProtocolError,
    UnknownEvent,
    decode_client_event,
    decode_server_event,
    encode,
)
from agent.protocol.client_events import (
    InputAudioBufferAppendEvent,
    SessionUpdateEvent,
)
from agent.protocol.codec import MAX_VALUES
from agent.protocol.items import UnknownItem
from agent.protocol.response import RealtimeResponseUsage
from agent.protocol.server_events import ResponseAudioDeltaEvent, ResponseDoneEvent
from agent.protocol.session import (
    RealtimeAudioConfig,
    RealtimeAudioConfigInput,
    RealtimeSessionCreateRequest,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
Json = dict[str, Any]
DELTA: Json = {
    "type": "response.output_audio.delta",
    "response_id": "r",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "delta": "AQI=",
}


def test_audio_is_bytes_inside_and_base64_on_the_wire() -> None:
    event = decode_server_event(json.dumps(DELTA))
    assert isinstance(event, ResponseAudioDeltaEvent)
    assert event.delta == b"\x01\x02"
    assert json.loads(encode(event)) == DELTA


@given(st.binary())
def test_an_append_says_what_the_general_way_would(audio: bytes) -> None:
    plain = encode(InputAudioBufferAppendEvent(audio=audio))
    general = encode(InputAudioBufferAppendEvent(audio=audio, event_id="e"))
    assert json.loads(plain) | {"event_id": "e"} == json.loads(general)
    assert base64.b64decode(json.loads(plain)["audio"]) == audio
    decoded = decode_client_event(plain)
    assert decoded == InputAudioBufferAppendEvent(audio=audio)


@given(st.text(), st.dictionaries(st.text(), JSON, max_size=4))
def test_unknown_types_survive(name: str, fields: dict[str, Any]) -> None:
    wire = fields | {"type": f"future.{name}"}
    event = decode_server_event(json.dumps(wire))
    assert isinstance(event, UnknownEvent)
    assert json.loads(encode(event)) == wire


def test_unknown_items_and_enumeration_values_survive() -> None:
    wire = {
        "type": "response.done",
        "response": {
            "id": "r",
            "status": "postponed",
            "status_details": None,
            "output": [
                {"type": "hologram", "id": "i", "shape": {"sides": 6}},
                {"type": "message", "role": "oracle", "content": 5},
                {"type": "message", "role": "assistant", "content": [], "phase": "final_answer"},
            ],
        },
    }
    event = decode_server_event(json.dumps(wire))
    assert json.loads(encode(event)) == wire
    assert not isinstance(event, UnknownEvent)
    assert isinstance(event.response.output[0], UnknownItem)  # type: ignore[union-attr, index]


def test_absent_and_null_are_kept_apart() -> None:
    wire = {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
    }
    event = decode_client_event(json.dumps(wire))
    audio = RealtimeAudioConfig(input=RealtimeAudioConfigInput(turn_detection=None))
    assert event == SessionUpdateEvent(
        session=RealtimeSessionCreateRequest(type="realtime", audio=audio)
    )
    assert event.event_id is UNSET
    assert json.loads(encode(event)) == wire


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        "no json",
        b"\xff\xfe",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"type": 5}',
        '{"type": null}',
        "[" * 5000,
        json.dumps(DELTA | {"delta": "@@"}),
        json.dumps(DELTA | {"delta": 5}),
        json.dumps(DELTA | {"delta": "A"}),
        '{"type": "rate_limits.updated", "rate_limits": [' + "{}," * MAX_VALUES + "{}]}",
        json.dumps(DELTA | {"response_id": None}),
        json.dumps({"type": "response.done"}),
        json.dumps({"type": "response.done", "response": []}),
    ],
)
def test_the_malformed_is_one_kind_of_error(rubbish: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_server_event(rubbish)


def test_an_error_names_the_field() -> None:
    with pytest.raises(ProtocolError, match=r"response\.output_audio\.delta: item_id"):
        decode_server_event(json.dumps(DELTA | {"item_id": 5}))


def speech(**fields: Any) -> Json:
    return {"type": "input_audio_buffer.speech_started", **fields}


def done(**fields: Any) -> Json:
    return {"type": "response.done", "response": {"id": "r", "status": "completed", **fields}}


@pytest.mark.parametrize(
    "wire",
    [
        DELTA | {"output_index": "0", "content_index": None},
        {name: DELTA[name] for name in DELTA if not name.endswith("_index")},
        speech(item_id=None, audio_start_ms=10.5),
        speech(),
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": "later"},
        {"type": "input_audio_buffer.committed", "item_id": None},
        {"type": "error", "error": {"message": None, "code": 429}},
        {"type": "session.created", "session": {"expires_at": 1.5, "tools": [{"type": "mcp"}]}},
        {
            "type": "session.updated",
            "session": {"tracing": {"group_id": "g" * 600}, "include": "x"},
        },
        done(usage={"total_tokens": "12", "input_tokens": 5}),
        done(output="abc"),
        done(output=[{"type": "message", "role": "assistant", "content": None, "id": "i"}]),
        done(output=[{"type": "function_call", "name": "f"}]),
        done(output=[{"type": 1}]),
        done(status_details={"error": []}),
    ],
    ids=str,
)
def test_an_odd_field_costs_nothing_but_itself(wire: Json) -> None:
    """As for the official client; and it is written again as it came."""
    event = decode_server_event(json.dumps(wire))
    assert not isinstance(event, UnknownEvent)
    assert json.loads(encode(event)) == wire


def test_what_is_in_order_beside_an_odd_field_is_read() -> None:
    wire = done(usage={"total_tokens": "12", "input_tokens": 5}, output=5)
    event = decode_server_event(json.dumps(wire))
    assert isinstance(event, ResponseDoneEvent)
    assert event.response.id == "r"
    assert isinstance(event.response.usage, RealtimeResponseUsage)
    assert event.response.usage.input_tokens == 5
    assert event.response.usage.total_tokens is UNSET
    assert event.response.output is UNSET


def test_audio_without_padding_is_audio() -> None:
    event = decode_server_event(json.dumps(DELTA | {"delta": "AQI"}))
    assert isinstance(event, ResponseAudioDeltaEvent)
    assert event.delta == b"\x01\x02"
