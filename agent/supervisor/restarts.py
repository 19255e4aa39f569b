"""When an agent that failed is started again: soon, then later, and not without end."""

from collections import deque
from typing import Final

from attrs import define, field

FIRST_S: Final = 0.5
"""The person is waiting; but what failed because something else was restarting needs a moment."""
LONGEST_S: Final = 8.0
"""A person does not wait longer."""
LIMIT: Final = 5
"""Failures within `WITHIN_S`: whatever it is, it will not go away by itself."""
WITHIN_S: Final = 120.0


@define
class Restarts:
    """The failures of one agent.

    :param allowed: false: it is never started again.
    """

    allowed: bool
    _failures: deque[float] = field(factory=lambda: deque(maxlen=LIMIT))

    def after(self, now: float) -> float | None:
        """It has failed.

        :param now: seconds, of any origin.
        :returns: the seconds after which it is to be started again; None: it is not.
        """
        if not self.allowed:
            return None
        self._failures.append(now)
        recent = [at for at in self._failures if now - at < WITHIN_S]
        if len(recent) >= LIMIT:
            return None
        return min(LONGEST_S, FIRST_S * 2.0 ** (len(recent) - 1))
