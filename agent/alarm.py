"""A call at a time that may be set anew."""

from collections.abc import Callable

import trio


class Alarm:
    """Calls back once, at the time that was set last.

    :param ring: what is called; it does not wait.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._at = float("inf")
        self._was_set = trio.Event()

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, in place of any earlier setting."""
        self._at = trio.current_time() + seconds
        self._was_set.set()

    async def run(self) -> None:
        """Ring whenever it is time."""
        while True:
            self._was_set = trio.Event()
            with trio.move_on_at(self._at):
                await self._was_set.wait()
            # It may have been set anew in the moment that it was due.
            if trio.current_time() >= self._at:
                self._at = float("inf")
                self._ring()
