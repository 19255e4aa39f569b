"""What the session says to the rest of the model.

It is kept as the JSON that clients see, because an update (updates.py) is a partial one of just
that.
"""

from typing import Any, Final

from attrs import frozen

from agent.embedded.formats import format_name
from agent.embedded.history import CONTEXT_TOKENS
from agent.protocol.codec import from_json
from agent.protocol.session import (
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
    Session,
)

Json = dict[str, Any]

# Under semantic_vad the embedded model waits for so long, whose sense for meaning it lacks.
_SEMANTIC_SILENCE_MS: Final = 500
_SEMANTIC_PADDING_MS: Final = 300
_SEMANTIC_THRESHOLD: Final = 0.5


@frozen
class TurnRules:
    """How turns are found, as the session says; times in milliseconds.

    :ivar idle_timeout_ms: after so long without speech the model speaks by itself; None: never.
    """

    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    create_response: bool
    interrupt_response: bool
    idle_timeout_ms: int | None = None


@frozen
class Memory:
    """What becomes of the oldest items when the conversation grows too long.

    :ivar limit: at most so many tokens are remembered.
    :ivar kept: beyond the limit the oldest are forgotten down to this part of it; None: none
        are, and there are no more answers.
    """

    limit: int = CONTEXT_TOKENS
    kept: float | None = 1.0


def is_transcription(session: Json) -> bool:
    """The session only transcribes."""
    return bool(session["type"] == "transcription")


def input_format(session: Json) -> str:
    """The name of the format in which the person's audio comes."""
    return format_name(session["audio"]["input"]["format"])


def wants_logprobs(session: Json) -> bool:
    """Transcripts are to tell how likely their tokens were."""
    return bool(session["include"])


def turn_rules(session: Json) -> TurnRules | None:
    """How turns are found; None where the client commits by itself."""
    detection = session["audio"]["input"]["turn_detection"]
    if detection is None:
        return None
    answers = not is_transcription(session)
    return TurnRules(
        threshold=detection.get("threshold", _SEMANTIC_THRESHOLD),
        prefix_padding_ms=detection.get("prefix_padding_ms", _SEMANTIC_PADDING_MS),
        silence_duration_ms=detection.get("silence_duration_ms", _SEMANTIC_SILENCE_MS),
        create_response=answers and detection["create_response"],
        interrupt_response=answers and detection["interrupt_response"],
        idle_timeout_ms=detection.get("idle_timeout_ms"),
    )


def idle_timeout_ms(session: Json) -> int | None:
    """After so long without speech the model speaks by itself; None: it never does."""
    rules = turn_rules(session)
    return None if rules is None else rules.idle_timeout_ms


def session_object(session: Json) -> Session:
    """The session as events tell it."""
    if is_transcription(session):
        return from_json(session, RealtimeTranscriptionSessionCreateRequest)
    return from_json(session, RealtimeSessionCreateRequest)


def memory(session: Json) -> Memory:
    """How much of the conversation is remembered."""
    truncation = session.get("truncation", "auto")
    if isinstance(truncation, str):
        return Memory(kept=None if truncation == "disabled" else 1.0)
    limits = truncation.get("token_limits") or {}
    limit = limits.get("post_instructions")
    return Memory(CONTEXT_TOKENS if limit is None else limit, truncation["retention_ratio"])
