"""What a server says of the session as a whole: its state, its limits, its errors."""

from typing import ClassVar

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.session import Session


@frozen(kw_only=True)
class RealtimeError(Model):
    """What was refused or failed.

    :ivar event_id: of the client's event that caused the error, where one did.
    """

    message: Maybe[str] = UNSET
    type: Maybe[str] = UNSET
    code: Maybe[str] = UNSET
    param: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeErrorEvent(Model):
    """Something was refused or failed; most sessions survive it."""

    type: ClassVar[str] = "error"
    error: RealtimeError
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class SessionCreatedEvent(Model):
    """The first event of a session."""

    type: ClassVar[str] = "session.created"
    session: Session
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class SessionUpdatedEvent(Model):
    """A `session.update` was taken; the whole session as it is now."""

    type: ClassVar[str] = "session.updated"
    session: Session
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class RateLimit(Model):
    """One limit of the account's: `requests` or `tokens`."""

    name: Maybe[str] = UNSET
    limit: Maybe[int] = UNSET
    remaining: Maybe[int] = UNSET
    reset_seconds: Maybe[float] = UNSET


@frozen(kw_only=True)
class RateLimitsUpdatedEvent(Model):
    """What is left of the account's limits."""

    type: ClassVar[str] = "rate_limits.updated"
    rate_limits: tuple[RateLimit, ...]
    event_id: Maybe[str] = UNSET
