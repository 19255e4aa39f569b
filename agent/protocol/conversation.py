"""The state of one conversation with the model: events in, actions out.

The rules:

- A response is open from `response.created` to `response.done`. At most one of the conversation
  is; a `response.create` that comes too early waits for its end (see sequencer). Responses beside
  the conversation come and go as they like; the server does not remember them, so that nothing
  about them is corrected.
- Whether a response is open and whether it is being played are two things: most of an answer is
  played after its `response.done`. Playout is not this module's; it is asked to play and to
  stop, and then reports what was heard.
- An interruption (the person speaks, types, or the program wants silence) marks every response
  that is open or still being played. Nothing that comes for a marked response is played or
  published any more, however late it comes.
- The server is told once what was heard of each spoken item of a marked response; see corrections.
- `response.cancel` is sent only where the server does not cancel by itself.

There is no clock, no socket and no Trio here.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Final

from attrs import Factory, define, field

from agent.protocol import server_events as server
from agent.protocol.actions import (
    Action,
    Cause,
    EndOfAudio,
    EndOfResponse,
    Fail,
    Heard,
    Note,
    Play,
    Send,
    StopPlayout,
    Warn,
)
from agent.protocol.client_events import (
    ConversationItemCreateEvent,
    RealtimeClientEvent,
    ResponseCancelEvent,
)
from agent.protocol.codec import UnknownEvent
from agent.protocol.corrections import Corrections
from agent.protocol.faults import NOT_ACTIVE, Severity, in_words, severity
from agent.protocol.items import Content, RealtimeConversationItemUserMessage
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.sequencer import ALREADY_ACTIVE, Sequencer
from agent.protocol.session import TurnDetection
from agent.protocol.tracking import Part, Response, by_key
from agent.protocol.transcripts import heard, said, turn_begun

_KEPT_RESPONSES: Final = 16
"""Ended responses that are remembered: more than playout can still hold."""
_KEPT_NAMES: Final = 256
"""Names of interrupted responses, and of events of ours that an error may still name. Late events
come within seconds; these are minutes of talk."""


@define
class Tally:
    """What the line at the end of a call sums up."""

    turns: int = 0
    responses: int = 0
    interruptions: int = 0
    tokens: int = 0


@define
class Conversation:
    """One conversation.

    :ivar turn_detection: the session's; None where the client commits by hand.
    """

    turn_detection: TurnDetection | None = None
    tally: Tally = field(factory=Tally)
    person_speaks: bool = False
    _responses: dict[str, Response] = field(factory=dict)
    _interrupted: dict[str, None] = field(factory=dict)
    _sent: dict[str, RealtimeClientEvent] = field(factory=dict)
    _ids: Iterator[int] = field(factory=lambda: count(1))
    _corrections: Corrections = field(
        init=False, default=Factory(lambda self: Corrections(self._new_id), takes_self=True)
    )
    _sequencer: Sequencer = field(
        init=False, default=Factory(lambda self: Sequencer(self._new_id), takes_self=True)
    )

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way, or the person is in the midst of a turn."""
        return self.person_speaks or not self._sequencer.idle or self._open() is not None

    # -- what comes in ---------------------------------------------------------------------

    def receive(self, event: "server.RealtimeServerEvent | UnknownEvent") -> list[Action]:
        """What one event of the server's makes necessary."""
        handler = _HANDLERS.get(type(event))
        return self._noted(handler(self, event)) if handler is not None else []

    def playout_stopped(self, cause: Cause, reports: Iterable[Heard]) -> list[Action]:
        """What follows when playout has stopped as `StopPlayout` asked.

        :param reports: one for each part that was queued or playing, in playing order.
        """
        reported = by_key(reports)
        marked = [
            response
            for response in self._responses.values()
            if not response.interrupted
            and (
                (response.open and (response.is_heard or not response.beside))
                or any(key.response_id == response.id for key in reported)
            )
        ]
        self.tally.interruptions += bool(reported)
        actions: list[Action] = []
        for response in marked:
            self._mark_interrupted(response)
            if response.open and (response.beside or not self._server_cancels(cause)):
                actions.append(self._cancel(response))
            if not response.beside:
                for item in response.messages():
                    actions += self._corrections.interrupted(item, reported)
        return self._noted(actions)

    def user_text(self, text: str) -> list[Action]:
        """The person typed a message: it interrupts, and it wants an answer."""
        item = RealtimeConversationItemUserMessage(content=(Content(type="input_text", text=text),))
        self.tally.turns += 1
        create = Send(ConversationItemCreateEvent(item=item, event_id=self._new_id()))
        return [*self.interrupt(Cause.TEXT), *self._noted([create]), *self.request_response()]

    def interrupt(self, cause: Cause) -> list[Action]:
        """Fall silent, for this reason; a response that has been asked for is not wanted either."""
        self._sequencer.abandon()
        return [StopPlayout(cause)]

    def greet(self, words: str) -> list[Action]:
        """Say these words first, without having been spoken to."""
        return self.request_response(
            RealtimeResponseCreateParams(instructions=f'Greet the person. Say exactly: "{words}"')
        )

    def request_response(self, wanted: RealtimeResponseCreateParams | None = None) -> list[Action]:
        """Ask for a response: as soon as none is open, or at once where it stands beside."""
        dropped = self._sequencer.dropped
        create = self._sequencer.want(wanted or RealtimeResponseCreateParams())
        actions: list[Action] = [Send(create)] if create else self._create_when_possible()
        if self._sequencer.dropped > dropped:
            actions.append(Warn("too many responses are asked for: the oldest is given up"))
        return self._noted(actions)

    @property
    def waits_for_server(self) -> bool:
        """The server owes something: an answer, or the end of one."""
        return not self._sequencer.idle or self._open() is not None

    def give_up(self) -> list[Action]:
        """Nothing has come of what the server owes: go on without it.

        Its end may have been lost, or have been malformed. Late events of it are still taken.
        """
        overdue = self._open()
        self._sequencer.began()
        actions: list[Action] = [Warn("nothing came of an answer that was due: given up")]
        if overdue is not None:
            overdue.open = False
            actions.append(EndOfResponse(overdue.id))
        return self._noted([*actions, *self._create_when_possible()])

    def give_up_turn(self) -> list[Action]:
        """The end of the person's turn was lost."""
        self.person_speaks = False
        return self._noted(self._create_when_possible())

    # -- the person ------------------------------------------------------------------------

    def _on_speech_started(self, event: server.InputAudioBufferSpeechStartedEvent) -> list[Action]:
        self.person_speaks = True
        begun = [turn_begun(event.item_id, event.event_id)] if event.item_id else []
        return [*self.interrupt(Cause.SPEECH), *begun]

    def _on_speech_stopped(self, _: server.InputAudioBufferSpeechStoppedEvent) -> list[Action]:
        self.person_speaks = False
        return []

    def _on_committed(self, _: server.InputAudioBufferCommittedEvent) -> list[Action]:
        self.person_speaks = False
        self.tally.turns += 1
        # Where the server answers the turn by itself, what waits follows that answer.
        return [] if self._server_answers() else self._create_when_possible()

    def _on_input_transcript_delta(
        self, event: server.ConversationItemInputAudioTranscriptionDeltaEvent
    ) -> list[Action]:
        where = event.item_id, event.content_index or 0
        return [heard("delta", *where, event.delta or "", event.event_id)]

    def _on_input_transcript(
        self, event: server.ConversationItemInputAudioTranscriptionCompletedEvent
    ) -> list[Action]:
        where = event.item_id, event.content_index or 0
        return [heard("completed", *where, event.transcript or "", event.event_id)]

    def _on_input_transcript_failed(
        self, event: server.ConversationItemInputAudioTranscriptionFailedEvent
    ) -> list[Action]:
        return [Warn(f"the person's words of {event.item_id} could not be transcribed")]

    # -- the model's answer ----------------------------------------------------------------

    def _on_response_created(self, event: server.ResponseCreatedEvent) -> list[Action]:
        name = event.response.id
        if not name:
            self._sequencer.began()
            return []
        if name in self._responses and self._responses[name].announced:
            return []  # said twice: it may have ended in the meantime
        self.tally.responses += 1
        beside = self._sequencer.is_beside(event.response)
        # There is one at a time: the end of any other was lost.
        lost = [] if beside else [r for r in self._responses.values() if r.open and not r.beside]
        for other in lost:
            other.open = False
        response = self._response(name)
        response.open, response.announced, response.beside = True, True, beside
        actions: list[Action] = [EndOfResponse(other.id) for other in lost]
        if not beside and not self._sequencer.outstanding:
            # By itself a server answers a turn that has ended, whose end may have been lost.
            self.person_speaks = False
        if not beside and self._sequencer.began():
            # The server had not begun it when the person did, so it does not cancel it by itself.
            self._mark_interrupted(response)
            actions.append(self._cancel(response))
        return actions

    def _on_item_added(self, event: server.ResponseOutputItemAddedEvent) -> list[Action]:
        if not event.item.id:
            return []
        response = self._response(event.response_id)
        is_new = event.item.id not in response.items
        item = response.item(event.item.id, event.output_index or 0)
        if item is None:
            return []
        item.output_index = event.output_index or 0
        item.is_message = event.item.type == "message"
        if response.interrupted and is_new and item.is_message and not response.beside:
            return self._corrections.unheard(item)
        return []

    def _on_audio(self, event: server.ResponseAudioDeltaEvent) -> list[Action]:
        response, part = self._find(event)
        if response.interrupted or part is None:
            return []
        pcm = part.add_audio(event.delta)
        return [Play(part.key, pcm)] if pcm else []

    def _on_audio_done(self, event: server.ResponseAudioDoneEvent) -> list[Action]:
        response, part = self._find(event)
        if part is None:
            return []
        part.ended = True
        return [] if response.interrupted else [EndOfAudio(part.key)]

    def _on_words(self, event: server.ResponseAudioTranscriptDeltaEvent) -> list[Action]:
        part = self._part(event)
        if part is None:
            return []
        part.add_words(event.delta)
        return [said("delta", event, event.delta)]

    def _on_words_done(self, event: server.ResponseAudioTranscriptDoneEvent) -> list[Action]:
        if self._part(event) is None:
            return []
        return [said("done", event, event.transcript or "")]

    def _on_text(self, event: server.ResponseTextDeltaEvent) -> list[Action]:
        part = self._part(event)
        if part is None:
            return []
        part.is_text = True
        return [said("delta", event, event.delta)]

    def _on_text_done(self, event: server.ResponseTextDoneEvent) -> list[Action]:
        part = self._part(event)
        return [said("done", event, event.text or "")] if part else []

    def _on_item_done(self, event: server.ResponseOutputItemDoneEvent) -> list[Action]:
        item = self._response(event.response_id).items.get(event.item.id or "")
        if item is None:
            return []
        item.done = True
        return self._corrections.item_done(item)

    def _on_response_done(self, event: server.ResponseDoneEvent) -> list[Action]:
        if not event.response.id:
            self._sequencer.began()
            return [*_complaints(event), *self._create_when_possible()]
        response = self._response(event.response.id)
        if not response.announced:
            # Seen: a response that fails at once is only said to be done. It was the one asked for.
            response.announced = True
            response.beside = self._sequencer.is_beside(event.response)
            if not response.beside:
                self._sequencer.began()
        response.open = False
        if event.response.usage:
            self.tally.tokens += event.response.usage.total_tokens or 0
        actions: list[Action] = [EndOfResponse(response.id)]
        for item in response.messages():
            item.done = True
            actions += self._corrections.item_done(item)
        return [*actions, *_complaints(event), *self._create_when_possible()]

    # -- errors ----------------------------------------------------------------------------

    def _on_error(self, event: server.RealtimeErrorEvent) -> list[Action]:
        error = event.error
        cause = self._sent.pop(error.event_id or "", None)
        found = severity(error.code, cause)
        if found is Severity.FATAL:
            return [Fail(error.message or "no reason given", error.code or None)]
        about = f" (in answer to {cause.type})" if cause else ""
        text = f"the model's server: {in_words(error.message, error.code, error.type)}{about}"
        told = Note(text) if found is Severity.HARMLESS else Warn(text)
        return [told, *self._after(error, cause, found)]

    def _after(
        self, error: server.RealtimeError, cause: RealtimeClientEvent | None, found: Severity
    ) -> list[Action]:
        """What an error makes possible."""
        if isinstance(cause, ResponseCancelEvent) and error.code == NOT_ACTIVE:
            return self._close(str(cause.response_id))
        if self._sequencer.refused(error.event_id or "", error.code or None):
            # One that another was faster than waits for the other's end.
            return [] if error.code == ALREADY_ACTIVE else self._create_when_possible()
        if not error.event_id and found is Severity.TURN and self._open() is None:
            # The server's own failures name no event: it was at what it was asked for last.
            self._sequencer.began()
            return self._create_when_possible()
        return []

    def _close(self, response_id: str) -> list[Action]:
        """The server says that this response, which we took for open, is over."""
        response = self._responses.get(response_id)
        if response is None or not response.open:
            return []
        response.open = False
        return [EndOfResponse(response.id), *self._create_when_possible()]

    # -- helpers ---------------------------------------------------------------------------

    def _response(self, response_id: str) -> Response:
        known = self._responses.get(response_id)
        if known is None:
            self._forget_old_responses()
            # Not open: only `response.created` opens one. A late event must not block the next.
            known = Response(response_id, interrupted=response_id in self._interrupted)
            self._responses[response_id] = known
        return known

    def _mark_interrupted(self, response: Response) -> None:
        response.interrupted = True
        self._interrupted[response.id] = None
        _keep(self._interrupted, _KEPT_NAMES)

    def _cancel(self, response: Response) -> Send:
        return Send(ResponseCancelEvent(response_id=response.id, event_id=self._new_id()))

    def _noted(self, actions: list[Action]) -> list[Action]:
        """The actions, whose events are kept for as long as an error may name them."""
        for action in actions:
            if isinstance(action, Send):
                self._sent[str(action.event.event_id)] = action.event
        _keep(self._sent, _KEPT_NAMES)
        return actions

    def _find(self, event: Any) -> tuple[Response, Part | None]:
        """The response and the part that an event is about; no part where there are too many."""
        response = self._response(event.response_id)
        place = event.output_index or 0, event.content_index or 0
        return response, response.part(event.item_id, *place)

    def _part(self, event: Any) -> Part | None:
        """The part that an event is about; None if no more of it is to be told."""
        response, part = self._find(event)
        if part is None or (response.interrupted and (part.cut or not part.received)):
            return None
        return part

    def _open(self) -> Response | None:
        """The conversation's response that is under way."""
        return next((r for r in self._responses.values() if r.open and not r.beside), None)

    def _create_when_possible(self) -> list[Action]:
        if self.person_speaks or self._open() is not None:
            return []
        create = self._sequencer.next()
        return [Send(create)] if create else []

    def _server_answers(self) -> bool:
        detection = self.turn_detection
        return detection is not None and detection.create_response is not False

    def _server_cancels(self, cause: Cause) -> bool:
        detection = self.turn_detection
        return (
            cause is Cause.SPEECH
            and detection is not None
            and detection.interrupt_response is not False
        )

    def _forget_old_responses(self) -> None:
        ended = [response.id for response in self._responses.values() if not response.open]
        for response_id in ended[:-_KEPT_RESPONSES]:
            del self._responses[response_id]

    def _new_id(self) -> str:
        return f"evt_{next(self._ids)}"


def _keep(names: dict[str, Any], limit: int) -> None:
    """Forget the oldest beyond so many."""
    while len(names) > limit:
        del names[next(iter(names))]


def _complaints(event: server.ResponseDoneEvent) -> list[Action]:
    status, details = event.response.status, event.response.status_details
    error = details.error if details else None
    if status == "failed" and error:
        if severity(error.code) is Severity.FATAL:
            return [Fail(error.message or "the response failed", error.code or None)]
        return [Warn(f"a response failed: {in_words(error.message, error.code, error.type)}")]
    if status in ("failed", "incomplete"):
        reason = (details.reason or "") if details else ""
        return [Warn(f"a response ended {status}: {reason or 'no reason given'}")]
    return []


_HANDLERS: Final[dict[type, Callable[[Conversation, Any], list[Action]]]] = {
    server.RealtimeErrorEvent: Conversation._on_error,
    server.InputAudioBufferSpeechStartedEvent: Conversation._on_speech_started,
    server.InputAudioBufferSpeechStoppedEvent: Conversation._on_speech_stopped,
    server.InputAudioBufferCommittedEvent: Conversation._on_committed,
    server.ConversationItemInputAudioTranscriptionDeltaEvent: (
        Conversation._on_input_transcript_delta
    ),
    server.ConversationItemInputAudioTranscriptionCompletedEvent: Conversation._on_input_transcript,
    server.ConversationItemInputAudioTranscriptionFailedEvent: (
        Conversation._on_input_transcript_failed
    ),
    server.ResponseCreatedEvent: Conversation._on_response_created,
    server.ResponseOutputItemAddedEvent: Conversation._on_item_added,
    server.ResponseAudioDeltaEvent: Conversation._on_audio,
    server.ResponseAudioDoneEvent: Conversation._on_audio_done,
    server.ResponseAudioTranscriptDeltaEvent: Conversation._on_words,
    server.ResponseAudioTranscriptDoneEvent: Conversation._on_words_done,
    server.ResponseTextDeltaEvent: Conversation._on_text,
    server.ResponseTextDoneEvent: Conversation._on_text_done,
    server.ResponseOutputItemDoneEvent: Conversation._on_item_done,
    server.ResponseDoneEvent: Conversation._on_response_done,
}
