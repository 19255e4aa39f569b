"""Ends a process whose event loop stands still, though it be stuck in C with the GIL held.

`faulthandler` has a thread of its own in C, which needs neither the GIL nor the loop: unless it is
fed in time, it writes all stacks to standard error and exits with status 1. No supervisor is needed
for that.
"""

import faulthandler
import signal
import sys
from typing import Final

import trio

FED_EVERY_S: Final = 1.0
STUCK_S: Final = 15.0
"""Longer than a supervisor waits, who says more about it. A machine that is overloaded for moments,
or a slow import of a tool's, is no reason yet."""


class Watchdog:
    """The process's one watchdog.

    :ivar stuck_s: without being fed for so long, the process ends.
    """

    def __init__(self, stuck_s: float = STUCK_S) -> None:
        self.stuck_s = stuck_s
        self._deadline = float("inf")

    def feed(self) -> None:
        """The loop goes round."""
        self._arm(min(self.stuck_s, self._deadline - trio.current_time()))

    def end_within(self, seconds: float) -> None:
        """The process is to end; if it has not by then, it ends all the same, fed or not."""
        self._deadline = min(self._deadline, trio.current_time() + seconds)
        self.feed()

    async def run(self) -> None:
        """Feed it for as long as the loop goes round."""
        while True:
            self.feed()
            await trio.sleep(FED_EVERY_S)

    def _arm(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(max(seconds, 0.001), exit=True, file=sys.stderr)


def dump_on_signal() -> None:
    """Have SIGUSR2 write all stacks to standard error: what a supervisor asks of one that is stuck.

    The handler is in C, and works whatever the interpreter is at.
    """
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)
