"""The model's errors, told apart by what they end: the call, one response, or nothing."""

import enum
from typing import Final

from agent.protocol.base import Maybe


class Severity(enum.Enum):
    """What an error ends."""

    FATAL = "fatal"
    """The key, the account, the model or the session: no later event can succeed."""
    TURN = "turn"
    """One request or one response; the next may succeed."""
    HARMLESS = "harmless"
    """Our request crossed an event of the server's that made it pointless."""


_FATAL: Final = frozenset(
    {
        "invalid_api_key",
        "insufficient_quota",
        "invalid_model",
        "missing_model",
        "model_not_found",
        "beta_api_shape_disabled",
        "session_expired",
    }
)
_HARMLESS: Final = frozenset(
    {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "item_truncate_invalid_item_id",
        "item_not_found",
    }
)


def severity(code: Maybe[str]) -> Severity:
    """What an error with this code ends.

    The codes are those of captured sessions; one that is not known costs a turn at most, because
    a server that means to end the session closes the socket.
    """
    if code in _FATAL:
        return Severity.FATAL
    return Severity.HARMLESS if code in _HARMLESS else Severity.TURN
