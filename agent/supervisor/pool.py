"""Warm agent processes: launched, everything imported, waiting for their options."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from agent.nurseries import first_of
from agent.supervisor.process import AgentProcess
from agent.supervisor.watching import watch

CALM_S: Final = 1.0
"""After a process was taken, before the next is made: importing takes half a second of a core, and
the call that begins is not to pay for it."""
LONGEST_CALM_S: Final = 5.0
"""Where agents start all the time."""
WARM_S: Final = 30.0
"""Within which a process is warm, on a machine that is very busy; else something is amiss."""
RETRY_S: Final = 10.0
"""After one that did not get warm: whatever is wrong will be wrong again."""
_FAILURES: Final = 2

_log = logging.getLogger(__name__)


class Pool:
    """A few warm processes.

    :param size: how many are kept; 0: none, and each start launches its own.
    :param launch: launches one, which is owned by somebody else.
    """

    def __init__(self, size: int, launch: Callable[[], Awaitable[AgentProcess]]) -> None:
        self._size, self._launch = size, launch
        self._ready: deque[AgentProcess] = deque()
        self._wanted = trio.Event()
        self._taken_at = float("-inf")
        self._failures = 0

    def __len__(self) -> int:
        return len(self._ready)

    def pids(self) -> list[int]:
        """Of those that are warm."""
        return [process.pid for process in self._ready]

    @property
    def fails(self) -> bool:
        """None is warm, and of late none gets so. One that does not may have had bad luck."""
        return not self._ready and self._failures >= _FAILURES

    async def take(self) -> AgentProcess:
        """A process for an agent: a warm one, or one that is just being launched.

        :raises OSError: none can be launched.
        """
        self._taken_at = trio.current_time()
        while self._ready:
            process = self._ready.popleft()
            self._wanted.set()
            process.taken.set()
            if not process.closed.is_set():
                return process
        return await self._launch()

    async def run(self) -> None:
        """Keep the pool filled, one at a time."""
        async with trio.open_nursery() as nursery:
            while True:
                while len(self._ready) >= self._size:
                    self._wanted = trio.Event()
                    await self._wanted.wait()
                await self._until_calm()
                if await self._add(nursery):
                    self._failures = 0
                else:
                    self._failures += 1
                    await trio.sleep(RETRY_S)

    async def _until_calm(self) -> None:
        latest = trio.current_time() + LONGEST_CALM_S
        calm_at = self._taken_at + CALM_S
        while trio.current_time() < calm_at:
            await trio.sleep_until(calm_at)
            # Another may have been taken meanwhile; but where that never ends, none would be made.
            calm_at = min(latest, self._taken_at + CALM_S)

    async def _add(self, nursery: trio.Nursery) -> bool:
        try:
            process = await self._launch()
        except OSError as error:
            _log.warning("no process can be kept ready: %s", error)
            return False
        with trio.move_on_after(WARM_S):
            await first_of(process.warm, process.closed)
        if process.closed.is_set() or not process.warm.is_set():
            last = process.last_lines[-1] if process.last_lines else "it said nothing"
            _log.warning("a process that was to be kept ready did not get so: %s", last)
            process.end()
            return False
        self._ready.append(process)
        nursery.start_soon(self._watch, process)
        return True

    async def _watch(self, process: AgentProcess) -> None:
        """Replace one that dies, or is stuck, while it waits."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, process, None, lambda _: None)
            await first_of(process.closed, process.taken)
            nursery.cancel_scope.cancel()
        if process in self._ready:
            _log.warning("a process that was kept ready has died")
            self._ready.remove(process)
            self._wanted.set()
