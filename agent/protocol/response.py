"""The response object: what a client asks of one, what the server says of it, what it cost.

Named as `openai.types.realtime` names it.
"""

from typing import Any, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.items import ConversationItem
from agent.protocol.session import (
    RealtimeAudioConfig,
    RealtimeReasoning,
    ResponsePrompt,
)
from agent.protocol.tools import Tool, ToolChoice


@frozen(kw_only=True)
class ResponseError(Model):
    """Why a response failed; `Error` in the reference."""

    type: Maybe[str] = UNSET
    code: Maybe[str] = UNSET
    message: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeResponseStatus(Model):
    """Why a response ended as it did.

    :ivar type: completed, cancelled, incomplete or failed.
    :ivar reason: turn_detected, client_cancelled, max_output_tokens or content_filter.
    """

    type: Maybe[str] = UNSET
    reason: Maybe[str] = UNSET
    error: Maybe[ResponseError] = UNSET


@frozen(kw_only=True)
class CachedTokensDetails(Model):
    """Which of the input tokens had been read before."""

    text_tokens: Maybe[int] = UNSET
    audio_tokens: Maybe[int] = UNSET
    image_tokens: Maybe[int] = UNSET


@frozen(kw_only=True)
class RealtimeResponseUsageInputTokenDetails(Model):
    """What the model read."""

    text_tokens: Maybe[int] = UNSET
    audio_tokens: Maybe[int] = UNSET
    image_tokens: Maybe[int] = UNSET
    cached_tokens: Maybe[int] = UNSET
    cached_tokens_details: Maybe[CachedTokensDetails] = UNSET


@frozen(kw_only=True)
class RealtimeResponseUsageOutputTokenDetails(Model):
    """What the model gave.

    :ivar reasoning_tokens: of models that reason; captured, and not in the reference's types.
    """

    text_tokens: Maybe[int] = UNSET
    audio_tokens: Maybe[int] = UNSET
    reasoning_tokens: Maybe[int] = UNSET


@frozen(kw_only=True)
class RealtimeResponseUsage(Model):
    """Tokens that a response cost."""

    total_tokens: Maybe[int] = UNSET
    input_tokens: Maybe[int] = UNSET
    output_tokens: Maybe[int] = UNSET
    input_token_details: Maybe[RealtimeResponseUsageInputTokenDetails] = UNSET
    output_token_details: Maybe[RealtimeResponseUsageOutputTokenDetails] = UNSET


Metadata: TypeAlias = dict[str, Any]
"""Up to 16 texts of the client's own."""


@frozen(kw_only=True)
class RealtimeResponse(Model):
    """A response.

    :ivar status: in_progress, completed, cancelled, failed or incomplete.
    :ivar conversation_id: null for a response beside the conversation.
    """

    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    status: Maybe[str] = UNSET
    status_details: Maybe[RealtimeResponseStatus] = UNSET
    output: Maybe[tuple[ConversationItem, ...]] = UNSET
    conversation_id: Maybe[str] = UNSET
    output_modalities: Maybe[tuple[str, ...]] = UNSET
    max_output_tokens: Maybe[int | str] = UNSET
    audio: Maybe[RealtimeAudioConfig] = UNSET
    usage: Maybe[RealtimeResponseUsage] = UNSET
    metadata: Maybe[Metadata] = UNSET


@frozen(kw_only=True)
class RealtimeResponseCreateParams(Model):
    """What a client may ask of one response.

    :ivar conversation: `auto`, or `none` for a response beside the conversation.
    :ivar input: what it answers, in place of the conversation.
    """

    instructions: Maybe[str] = UNSET
    output_modalities: Maybe[tuple[str, ...]] = UNSET
    max_output_tokens: Maybe[int | str] = UNSET
    conversation: Maybe[str] = UNSET
    input: Maybe[tuple[ConversationItem, ...]] = UNSET
    metadata: Maybe[Metadata] = UNSET
    audio: Maybe[RealtimeAudioConfig] = UNSET
    tools: Maybe[tuple[Tool, ...]] = UNSET
    tool_choice: Maybe[ToolChoice] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    prompt: Maybe[ResponsePrompt] = UNSET
    reasoning: Maybe[RealtimeReasoning] = UNSET
