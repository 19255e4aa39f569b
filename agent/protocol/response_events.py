"""What a server says of a response: its items, its parts, their audio and words.

The classes follow the order in which one answer meets them. One response's items may overlap:
`output_index` tells them apart.
"""

from typing import ClassVar

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.items import Content, ConversationItem
from agent.protocol.response import RealtimeResponse


@frozen(kw_only=True)
class ResponseCreatedEvent(Model):
    """A response began."""

    type: ClassVar[str] = "response.created"
    response: RealtimeResponse
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseOutputItemAddedEvent(Model):
    """A response began an item."""

    type: ClassVar[str] = "response.output_item.added"
    response_id: str
    output_index: Maybe[int] = UNSET
    item: ConversationItem
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseContentPartAddedEvent(Model):
    """An item of a response began a content part."""

    type: ClassVar[str] = "response.content_part.added"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    part: Content
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioDeltaEvent(Model):
    """More audio; `delta` is bytes here and base64 on the wire."""

    type: ClassVar[str] = "response.output_audio.delta"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    delta: bytes
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioDoneEvent(Model):
    """A content part has all its audio."""

    type: ClassVar[str] = "response.output_audio.done"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioTranscriptDeltaEvent(Model):
    """More of the words of a content part's audio; they run ahead of the audio."""

    type: ClassVar[str] = "response.output_audio_transcript.delta"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    delta: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioTranscriptDoneEvent(Model):
    """All the words of a content part's audio."""

    type: ClassVar[str] = "response.output_audio_transcript.done"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    transcript: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseTextDeltaEvent(Model):
    """More text, where the output is text."""

    type: ClassVar[str] = "response.output_text.delta"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    delta: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseTextDoneEvent(Model):
    """All the text of a content part."""

    type: ClassVar[str] = "response.output_text.done"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    text: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseContentPartDoneEvent(Model):
    """A content part is complete."""

    type: ClassVar[str] = "response.content_part.done"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    content_index: Maybe[int] = UNSET
    part: Content
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseFunctionCallArgumentsDeltaEvent(Model):
    """More of a function call's arguments, which are JSON text."""

    type: ClassVar[str] = "response.function_call_arguments.delta"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    call_id: str
    delta: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseFunctionCallArgumentsDoneEvent(Model):
    """All of a function call's arguments.

    :ivar name: in captures always there; older servers leave it out.
    """

    type: ClassVar[str] = "response.function_call_arguments.done"
    response_id: str
    item_id: str
    output_index: Maybe[int] = UNSET
    call_id: str
    arguments: Maybe[str] = UNSET
    name: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseOutputItemDoneEvent(Model):
    """An item of a response is complete, or was left incomplete."""

    type: ClassVar[str] = "response.output_item.done"
    response_id: str
    output_index: Maybe[int] = UNSET
    item: ConversationItem
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseDoneEvent(Model):
    """A response ended, in whatever way."""

    type: ClassVar[str] = "response.done"
    response: RealtimeResponse
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class OutputAudioBufferStarted(Model):
    """The server plays a response; not on a WebSocket, as the next two."""

    type: ClassVar[str] = "output_audio_buffer.started"
    response_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class OutputAudioBufferStopped(Model):
    """The server has played a response."""

    type: ClassVar[str] = "output_audio_buffer.stopped"
    response_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class OutputAudioBufferCleared(Model):
    """The server dropped what it had yet to play of a response."""

    type: ClassVar[str] = "output_audio_buffer.cleared"
    response_id: str
    event_id: Maybe[str] = UNSET
