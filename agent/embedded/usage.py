"""The bill that nobody pays: usage and rate limits in the service's own shape."""

from typing import Any, Final

import orjson
from attrs import frozen

from agent.embedded.history import text_tokens
from agent.protocol.base import UNSET
from agent.protocol.response import (
    CachedTokensDetails,
    RealtimeResponseUsage,
    RealtimeResponseUsageInputTokenDetails,
    RealtimeResponseUsageOutputTokenDetails,
)
from agent.protocol.server_events import (
    RateLimit,
    UsageTranscriptTextUsageDuration,
    UsageTranscriptTextUsageTokens,
    UsageTranscriptTextUsageTokensInputTokenDetails,
)

_TOKEN_LIMIT: Final = 40_000
_RESET_SECONDS: Final = 60.0
MAX_PROMPT_TOKENS: Final = 16_384
"""What instructions and tools may take together, as documented."""
_CACHED_STEP: Final = 64
"""Cached tokens are counted in steps of so many, as captured."""


def prompt_tokens(instructions: str, tools: Any) -> int:
    """What the model reads ahead of the conversation.

    :param tools: their JSON, as the client declared them.
    """
    declared = orjson.dumps(tools).decode() if tools else ""
    return text_tokens(instructions) + text_tokens(declared)


@frozen
class Read:
    """What the model reads for a response, in tokens, and what of it it had read before."""

    text: int = 0
    audio: int = 0
    cached_text: int = 0
    cached_audio: int = 0

    def after(self, before: "Read") -> "Read":
        """The same after the model has read this much `before`, from the same beginning."""
        cached_text = min(self.text, before.text) // _CACHED_STEP * _CACHED_STEP
        cached_audio = min(self.audio, before.audio) // _CACHED_STEP * _CACHED_STEP
        return Read(self.text, self.audio, cached_text, cached_audio)


@frozen
class Given:
    """What the model gives, in tokens."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: "Given") -> "Given":
        return Given(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """Tokens of both kinds."""
        return self.text + self.audio


def cost(read: Read, given: Given, *, reasons: bool) -> RealtimeResponseUsage:
    """What a response cost.

    :param reasons: the model is one whose usage tells tokens of reasoning, here always 0.
    """
    tokens_read = read.text + read.audio
    cached = CachedTokensDetails(
        text_tokens=read.cached_text, audio_tokens=read.cached_audio, image_tokens=0
    )
    return RealtimeResponseUsage(
        total_tokens=tokens_read + given.total,
        input_tokens=tokens_read,
        output_tokens=given.total,
        input_token_details=RealtimeResponseUsageInputTokenDetails(
            text_tokens=read.text,
            audio_tokens=read.audio,
            image_tokens=0,
            cached_tokens=read.cached_text + read.cached_audio,
            cached_tokens_details=cached,
        ),
        output_token_details=RealtimeResponseUsageOutputTokenDetails(
            text_tokens=given.text,
            audio_tokens=given.audio,
            reasoning_tokens=0 if reasons else UNSET,
        ),
    )


def transcription_usage(
    model: str | None, seconds: float, transcript_tokens: int
) -> UsageTranscriptTextUsageDuration | UsageTranscriptTextUsageTokens:
    """What a transcription cost: whisper counts time, the others count tokens."""
    if model == "whisper-1":
        return UsageTranscriptTextUsageDuration(seconds=round(seconds, 2))
    audio = round(seconds * 10)
    return UsageTranscriptTextUsageTokens(
        total_tokens=audio + transcript_tokens,
        input_tokens=audio,
        input_token_details=UsageTranscriptTextUsageTokensInputTokenDetails(
            text_tokens=0, audio_tokens=audio
        ),
        output_tokens=transcript_tokens,
    )


def rate_limits() -> tuple[RateLimit, ...]:
    """The limits, of which nothing is ever used up."""
    limit = RateLimit(
        name="tokens",
        limit=_TOKEN_LIMIT,
        remaining=_TOKEN_LIMIT,
        reset_seconds=_RESET_SECONDS,
    )
    return (limit,)
