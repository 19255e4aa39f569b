"""Which responses are under way: at most one of the conversation, and a few beside it."""

from typing import Any, Final

from attrs import frozen

from agent.embedded.history import Entry, History
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.refusals import Refusal
from agent.embedded.replies import Reply
from agent.embedded.reply_objects import CANCELLED, FAILED, Plan
from agent.embedded.settings import Json
from agent.embedded.words import Cue, Wording, say_exactly
from agent.protocol.items import ConversationItem, RealtimeConversationItemUserMessage
from agent.protocol.response import RealtimeResponseCreateParams, ResponseError

MAX_REPLIES_BESIDE: Final = 4
"""Responses beside the conversation at a time: each holds its audio."""


@frozen
class SpeechRequest:
    """Words that want a voice.

    :ivar heard: the person's last turn, pcm16 24 kHz, for a voice that plays it back.
    """

    response_id: str
    text: str
    heard: bytes


class Speaking:
    """Starts responses, moves them on, and ends them.

    :param wording: finds the words of an answer.
    """

    def __init__(
        self, *, history: History, outbox: Outbox, new_id: NewId, wording: Wording
    ) -> None:
        self._history = history
        self._outbox = outbox
        self._new_id = new_id
        self._wording = wording
        self._conversation_id = new_id("conv_")
        self._active: Reply | None = None
        self._beside: dict[str, Reply] = {}
        self._answers = 0
        self._has_spoken = False
        self._requests: list[SpeechRequest] = []

    @property
    def has_spoken(self) -> bool:
        """There is assistant audio."""
        return self._has_spoken

    def requests(self) -> list[SpeechRequest]:
        """What wants a voice since the last call."""
        requests, self._requests = self._requests, []
        return requests

    def awaited(self) -> frozenset[str]:
        """The responses whose voice has yet to come and is still wanted."""
        return frozenset(reply.plan.response_id for reply in self._all() if reply.wants_voice)

    def next_deadline(self) -> float | None:
        """When `advance` is due, if ever."""
        return min((reply.due for reply in self._all() if reply.due is not None), default=None)

    def start(
        self, params: RealtimeResponseCreateParams, session: Json, heard: bytes, now: float
    ) -> None:
        """Begin a response.

        :raises Refusal: one is under way, or too many are beside it.
        """
        is_beside = params.conversation == "none"
        self._check_room(is_beside)
        plan = self._plan(params, session, is_beside)
        reply = Reply(plan, history=self._history, outbox=self._outbox, now=now)
        if is_beside:
            self._beside[plan.response_id] = reply
        else:
            self._active = reply
        if reply.wants_voice:
            self._requests.append(SpeechRequest(plan.response_id, plan.words, heard))

    def advance(self, now: float) -> int:
        """Do what is due; how many responses ended."""
        for reply in self._all():
            reply.advance(now)
            if reply.has_begun and not reply.plan.is_text:
                self._has_spoken = True
        return self._retire()

    def voice_ready(self, response_id: str, pcm: bytes, now: float) -> None:
        """The voice that was asked for; too late, it is dropped."""
        reply = self._find(response_id)
        if reply is not None and reply.wants_voice:
            reply.voice_ready(pcm, now)

    def voice_failed(self, response_id: str, why: str) -> int:
        """There will be no voice; how many responses ended."""
        reply = self._find(response_id)
        if reply is not None and reply.wants_voice:
            message = f"The embedded model has no voice: {why}"
            error = ResponseError(type="server_error", code=None, message=message)
            reply.stop(FAILED, error=error)
        return self._retire()

    def interrupt(self) -> int:
        """The person speaks over the conversation's response; how many responses ended."""
        if self._active is not None:
            self._active.stop(CANCELLED, reason="turn_detected")
        return self._retire()

    def cancel(self, response_id: str | None) -> int:
        """The client cancels the named response, or the conversation's; how many ended.

        :raises Refusal: there is none.
        """
        reply = self._active if response_id is None else self._find(response_id)
        if reply is None:
            message = "Cancellation failed: no active response found"
            raise Refusal("response_cancel_not_active", message)
        reply.stop(CANCELLED, reason="client_cancelled")
        return self._retire()

    def _all(self) -> list[Reply]:
        active = [] if self._active is None else [self._active]
        return active + list(self._beside.values())

    def _find(self, response_id: str) -> Reply | None:
        return next((r for r in self._all() if r.plan.response_id == response_id), None)

    def _retire(self) -> int:
        done = [reply for reply in self._all() if reply.is_done]
        for reply in done:
            self._answers += reply.has_begun
            self._beside.pop(reply.plan.response_id, None)
        if self._active is not None and self._active.is_done:
            self._active = None
        return len(done)

    def _check_room(self, is_beside: bool) -> None:
        if is_beside and len(self._beside) >= MAX_REPLIES_BESIDE:
            message = f"The embedded model gives {MAX_REPLIES_BESIDE} such responses at a time."
            raise Refusal("rate_limit_exceeded", message)
        if not is_beside and self._active is not None:
            message = (
                "Conversation already has an active response in progress: "
                f"{self._active.plan.response_id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refusal("conversation_already_has_active_response", message)

    def _plan(self, params: RealtimeResponseCreateParams, session: Json, is_beside: bool) -> Plan:
        modalities = params.output_modalities or session["output_modalities"]
        own_audio: Any = params.audio or {}
        output = session["audio"]["output"] | own_audio.get("output", {})
        return Plan(
            response_id=self._new_id("resp_"),
            item_id=self._new_id("item_"),
            words=self._wording(self._cue(params), self._answers),
            is_text=list(modalities) == ["text"],
            conversation_id=None if is_beside else self._conversation_id,
            output={name: output[name] for name in ("format", "voice")},
            limit=params.max_output_tokens or session["max_output_tokens"],
            metadata=params.metadata or None,
            # The service was seen to say null for the first answer of a session.
            tells_previous=self._answers > 0,
        )

    def _cue(self, params: RealtimeResponseCreateParams) -> Cue:
        told = say_exactly(params.instructions or None)
        if params.input:
            return Cue(typed=_typed(params.input), told=told)
        entry = self._history.unanswered()
        return Cue(told=told) if entry is None else _cue_of(entry, told)


def _cue_of(entry: Entry, told: str | None) -> Cue:
    if entry.speech_seconds is not None:
        return Cue(heard=entry.speech_seconds, said=entry.said, told=told)
    return Cue(typed=entry.text or None, told=told)


def _typed(items: tuple[ConversationItem, ...]) -> str | None:
    messages = [i for i in items if isinstance(i, RealtimeConversationItemUserMessage)]
    texts = [part.text for message in messages for part in message.content if part.text]
    return texts[-1] if texts else None
