"""Processes that are kept ready: one at a time, never while a call begins, never a dead one."""

from collections import deque
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.supervisor.pool import CALM_S, RETRY_S, WARM_S, Pool

WARMING_S = 0.4


class FakeProcess:
    """A process that gets warm by itself, unless it cannot."""

    def __init__(self, pid: int, nursery: trio.Nursery, *, works: bool = True) -> None:
        self.pid = pid
        self.warm, self.closed, self.taken = trio.Event(), trio.Event(), trio.Event()
        self.memory_bytes, self.deaf = 0, False
        self.last_lines = deque([f"line of {pid}"])
        self.began_at = trio.current_time()
        if works:
            nursery.start_soon(self._get_warm)

    async def _get_warm(self) -> None:
        await trio.sleep(WARMING_S)
        self.warm.set()

    @property
    def heard_at(self) -> float:
        return float("-inf") if self.deaf else trio.current_time()

    @heard_at.setter
    def heard_at(self, _: float) -> None:
        pass

    async def dump_and_kill(self) -> None:
        self.closed.set()
        await trio.lowlevel.checkpoint()

    def end(self) -> None:
        self.closed.set()


class Launcher:
    """Launches processes, of which some do not work."""

    def __init__(self, nursery: trio.Nursery, size: int = 2) -> None:
        self.launched: list[FakeProcess] = []
        self.works = True
        self.fault: OSError | None = None
        self._nursery = nursery
        self.pool = Pool(size, self.launch)
        nursery.start_soon(self.pool.run)

    async def launch(self) -> Any:
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        process = FakeProcess(len(self.launched), self._nursery, works=self.works)
        self.launched.append(process)
        return process


async def test_the_pool_fills_one_at_a_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    it = Launcher(nursery, size=3)
    await trio.sleep(10)
    assert it.pool.pids() == [0, 1, 2]
    began = [process.began_at for process in it.launched]
    pauses = [later - sooner for sooner, later in pairwise(began)]
    assert pauses == pytest.approx([WARMING_S] * 2)


async def test_what_is_taken_is_replaced_when_it_is_calm(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    it = Launcher(nursery)
    await trio.sleep(10)
    for _ in range(4):
        await it.pool.take()
        taken_at = trio.current_time()
        await trio.sleep(CALM_S / 2)
    # Two were warm; for the others there was no time, so that they were launched for the call.
    assert len(it.launched) == 4
    await trio.sleep(10)
    assert it.pool.pids() == [4, 5]
    assert it.launched[4].began_at >= taken_at + CALM_S


async def test_none_that_is_dead_is_given_away(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    it = Launcher(nursery)
    await trio.sleep(10)
    it.launched[0].closed.set()
    process: Any = await it.pool.take()
    assert process.pid == 1
    await trio.sleep(10)
    assert it.pool.pids() == [2, 3]
    it.launched[2].closed.set()
    await wait_all_tasks_blocked()
    assert "has died" in caplog.text
    await trio.sleep(10)
    assert it.pool.pids() == [3, 4]


@pytest.mark.parametrize("dies", [False, True])
async def test_one_that_does_not_get_warm_is_ended_and_tried_again_later(
    dies: bool, nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    it = Launcher(nursery, size=1)
    it.works = False
    await wait_all_tasks_blocked()
    if dies:
        it.launched[0].closed.set()
    await trio.sleep(WARM_S + RETRY_S / 2)
    assert it.launched[0].closed.is_set()
    assert "line of 0" in caplog.text
    assert not it.pool.fails
    it.works = True
    await trio.sleep(WARM_S + RETRY_S)
    assert len(it.pool) == 1
    assert not it.pool.fails


async def test_it_fails_where_none_is_warm_and_twice_none_got_so(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    it, seen = Launcher(nursery), []
    await trio.sleep(10)
    it.fault = BlockingIOError("no processes left")
    await it.pool.take()
    await trio.sleep(5 * RETRY_S)
    seen.append(it.pool.fails)  # one is left
    await it.pool.take()
    await trio.sleep(RETRY_S)
    seen.append(it.pool.fails)
    it.fault = None
    await trio.sleep(2 * RETRY_S)
    seen.append(it.pool.fails)
    assert seen == [False, True, False]


async def test_a_machine_that_launches_nothing_is_tried_again_later(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    it = Launcher(nursery)
    it.fault = BlockingIOError("no processes left")
    await trio.sleep(RETRY_S / 2)
    assert "no processes left" in caplog.text
    with pytest.raises(BlockingIOError):
        await it.pool.take()
    it.fault = None
    await trio.sleep(2 * RETRY_S)
    assert len(it.pool) == 2


async def test_without_a_size_nothing_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    it = Launcher(nursery, size=0)
    await trio.sleep(10)
    process: Any = await it.pool.take()
    await trio.sleep(10)
    assert it.launched == [process]


async def test_one_that_is_stuck_while_it_waits_is_replaced(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    it = Launcher(nursery, size=1)
    await trio.sleep(10)
    it.launched[0].deaf = True
    await trio.sleep(30)
    assert it.launched[0].closed.is_set()
    assert it.pool.pids() == [1]


async def test_where_agents_start_all_the_time_some_are_warm(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    it = Launcher(nursery)
    warm = 0
    for _ in range(40):
        process: Any = await it.pool.take()
        warm += process.warm.is_set()
        await trio.sleep(CALM_S * 0.9)
    assert warm > 5
