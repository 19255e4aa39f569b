"""The person: a thread that hands over a frame every 10 ms, as an RTC library's does."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.audio import FRAME_S, numbered_frame


class Source:
    """One thread's frames.

    :param give: takes each frame, on the thread.
    :ivar handed: when each frame was handed over, by its number.
    """

    def __init__(self, give: Callable[[bytes], None]) -> None:
        self.handed: list[float] = []
        self._give = give
        self._stopped = False

    def run(self) -> None:
        """Hand over frames until `stop`, to absolute deadlines."""
        # Many of these on one machine are not in step with each other.
        began = time.monotonic() + random.uniform(0, 2 * FRAME_S)
        while not self._stopped:
            number = len(self.handed)
            frame = numbered_frame(number)
            wait = began + number * FRAME_S - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self.handed.append(time.monotonic())
            self._give(frame)

    def stop(self) -> None:
        """Hand over no more."""
        self._stopped = True


@contextmanager
def running_source(give: Callable[[bytes], None]) -> Iterator[Source]:
    """A source on a thread of its own, which has ended when the context exits."""
    source = Source(give)
    thread = threading.Thread(target=source.run, name="source")
    thread.start()
    try:
        yield source
    finally:
        source.stop()
        thread.join()
