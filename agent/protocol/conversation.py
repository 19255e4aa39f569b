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
- Not all speech interrupts, and not all responses can be interrupted; see interruption.
- Functions that the model calls are run by others, who report what came of them; see calls.

There is no clock, no socket and no Trio here.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Final, TypeGuard

from attrs import Factory, define, evolve, field

from agent.protocol import server_events as server
from agent.protocol.actions import (
    Action,
    AwaitSpeech,
    Cause,
    EndOfResponse,
    Fail,
    Heard,
    Note,
    PartKey,
    Send,
    StopPlayout,
    TooLittle,
    Warn,
)
from agent.protocol.answers import Answers
from agent.protocol.calls import Calls
from agent.protocol.client_events import (
    ConversationItemCreateEvent,
    RealtimeClientEvent,
    ResponseCancelEvent,
    SessionUpdateEvent,
)
from agent.protocol.codec import UnknownEvent
from agent.protocol.corrections import Corrections
from agent.protocol.faults import NOT_ACTIVE, Severity, in_words, severity
from agent.protocol.interruption import (
    PROTECTED,
    Interruptions,
    LeastSpeech,
    Verdict,
    is_protected,
)
from agent.protocol.items import (
    Content,
    ConversationItem,
    RealtimeConversationItemUserMessage,
    RealtimeMcpApprovalRequest,
    RealtimeMcpToolCall,
)
from agent.protocol.response import (
    RealtimeResponse,
    RealtimeResponseCreateParams,
    RealtimeResponseUsage,
)
from agent.protocol.responses import Responses, keep_newest
from agent.protocol.sequencer import ALREADY_ACTIVE, Sequencer
from agent.protocol.server_tools import ServerTools
from agent.protocol.session import TurnDetection
from agent.protocol.tracking import Response, by_key
from agent.protocol.transcripts import heard, turn_begun
from agent.protocol.unseen import Unseen

_KEPT_NAMES: Final = 256
"""Events of ours that an error may still name. Errors come within seconds; these are minutes."""


@define
class Tally:
    """What the line at the end of a call sums up."""

    turns: int = 0
    responses: int = 0
    interruptions: int = 0
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, usage: RealtimeResponseUsage) -> None:
        """What one response cost."""
        self.tokens += max(0, usage.total_tokens or 0)
        self.input_tokens += max(0, usage.input_tokens or 0)
        self.output_tokens += max(0, usage.output_tokens or 0)


@define
class Conversation:
    """One conversation.

    :ivar turn_detection: how turns are to be found; None where the client commits by hand.
    :ivar least_speech: the least that interrupts.
    """

    turn_detection: TurnDetection | None = None
    least_speech: LeastSpeech = field(factory=LeastSpeech)
    tally: Tally = field(factory=Tally)
    person_speaks: bool = False
    _responses: Responses = field(factory=Responses)
    _sent: dict[str, RealtimeClientEvent] = field(factory=dict)
    _unseen: Unseen = field(factory=Unseen)
    _ids: Iterator[int] = field(factory=lambda: count(1))
    _interruptions: Interruptions = field(
        init=False,
        default=Factory(
            lambda self: Interruptions(self.turn_detection, self.least_speech), takes_self=True
        ),
    )
    _corrections: Corrections = field(
        init=False, default=Factory(lambda self: Corrections(self._new_id), takes_self=True)
    )
    _answers: Answers = field(
        init=False,
        default=Factory(lambda self: Answers(self._responses, self._corrections), takes_self=True),
    )
    calls: Calls = field(
        init=False, default=Factory(lambda self: Calls(self._new_id), takes_self=True)
    )
    server_tools: ServerTools = field(
        init=False, default=Factory(lambda self: ServerTools(self._new_id), takes_self=True)
    )
    _sequencer: Sequencer = field(
        init=False, default=Factory(lambda self: Sequencer(self._new_id), takes_self=True)
    )

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way, a tool runs, or the person is in the midst of a turn."""
        waits = self.person_speaks or not self._sequencer.idle or self.is_answered
        return waits or bool(self.calls.running) or self.calls.others_run

    @property
    def is_answered(self) -> bool:
        """Whether a response of the conversation is under way."""
        return self._responses.open() is not None

    def protects(self, response_id: str | None) -> bool:
        """Whether no speech interrupts this response."""
        return response_id in self._responses.protected()

    # -- what comes in ---------------------------------------------------------------------

    def receive(self, event: "server.RealtimeServerEvent | UnknownEvent") -> list[Action]:
        """What one event of the server's makes necessary."""
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return self._noted(self._answers.receive(event))
        return self._noted(handler(self, event))

    def playout_stopped(self, stop: StopPlayout, reports: Iterable[Heard]) -> list[Action]:
        """What follows when playout has stopped.

        :param stop: as it was asked for.
        :param reports: one for each part that playout held of the responses that were stopped: of
            every response that is open or has not been heard to its end.
        """
        reported = by_key(reports)
        unheard = {key.response_id for key, report in reported.items() if not report.whole}
        self.tally.interruptions += bool(unheard)
        actions: list[Action] = []
        for response in self._responses:
            # Of one that is not done more may come, however long nothing came of it. One that was
            # cancelled may have items of which nothing came.
            is_whole = response.done and not response.was_cancelled
            is_due = not is_whole and (response.is_heard or not response.beside)
            is_stopped = response.id not in stop.spared and not response.interrupted
            if is_stopped and (is_due or response.id in unheard):
                actions += self._interrupted(response, stop.cause, reported)
        # Whoever speaks over a goodbye means the hanging up, too, whichever response that is of.
        if unheard:
            actions += self.calls.all_interrupted(stop.spared)
        return self._noted(actions)

    def tool_finished(self, call_id: str, output: str, *, wants_answer: bool) -> list[Action]:
        """A function came to its end, in whatever way; what is told of it twice counts once.

        :param output: JSON text for the model.
        :param wants_answer: the model is to go on, when all calls of its response have an output.
        """
        actions = self.calls.finished(call_id, output, wants_answer=wants_answer)
        return self._noted([*actions, *self._go_on()])

    def _interrupted(
        self, response: Response, cause: Cause, reported: dict[PartKey, Heard]
    ) -> list[Action]:
        self._responses.interrupt(response)
        actions: list[Action] = self.calls.interrupted(response)
        if response.open and (response.beside or not self._interruptions.server_cancels(cause)):
            actions.append(self._cancel(response))
        if not response.beside and not response.over:
            for item in response.messages():
                if response.was_cancelled and item.is_empty:
                    actions += self._corrections.unheard(item)
                else:
                    actions += self._corrections.interrupted(item, reported)
        return actions

    def playout_over(self, response_id: str) -> list[Action]:
        """All of this response was heard, and no more of it comes."""
        response = self._responses.get(response_id)
        if response is not None:
            response.over, response.protected = True, False
        return self._noted([])

    def speech_goes_on(self) -> list[Action]:
        """The time of an `AwaitSpeech` has passed; where several were asked for, the last one's."""
        if not self.person_speaks:
            return []
        return self._noted(self._judged(self._interruptions.goes_on()))

    def user_text(self, text: str) -> list[Action]:
        """The person typed a message: it interrupts, and it wants an answer."""
        item = RealtimeConversationItemUserMessage(content=(Content(type="input_text", text=text),))
        self.tally.turns += 1
        create = Send(ConversationItemCreateEvent(item=item, event_id=self._new_id()))
        actions = [*self.interrupt(Cause.TEXT), *self._noted([create])]
        return [*actions, *self.request_response(about=frozenset([str(create.event.event_id)]))]

    def interrupt(self, cause: Cause) -> list[Action]:
        """Fall silent, for this reason; a response that has been asked for is not wanted either.

        Protected speech goes on, unless it is the program that wants silence. Then nothing that
        waits to be said is said.
        """
        if cause is Cause.PROGRAM:
            self._sequencer.abandon_all()
            return [StopPlayout(cause)]
        self._sequencer.abandon()
        return [StopPlayout(cause, self._responses.protected())]

    def say(self, words: str, *, allow_interruptions: bool = True) -> list[Action]:
        """Say these words, when what is being said has been generated.

        :param allow_interruptions: False protects them: no speech or typed text interrupts them.
        """
        # Half a character, of a text that was badly cut, is nothing that JSON can carry.
        quoted = json.dumps(words.encode(errors="replace").decode(), ensure_ascii=False)
        params = RealtimeResponseCreateParams(
            instructions=f"Say exactly: {quoted}", tool_choice="none"
        )
        if not allow_interruptions:
            params = evolve(params, metadata=dict(PROTECTED))
        return self.request_response(params)

    def request_response(
        self,
        wanted: RealtimeResponseCreateParams | None = None,
        *,
        about: frozenset[str] | None = None,
    ) -> list[Action]:
        """Ask for a response: as soon as none is open, or at once where it stands beside.

        :param about: see `Sequencer.want`.
        """
        dropped = self._sequencer.dropped
        create = self._sequencer.want(wanted or RealtimeResponseCreateParams(), about)
        actions: list[Action] = [Send(create)] if create else self._create_when_possible()
        if self._sequencer.dropped > dropped:
            actions.append(Warn("too many responses are asked for: the oldest is given up"))
        return self._noted(actions)

    @property
    def waits_for_server(self) -> bool:
        """The server owes something: an answer, or the end of one."""
        return not self._sequencer.idle or any(response.open for response in self._responses)

    def give_up(self) -> list[Action]:
        """Nothing has come of what the server owes: go on without it.

        Its end may have been lost, or have been malformed. Late events of it are still taken.
        """
        self._sequencer.began()
        actions: list[Action] = [Warn("nothing came of an answer that was due: given up")]
        for response in self._responses:
            if response.open:
                actions += self._end(response)
        return self._noted([*actions, *self._go_on()])

    def give_up_turn(self) -> list[Action]:
        """The end of the person's turn was lost."""
        self.person_speaks = False
        return self._noted(self._create_when_possible())

    def give_up_calls(self) -> list[Action]:
        """The ends of the calls that the model's server runs were lost.

        One that ends all the same is told to the model, as one in no response; not where the person
        has interrupted what it was for.
        """
        self.server_tools.calls_ended(self.calls.others_lost())
        words = "calls that the model's server runs have not ended: given up"
        return self._noted([Warn(words), *self._go_on()])

    # -- the person ------------------------------------------------------------------------

    def _on_speech_started(self, event: server.InputAudioBufferSpeechStartedEvent) -> list[Action]:
        self.person_speaks = True
        begun = [turn_begun(event.item_id, event.event_id)] if event.item_id else []
        wait_s = self._interruptions.began(event, self._responses.youngest)
        if wait_s is None:
            return [*self.interrupt(Cause.SPEECH), *begun]
        return [*begun, AwaitSpeech(wait_s)]

    def _on_speech_stopped(self, event: server.InputAudioBufferSpeechStoppedEvent) -> list[Action]:
        actions = self._judged(self._interruptions.stopped(event))
        self.person_speaks = False
        return actions

    def _on_committed(self, _: server.InputAudioBufferCommittedEvent) -> list[Action]:
        self.person_speaks = False
        self.tally.turns += 1
        if self._interruptions.client_answers:
            return self.request_response()
        # Where the server answers the turn by itself, what waits follows that answer.
        return [] if self._interruptions.server_answers else self._create_when_possible()

    def _on_session_updated(self, event: server.SessionUpdatedEvent) -> list[Action]:
        self._interruptions.updated(event)
        return []

    def _on_input_transcript_delta(
        self, event: server.ConversationItemInputAudioTranscriptionDeltaEvent
    ) -> list[Action]:
        text = event.delta or ""
        told = heard("delta", event.item_id, event.content_index or 0, text, event.event_id)
        verdict = self._interruptions.heard(event.item_id, text, is_all=False)
        return [*self._judged(verdict), told]

    def _on_input_transcript(
        self, event: server.ConversationItemInputAudioTranscriptionCompletedEvent
    ) -> list[Action]:
        text = event.transcript or ""
        told = heard("completed", event.item_id, event.content_index or 0, text, event.event_id)
        verdict = self._interruptions.heard(event.item_id, text, is_all=True)
        return [*self._judged(verdict), told]

    def _judged(self, verdict: Verdict) -> list[Action]:
        """What follows where a turn of the person's is found to interrupt, or not to."""
        if verdict.youngest is None:
            return [TooLittle()] if verdict.is_final else []
        if self.person_speaks:
            return self.interrupt(Cause.SPEECH)
        # The turn was over before its words were known: what came after it answers it.
        answers = {r.id for r in self._responses if r.number > verdict.youngest}
        return [StopPlayout(Cause.SPEECH, self._responses.protected() | answers)]

    def _on_input_transcript_failed(
        self, event: server.ConversationItemInputAudioTranscriptionFailedEvent
    ) -> list[Action]:
        words = f"the person's words of {event.item_id} could not be transcribed"
        return [*self._judged(self._interruptions.unheard(event.item_id)), Warn(words)]

    # -- the model's answer ----------------------------------------------------------------

    def _on_response_created(self, event: server.ResponseCreatedEvent) -> list[Action]:
        name = event.response.id
        if not name:
            self._sequencer.began()
            return []
        known = self._responses.get(name)
        if known is not None and known.announced:
            return []  # said twice: it may have ended in the meantime
        self.tally.responses += 1
        beside = self._sequencer.is_beside(event.response)
        # There is one at a time: the end of any other was lost.
        lost = [] if beside else [r for r in self._responses.unfinished() if not r.beside]
        response = self._responses.named(name)
        response.open, response.announced, response.beside = True, True, beside
        actions: list[Action] = []
        for other in lost:
            if other is not response:
                actions += self._end(other, is_done=True)
        if beside:
            return actions
        response.protected = self._is_protected(event.response)
        if response.protected:
            self._sequencer.protected_began()
        if not self._sequencer.outstanding:
            # By itself a server answers a turn that has ended, whose end may have been lost.
            self.person_speaks = False
        answers_all = not self._sequencer.asks_for_words
        if self._sequencer.began():
            # The server had not begun it when the person did, so it does not cancel it by itself.
            self._responses.interrupt(response)
            actions.append(self._cancel(response))
        elif answers_all:
            self._sequencer.answered(self._unseen)
        return actions

    def _is_protected(self, response: RealtimeResponse) -> bool:
        """Whether it is speech that we have asked to be protected.

        A server that does not give back our metadata, and begins nothing by itself, can have begun
        only what was asked for.
        """
        asked_for = self._sequencer.asks_for_protected and not self._interruptions.server_answers
        return asked_for or is_protected(response.metadata)

    def _on_arguments_done(
        self, event: server.ResponseFunctionCallArgumentsDoneEvent
    ) -> list[Action]:
        response = self._responses.named(event.response_id)
        told = response, event.call_id, event.name or "", event.arguments or ""
        if response.interrupted and not response.finished:
            self.calls.put_off(*told)
            return []
        return self.calls.called(*told)

    def _on_output_item_done(self, event: server.ResponseOutputItemDoneEvent) -> list[Action]:
        response = self._responses.named(event.response_id)
        return [
            *self._answers.receive(event),
            *self.calls.item_done(response, event.item),
            *self._asked_for_approval(response, event.item),
            *(self._server_call_ended(event.item.id) if _has_ended(event.item) else ()),
        ]

    def _asked_for_approval(self, response: Response, item: ConversationItem) -> list[Action]:
        if not isinstance(item, RealtimeMcpApprovalRequest):
            return []
        is_wanted = not (response.interrupted or response.was_cancelled)
        actions, is_refused = self.server_tools.asked(item, is_wanted=is_wanted)
        if is_refused and is_wanted and not response.beside:
            # Or nobody would say anything any more.
            [answer] = [action for action in actions if isinstance(action, Send)]
            self.calls.wants_answer(response, str(answer.event.event_id))
            actions += self._go_on()  # where the response was given up before
        return actions

    def _on_output_item_added(self, event: server.ResponseOutputItemAddedEvent) -> list[Action]:
        item = event.item
        if isinstance(item, RealtimeMcpToolCall) and not self.server_tools.has_ended(item.id):
            response = self._responses.named(event.response_id)
            # Of one beside the conversation nothing follows in it, as of those that are too many.
            unawaited = [item.id] if response.beside else self.calls.others_begin(response, item.id)
            self.server_tools.calls_ended(unawaited)
        return self._answers.receive(event)

    def _on_server_call_ended(
        self, event: server.ResponseMcpCallCompleted | server.ResponseMcpCallFailed
    ) -> list[Action]:
        return self._server_call_ended(event.item_id)

    def _server_call_ended(self, item_id: str) -> list[Action]:
        if not self.server_tools.call_ended(item_id):
            return []
        if self.calls.others_end(item_id):
            return self._go_on()
        return self.request_response(about=frozenset())  # after an approval it is in no response

    def _on_our_item(
        self, event: server.ConversationItemAdded | server.ConversationItemCreatedEvent
    ) -> list[Action]:
        self._unseen.told(event.item)
        return []

    def _on_list_failed(self, _: server.McpListToolsFailed) -> list[Action]:
        return [Warn("the model's server could not list the tools of an MCP server")]

    def _on_response_done(self, event: server.ResponseDoneEvent) -> list[Action]:
        if not event.response.id:
            self._sequencer.began()
            return [*_complaints(event), *self._create_when_possible()]
        response = self._responses.named(event.response.id)
        if not response.announced:
            # Seen: a response that fails at once is only said to be done. It was the one asked for.
            response.announced = True
            response.beside = self._sequencer.is_beside(event.response)
            if not response.beside:
                self._sequencer.began()
        if not response.beside:
            self._sequencer.ended()
        if event.response.usage:
            self.tally.add(event.response.usage)
        response.was_cancelled = event.response.status == "cancelled"
        # Seen: what the server cancels for the person's speech may be done before it tells of that.
        heard = response.was_cancelled and not response.interrupted and _for_speech(event)
        stop = self.interrupt(Cause.SPEECH) if heard else []
        if heard and not response.protected:
            self.calls.cut(response)  # before what follows asks for an answer
        if response.was_cancelled:
            self.server_tools.calls_ended(self.calls.others_cut(response))
        actions = [
            action
            for item in event.response.output or ()
            for action in self.calls.item_done(response, item)
        ]
        actions += self.calls.response_done(response, event.response.status or "")
        actions += self._end(response, is_done=True)
        return [*stop, *actions, *_complaints(event), *self._go_on()]

    # -- errors ----------------------------------------------------------------------------

    def _on_error(self, event: server.RealtimeErrorEvent) -> list[Action]:
        error = event.error
        cause = self._sent.pop(error.event_id or "", None)
        self._unseen.refused(error.event_id or "")
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
        if isinstance(cause, SessionUpdateEvent):
            self._interruptions.refused()
            return []
        if isinstance(cause, ResponseCancelEvent) and error.code == NOT_ACTIVE:
            return self._close(str(cause.response_id))
        if self._sequencer.refused(error.event_id or "", error.code or None):
            # One that another was faster than waits for the other's end.
            return [] if error.code == ALREADY_ACTIVE else self._create_when_possible()
        if not error.event_id and found is Severity.TURN and self._responses.open() is None:
            # The server's own failures name no event: it was at what it was asked for last.
            self._sequencer.began()
            return self._create_when_possible()
        return []

    def _close(self, response_id: str) -> list[Action]:
        """The server says that this response, which we took for open, is over."""
        response = self._responses.get(response_id)
        if response is None or not response.open:
            return []
        return [*self._end(response, is_done=True), *self._go_on()]

    # -- helpers ---------------------------------------------------------------------------

    def _end(self, response: Response, *, is_done: bool = False) -> list[Action]:
        """No more of it is waited for.

        :param is_done: what comes of it all the same is not wanted.
        """
        response.open, response.finished = False, True
        response.done = response.done or is_done
        # Where it has no audio, nothing tells that all of it was heard.
        response.protected = response.protected and response.is_heard
        actions: list[Action] = [EndOfResponse(response.id), *self.calls.settle(response)]
        self.calls.response_ended(response)
        for item in response.messages() if is_done else ():
            item.done = True
            actions += self._corrections.item_done(item)
        return actions

    def _cancel(self, response: Response) -> Send:
        return Send(ResponseCancelEvent(response_id=response.id, event_id=self._new_id()))

    def _noted(self, actions: list[Action]) -> list[Action]:
        """The actions, whose events are kept for as long as an error may name them.

        A guard for protected speech comes before the request for it, and goes when it is over.
        """
        is_wanted = self._sequencer.wants_protected or bool(self._responses.protected())
        # A turn that was begun under a guard is answered under it.
        is_quiet = self._sequencer.idle and not self.person_speaks
        needed = is_wanted or (self._interruptions.is_guarded and not is_quiet)
        update = self._interruptions.guard(needed=needed)
        if update is not None:
            told = Send(evolve(update, event_id=self._new_id()))
            actions = [told, *actions] if needed else [*actions, told]
        for action in actions:
            if isinstance(action, Send):
                self._sent[str(action.event.event_id)] = action.event
                if isinstance(action.event, ConversationItemCreateEvent):
                    self._unseen.sent(action.event)
        keep_newest(self._sent, _KEPT_NAMES)
        return actions

    def _go_on(self) -> list[Action]:
        """What waits for the end of a response, or of its calls."""
        due = self.calls.take_due()
        return self._create_when_possible() if due is None else self.request_response(about=due)

    def _create_when_possible(self) -> list[Action]:
        if self.person_speaks or self.is_answered:
            return []
        create = self._sequencer.next()
        return [Send(create)] if create else []

    def _new_id(self) -> str:
        return f"evt_{next(self._ids)}"


def _has_ended(item: ConversationItem) -> TypeGuard[RealtimeMcpToolCall]:
    """Whether it is a call that the model's server has run."""
    if not isinstance(item, RealtimeMcpToolCall):
        return False
    return bool(item.error) or isinstance(item.output, str)


def _for_speech(event: server.ResponseDoneEvent) -> bool:
    """Whether the server has cancelled a response because it has heard the person."""
    details = event.response.status_details
    return details.reason == "turn_detected" if details else False


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
    server.SessionUpdatedEvent: Conversation._on_session_updated,
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
    server.ResponseFunctionCallArgumentsDoneEvent: Conversation._on_arguments_done,
    server.ResponseOutputItemDoneEvent: Conversation._on_output_item_done,
    server.ResponseOutputItemAddedEvent: Conversation._on_output_item_added,
    server.ResponseMcpCallCompleted: Conversation._on_server_call_ended,
    server.ResponseMcpCallFailed: Conversation._on_server_call_ended,
    server.McpListToolsFailed: Conversation._on_list_failed,
    server.ResponseDoneEvent: Conversation._on_response_done,
    server.ConversationItemAdded: Conversation._on_our_item,
    server.ConversationItemCreatedEvent: Conversation._on_our_item,
}
