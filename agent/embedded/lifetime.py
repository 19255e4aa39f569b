"""How long a session lasts, and how it ends."""

from typing import Final

from attrs import frozen

from agent.embedded.forms.refusals import Refusal

SESSION_SECONDS: Final = 3600


@frozen
class Close:
    """The session is over: how to close the WebSocket."""

    code: int
    reason: str


@frozen
class Lifetime:
    """A session's time.

    :ivar began_at: in seconds on the session's clock.
    :ivar seconds: how long it may last.
    """

    began_at: float
    seconds: float

    @property
    def ends_at(self) -> float:
        """In seconds on the session's clock."""
        return self.began_at + self.seconds

    @property
    def expired(self) -> Refusal:
        """The error that comes first, in the service's words."""
        minutes, rest = divmod(self.seconds, 60)
        duration = f"{self.seconds:g} seconds" if rest else f"{minutes:g} minutes"
        message = f"Your session hit the maximum duration of {duration}."
        return Refusal("session_expired", message)

    @property
    def end(self) -> Close:
        """How the WebSocket is closed then."""
        return Close(1001, self.expired.message)
