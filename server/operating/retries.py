"""What an answer to a webhook means, and how long to wait for the next try. No clock, no I/O."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_S: Final = 1.0
"""Before the second try; twice as long before each further one."""
LONGEST_S: Final = 60.0
"""Between two tries, unless the receiver names a time itself."""
RETRY_AFTER_S: Final = 300.0
"""As long as a receiver may put a record off."""
MAX_TRIES: Final = 10
"""With the times above some 3 to 5 minutes: a receiver's restart or its deployment."""
_TOO_MANY: Final = 429


def is_taken(status: int) -> bool:
    """The receiver has the record."""
    return 200 <= status < 300


def is_worth_a_retry(status: int) -> bool:
    """It may take it another time. What else it refuses, redirects among it, it would again."""
    return status >= 500 or status == _TOO_MANY


def delay_s(tries: int, random: float, asked_s: float | None) -> float:
    """How long to wait.

    :param tries: that were made.
    :param random: 0 to 1. Receivers that come back are not met by all senders at once.
    :param asked_s: what the receiver's Retry-After says.
    """
    backoff: float = min(LONGEST_S, FIRST_S * 2 ** (tries - 1))
    wanted = backoff * (0.5 + random / 2)
    return wanted if asked_s is None else max(wanted, min(asked_s, RETRY_AFTER_S))


def retry_after_s(header: str | None, now: float) -> float | None:
    """What a Retry-After asks for: seconds, or a date.

    :param now: seconds since 1970.
    :returns: None where it says nothing that can be understood.
    """
    if header is None:
        return None
    if header.isascii() and header.isdigit() and len(header) < 10:
        return float(header)
    try:
        date = parsedate_to_datetime(header)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError, TypeError):  # dates of no calendar
        return None
