"""The embedded model's side of a Realtime session, without I/O and without a clock.

Put in what the client sends (`receive`) and the time (`advance`, when `next_deadline` says so);
take out the events for the client (`events`) and the words that want a voice (`speech_requests`).
Times are seconds on any clock that does not go back.
"""

from typing import Any, Final

from agent.embedded.answers.mcp import fail_mcp_servers
from agent.embedded.answers.speaking import Speaking, SpeechRequest
from agent.embedded.answers.words import Understanding, Wording, spoken_answer, understand_nothing
from agent.embedded.forms.reading import decoded, event_id_of, parsed
from agent.embedded.forms.refusals import Refusal
from agent.embedded.forms.requests import CLIENT_EVENT
from agent.embedded.history import History
from agent.embedded.items import Conversation, ItemEvent, check_room, obey_item
from agent.embedded.kept import KeptItems
from agent.embedded.lifetime import SESSION_SECONDS, Close, Lifetime
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.person.hearing import Hearing, Turn, TurnBegan
from agent.embedded.person.idle import IdleTimer
from agent.embedded.person.listening import Listening
from agent.embedded.person.vad import SpeechProbability
from agent.embedded.session_defaults import new_session, new_transcription_session
from agent.embedded.settings import (
    TurnRules,
    idle_timeout_ms,
    input_format,
    remember,
    session_object,
    turn_rules,
)
from agent.embedded.updates import check_response, updated
from agent.embedded.usage import rate_limits
from agent.protocol.client_events import (
    InputAudioBufferAppendEvent,
    InputAudioBufferClearEvent,
    InputAudioBufferCommitEvent,
    RealtimeClientEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
)
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.server_events import (
    RateLimitsUpdatedEvent,
    RealtimeServerEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)

RATE_LIMITS_AFTER: Final = 0.043
"""Seconds from response.done, as captured."""


class Engine:
    """One session.

    :param model: the name that the client asked for; of no use to a session that transcribes.
    :param new_id: makes ids that were never made before, with the prefix that it is given.
    :param started_at: now, in seconds on the clock of every later call.
    :param unix_time: now, in seconds of Unix time; only to tell when the session expires.
    :param vad: tells speech from other sound.
    :param wording: finds the words of its answers.
    :param understand: what the person is taken to say in each turn.
    :param session_seconds: how long the session lasts.
    :param transcribe_only: the session has transcripts and no answers.
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
        transcribe_only: bool = False,
    ) -> None:
        self.closing: Close | None = None
        self._history = History()
        self._kept = KeptItems(self._history)
        self._idle = IdleTimer()
        self._outbox = Outbox(new_id, (self._kept.note, self._idle.note), started_at)
        self._conversation = Conversation(self._history, self._kept, self._outbox, new_id)
        expires_at = int(unix_time + session_seconds)
        begin = new_transcription_session if transcribe_only else new_session
        self._session = begin(new_id("sess_"), model, expires_at)
        remember(self._history, self._session)
        self._listening = Listening(
            Hearing(vad, turn_rules(self._session)),
            history=self._history,
            kept=self._kept,
            outbox=self._outbox,
            new_id=new_id,
            understand=understand,
        )
        self._speaking = Speaking(
            history=self._history, outbox=self._outbox, new_id=new_id, wording=wording
        )
        self._lifetime = Lifetime(started_at, session_seconds)
        self._outbox.send(SessionCreatedEvent(session=session_object(self._session)))

    # -- in ----------------------------------------------------------------------------------

    def receive(self, data: str | bytes, now: float) -> None:
        """A message of the client's: text, or bytes if it was a binary one."""
        self._outbox.now = now
        while self._listening.is_behind:
            self._hear_next(now)
        if self.closing is not None:
            return
        value: Any = None
        try:
            value = parsed(data)
            CLIENT_EVENT(value, "")
            self._obey(value, now)
        except Refusal as refusal:
            self._outbox.refuse(refusal, event_id_of(value))

    def advance(self, now: float) -> None:
        """Do what is due. Each response moves one step: a late call brings no burst."""
        self._outbox.now = now
        if self.closing is not None:
            return
        if self._listening.is_behind:
            self._hear_next(now)
        self._ended(self._speaking.advance(now), now)
        self._outbox.release(now)
        self._break_silence(now)
        if now >= self._lifetime.ends_at:
            self._outbox.refuse(self._lifetime.expired, None)
            self.closing = self._lifetime.end

    def speech_ready(self, response_id: str, pcm: bytes, now: float) -> None:
        """The voice for a `SpeechRequest`: pcm16, 24 kHz."""
        self._outbox.now = now
        self._speaking.voice_ready(response_id, pcm, now)

    def speech_failed(self, response_id: str, why: str, now: float) -> None:
        """There is no voice for a `SpeechRequest`."""
        self._outbox.now = now
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
            return self._outbox.now
        due = (
            self._lifetime.ends_at,
            self._outbox.due,
            self._speaking.next_deadline(),
            self._idle.due(idle_timeout_ms(self._session)),
        )
        return min(time for time in due if time is not None)

    # -- what the client asks ----------------------------------------------------------------

    def _obey(self, value: Any, now: float) -> None:
        match value["type"]:
            case "session.update":
                # As JSON: what is absent of its parts, down to a type, is taken from the session.
                self._update(value["session"], now)
            case "session.close":
                self.closing = Close(1000, "the client closes the session")
            case "response.create":
                check_response(self._session, value.get("response"))
                self._do(decoded(value), now)
            case _:
                self._do(decoded(value), now)

    def _do(self, event: RealtimeClientEvent, now: float) -> None:
        match event:
            case InputAudioBufferAppendEvent():
                self._listening.append(event.audio)
                self._hear_next(now)
            case InputAudioBufferCommitEvent():
                self._heard(self._listening.catch_up(), now)
                self._listening.commit(self._session, now)
            case InputAudioBufferClearEvent():
                self._heard(self._listening.catch_up(), now)
                self._listening.clear()
            case ResponseCreateEvent():
                self._respond(event.response or RealtimeResponseCreateParams(), now)
            case ResponseCancelEvent():
                self._ended(self._speaking.cancel(event.response_id or None), now)
            case event if isinstance(event, ItemEvent):
                obey_item(event, self._conversation, input_format(self._session))

    def _update(self, update: Any, now: float) -> None:
        before, has_spoken = self._session, self._speaking.has_spoken
        self._session = session = updated(before, update, has_spoken=has_spoken)
        self._heard(self._listening.obey(turn_rules(session), input_format(session)), now)
        remember(self._history, session)
        self._outbox.send(SessionUpdatedEvent(session=session_object(session)))
        fail_mcp_servers(before, session, self._outbox, self._conversation.new_id, now)

    # -- what follows ------------------------------------------------------------------------

    def _hear_next(self, now: float) -> None:
        self._heard(self._listening.hear_next(), now)

    def _heard(self, turns: list[Turn], now: float) -> None:
        for turn in turns:
            try:
                self._listening.announce(turn, self._session, now)
                self._answer(turn, turn_rules(self._session), now)
            except Refusal as refusal:
                self._outbox.refuse(refusal, None)

    def _break_silence(self, now: float) -> None:
        timeout, position = idle_timeout_ms(self._session), self._listening.position
        since = self._idle.is_over(timeout, position, now)
        if since is None or self._listening.is_behind:
            return
        try:
            self._listening.time_out(since, self._session, now)
            self._answer(None, turn_rules(self._session), now)
        except Refusal as refusal:
            self._outbox.refuse(refusal, None)

    def _answer(self, turn: Turn | None, rules: TurnRules | None, now: float) -> None:
        if rules is None:
            return
        if isinstance(turn, TurnBegan):
            if rules.interrupt_response:
                self._ended(self._speaking.interrupt(), now)
        elif rules.create_response:
            self._respond(RealtimeResponseCreateParams(), now)

    def _respond(self, params: RealtimeResponseCreateParams, now: float) -> None:
        check_room(self._history)
        self._speaking.start(params, self._session, self._listening.last_turn, now)

    def _ended(self, responses: int, now: float) -> None:
        for _ in range(responses):
            event = RateLimitsUpdatedEvent(rate_limits=rate_limits())
            self._outbox.send_later(event, now + RATE_LIMITS_AFTER)
