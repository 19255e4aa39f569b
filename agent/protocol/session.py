"""The session and response objects, named as `openai.types.realtime` names them."""

from typing import Any

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.items import ConversationItem


@frozen(kw_only=True)
class AudioFormat(Model):
    """`audio/pcm` (rate 24000), `audio/pcmu` or `audio/pcma` (8000, not said)."""

    type: Maybe[str] = UNSET
    rate: Maybe[int] = UNSET


@frozen(kw_only=True)
class AudioTranscription(Model):
    """How the person's speech is transcribed beside the conversation."""

    model: Maybe[str] = UNSET
    language: Maybe[str] = UNSET
    prompt: Maybe[str] = UNSET


@frozen(kw_only=True)
class NoiseReduction(Model):
    """`near_field` or `far_field`."""

    type: Maybe[str] = UNSET


@frozen(kw_only=True)
class TurnDetection(Model):
    """`server_vad` or `semantic_vad`. Times are milliseconds, the threshold 0 to 1."""

    type: str
    create_response: Maybe[bool] = UNSET
    interrupt_response: Maybe[bool] = UNSET
    idle_timeout_ms: Maybe[int] = UNSET
    prefix_padding_ms: Maybe[int] = UNSET
    silence_duration_ms: Maybe[int] = UNSET
    threshold: Maybe[float] = UNSET
    eagerness: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeAudioConfigInput(Model):
    """The person's side. A null turn_detection means that the client commits by hand."""

    format: Maybe[AudioFormat] = UNSET
    noise_reduction: Maybe[NoiseReduction] = UNSET
    transcription: Maybe[AudioTranscription] = UNSET
    turn_detection: Maybe[TurnDetection] = UNSET


@frozen(kw_only=True)
class RealtimeAudioConfigOutput(Model):
    """The model's side. `voice` is a name, or `{"id": ...}` for a custom voice."""

    format: Maybe[AudioFormat] = UNSET
    speed: Maybe[float] = UNSET
    voice: Maybe[Any] = UNSET


@frozen(kw_only=True)
class RealtimeAudioConfig(Model):
    """Both directions of audio."""

    input: Maybe[RealtimeAudioConfigInput] = UNSET
    output: Maybe[RealtimeAudioConfigOutput] = UNSET


@frozen(kw_only=True)
class RealtimeSession(Model):
    """A realtime session, as the client asks for it and as the server tells it.

    Fields whose own structure nothing here looks into stay JSON.

    :ivar type: `realtime`; a server refuses an update without it.
    """

    type: Maybe[str] = UNSET
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    model: Maybe[str] = UNSET
    expires_at: Maybe[int] = UNSET
    output_modalities: Maybe[tuple[str, ...]] = UNSET
    instructions: Maybe[str] = UNSET
    audio: Maybe[RealtimeAudioConfig] = UNSET
    tools: Maybe[tuple[Any, ...]] = UNSET
    tool_choice: Maybe[Any] = UNSET
    max_output_tokens: Maybe[Any] = UNSET
    include: Maybe[tuple[str, ...]] = UNSET
    reasoning: Maybe[Any] = UNSET
    prompt: Maybe[Any] = UNSET
    tracing: Maybe[Any] = UNSET
    truncation: Maybe[Any] = UNSET


@frozen(kw_only=True)
class ResponseError(Model):
    """Why a response failed."""

    type: Maybe[str] = UNSET
    code: Maybe[str] = UNSET
    message: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeResponseStatus(Model):
    """Why a response ended as it did; `reason` is turn_detected, client_cancelled, ..."""

    type: Maybe[str] = UNSET
    reason: Maybe[str] = UNSET
    error: Maybe[ResponseError] = UNSET


@frozen(kw_only=True)
class RealtimeResponseUsage(Model):
    """Tokens that a response cost."""

    total_tokens: Maybe[int] = UNSET
    input_tokens: Maybe[int] = UNSET
    output_tokens: Maybe[int] = UNSET
    input_token_details: Maybe[Any] = UNSET
    output_token_details: Maybe[Any] = UNSET


@frozen(kw_only=True)
class RealtimeResponse(Model):
    """A response: `status` is in_progress, completed, cancelled, failed or incomplete."""

    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    status: Maybe[str] = UNSET
    status_details: Maybe[RealtimeResponseStatus] = UNSET
    output: Maybe[tuple[ConversationItem, ...]] = UNSET
    conversation_id: Maybe[str] = UNSET
    output_modalities: Maybe[tuple[str, ...]] = UNSET
    max_output_tokens: Maybe[Any] = UNSET
    audio: Maybe[RealtimeAudioConfig] = UNSET
    usage: Maybe[RealtimeResponseUsage] = UNSET
    metadata: Maybe[Any] = UNSET


@frozen(kw_only=True)
class RealtimeResponseCreateParams(Model):
    """What a client may ask of one response."""

    instructions: Maybe[str] = UNSET
    output_modalities: Maybe[tuple[str, ...]] = UNSET
    max_output_tokens: Maybe[Any] = UNSET
    conversation: Maybe[str] = UNSET
    input: Maybe[tuple[ConversationItem, ...]] = UNSET
    metadata: Maybe[Any] = UNSET
    audio: Maybe[Any] = UNSET
    tools: Maybe[tuple[Any, ...]] = UNSET
    tool_choice: Maybe[Any] = UNSET
