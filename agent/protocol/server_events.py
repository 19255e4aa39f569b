"""What a server sends, named as `openai.types.realtime` names it.

The classes follow the order in which one spoken turn meets them. Offsets in `*_ms` are
milliseconds of the audio that the client has sent in this session.
"""

from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.items import Content, ConversationItem
from agent.protocol.session import RealtimeResponse, RealtimeSession


@frozen(kw_only=True)
class RealtimeError(Model):
    """`event_id` is that of the client's event that caused the error, where one did."""

    message: str
    type: Maybe[str] = UNSET
    code: Maybe[str] = UNSET
    param: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeErrorEvent(Model):
    """Something was refused or failed; most sessions survive it."""

    type: ClassVar[str] = "error"
    error: RealtimeError
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class SessionCreatedEvent(Model):
    """The first event of a session."""

    type: ClassVar[str] = "session.created"
    session: RealtimeSession
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class SessionUpdatedEvent(Model):
    """A `session.update` was taken; the whole session as it is now."""

    type: ClassVar[str] = "session.updated"
    session: RealtimeSession
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferSpeechStartedEvent(Model):
    """The person began to speak; `item_id` is the user item to come."""

    type: ClassVar[str] = "input_audio_buffer.speech_started"
    audio_start_ms: int
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferSpeechStoppedEvent(Model):
    """The person stopped speaking."""

    type: ClassVar[str] = "input_audio_buffer.speech_stopped"
    audio_end_ms: int
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferCommittedEvent(Model):
    """The buffer became an item."""

    type: ClassVar[str] = "input_audio_buffer.committed"
    item_id: str
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferClearedEvent(Model):
    """The buffer was emptied at the client's wish."""

    type: ClassVar[str] = "input_audio_buffer.cleared"
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemAdded(Model):
    """An item entered the conversation, perhaps still to be filled."""

    type: ClassVar[str] = "conversation.item.added"
    item: ConversationItem
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemDone(Model):
    """An item is complete."""

    type: ClassVar[str] = "conversation.item.done"
    item: ConversationItem
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemDeletedEvent(Model):
    """An item was removed at the client's wish."""

    type: ClassVar[str] = "conversation.item.deleted"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemTruncatedEvent(Model):
    """An item was cut at the client's wish."""

    type: ClassVar[str] = "conversation.item.truncated"
    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionDeltaEvent(Model):
    """More of what the person said, in words."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.delta"
    item_id: str
    content_index: Maybe[int] = UNSET
    delta: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionCompletedEvent(Model):
    """All that the person said in one item, in words."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.completed"
    item_id: str
    transcript: str
    content_index: int = 0
    usage: Maybe[Any] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionFailedEvent(Model):
    """The person's speech could not be transcribed; the answer goes on."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.failed"
    item_id: str
    error: Any
    content_index: int = 0
    event_id: Maybe[str] = UNSET


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
    output_index: int
    item: ConversationItem
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseContentPartAddedEvent(Model):
    """An item of a response began a content part."""

    type: ClassVar[str] = "response.content_part.added"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: Content
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioDeltaEvent(Model):
    """More audio; `delta` is bytes here and base64 on the wire."""

    type: ClassVar[str] = "response.output_audio.delta"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioDoneEvent(Model):
    """A content part has all its audio."""

    type: ClassVar[str] = "response.output_audio.done"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioTranscriptDeltaEvent(Model):
    """More of the words of a content part's audio; they run ahead of the audio."""

    type: ClassVar[str] = "response.output_audio_transcript.delta"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseAudioTranscriptDoneEvent(Model):
    """All the words of a content part's audio."""

    type: ClassVar[str] = "response.output_audio_transcript.done"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseTextDeltaEvent(Model):
    """More text, where the output is text."""

    type: ClassVar[str] = "response.output_text.delta"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseTextDoneEvent(Model):
    """All the text of a content part."""

    type: ClassVar[str] = "response.output_text.done"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseContentPartDoneEvent(Model):
    """A content part is complete."""

    type: ClassVar[str] = "response.content_part.done"
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: Content
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseOutputItemDoneEvent(Model):
    """An item of a response is complete, or was left incomplete."""

    type: ClassVar[str] = "response.output_item.done"
    response_id: str
    output_index: int
    item: ConversationItem
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseDoneEvent(Model):
    """A response ended, in whatever way."""

    type: ClassVar[str] = "response.done"
    response: RealtimeResponse
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class RateLimitsUpdatedEvent(Model):
    """What is left of the account's limits."""

    type: ClassVar[str] = "rate_limits.updated"
    rate_limits: tuple[Any, ...]
    event_id: Maybe[str] = UNSET


RealtimeServerEvent: TypeAlias = (
    RealtimeErrorEvent
    | SessionCreatedEvent
    | SessionUpdatedEvent
    | InputAudioBufferSpeechStartedEvent
    | InputAudioBufferSpeechStoppedEvent
    | InputAudioBufferCommittedEvent
    | InputAudioBufferClearedEvent
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemDeletedEvent
    | ConversationItemTruncatedEvent
    | ConversationItemInputAudioTranscriptionDeltaEvent
    | ConversationItemInputAudioTranscriptionCompletedEvent
    | ConversationItemInputAudioTranscriptionFailedEvent
    | ResponseCreatedEvent
    | ResponseOutputItemAddedEvent
    | ResponseContentPartAddedEvent
    | ResponseAudioDeltaEvent
    | ResponseAudioDoneEvent
    | ResponseAudioTranscriptDeltaEvent
    | ResponseAudioTranscriptDoneEvent
    | ResponseTextDeltaEvent
    | ResponseTextDoneEvent
    | ResponseContentPartDoneEvent
    | ResponseOutputItemDoneEvent
    | ResponseDoneEvent
    | RateLimitsUpdatedEvent
)
