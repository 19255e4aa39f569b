"""What a response looks like on the wire: its message, its content part, itself."""

from typing import Any, Final

from attrs import frozen

from agent.embedded.history import spoken_tokens, text_tokens
from agent.embedded.usage import RememberedTokens, cost
from agent.protocol.codec import from_json
from agent.protocol.items import Content, RealtimeConversationItemAssistantMessage
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


@frozen(kw_only=True)
class Plan:
    """What a response is to be.

    :ivar response_id: `resp_...`
    :ivar item_id: of its one message.
    :ivar words: what it says or writes.
    :ivar is_text: it writes.
    :ivar conversation_id: None for a response beside the conversation.
    :ivar output: the audio format and voice, as JSON.
    :ivar limit: at most so many tokens of output, or "inf".
    :ivar tells_previous: its item's `done` names the item before it.
    """

    response_id: str
    item_id: str
    words: str
    is_text: bool
    conversation_id: str | None
    output: dict[str, Any]
    limit: int | str
    metadata: dict[str, str] | None
    tells_previous: bool

    @property
    def where(self) -> dict[str, Any]:
        """The fields by which an event names the one content part."""
        return {
            "response_id": self.response_id,
            "item_id": self.item_id,
            "output_index": 0,
            "content_index": 0,
        }

    def part(self, text: str) -> Content:
        """The content part with so much of its text."""
        if self.is_text:
            return Content(type="text", text=text)
        return Content(type="audio", transcript=text)

    def new_item(self) -> RealtimeConversationItemAssistantMessage:
        """The message as it opens."""
        return RealtimeConversationItemAssistantMessage(
            id=self.item_id, status=IN_PROGRESS, content=()
        )

    def final_item(self, status: str, text: str) -> RealtimeConversationItemAssistantMessage:
        """The message as the response ends with this status."""
        if self.is_text:
            content = Content(type="output_text", text=text)
        else:
            content = Content(type="output_audio", transcript=text)
        return RealtimeConversationItemAssistantMessage(
            id=self.item_id,
            status=COMPLETED if status == COMPLETED else INCOMPLETE,
            content=(content,),
        )

    def new_response(self) -> RealtimeResponse:
        """The response as it is created."""
        return self._response(IN_PROGRESS)

    def final_response(
        self, status: str, details: RealtimeResponseStatus | None, produced: "Produced | None"
    ) -> RealtimeResponse:
        """The response as it ends; `produced` is None where its message was never opened."""
        if produced is None:
            return self._response(status, details, usage=cost(RememberedTokens(0, 0), 0, 0))
        spent = cost(
            produced.remembered, text_tokens(produced.text), spoken_tokens(produced.audio_bytes)
        )
        item = self.final_item(status, produced.text)
        return self._response(status, details, output=(item,), usage=spent)

    def _response(
        self,
        status: str,
        details: RealtimeResponseStatus | None = None,
        output: tuple[RealtimeConversationItemAssistantMessage, ...] = (),
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


@frozen
class Produced:
    """What a response came to.

    :ivar remembered: what the model read for it.
    """

    text: str
    audio_bytes: int
    remembered: RememberedTokens


def status_details(
    status: str, reason: str | None, error: ResponseError | None
) -> RealtimeResponseStatus | None:
    """Why a response ended as it did; null for one that was completed."""
    if error is not None:
        return RealtimeResponseStatus(type=status, error=error)
    if reason is not None:
        return RealtimeResponseStatus(type=status, reason=reason)
    return None
