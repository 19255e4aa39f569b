"""The beta dialect: every name and shape that differs, both ways, for servers and for clients."""

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.beta import realtime as official_beta
from openai.types.realtime import RealtimeClientEvent as OfficialClientEvent
from openai.types.realtime import RealtimeServerEvent as OfficialServerEvent
from pydantic import BaseModel, TypeAdapter

from agent.protocol import ProtocolError, UnknownEvent, beta
from agent.protocol.client_events import (
    InputAudioBufferAppendEvent,
    ResponseCancelEvent,
    SessionUpdateEvent,
)
from agent.protocol.server_events import (
    ConversationItemDone,
    ResponseAudioDeltaEvent,
    ResponseDoneEvent,
    SessionCreatedEvent,
)
from agent.protocol.session import RealtimeSessionCreateRequest
from tests.protocol.official import ANYTHING, instances

Json = dict[str, Any]

BETA_SESSION: Json = {
    "modalities": ["audio", "text"],
    "instructions": "be kind",
    "voice": "alloy",
    "speed": 1.2,
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 200},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "tracing": "auto",
}
GA_SESSION: Json = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "be kind",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "whisper-1", "language": "en"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 200},
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "alloy", "speed": 1.2},
    },
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_output_tokens": "inf",
    "tracing": "auto",
}
BETA_ANSWER: Json = {
    "id": "item_1",
    "object": "realtime.item",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "audio", "transcript": "hello"}, {"type": "text", "text": "hello"}],
}
GA_ANSWER: Json = {
    "id": "item_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [
        {"type": "output_audio", "transcript": "hello"},
        {"type": "output_text", "text": "hello"},
    ],
}
BETA_SEED = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]}
GA_SEED = BETA_SEED | {"content": [{"type": "output_text", "text": "x"}]}
BETA_PARAMS: Json = {
    "conversation": "none",
    "modalities": ["text"],
    "voice": "echo",
    "output_audio_format": "g711_ulaw",
    "max_response_output_tokens": 100,
    "temperature": 0.7,
    "input": [BETA_SEED],
    "metadata": {"a": "b"},
}
GA_PARAMS: Json = {
    "conversation": "none",
    "output_modalities": ["text"],
    "audio": {"output": {"voice": "echo", "format": {"type": "audio/pcmu"}}},
    "max_output_tokens": 100,
    "temperature": 0.7,
    "input": [GA_SEED],
    "metadata": {"a": "b"},
}
BETA_RESPONSE: Json = {
    "id": "resp_1",
    "object": "realtime.response",
    "status": "completed",
    "modalities": ["audio", "text"],
    "voice": "alloy",
    "output_audio_format": "pcm16",
    "temperature": 0.8,
    "max_output_tokens": "inf",
    "output": [BETA_ANSWER],
}
GA_RESPONSE: Json = {
    "id": "resp_1",
    "object": "realtime.response",
    "status": "completed",
    "output_modalities": ["audio"],
    "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}}},
    "temperature": 0.8,
    "max_output_tokens": "inf",
    "output": [GA_ANSWER],
}
PLACE: Json = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
PLACED: Json = {"response_id": "resp_1", "output_index": 0, "event_id": "e"}

CLIENT: list[tuple[Json, Json]] = [
    (
        {"type": "session.update", "session": BETA_SESSION},
        {"type": "session.update", "session": GA_SESSION},
    ),
    (
        {"type": "response.create", "response": BETA_PARAMS},
        {"type": "response.create", "response": GA_PARAMS},
    ),
    ({"type": "response.create"}, {"type": "response.create"}),
    ({"type": "response.create", "response": None}, {"type": "response.create", "response": None}),
    (
        {"type": "conversation.item.create", "item": BETA_ANSWER},
        {"type": "conversation.item.create", "item": GA_ANSWER | {"object": "realtime.item"}},
    ),
    (
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
    ),
]
SERVER: list[Any] = [  # of pairs, as above
    *(
        tuple({"type": name, "session": session, "event_id": "e"} for session in pair)
        for name in ("session.created", "session.updated")
        for pair in ((BETA_SESSION, GA_SESSION),)
    ),
    *(
        tuple({"type": name, "response": response, "event_id": "e"} for response in pair)
        for name in ("response.created", "response.done")
        for pair in ((BETA_RESPONSE, GA_RESPONSE),)
    ),
    *(
        ({"type": name, "item": BETA_ANSWER, **PLACED}, {"type": name, "item": GA_ANSWER, **PLACED})
        for name in ("response.output_item.added", "response.output_item.done")
    ),
    (
        {"type": "conversation.item.created", "item": BETA_ANSWER, "event_id": "e"},
        {"type": "conversation.item.added", "item": GA_ANSWER, "event_id": "e"},
    ),
    (
        {"type": "conversation.item.retrieved", "item": BETA_ANSWER, "event_id": "e"},
        {"type": "conversation.item.retrieved", "item": GA_ANSWER, "event_id": "e"},
    ),
    *(
        (
            {"type": f"response.{name}.{end}", **PLACE, "event_id": "e", **more},
            {"type": f"response.output_{name}.{end}", **PLACE, "event_id": "e", **more},
        )
        for name, end, more in (
            ("audio", "delta", {"delta": "AAAA"}),
            ("audio", "done", {}),
            ("audio_transcript", "delta", {"delta": "hello"}),
            ("audio_transcript", "done", {"transcript": "hello"}),
            ("text", "delta", {"delta": "hello"}),
            ("text", "done", {"text": "hello"}),
        )
    ),
    *(
        ({"type": name, "event_id": "e", **PLACE, "part": part},) * 2
        for name in ("response.content_part.added", "response.content_part.done")
        for part in ({"type": "audio", "transcript": "hello"}, {"type": "text", "text": "hello"})
    ),
]


def checked(change: Callable[[Json], Any], event: Json) -> Any:
    """What a translation makes of an event, which it leaves as it was."""
    before = copy.deepcopy(event)
    changed = change(event)
    assert event == before
    return changed


def to_ga(event: Json) -> Json:
    changed = checked(beta.server_event_from_beta, event)
    assert isinstance(changed, dict)
    return changed


@pytest.mark.parametrize(("as_beta", "as_ga"), CLIENT)
def test_what_clients_send(as_beta: Json, as_ga: Json) -> None:
    assert checked(beta.client_event_to_beta, as_ga) == as_beta
    assert checked(beta.client_event_from_beta, as_beta) == as_ga
    TypeAdapter(OfficialClientEvent).validate_python(as_ga)
    assert_official(official_beta.RealtimeClientEvent, as_beta)


@pytest.mark.parametrize(("as_beta", "as_ga"), SERVER)
def test_what_servers_send(as_beta: Json, as_ga: Json) -> None:
    assert checked(beta.server_event_to_beta, as_ga)[0] == as_beta
    assert to_ga(as_beta) == as_ga
    assert_official(official_beta.RealtimeServerEvent, as_beta)


def assert_official(union: Any, event: Json) -> None:
    """The official package's beta types know each field of it."""
    assert unknown(TypeAdapter(union).validate_python(event)) == set()


def unknown(value: Any) -> set[str]:
    """The fields that a pydantic object, or one in it, has beyond its own."""
    if isinstance(value, list):
        return {name for item in value for name in unknown(item)}
    if not isinstance(value, BaseModel):
        return set()
    inner = {name for item in dict(value).values() for name in unknown(item)}
    return set(value.model_extra or {}) | inner


def test_an_item_is_told_once_to_a_beta_client() -> None:
    added = {"type": "conversation.item.added", "item": GA_ANSWER, "previous_item_id": None}
    created = {
        "type": "conversation.item.created",
        "item": BETA_ANSWER,
        "previous_item_id": None,
    }
    assert beta.server_event_to_beta(added) == [created]
    assert beta.server_event_to_beta(added | {"type": "conversation.item.done"}) == []
    assert to_ga(created) == added


def test_a_beta_client_is_told_of_its_conversation() -> None:
    session = {"type": "realtime", "id": "sess_1"}
    created = {"type": "session.created", "event_id": "event_1", "session": session}
    first, second = checked(beta.server_event_to_beta, created)
    assert first == created | {"session": {"id": "sess_1"}}
    assert second["conversation"] == {"id": "conv_1", "object": "realtime.conversation"}
    assert second["event_id"] != first["event_id"]
    assert_official(official_beta.RealtimeServerEvent, second)
    assert to_ga(second) == second
    [_, bare] = beta.server_event_to_beta({"type": "session.created"})
    assert bare == {
        "type": "conversation.created",
        "conversation": {"object": "realtime.conversation"},
    }


@pytest.mark.parametrize("order", [["audio", "text"], ["text", "audio"]])
def test_both_modalities_of_beta_are_the_audio_of_ga(order: list[str]) -> None:
    assert ga_session({"modalities": order})["output_modalities"] == ["audio"]


@pytest.mark.parametrize(
    ("as_beta", "as_ga"),
    [
        ({"modalities": ["audio"]}, {"output_modalities": ["audio"]}),
        ({"modalities": []}, {"output_modalities": []}),
        ({"modalities": ["smell"]}, {"output_modalities": ["smell"]}),
        ({"modalities": None}, {"output_modalities": None}),
        ({"modalities": "text"}, {"output_modalities": "text"}),
        ({"voice": "new"}, {"audio": {"output": {"voice": "new"}}}),
        ({"voice": {"id": "voice_1"}}, {"audio": {"output": {"voice": {"id": "voice_1"}}}}),
        ({"turn_detection": None}, {"audio": {"input": {"turn_detection": None}}}),
        ({"turn_detection": "vad"}, {"audio": {"input": {"turn_detection": "vad"}}}),
        ({"input_audio_transcription": None}, {"audio": {"input": {"transcription": None}}}),
        ({"input_audio_format": "opus"}, {"audio": {"input": {"format": {"type": "opus"}}}}),
        ({"input_audio_format": None}, {"audio": {"input": {"format": None}}}),
        ({"output_audio_format": 5}, {"audio": {"output": {"format": 5}}}),
        ({"newer": {"a": 1}}, {"newer": {"a": 1}}),
        ({"type": "transcription"}, {"type": "transcription"}),
    ],
)
def test_values_that_are_null_or_newer(as_beta: Json, as_ga: Json) -> None:
    assert ga_session(as_beta) == {"type": "realtime"} | as_ga
    if as_beta != {"modalities": ["audio"]}:
        assert beta_session({"type": "realtime"} | as_ga) == as_beta


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"type": "audio/pcm"}, "pcm16"),
        ({"type": "audio/pcm", "rate": None}, "pcm16"),
        ({"type": "audio/pcmu", "rate": 8000}, "g711_ulaw"),
        ({"type": "audio/pcma", "rate": 8000}, "g711_alaw"),
        ({"type": "audio/pcm", "rate": 16000}, {"type": "audio/pcm", "rate": 16000}),
        ({"rate": 24000}, {"rate": 24000}),
        ({"type": "audio/pcm", "newer": 1}, {"type": "audio/pcm", "newer": 1}),
        ({"type": {}}, {"type": {}}),
        ({"type": "audio/pcm", "rate": [24000]}, {"type": "audio/pcm", "rate": [24000]}),
    ],
)
def test_formats_that_beta_has_no_name_for_stay_as_they_are(form: Any, name: Any) -> None:
    flat = beta_session({"audio": {"input": {"format": form}}})
    assert flat == {"input_audio_format": name}


def test_what_is_ga_already_stays() -> None:
    """Some servers answer in a mixture."""
    for _, as_ga in SERVER:
        assert to_ga(as_ga) == as_ga
    for as_beta, _ in SERVER:
        assert beta.server_event_to_beta(as_beta)[0] == as_beta
    mixed = {"voice": "a", "audio": {"input": {"turn_detection": None}, "output": {"voice": "b"}}}
    assert ga_session(mixed) == {"type": "realtime"} | mixed


def test_what_is_in_the_way_stays() -> None:
    for audio in (None, "loud", 5, {"output": 5}):
        odd: Json = {"voice": "a", "audio": audio}
        assert ga_session(odd) == {"type": "realtime"} | odd
    crowded = {"voice": "x", "audio": {"output": {"voice": "y"}}}
    assert beta_session(crowded) == crowded
    assert beta_session({"audio": {"input": {"format": None, "newer": 1}, "output": {}}}) == {
        "input_audio_format": None,
        "audio": {"input": {"newer": 1}, "output": {}},
    }


def ga_session(session: Json) -> Json:
    update = {"type": "session.update", "session": session}
    return checked(beta.client_event_from_beta, update)["session"]  # type: ignore[no-any-return]


def beta_session(session: Json) -> Json:
    update = {"type": "session.update", "session": session}
    return checked(beta.client_event_to_beta, update)["session"]  # type: ignore[no-any-return]


def test_only_what_the_assistant_said_is_renamed() -> None:
    content: list[Any] = [
        {"type": "text", "text": "x"},
        {"type": "input_audio"},
        "y",
        None,
        {"type": []},
    ]
    event = {"type": "conversation.item.create", "item": {"role": "user", "content": content}}
    assert beta.client_event_from_beta(event) == event
    event = {"type": "conversation.item.create", "item": {"role": "assistant", "content": content}}
    changed = beta.client_event_from_beta(event)["item"]["content"]
    assert changed == [{"type": "output_text", "text": "x"}, *content[1:]]


# -- the types of Agora's earlier sample --------------------------------------------------------

CANCELLED = {"type": "cancelled", "reason": "client_cancelled"}


@pytest.mark.parametrize(
    ("event", "response"),
    [
        ({"response_id": "r"}, {"id": "r", "status_details": CANCELLED}),
        (
            {"response": {"id": "r", "status": "in_progress", "output": [BETA_ANSWER]}},
            {"id": "r", "status_details": CANCELLED, "output": [GA_ANSWER]},
        ),
        (
            {"response_id": "r", "response": {"status_details": None, "modalities": ["text"]}},
            {"id": "r", "status_details": CANCELLED, "output_modalities": ["text"]},
        ),
        (
            {"response": {"id": "r", "status_details": {"reason": "turn_detected"}}},
            {"id": "r", "status_details": {"reason": "turn_detected"}},
        ),
    ],
)
def test_response_cancelled_is_a_response_done(event: Json, response: Json) -> None:
    changed = to_ga({"type": "response.cancelled", "event_id": "e", **event})
    assert changed == {
        "type": "response.done",
        "event_id": "e",
        "response": response | {"status": "cancelled"},
    }
    decoded = beta.decode_server_event(
        orjson.dumps({"type": "response.cancelled", "event_id": "e", **event})
    )
    assert isinstance(decoded, ResponseDoneEvent)


@pytest.mark.parametrize(
    "rest", [{}, {"response_id": 5}, {"response": "r"}, {"response": None}, {"response": {}}]
)
def test_response_cancelled_of_no_response_stays_unknown(rest: Json) -> None:
    event = {"type": "response.cancelled", **rest}
    assert to_ga(event) == event
    assert isinstance(beta.decode_server_event(orjson.dumps(event)), UnknownEvent)


def test_update_conversation_config_is_a_session_update() -> None:
    config = {
        "type": "update_conversation_config",
        "event_id": "e",
        "label": "default",
        "subscribe_to_user_audio": True,
        "voice": "echo",
        "system_message": "be kind",
        "temperature": 0.7,
        "max_tokens": 100,
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": "required",
        "disable_audio": True,
        "output_audio_format": "g711_ulaw",
    }
    changed = checked(beta.client_event_from_beta, config)
    assert changed == {
        "type": "session.update",
        "event_id": "e",
        "session": {
            "type": "realtime",
            "instructions": "be kind",
            "temperature": 0.7,
            "max_output_tokens": 100,
            "tools": [{"type": "function", "name": "f"}],
            "tool_choice": "required",
            "output_modalities": ["text"],
            "audio": {"output": {"voice": "echo", "format": {"type": "audio/pcmu"}}},
        },
    }
    assert isinstance(beta.decode_client_event(orjson.dumps(config)), SessionUpdateEvent)


def test_nulls_of_update_conversation_config_mean_unset() -> None:
    config = {
        "type": "update_conversation_config",
        "label": "default",
        "voice": None,
        "tools": None,
        "disable_audio": False,
        "newer": 1,
    }
    assert beta.client_event_from_beta(config) == {
        "type": "session.update",
        "session": {"type": "realtime", "output_modalities": ["audio"], "newer": 1},
    }


# -- what callers use ---------------------------------------------------------------------------


def test_decoding_gives_ga_events() -> None:
    event = {"type": "response.audio.delta", **PLACE, "delta": "AQI="}
    decoded = beta.decode_server_event(orjson.dumps(event))
    assert isinstance(decoded, ResponseAudioDeltaEvent)
    assert decoded.delta == b"\x01\x02"
    update = orjson.dumps({"type": "session.update", "session": BETA_SESSION}).decode()
    asked = beta.decode_client_event(update)
    assert isinstance(asked, SessionUpdateEvent)
    assert asked.session.extra == {"temperature": 0.8}


@pytest.mark.parametrize("decode", [beta.decode_server_event, beta.decode_client_event])
def test_the_unknown_and_the_malformed(decode: Callable[[str], Any]) -> None:
    assert decode('{"type": "newer", "a": 1}') == UnknownEvent(
        type="newer", data={"type": "newer", "a": 1}
    )
    for rubbish in ("rubbish", "[]", "{}", '{"type": 5}'):
        with pytest.raises(ProtocolError):
            decode(rubbish)


def test_a_malformed_object_is_refused_by_the_codec() -> None:
    with pytest.raises(ProtocolError, match=r"session\.updated: "):
        beta.decode_server_event('{"type": "session.updated", "session": 5}')
    with pytest.raises(ProtocolError, match=r"session\.update: "):
        beta.decode_client_event('{"type": "session.update"}')


def test_encoding_speaks_beta() -> None:
    audio = InputAudioBufferAppendEvent(audio=b"\x01\x02", event_id="e")
    assert orjson.loads(beta.encode_client_event(audio)) == {
        "type": "input_audio_buffer.append",
        "audio": "AQI=",
        "event_id": "e",
    }
    session = RealtimeSessionCreateRequest(type="realtime", output_modalities=("audio",))
    assert orjson.loads(beta.encode_client_event(SessionUpdateEvent(session=session))) == {
        "type": "session.update",
        "session": {"modalities": ["audio", "text"]},
    }
    assert beta.encode_client_event(ResponseCancelEvent()) == '{"type":"response.cancel"}'
    texts = beta.encode_server_event(SessionCreatedEvent(session=session))
    assert [orjson.loads(text)["type"] for text in texts] == [
        "session.created",
        "conversation.created",
    ]
    done = ConversationItemDone(item=beta.decode_server_event(ADDED).item)  # type: ignore[union-attr]
    assert beta.encode_server_event(done) == []


ADDED = orjson.dumps({"type": "conversation.item.created", "item": BETA_ANSWER})


# -- round trips --------------------------------------------------------------------------------


def canonical(value: Any) -> Any:
    """GA with its several ways to say one thing made one: rates, `object`, both modalities."""
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {name: canonical(item) for name, item in value.items()}
    if plain.get("output_modalities") in (["audio", "text"], ["text", "audio"]):
        plain["output_modalities"] = ["audio"]  # the types allow both, the API does not
    if plain.get("type") == "audio/pcm":
        plain["rate"] = 24000
    if plain.get("object") == "realtime.item":
        del plain["object"]
    return plain


@settings(max_examples=max(60, settings().max_examples))
@given(instances(OfficialClientEvent))
def test_clients_events_come_back_as_they_went(event: Json) -> None:
    as_beta = checked(beta.client_event_to_beta, event)
    back = checked(beta.client_event_from_beta, as_beta)
    assert canonical(back) == canonical(event)
    TypeAdapter(OfficialClientEvent).validate_python(back)


@settings(max_examples=max(100, settings().max_examples))
@given(instances(OfficialServerEvent))
def test_servers_events_come_back_as_they_went(event: Json) -> None:
    told = checked(beta.server_event_to_beta, event)
    if event["type"] == "conversation.item.done":
        assert told == []
        return
    assert len(told) == (2 if event["type"] == "session.created" else 1)
    back = canonical(to_ga(told[0]))
    if event["type"] == "conversation.item.created":  # which GA defines and does not send
        event = event | {"type": "conversation.item.added"}
    assert back == canonical(event)


KNOWN = [*(b["type"] for b, _ in CLIENT + SERVER), *(g["type"] for _, g in CLIENT + SERVER)]
NAMES = [*BETA_SESSION, *GA_SESSION, *BETA_PARAMS, "input", "output", "session", "item", "format"]
ODD = st.recursive(
    ANYTHING | st.sampled_from(["realtime", "assistant", "pcm16", "audio/pcm", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, "role", "content", "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)
ODD_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from([*KNOWN, "response.cancelled", "update_conversation_config"]) | ODD},
    optional={"session": ODD, "response": ODD, "item": ODD, "event_id": ODD, "label": ODD},
)


@settings(max_examples=max(100, settings().max_examples))
@given(ODD_EVENTS)
def test_nothing_raises_and_nothing_is_changed_in_place(event: Json) -> None:
    checked(beta.client_event_to_beta, event)
    checked(beta.client_event_from_beta, event)
    to_ga(event)
    for told in checked(beta.server_event_to_beta, event):
        assert isinstance(told, dict)
