"""The threads that the library calls back on."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from attrs import define, field

FRAME_S = 0.01
JOIN_LIMIT_S = 2.0


@define(order=True)
class Job:
    """Something to do at its time, unless it is called off before."""

    at: float
    number: int
    do: Callable[[], None] = field(order=False)
    is_off: bool = field(default=False, order=False)

    def call_off(self) -> None:
        self.is_off = True


class LibraryThread(threading.Thread):
    """A thread of the library's own. Calling the SDK from one of them is against its rules."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)

    def stop(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Stop it, and wait for it where that is possible."""
        self.stop()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(JOIN_LIMIT_S)


class CallbackThread(LibraryThread):
    """Does jobs one after the other, each at its time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._condition = threading.Condition()
        self._jobs: list[Job] = []
        self._numbers = itertools.count()
        self._is_over = False

    def after(self, delay_s: float, do: Callable[[], None]) -> Job:
        """Do it in so many seconds. The thread begins with its first job."""
        with self._condition:
            job = Job(time.monotonic() + max(delay_s, 0), next(self._numbers), do)
            heapq.heappush(self._jobs, job)
            if self.ident is None and not self._is_over:
                self.start()
            self._condition.notify()
        return job

    def stop(self) -> None:
        with self._condition:
            self._is_over = True
            self._condition.notify()

    def run(self) -> None:
        while (job := self._next()) is not None:
            if not job.is_off:
                job.do()

    def _next(self) -> Job | None:
        with self._condition:
            while not self._is_over:
                wait_s = self._jobs[0].at - time.monotonic() if self._jobs else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._jobs)
                self._condition.wait(wait_s)
        return None


class ClockThread(LibraryThread):
    """Does the same every 10 ms of an absolute clock: what it missed it makes up for."""

    def __init__(self, name: str, tick: Callable[[float], None]) -> None:
        super().__init__(name)
        self._tick = tick
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        began = time.monotonic()
        for count in itertools.count(1):
            due = began + count * FRAME_S
            if self._over.wait(max(due - time.monotonic(), 0)):
                return
            self._tick(due)
