"""What the session says to the rest of the model.

It is kept as the JSON that clients see, because an update (updates.py) is a partial one of just
that.
"""

from typing import Any, Final

from attrs import frozen

from agent.embedded.formats import format_name
from agent.embedded.history import History
from agent.embedded.models import limits_of
from agent.embedded.usage import prompt_tokens
from agent.protocol.codec import from_json
from agent.protocol.session import (
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
    Session,
)

Json = dict[str, Any]

_SEMANTIC_SILENCE_MS: Final = {"low": 1_000, "medium": 500, "auto": 500, "high": 250}
"""How long semantic_vad waits, by its eagerness. The service goes by the meaning of what was said,
for at most 8, 4 or 2 s; the embedded model has no sense for it, and goes by silence alone."""
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
        silence_duration_ms=_silence_ms(detection),
        create_response=answers and detection["create_response"],
        interrupt_response=answers and detection["interrupt_response"],
        idle_timeout_ms=detection.get("idle_timeout_ms"),
    )


def _silence_ms(detection: Json) -> int:
    if detection["type"] == "semantic_vad":
        return _SEMANTIC_SILENCE_MS[detection["eagerness"]]
    silence_ms: int = detection["silence_duration_ms"]
    return silence_ms


def idle_timeout_ms(session: Json) -> int | None:
    """After so long without speech the model speaks by itself; None: it never does."""
    rules = turn_rules(session)
    return None if rules is None else rules.idle_timeout_ms


def session_object(session: Json) -> Session:
    """The session as events tell it."""
    if is_transcription(session):
        return from_json(session, RealtimeTranscriptionSessionCreateRequest)
    return from_json(session, RealtimeSessionCreateRequest)


def remember(history: History, session: Json) -> None:
    """Have as much remembered as the session says; instructions and tools share the window."""
    if is_transcription(session):
        return
    room = limits_of(session["model"]).context
    room -= prompt_tokens(session["instructions"], session["tools"])
    truncation = session["truncation"]
    if isinstance(truncation, str):
        history.obey(room, None if truncation == "disabled" else 1.0)
        return
    limit = (truncation.get("token_limits") or {}).get("post_instructions")
    history.obey(room if limit is None else min(limit, room), truncation["retention_ratio"])
