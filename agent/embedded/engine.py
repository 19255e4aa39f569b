"""The embedded model's side of a Realtime session, without I/O and without a clock.

Put in what the client sends (`receive`) and the time (`advance`, when `next_deadline` says so);
take out the events for the client (`events`) and the words that want a voice (`speech_requests`).
Times are seconds on any clock that does not go back.
"""

from typing import Any, Final

import orjson
from attrs import frozen

from agent.embedded.hearing import Hearing, Turn, TurnBegan
from agent.embedded.history import History
from agent.embedded.items import create_item, delete_item, truncate_item
from agent.embedded.listening import Listening
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.refusals import Refusal, wrong_type
from agent.embedded.requests import CLIENT_EVENT
from agent.embedded.settings import TurnRules, new_session, turn_rules, updated
from agent.embedded.speaking import Speaking, SpeechRequest
from agent.embedded.usage import rate_limits
from agent.embedded.vad import SpeechProbability
from agent.embedded.words import Understanding, Wording, spoken_answer, understand_nothing
from agent.protocol.client_events import (
    ConversationItemCreateEvent,
    ConversationItemDeleteEvent,
    ConversationItemTruncateEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferClearEvent,
    InputAudioBufferCommitEvent,
    RealtimeClientEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
)
from agent.protocol.codec import ProtocolError, UnknownEvent, decode_client_event, from_json
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.server_events import (
    RateLimitsUpdatedEvent,
    RealtimeServerEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)
from agent.protocol.session import RealtimeSessionCreateRequest

SESSION_SECONDS: Final = 3600
RATE_LIMITS_AFTER: Final = 0.043
"""Seconds from response.done, as captured."""


@frozen
class Close:
    """The session is over: how to close the WebSocket."""

    code: int
    reason: str


class Engine:
    """One session.

    :param model: the name that the client asked for.
    :param new_id: makes ids that were never made before, with the prefix that it is given.
    :param started_at: now, in seconds on the clock of every later call.
    :param unix_time: now, in seconds of Unix time; only to tell when the session expires.
    :param vad: tells speech from other sound.
    :param wording: finds the words of its answers.
    :param understand: what the person is taken to say in each turn.
    :param session_seconds: how long the session lasts.
    """

    def __init__(
        self,
        *,
        model: str,
        new_id: NewId,
        started_at: float,
        unix_time: float,
        vad: SpeechProbability,
        wording: Wording = spoken_answer,
        understand: Understanding = understand_nothing,
        session_seconds: float = SESSION_SECONDS,
    ) -> None:
        self.closing: Close | None = None
        self._new_id = new_id
        self._outbox = Outbox(new_id)
        self._session = new_session(new_id("sess_"), model, int(unix_time + session_seconds))
        self._history = History()
        self._listening = Listening(
            Hearing(vad, turn_rules(self._session)),
            history=self._history,
            outbox=self._outbox,
            new_id=new_id,
            understand=understand,
        )
        self._speaking = Speaking(
            history=self._history, outbox=self._outbox, new_id=new_id, wording=wording
        )
        self._expires_at = started_at + session_seconds
        self._expired = (
            f"Your session hit the maximum duration of {_duration(session_seconds)}."
        )
        self._now = started_at
        self._outbox.send(SessionCreatedEvent(session=self._session_object()))

    # -- in ----------------------------------------------------------------------------------

    def receive(self, data: str | bytes, now: float) -> None:
        """A message of the client's: text, or bytes if it was a binary one."""
        self._now = now
        while self._listening.is_behind:
            self._hear_next(now)
        if self.closing is not None:
            return
        value: Any = None
        try:
            value = _parsed(data)
            CLIENT_EVENT(value, "")
            if value["type"] == "session.update":
                # As JSON: what is absent of its parts, down to a type, is taken from the session.
                self._update(value["session"])
            else:
                self._obey(_decoded(data), now)
        except Refusal as refusal:
            event_id = value.get("event_id") if isinstance(value, dict) else None
            self._outbox.refuse(refusal, event_id if isinstance(event_id, str) else None)

    def advance(self, now: float) -> None:
        """Do what is due. Each response moves one step: a late call brings no burst."""
        self._now = now
        if self.closing is not None:
            return
        if self._listening.is_behind:
            self._hear_next(now)
        self._ended(self._speaking.advance(now), now)
        self._outbox.release(now)
        if now >= self._expires_at:
            self._outbox.refuse(Refusal("session_expired", self._expired), None)
            self.closing = Close(1001, self._expired)

    def speech_ready(self, response_id: str, pcm: bytes, now: float) -> None:
        """The voice for a `SpeechRequest`: pcm16, 24 kHz."""
        self._speaking.voice_ready(response_id, pcm, now)

    def speech_failed(self, response_id: str, why: str, now: float) -> None:
        """There is no voice for a `SpeechRequest`."""
        self._ended(self._speaking.voice_failed(response_id, why), now)

    # -- out ---------------------------------------------------------------------------------

    def events(self) -> list[RealtimeServerEvent]:
        """The events to send, in order; each is given out once."""
        return self._outbox.drain()

    def speech_requests(self) -> list[SpeechRequest]:
        """The words that want a voice; each is given out once."""
        return self._speaking.requests()

    def awaiting_speech(self) -> frozenset[str]:
        """The ids of responses whose voice is still wanted."""
        return self._speaking.awaited()

    def next_deadline(self) -> float | None:
        """When to call `advance` at the latest; None once the session is over."""
        if self.closing is not None:
            return None
        if self._listening.is_behind:
            return self._now
        due = (self._expires_at, self._outbox.due, self._speaking.next_deadline())
        return min(time for time in due if time is not None)

    # -- what the client asks ----------------------------------------------------------------

    def _obey(self, event: RealtimeClientEvent, now: float) -> None:
        match event:
            case InputAudioBufferAppendEvent():
                self._listening.append(event.audio)
                self._hear_next(now)
            case InputAudioBufferCommitEvent():
                self._listening.commit(self._session, now)
            case InputAudioBufferClearEvent():
                self._listening.clear()
            case ConversationItemCreateEvent():
                create_item(event, self._history, self._outbox, self._new_id)
            case ConversationItemDeleteEvent():
                delete_item(event, self._history, self._outbox)
            case ConversationItemTruncateEvent():
                truncate_item(event, self._history, self._outbox)
            case ResponseCreateEvent():
                self._respond(event.response or RealtimeResponseCreateParams(), now)
            case ResponseCancelEvent():
                self._ended(self._speaking.cancel(event.response_id or None), now)

    def _update(self, update: Any) -> None:
        has_spoken = self._speaking.has_spoken
        self._session = updated(self._session, update, has_spoken=has_spoken)
        self._listening.obey(turn_rules(self._session))
        self._outbox.send(SessionUpdatedEvent(session=self._session_object()))

    # -- what follows ------------------------------------------------------------------------

    def _hear_next(self, now: float) -> None:
        for turn in self._listening.hear_next():
            self._listening.announce(turn, self._session, now)
            rules = turn_rules(self._session)
            if rules is not None:
                self._answer(turn, rules, now)

    def _answer(self, turn: Turn, rules: TurnRules, now: float) -> None:
        if isinstance(turn, TurnBegan):
            if rules.interrupt_response:
                self._ended(self._speaking.interrupt(), now)
        elif rules.create_response:
            try:
                self._respond(RealtimeResponseCreateParams(), now)
            except Refusal as refusal:
                self._outbox.refuse(refusal, None)

    def _respond(self, params: RealtimeResponseCreateParams, now: float) -> None:
        self._speaking.start(params, self._session, self._listening.last_turn, now)

    def _ended(self, responses: int, now: float) -> None:
        for _ in range(responses):
            event = RateLimitsUpdatedEvent(rate_limits=rate_limits())
            self._outbox.send_later(event, now + RATE_LIMITS_AFTER)

    def _session_object(self) -> RealtimeSessionCreateRequest:
        return from_json(self._session, RealtimeSessionCreateRequest)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{seconds:g} seconds" if rest else f"{minutes:g} minutes"


def _parsed(data: str | bytes) -> Any:
    if isinstance(data, bytes):
        raise Refusal("invalid_event", "Expected a text message, but got a binary one.")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refusal("invalid_json", f"The message is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise wrong_type("", "an object", value)
    return value


def _decoded(data: str | bytes) -> RealtimeClientEvent:
    try:
        event = decode_client_event(data)
    except ProtocolError as error:
        raise Refusal("invalid_value", str(error)) from error
    if isinstance(event, UnknownEvent):
        raise Refusal("invalid_value", f"Invalid value: '{event.type}'.", "type")
    return event
