"""The bridge from the SDK's threads to Trio, in real time: what is lost, what is late.

A foreign thread gives 100 frames a second to the very object that Agora's SDK calls, while Trio's
loop is idle, is busy with other tasks for four fifths of the time, or stands still now and then.
The latency is counted from the last frame of an append on the thread to the append in the uplink.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import Any, Final, cast

import trio
from attrs import frozen

from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.agora_sdk import Ears
from agent.rtc.handover import AudioHandover
from bench.audio import numbers_in
from bench.measure import Figures, percentile
from bench.source import running_source

TASKS: Final = 8
BUSY_S: Final = 0.001
"""What each task computes at a time, and"""
REST_S: Final = 0.002
"""what it then waits."""
STALLS: Final = ((0.3, 2.0), (0.8, 4.0))
"""For how long, and how often, the loop stands still; the second is more than may wait."""
ON_THE_WAY_S: Final = 0.6
"""More than may wait: what was handed over before has arrived or is lost."""
UID: Final = "7"


@frozen
class _Frame:
    """What the SDK gives, as far as it is looked at."""

    buffer: bytearray
    samples_per_sec: int = 24_000
    channels: int = 1
    bytes_per_sample: int = 2


class _Listener:
    listens_to = UID

    def told(self, what: str, *details: Any) -> None:
        """Nothing happens here but audio."""


async def measure_bridge(seconds: float) -> Figures:
    """Figures of the bridge; the busy loop is measured for six times as long.

    :param seconds: of each of the other measurements.
    """
    figures = await _measure("calm", seconds, trio.sleep_forever)
    figures |= await _measure("busy", 6 * seconds, _be_busy)
    for stall_s, every_s in STALLS:
        name = f"stall_{int(stall_s * 1000)}"
        figures |= await _measure(name, seconds, partial(_stall, stall_s, every_s))
    return figures


async def _measure(name: str, seconds: float, load: Callable[[], Awaitable[None]]) -> Figures:
    audio = AudioHandover(warn_at=1000)
    listener = cast(AgoraChannel, _Listener())
    ears = Ears(listener, audio, trio.lowlevel.current_trio_token())
    got: list[tuple[int, float]] = []

    def give(frame: bytes) -> None:
        ears.hear(None, "", UID, _Frame(bytearray(frame)), -1, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        with running_source(give) as source:
            with trio.move_on_after(seconds):
                await _receive(audio, got)
        nursery.cancel_scope.cancel()
    return _figures(name, got, source.handed, audio.dropped)


async def _receive(audio: AudioHandover, got: list[tuple[int, float]]) -> None:
    while True:
        pcm = await audio.receive()
        now = time.monotonic()
        got += [(number, now) for number in numbers_in(pcm)]


def _figures(name: str, got: list[tuple[int, float]], handed: list[float], dropped: int) -> Figures:
    numbers = [number for number, _ in got]
    last_of_appends = {at: number for number, at in got}
    late = [1000 * (at - handed[number]) for at, number in last_of_appends.items()]
    # What came so shortly before the end may still have been on its way.
    last = got[-1][1] - ON_THE_WAY_S
    due = {number for number, at in enumerate(handed) if at < last}
    missing = len(due - set(numbers))
    return {
        f"bridge_{name}_p50": percentile(late, 0.5),
        f"bridge_{name}_p99": percentile(late, 0.99),
        f"bridge_{name}_max": max(late),
        f"bridge_{name}_frames": len(numbers),
        # By policy: an append that is dropped is two frames.
        f"bridge_{name}_dropped": 2 * dropped,
        f"bridge_{name}_lost": missing - 2 * dropped,
        f"bridge_{name}_disorder": sum(later <= earlier for earlier, later in pairwise(numbers)),
    }


async def _be_busy() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(_work)


async def _work() -> None:
    while True:
        _compute(BUSY_S)
        await trio.sleep(REST_S)


async def _stall(stall_s: float, every_s: float) -> None:
    while True:
        await trio.sleep(every_s - stall_s)
        _compute(stall_s)


def _compute(seconds: float) -> None:
    """Keep the loop's thread busy, as Python code does: the other thread gets its turn."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
