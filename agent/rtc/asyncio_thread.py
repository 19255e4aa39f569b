"""An asyncio loop on a thread of its own, as a Trio context manager.

Agora's wrapper wants a running asyncio loop, and its native library may take its time in any call.
Both are kept here, away from Trio's thread: what is run here is waited for with a deadline, and a
thread that does not come back is left behind rather than waited for.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import outcome
import trio

CLOSE_S: Final = 0.5
"""How long a thread may take to end once all that it ran was told to: it only has to notice."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_asyncio_thread(name: str) -> AsyncIterator["AsyncioThread"]:
    """Run an asyncio loop on a thread. When the context exits, its tasks are cancelled.

    The thread has ended then, too, unless it is stuck in a call of a foreign library: then a
    warning says so, and it is left to the end of the process, which does not wait for it.

    :param name: the thread's name.
    :raises OSError: no loop can be made, for lack of file descriptors.
    """
    thread = AsyncioThread(name)
    try:
        await thread.start()
        yield thread
    finally:
        await thread.close()


class AsyncioThread:
    """Runs coroutines for Trio; made by `open_asyncio_thread`.

    :ivar ended: set when the thread has ended.
    """

    def __init__(self, name: str) -> None:
        self.ended = trio.Event()
        self._started = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: a native call that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._end: outcome.Outcome[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    async def run(
        self, function: Callable[..., Awaitable[T]], *arguments: Any, within_s: float
    ) -> T:
        """Await a coroutine function on the loop, and give what it returns or raises.

        Cancelled, or too slow, the coroutine is told to cancel and is not waited for.

        :param within_s: seconds that it may take.
        :raises trio.TooSlowError: it took longer, or the thread has ended or is stuck.
        """
        job = _Job(self._tell)
        self._call(job.start, function, arguments)
        try:
            with trio.fail_after(within_s):
                await job.done.wait()
        finally:
            if job.result is None:
                self._call(job.cancel)
        assert job.result is not None
        result: T = job.result.unwrap()
        return result

    def post(self, function: Callable[[], Any]) -> None:
        """Have a function called by the loop whenever it is free, also when it is being closed.

        Nobody hears of what it returns or raises, but asyncio's log.
        """
        self._call(function)

    async def start(self) -> None:
        """Start the thread and wait until its loop runs."""
        self._thread.start()
        # Starting waits for nobody else: it either runs in a moment or has failed. Cancelled in its
        # midst, there would be nothing yet that could be told to end.
        with trio.CancelScope(shield=True):
            await self._started.wait()
        if self._loop is None and self._end is not None:
            self._end.unwrap()

    async def close(self) -> None:
        """Cancel what runs, and let the thread end."""
        if self._stop is not None:  # else it has not even begun
            self._call(self._stop.set)
        with trio.move_on_after(CLOSE_S, shield=True):
            await self.ended.wait()
        if self.ended.is_set():
            self._thread.join()  # nothing but its own return lies between
        else:
            _log.warning("the thread %s is stuck and is left behind", self._thread.name)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: the thread has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    def _tell(self, function: Callable[[], Any]) -> None:
        """Have a function called by Trio, from the thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)

    # -- on the thread -------------------------------------------------------------------------

    def _serve(self) -> None:
        self._end = outcome.capture(self._run_loop)
        self._tell(self._started.set)
        self._tell(self.ended.set)

    def _run_loop(self) -> None:
        # The runner cancels what is left of tasks, and closes the loop.
        with asyncio.Runner() as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tell(self._started.set)
        await self._stop.wait()


class _Job:
    """One coroutine on its way through the loop."""

    def __init__(self, tell: Callable[[Callable[[], Any]], None]) -> None:
        self.done = trio.Event()
        self.result: outcome.Outcome[Any] | None = None
        self._tell = tell
        self._task: asyncio.Task[Any] | None = None

    def start(self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        self._task = asyncio.ensure_future(self._run(function, arguments))

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(
        self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]
    ) -> None:
        result = await outcome.acapture(function, *arguments)
        # asyncio's own cancellation is not to be raised in Trio: nobody waits for it there.
        if not (isinstance(result, outcome.Error) and _is_cancelled(result.error)):
            self._tell(lambda: self._finish(result))

    def _finish(self, result: outcome.Outcome[Any]) -> None:
        self.result = result
        self.done.set()


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError)
