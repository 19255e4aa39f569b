"""What a server says of the person's audio: the buffer, the turns found in it, their words.

Offsets in `*_ms` are milliseconds of the audio that the client has sent in this session.
"""

from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model


@frozen(kw_only=True)
class InputAudioBufferSpeechStartedEvent(Model):
    """The person began to speak; `item_id` is the user item to come."""

    type: ClassVar[str] = "input_audio_buffer.speech_started"
    audio_start_ms: Maybe[int] = UNSET
    item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferSpeechStoppedEvent(Model):
    """The person stopped speaking.

    :ivar item_id: as before; servers of the beta's first days leave it out.
    """

    type: ClassVar[str] = "input_audio_buffer.speech_stopped"
    audio_end_ms: Maybe[int] = UNSET
    item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferTimeoutTriggered(Model):
    """Nobody spoke for `idle_timeout_ms`; an empty turn of this span follows."""

    type: ClassVar[str] = "input_audio_buffer.timeout_triggered"
    audio_start_ms: int
    audio_end_ms: int
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferCommittedEvent(Model):
    """The buffer became an item."""

    type: ClassVar[str] = "input_audio_buffer.committed"
    item_id: Maybe[str] = UNSET
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferClearedEvent(Model):
    """The buffer was emptied at the client's wish."""

    type: ClassVar[str] = "input_audio_buffer.cleared"
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferDtmfEventReceivedEvent(Model):
    """A caller pressed a key; of telephone calls only.

    :ivar received_at: Unix seconds.
    """

    type: ClassVar[str] = "input_audio_buffer.dtmf_event_received"
    event: str
    received_at: int


@frozen(kw_only=True)
class LogProbProperties(Model):
    """How likely a token of a transcript was.

    :ivar bytes: its UTF-8, as numbers.
    """

    token: str
    logprob: float
    bytes: Maybe[tuple[int, ...]] = UNSET


@frozen(kw_only=True)
class TranscriptionLanguage(Model):
    """A language that was heard."""

    code: str


@frozen(kw_only=True)
class UsageTranscriptTextUsageTokensInputTokenDetails(Model):
    """What a transcription read."""

    audio_tokens: Maybe[int] = UNSET
    text_tokens: Maybe[int] = UNSET


@frozen(kw_only=True)
class UsageTranscriptTextUsageTokens(Model):
    """What a transcription cost, in tokens."""

    type: ClassVar[str] = "tokens"
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: Maybe[UsageTranscriptTextUsageTokensInputTokenDetails] = UNSET


@frozen(kw_only=True)
class UsageTranscriptTextUsageDuration(Model):
    """What a transcription cost, in seconds of audio."""

    type: ClassVar[str] = "duration"
    seconds: float


TranscriptionUsage: TypeAlias = (
    UsageTranscriptTextUsageTokens | UsageTranscriptTextUsageDuration | dict[str, Any]
)


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionDeltaEvent(Model):
    """More of what the person said, in words."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.delta"
    item_id: str
    content_index: Maybe[int] = UNSET
    delta: Maybe[str] = UNSET
    logprobs: Maybe[tuple[LogProbProperties, ...]] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionSegment(Model):
    """What one of several people said, from `start` to `end` in seconds."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.segment"
    id: str
    item_id: str
    content_index: int
    text: str
    speaker: str
    start: float
    end: float
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionCompletedEvent(Model):
    """All that the person said in one item, in words."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.completed"
    item_id: str
    transcript: Maybe[str] = UNSET
    content_index: Maybe[int] = UNSET
    usage: Maybe[TranscriptionUsage] = UNSET
    languages: Maybe[tuple[TranscriptionLanguage, ...]] = UNSET
    logprobs: Maybe[tuple[LogProbProperties, ...]] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class TranscriptionError(Model):
    """Why there is no transcript; `Error` in the reference."""

    type: Maybe[str] = UNSET
    code: Maybe[str] = UNSET
    message: Maybe[str] = UNSET
    param: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionFailedEvent(Model):
    """The person's speech could not be transcribed; the answer goes on."""

    type: ClassVar[str] = "conversation.item.input_audio_transcription.failed"
    item_id: str
    error: TranscriptionError
    content_index: Maybe[int] = UNSET
    event_id: Maybe[str] = UNSET
