"""Watching one agent process: that it lives, and how much memory it takes."""

import logging
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

_log = logging.getLogger(__name__)


@frozen
class Fault:
    """What is wrong with a process.

    :ivar kind: `stuck` or `memory`.
    """

    kind: str
    words: str


async def watch(process: AgentProcess, memory_limit: int | None) -> Fault:
    """Watch a process until something is wrong with it, and have it end: one that is stuck at once,
    after its stacks were written to its output; one that takes too much memory in order.

    :param memory_limit: bytes; None: there is none.
    :returns: what is wrong, when it has been told to end.
    """
    has_warned = False
    await process.warm.wait()  # until then it imports, which may take its time
    process.heard_at = looked_at = trio.current_time()
    while True:
        await trio.sleep(LOOK_EVERY_S)
        now = trio.current_time()
        if now - looked_at > LOOK_EVERY_S + LATE_S:
            process.heard_at = now
        looked_at = now
        if now - process.heard_at >= STUCK_S:
            _log.error("agent process %d is stuck: its stacks follow, and its end", process.pid)
            await process.dump_and_kill()
            return Fault("stuck", f"it was stuck: not a word for {STUCK_S:g} s")
        if memory_limit is None:
            continue
        taken = f"{process.memory_bytes / 2**20:.0f} MB of {memory_limit / 2**20:.0f}"
        if process.memory_bytes > memory_limit:
            process.end()
            return Fault("memory", f"it took too much memory: {taken}")
        if process.memory_bytes > WARN_AT * memory_limit and not has_warned:
            has_warned = True
            _log.warning("agent process %d: much memory: %s", process.pid, taken)
