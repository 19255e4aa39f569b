"""How far ahead, and in which steps: what playout costs, and how often it is late.

Playout alone, of one endless answer, in this process: its CPU while the machine is idle, and the
gaps that a listener would have heard while each core has a busy process of somebody else's. The
listener plays on a clock of its own, and is dry when a piece comes after its time.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import trio

from agent.protocol.actions import PartKey
from agent.streams.downlink import Downlink
from bench.audio import FRAME_BYTES, FRAME_S

SETTINGS: Final = ((20, 10), (40, 20), (60, 20), (60, 40), (100, 40), (200, 100))
"""Leads and steps, ms."""
BUSY: Final = "import time; end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
_KEY: Final = PartKey("resp", "item", 0)


class Listener:
    """A line that counts its gaps.

    :ivar gaps: pieces that came after the one before had been played to its end.
    """

    def __init__(self) -> None:
        self.gaps = 0
        self._dry_at = float("inf")

    def play(self, pcm: bytes) -> None:
        """Take whole frames."""
        now = trio.current_time()
        self.gaps += now > self._dry_at
        start = now if self._dry_at == float("inf") else max(now, self._dry_at)
        self._dry_at = start + len(pcm) // FRAME_BYTES * FRAME_S

    def clear(self) -> None:
        """Nothing interrupts here."""

    def played(self) -> None:
        """It gives no receipts."""


async def measure_playout(seconds: float) -> dict[str, float]:
    """Figures by lead and step: CPU seconds a minute, and gaps a minute on a busy machine.

    :param seconds: for which each of them is played, once idle and once busy.
    """
    figures: dict[str, float] = {}
    for lead_ms, step_ms in SETTINGS:
        began = _cpu_s()
        await _play(lead_ms, step_ms, seconds)
        figures[f"lead_cpu_{lead_ms}_{step_ms}"] = (_cpu_s() - began) * 60 / seconds
        with _busy_cores(seconds + 1):
            gaps = await _play(lead_ms, step_ms, seconds)
        figures[f"lead_gaps_{lead_ms}_{step_ms}"] = gaps * 60 / seconds
    return figures


async def _play(lead_ms: int, step_ms: int, seconds: float) -> int:
    listener = Listener()
    downlink = Downlink(listener, lead_ms=lead_ms, step_ms=step_ms)
    downlink.play(_KEY, bytes(int((seconds + 1) / FRAME_S) * FRAME_BYTES))
    with trio.move_on_after(seconds):
        await downlink.run()
    return listener.gaps


@contextmanager
def _busy_cores(seconds: float) -> Iterator[None]:
    """A process for each core that does nothing but be busy, and ends by itself."""
    command = [sys.executable, "-c", BUSY.format(seconds=seconds)]
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        yield


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
