"""The beta dialect, as a translation at the wire: inside, only GA exists.

OpenAI closed its beta interface in May 2026; servers of others still speak it. The two dialects
differ in names and in shapes, not in what happens, so the translation needs no memory: an event
goes in and its equal comes out. What is not particular to a dialect passes unchanged, known here
or not, and so does what is GA already: some servers answer a beta client in a mixture of both.
What is malformed passes too, and is refused where it is decoded.

Two types are of Agora's earlier sample and of servers that were made for it, and only come in:
`response.cancelled` (a server's) and `update_conversation_config` (a client's).
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from agent.protocol.beta_objects import (
    content_from_beta,
    content_to_beta,
    item_from_beta,
    item_to_beta,
    params_from_beta,
    params_to_beta,
    response_from_beta,
    response_to_beta,
    session_from_beta,
    session_to_beta,
)
from agent.protocol.client_events import InputAudioBufferAppendEvent, RealtimeClientEvent
from agent.protocol.codec import (
    UnknownEvent,
    client_event_of,
    dump,
    encode,
    json_object,
    server_event_of,
    to_json,
)
from agent.protocol.server_events import RealtimeServerEvent

Json: TypeAlias = dict[str, Any]
_Change: TypeAlias = Callable[[Json], Json]
_Changes: TypeAlias = dict[str, tuple[str, _Change]]


def decode_server_event(data: str | bytes) -> RealtimeServerEvent | UnknownEvent:
    """What a beta server sent.

    :raises ProtocolError: it is not JSON, not an object with a type, or not of that type's form.
    """
    return server_event_of(server_event_from_beta(json_object(data)))


def decode_client_event(data: str | bytes) -> RealtimeClientEvent | UnknownEvent:
    """What a beta client sent.

    :raises ProtocolError: it is not JSON, not an object with a type, or not of that type's form.
    """
    return client_event_of(client_event_from_beta(json_object(data)))


def encode_client_event(event: RealtimeClientEvent | UnknownEvent) -> str:
    """The event's JSON text for a beta server."""
    if isinstance(event, InputAudioBufferAppendEvent):
        return encode(event)  # the same in both dialects, and the one that has to be fast
    return dump(client_event_to_beta(to_json(event)))


def encode_server_event(event: RealtimeServerEvent | UnknownEvent) -> list[str]:
    """The JSON texts that tell a beta client of the event; none for what beta does not tell."""
    return [dump(value) for value in server_event_to_beta(to_json(event))]


def client_event_to_beta(event: Json) -> Json:
    """A GA client's event for a beta server."""
    return _changed(event, _CLIENT_TO_BETA)


def client_event_from_beta(event: Json) -> Json:
    """A beta client's event in GA."""
    if event.get("type") == "update_conversation_config":
        return _session_update(event)
    return _changed(event, _CLIENT_FROM_BETA)


def server_event_to_beta(event: Json) -> list[Json]:
    """A GA server's event for a beta client.

    Beta has one event where GA has two for an item, `conversation.item.created`, and one that GA
    has not, `conversation.created`, right after `session.created`.
    """
    kind = event.get("type")
    if kind == "conversation.item.done":
        return []
    changed = _changed(event, _SERVER_TO_BETA)
    return [changed, _conversation_created(event)] if kind == "session.created" else [changed]


def server_event_from_beta(event: Json) -> Json:
    """A beta server's event in GA. No `conversation.item.done` is made up."""
    if event.get("type") == "response.cancelled":
        return _response_done(event)
    return _changed(event, _SERVER_FROM_BETA)


def _changed(event: Json, changes: _Changes) -> Json:
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in changes:
        return event
    name, change = changes[kind]
    return change({**event, "type": name})


def _conversation_created(event: Json) -> Json:
    """Its ids are derived, so that none need be kept, from those of `session.created`."""
    session, event_id = event.get("session"), event.get("event_id")
    session_id = session.get("id") if isinstance(session, dict) else None
    conversation: Json = {"object": "realtime.conversation"}
    if isinstance(session_id, str):
        conversation["id"] = f"conv_{session_id.removeprefix('sess_')}"
    created: Json = {"type": "conversation.created", "conversation": conversation}
    return created | ({"event_id": f"{event_id}_0"} if isinstance(event_id, str) else {})


def _response_done(event: Json) -> Json:
    """`response.cancelled`, with the response or only its id, as the `response.done` it means."""
    response = event.get("response", {})
    if isinstance(response, dict):
        response = {"id": event.get("response_id"), **response_from_beta(response)}
    if not isinstance(response, dict) or not isinstance(response["id"], str):
        return event
    if not isinstance(response.get("status_details"), dict):
        response["status_details"] = {"type": "cancelled", "reason": "client_cancelled"}
    rest = {name: value for name, value in event.items() if name != "response_id"}
    done = response | {"status": "cancelled"}
    return {**rest, "type": "response.done", "response": done}


def _session_update(event: Json) -> Json:
    """`update_conversation_config` as the `session.update` it means.

    A null means unset: the sample's own client writes every field. `label`, which of several
    conversations is meant, and `subscribe_to_user_audio` are dropped: GA has one conversation and
    always hears the user, and would refuse the whole update for a field that it does not know.
    """
    session: Json = {}
    for name, value in event.items():
        if name not in _NOT_OF_A_SESSION and value is not None:
            session[_CONFIG_NAMES.get(name, name)] = value
    if isinstance(silent := session.pop("disable_audio", None), bool):
        session["modalities"] = ["text"] if silent else ["audio", "text"]
    rest = {"event_id": event["event_id"]} if "event_id" in event else {}
    return {"type": "session.update", **rest, "session": session_from_beta(session)}


_NOT_OF_A_SESSION: Final = ("type", "event_id", "label", "subscribe_to_user_audio")
_CONFIG_NAMES: Final = {
    "system_message": "instructions",
    "max_tokens": "max_response_output_tokens",
}


def _field(name: str, change: Callable[[Any], Any]) -> _Change:
    """The change of an event that is the change of one of its fields."""
    return lambda event: {**event, name: change(event[name])} if name in event else event


def _as_it_is(event: Json) -> Json:
    return event


def _same(changes: dict[str, _Change]) -> _Changes:
    """Of events whose type is called the same in both dialects."""
    return {name: (name, change) for name, change in changes.items()}


_RENAMED: Final = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
_OF_ITEMS: Final = (
    "conversation.item.created",
    "conversation.item.retrieved",
    "response.output_item.added",
    "response.output_item.done",
)
_OF_SESSIONS: Final = ("session.created", "session.updated")
_OF_RESPONSES: Final = ("response.created", "response.done")

_CLIENT_TO_BETA: Final = _same(
    {
        "session.update": _field("session", session_to_beta),
        "response.create": _field("response", params_to_beta),
        "conversation.item.create": _field("item", content_to_beta),
    }
)
_CLIENT_FROM_BETA: Final = _same(
    {
        "session.update": _field("session", session_from_beta),
        "response.create": _field("response", params_from_beta),
        "conversation.item.create": _field("item", content_from_beta),
    }
)
_SERVER_TO_BETA: Final[_Changes] = {
    **{ga: (beta, _as_it_is) for beta, ga in _RENAMED.items()},
    **_same(dict.fromkeys(_OF_SESSIONS, _field("session", session_to_beta))),
    **_same(dict.fromkeys(_OF_RESPONSES, _field("response", response_to_beta))),
    **_same(dict.fromkeys(_OF_ITEMS, _field("item", item_to_beta))),
    "conversation.item.added": ("conversation.item.created", _field("item", item_to_beta)),
}
_SERVER_FROM_BETA: Final[_Changes] = {
    **{beta: (ga, _as_it_is) for beta, ga in _RENAMED.items()},
    **_same(dict.fromkeys(_OF_SESSIONS, _field("session", session_from_beta))),
    **_same(dict.fromkeys(_OF_RESPONSES, _field("response", response_from_beta))),
    **_same(dict.fromkeys(_OF_ITEMS, _field("item", item_from_beta))),
    "conversation.item.created": ("conversation.item.added", _field("item", item_from_beta)),
}
