"""The model's errors, told apart by what they end: the call, one response, or nothing.

What an error ends depends on its code, and on the event of ours that caused it: a correction or
a cancellation that comes too late costs nobody anything, whatever the server calls it. An error
with a code that is not known costs a turn at most, because a server that means to end the session
closes the socket.
"""

import enum
from typing import Final

from agent.protocol.base import Maybe
from agent.protocol.client_events import (
    ConversationItemDeleteEvent,
    ConversationItemTruncateEvent,
    RealtimeClientEvent,
    ResponseCancelEvent,
)


class Severity(enum.Enum):
    """What an error ends."""

    FATAL = "fatal"
    """The key, the account, the model or the session: no later event can succeed."""
    TURN = "turn"
    """One request or one response; the next may succeed."""
    HARMLESS = "harmless"
    """Our request crossed an event of the server's that made it pointless."""


NOT_ACTIVE: Final = "response_cancel_not_active"
KNOWN: Final[dict[str, Severity]] = {
    # Captured or reported on the Realtime API's socket.
    "invalid_api_key": Severity.FATAL,
    "invalid_model": Severity.FATAL,
    "missing_model": Severity.FATAL,
    "model_not_found": Severity.FATAL,
    "beta_api_shape_disabled": Severity.FATAL,
    "insufficient_quota": Severity.FATAL,
    "session_expired": Severity.FATAL,
    # OpenAI's codes for an account, seen over HTTP.
    "account_deactivated": Severity.FATAL,
    "billing_not_active": Severity.FATAL,
    "rate_limit_exceeded": Severity.TURN,
    "inference_rate_limit_exceeded": Severity.TURN,
    "server_error": Severity.TURN,
    "invalid_event": Severity.TURN,
    "invalid_json": Severity.TURN,
    "invalid_value": Severity.TURN,
    "invalid_type": Severity.TURN,
    "unknown_parameter": Severity.TURN,
    "missing_required_parameter": Severity.TURN,
    "integer_below_min_value": Severity.TURN,
    "cannot_update_voice": Severity.TURN,
    "invalid_tool_call_id": Severity.TURN,
    "unsupported_content_type": Severity.TURN,
    NOT_ACTIVE: Severity.HARMLESS,
    "conversation_already_has_active_response": Severity.HARMLESS,
    "item_truncate_invalid_item_id": Severity.HARMLESS,
    "item_delete_invalid_item_id": Severity.HARMLESS,
    "item_not_found": Severity.HARMLESS,
    "input_audio_buffer_commit_empty": Severity.HARMLESS,
}
"""What an error with this code ends, where no event of ours makes it less."""

_CORRECTIONS: Final = (
    ResponseCancelEvent,
    ConversationItemTruncateEvent,
    ConversationItemDeleteEvent,
)


def in_words(message: Maybe[str], code: Maybe[str], kind: Maybe[str]) -> str:
    """An error for the log, whatever the server left out of it."""
    return f"{message or 'no reason given'} ({code or kind or 'no code'})"


def severity(code: Maybe[str], cause: RealtimeClientEvent | None = None) -> Severity:
    """What an error ends.

    :param cause: our event that it names.
    """
    known = KNOWN.get(code or "", Severity.TURN)
    if known is Severity.TURN and isinstance(cause, _CORRECTIONS):
        return Severity.HARMLESS
    return known
