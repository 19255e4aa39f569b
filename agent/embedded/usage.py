"""The bill that nobody pays: usage and rate limits in the service's own shape."""

from typing import Final

from attrs import frozen

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


@frozen
class RememberedTokens:
    """What the model read for an answer, in tokens."""

    text: int
    audio: int


def cost(remembered: RememberedTokens, text: int, audio: int) -> RealtimeResponseUsage:
    """What a response cost: what it read, and the tokens of text and audio that it gave."""
    read = remembered.text + remembered.audio
    return RealtimeResponseUsage(
        total_tokens=read + text + audio,
        input_tokens=read,
        output_tokens=text + audio,
        input_token_details=RealtimeResponseUsageInputTokenDetails(
            text_tokens=remembered.text,
            audio_tokens=remembered.audio,
            image_tokens=0,
            cached_tokens=0,
            cached_tokens_details=CachedTokensDetails(
                text_tokens=0, audio_tokens=0, image_tokens=0
            ),
        ),
        output_token_details=RealtimeResponseUsageOutputTokenDetails(
            text_tokens=text, audio_tokens=audio
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
