"""What a response is to be (`Plan`), and the response object that tells of it on the wire."""

from typing import Any, Final, TypeAlias

from attrs import frozen

from agent.embedded.usage import Given, Read, cost
from agent.protocol.codec import from_json
from agent.protocol.items import ConversationItem
from agent.protocol.response import (
    RealtimeResponse,
    RealtimeResponseStatus,
    RealtimeResponseUsage,
    ResponseError,
)
from agent.protocol.session import RealtimeAudioConfig

IN_PROGRESS: Final = "in_progress"
COMPLETED: Final = "completed"
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"
INCOMPLETE: Final = "incomplete"


@frozen
class Saying:
    """A message, spoken or written.

    :ivar phase: `commentary` or `final_answer`, of models that reason.
    """

    item_id: str
    words: str
    phase: str | None = None


@frozen
class Calling:
    """A function call; `arguments` is JSON text."""

    item_id: str
    call_id: str
    name: str
    arguments: str


Planned: TypeAlias = Saying | Calling


@frozen(kw_only=True)
class Plan:
    """What a response is to be.

    :ivar response_id: `resp_...`
    :ivar conversation_id: None for a response beside the conversation.
    :ivar outputs: its items, in their order.
    :ivar is_text: its messages are written.
    :ivar output: the audio format and voice, as JSON.
    :ivar speed: of its speech; 1 is as usual.
    :ivar heard: the person's last turn, pcm16 24 kHz, for a voice that plays it back.
    :ivar limit: at most so many tokens of output, or "inf".
    :ivar tells_previous: its items' `done` names the item before it.
    :ivar read: what the model reads for it.
    :ivar reasons: the model is one that reasons; the embedded one needs no tokens to.
    """

    response_id: str
    conversation_id: str | None
    outputs: tuple[Planned, ...]
    is_text: bool
    output: dict[str, Any]
    speed: float
    heard: bytes
    limit: int | str
    metadata: dict[str, str] | None
    tells_previous: bool
    read: Read
    reasons: bool

    def new_response(self) -> RealtimeResponse:
        """The response as it is created."""
        return self._response(IN_PROGRESS)

    def final_response(
        self,
        status: str,
        details: RealtimeResponseStatus | None,
        output: tuple[ConversationItem, ...],
        given: Given,
    ) -> RealtimeResponse:
        """The response as it ends; one without an item cost nothing."""
        read = self.read if output else Read()
        usage = cost(read, given, reasons=self.reasons)
        return self._response(status, details, output=output, usage=usage)

    def _response(
        self,
        status: str,
        details: RealtimeResponseStatus | None = None,
        output: tuple[ConversationItem, ...] = (),
        usage: RealtimeResponseUsage | None = None,
    ) -> RealtimeResponse:
        return RealtimeResponse(
            object="realtime.response",
            id=self.response_id,
            status=status,
            status_details=details,
            output=output,
            conversation_id=self.conversation_id,
            output_modalities=("text",) if self.is_text else ("audio",),
            max_output_tokens=self.limit,
            audio=from_json({"output": self.output}, RealtimeAudioConfig),
            usage=usage,
            metadata=self.metadata,
        )


def status_details(
    status: str, reason: str | None, error: ResponseError | None
) -> RealtimeResponseStatus | None:
    """Why a response ended as it did; null for one that was completed."""
    if error is not None:
        return RealtimeResponseStatus(type=status, error=error)
    if reason is not None:
        return RealtimeResponseStatus(type=status, reason=reason)
    return None
