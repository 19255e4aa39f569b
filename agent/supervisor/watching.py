"""Watching one agent process: that it lives, and how much memory it takes."""

import logging
from collections.abc import Callable
from typing import Final

import trio
from attrs import frozen

from agent.supervisor.process import AgentProcess

STUCK_S: Final = 10.0
"""Without a word, of which there is one a second. Less would find fault with a machine that is
overloaded for moments; the child's own watchdog waits longer."""
LOOK_EVERY_S: Final = 1.0
LATE_S: Final = 2.0
"""A look that is so much too late finds words that wait unheard: it was we who stood."""
WARN_AT: Final = 0.8
"""Of the limit of memory."""
KILL_AT: Final = 1.5
"""Of the limit: one that is told to end and goes on to grow has no time left to do it in order."""

_log = logging.getLogger(__name__)


@frozen
class Fault:
    """What is wrong with a process.

    :ivar kind: `stuck` or `memory`.
    """

    kind: str
    words: str


async def watch(
    process: AgentProcess, memory_limit: int | None, on_fault: Callable[[Fault], None]
) -> None:
    """Watch a process until something is wrong with it, and have it end.

    One that is stuck is killed, after its stacks were written to its output. One that takes too
    much memory ends in order; it is killed if it does not get to that and takes ever more.

    :param memory_limit: bytes; None: there is none.
    :param on_fault: is told what is wrong, once, before the process is told to end.
    """
    await process.warm.wait()  # until then it imports, which may take its time
    process.heard_at = trio.current_time()
    async with trio.open_nursery() as nursery:
        if memory_limit is not None:
            nursery.start_soon(_watch_memory, process, memory_limit, on_fault)
        await _hear(process)
        on_fault(Fault("stuck", f"it was stuck: not a word for {STUCK_S:g} s"))
        nursery.cancel_scope.cancel()
    _log.error("agent process %d is stuck: its stacks follow, and its end", process.pid)
    await process.dump_and_kill()


async def _hear(process: AgentProcess) -> None:
    """Return when it has not said a word for too long."""
    looked_at = trio.current_time()
    while True:
        await trio.sleep(LOOK_EVERY_S)
        now = trio.current_time()
        if now - looked_at > LOOK_EVERY_S + LATE_S:
            process.heard_at = now
        looked_at = now
        if now - process.heard_at >= STUCK_S:
            return


async def _watch_memory(
    process: AgentProcess, limit: int, on_fault: Callable[[Fault], None]
) -> None:
    await _wait_for_memory(process, WARN_AT * limit)
    share = _share(process, limit)
    _log.warning("agent process %d: much memory: %s", process.pid, share)
    if process.memory_bytes <= limit:
        await _wait_for_memory(process, limit)
    on_fault(Fault("memory", f"it took too much memory: {_share(process, limit)}"))
    process.end()  # and has a second at least
    await _wait_for_memory(process, KILL_AT * limit)
    process.kill()


async def _wait_for_memory(process: AgentProcess, more_than: float) -> None:
    while True:
        await trio.sleep(LOOK_EVERY_S)
        process.look_at_memory()
        if process.memory_bytes > more_than:
            return


def _share(process: AgentProcess, limit: int) -> str:
    return f"{process.memory_bytes / 2**20:.0f} MB of {limit / 2**20:.0f}"
