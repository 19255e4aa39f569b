"""What Agora's connection reasons mean, as errors of ours.

Numbers and meanings are those of the SDK's connectionchangedreasontype (Agora's client headers).
"""

from typing import Final

from agent.errors import AgentError, ChannelError, ConfigError

_WORDS: Final = {
    0: "it is being connected",
    2: "it was interrupted",
    3: "we were banned from the channel",
    4: "Agora could not be reached for 20 minutes",
    5: "it was left",
    6: "AGORA_APP_ID: Agora knows no such project",
    7: "channel_name: Agora takes it for a bad one",
    8: "AGORA_APP_CERT: Agora refused the token: the certificate is another project's, "
    "or it is unset and the project wants tokens, or this machine's clock is wrong",
    9: "the token expired",
    10: "Agora's server refused us",
    11: "the proxy's settings have changed",
    13: "our address has changed",
    14: "Agora does not answer any more",
    16: "the connection is lost",
    18: "our address was changed",
    19: "another member joined with our uid",
    20: "the channel has too many speakers",
    21: "the project's licence does not allow it",
}
_CONFIGURED: Final = frozenset({6, 7, 8, 9})
"""What refuses a join for something that is configured; 9 is a clock that is wrong by a day."""
FINAL: Final = frozenset({3, 4, 6, 7, 8, 9, 10, 19, 20, 21})
"""After these the SDK does not try again, whichever callback tells of them."""


def words(reason: int) -> str:
    """A reason in words, with its number."""
    return f"{_WORDS.get(reason, 'for a reason that is not known here')} (Agora's reason {reason})"


def not_joined(reason: int) -> AgentError:
    """The error for a channel that could not be joined: the operator's fault where it is one."""
    if reason in _CONFIGURED:
        return ConfigError(words(reason))
    return ChannelError(f"the Agora channel could not be joined: {words(reason)}")


GONE: Final = {0: "quit", 1: "lost", 2: "became a listener"}
"""Why a user is gone (USER_OFFLINE_REASON_TYPE)."""

REFUSALS: Final = {
    -113: "not in the channel",
    -114: "longer than 1,024 bytes",
    -115: "too soon after others",
    -116: "no such data stream",
    -117: "timed out",
}
"""Why a data message was not taken (ERROR_CODE_TYPE)."""
TOO_LONG: Final = -114
