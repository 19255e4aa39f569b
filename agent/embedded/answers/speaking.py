"""Which responses are under way: at most one of the conversation, and a few beside it."""

from typing import Final

from attrs import frozen

from agent.embedded.answers.planning import Planner
from agent.embedded.answers.replies import Reply
from agent.embedded.answers.reply_objects import CANCELLED, FAILED
from agent.embedded.answers.words import Wording
from agent.embedded.forms.refusals import Refusal
from agent.embedded.history import History
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.settings import Json
from agent.protocol.response import RealtimeResponseCreateParams, ResponseError

MAX_REPLIES_BESIDE: Final = 4
"""Responses beside the conversation at a time: each holds its audio."""


@frozen
class SpeechRequest:
    """Words that want a voice. A response asks for one utterance at a time.

    :ivar heard: the person's last turn, pcm16 24 kHz, for a voice that plays it back.
    :ivar speed: 1 is as usual.
    """

    response_id: str
    text: str
    heard: bytes
    speed: float


class Speaking:
    """Starts responses, moves them on, and ends them.

    :param wording: finds the words of an answer.
    """

    def __init__(
        self, *, history: History, outbox: Outbox, new_id: NewId, wording: Wording
    ) -> None:
        self._history = history
        self._outbox = outbox
        self._planner = Planner(history=history, new_id=new_id, wording=wording)
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
        return frozenset(r.plan.response_id for r in self._all() if r.unvoiced is not None)

    def next_deadline(self) -> float | None:
        """When `advance` is due, if ever."""
        return min((reply.due for reply in self._all() if reply.due is not None), default=None)

    def start(
        self, params: RealtimeResponseCreateParams, session: Json, heard: bytes, now: float
    ) -> None:
        """Begin a response.

        :param heard: the person's last turn, pcm16 24 kHz.
        :raises Refusal: one is under way, too many are beside it, or it cannot be planned.
        """
        is_beside = params.conversation == "none"
        self._check_room(is_beside)
        # One that is under way counts: it says by itself what the model is.
        answers = self._answers + len(self._all())
        plan = self._planner.plan(params, session, heard, answers)
        reply = Reply(plan, history=self._history, outbox=self._outbox, now=now)
        if is_beside:
            self._beside[plan.response_id] = reply
        else:
            self._active = reply
        self._ask_for_voice(reply)

    def advance(self, now: float) -> int:
        """Do what is due; how many responses ended."""
        for reply in self._all():
            reply.advance(now)
            self._has_spoken |= reply.has_spoken
        return self._retire()

    def voice_ready(self, response_id: str, pcm: bytes, now: float) -> None:
        """The voice that was asked for; too late, it is dropped."""
        reply = self._find(response_id)
        if reply is not None and reply.unvoiced is not None:
            reply.voice_ready(pcm, now)
            self._ask_for_voice(reply)

    def voice_failed(self, response_id: str, why: str) -> int:
        """There will be no voice; how many responses ended."""
        reply = self._find(response_id)
        if reply is not None and reply.unvoiced is not None:
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

    def _ask_for_voice(self, reply: Reply) -> None:
        message, plan = reply.unvoiced, reply.plan
        if message is not None:
            request = SpeechRequest(plan.response_id, message.words, plan.heard, plan.speed)
            self._requests.append(request)

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
