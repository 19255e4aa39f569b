"""The session: what a client asks for and what the server says that it is.

Named as `openai.types.realtime` names it. The parts of the reference's unions that differ only in
a literal are one class here, whose `type` tells them apart.
"""

from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.tools import Tool, ToolChoice


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
    languages: Maybe[tuple[str, ...]] = UNSET
    prompt: Maybe[str] = UNSET
    keywords: Maybe[tuple[str, ...]] = UNSET
    delay: Maybe[str] = UNSET


@frozen(kw_only=True)
class NoiseReduction(Model):
    """`near_field` or `far_field`."""

    type: Maybe[str] = UNSET
    strength: Maybe[float] = UNSET


@frozen(kw_only=True)
class TurnDetection(Model):
    """`server_vad` or `semantic_vad`. Times are milliseconds, the threshold 0 to 1.

    :ivar type: absent where an update changes only a part.
    """

    type: Maybe[str] = UNSET
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
class VoiceID(Model):
    """A custom voice."""

    id: str


@frozen(kw_only=True)
class RealtimeAudioConfigOutput(Model):
    """The model's side. `voice` is a name or a custom voice; `speed` 0.25 to 1.5."""

    format: Maybe[AudioFormat] = UNSET
    speed: Maybe[float] = UNSET
    voice: Maybe[str | VoiceID] = UNSET


@frozen(kw_only=True)
class RealtimeAudioConfig(Model):
    """Both directions of audio."""

    input: Maybe[RealtimeAudioConfigInput] = UNSET
    output: Maybe[RealtimeAudioConfigOutput] = UNSET


@frozen(kw_only=True)
class RealtimeReasoning(Model):
    """How much a reasoning model thinks: minimal, low, medium, high, xhigh."""

    effort: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponsePrompt(Model):
    """A prompt that is kept on the server.

    :ivar variables: by name: text, or an input part as JSON.
    """

    id: str
    variables: Any = UNSET
    version: Maybe[str] = UNSET


@frozen(kw_only=True)
class TracingConfiguration(Model):
    """What the server's traces of the session are filed under."""

    group_id: Maybe[str] = UNSET
    metadata: Any = UNSET
    workflow_name: Maybe[str] = UNSET


@frozen(kw_only=True)
class TokenLimits(Model):
    """At most so many tokens of conversation beside the instructions."""

    post_instructions: Maybe[int] = UNSET


@frozen(kw_only=True)
class RealtimeTruncationRetentionRatio(Model):
    """When the conversation grows too long, this part of it (0 to 1) is kept."""

    type: ClassVar[str] = "retention_ratio"
    retention_ratio: float
    token_limits: Maybe[TokenLimits] = UNSET


Truncation: TypeAlias = str | RealtimeTruncationRetentionRatio | dict[str, Any]
"""`auto`, `disabled`, or by ratio."""


@frozen(kw_only=True)
class RealtimeSessionCreateRequest(Model):
    """A session that converses.

    :ivar type: `realtime`; a server refuses an update without it.
    :ivar id: of the server's making, as are `object` and `expires_at` (Unix seconds); in the
        reference they stand in RealtimeSessionCreateResponse.
    """

    type: Maybe[str] = UNSET
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    model: Maybe[str] = UNSET
    expires_at: Maybe[int] = UNSET
    output_modalities: Maybe[tuple[str, ...]] = UNSET
    instructions: Maybe[str] = UNSET
    audio: Maybe[RealtimeAudioConfig] = UNSET
    tools: Maybe[tuple[Tool, ...]] = UNSET
    tool_choice: Maybe[ToolChoice] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    max_output_tokens: Maybe[int | str] = UNSET
    include: Maybe[tuple[str, ...]] = UNSET
    reasoning: Maybe[RealtimeReasoning] = UNSET
    prompt: Maybe[ResponsePrompt] = UNSET
    tracing: Maybe[str | TracingConfiguration] = UNSET
    truncation: Maybe[Truncation] = UNSET


@frozen(kw_only=True)
class RealtimeTranscriptionSessionAudio(Model):
    """Audio of a session that only transcribes: there is no output."""

    input: Maybe[RealtimeAudioConfigInput] = UNSET


@frozen(kw_only=True)
class RealtimeTranscriptionSessionCreateRequest(Model):
    """A session that only transcribes."""

    type: ClassVar[str] = "transcription"
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    expires_at: Maybe[int] = UNSET
    audio: Maybe[RealtimeTranscriptionSessionAudio] = UNSET
    include: Maybe[tuple[str, ...]] = UNSET


Session: TypeAlias = RealtimeSessionCreateRequest | RealtimeTranscriptionSessionCreateRequest
