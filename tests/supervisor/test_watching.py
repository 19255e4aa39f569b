"""What is found wrong with a process, when, and what is not; when it is started again."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from agent.supervisor import capacity
from agent.supervisor.capacity import AGENT_BYTES, PER_CORE, default_limit
from agent.supervisor.restarts import FIRST_S, LIMIT, LONGEST_S, WITHIN_S, Restarts
from agent.supervisor.watching import STUCK_S, Fault, watch

MB = 2**20


class FakeProcess:
    """A process that says what it is told to."""

    def __init__(self) -> None:
        self.pid = 1
        self.warm = trio.Event()
        self.warm.set()
        self.heard_at = float("-inf")
        self.memory_bytes = self.looks = 0
        self.ended: list[tuple[str, float]] = []

    def look_at_memory(self) -> None:
        self.looks += 1

    def kill(self) -> None:
        self.ended.append(("killed", trio.current_time()))

    async def dump_and_kill(self) -> None:
        await trio.lowlevel.checkpoint()
        self.ended.append(("killed", trio.current_time()))

    def end(self) -> None:
        self.ended.append(("ended", trio.current_time()))

    async def speak(self, seconds: float) -> None:
        ends_at = trio.current_time() + seconds
        while trio.current_time() < ends_at:
            self.heard_at = trio.current_time()
            await trio.sleep(1)


async def fault(process: Any, limit: int | None = None) -> Fault:
    """The first that is found."""
    found: list[Fault] = []
    with trio.CancelScope() as scope:

        def take(fault: Fault) -> None:
            found.append(fault)
            if fault.kind == "memory":
                scope.deadline = trio.current_time() + 5

        await watch(process, limit, take)
    return found[0]


async def test_a_process_that_is_silent_is_stuck(autojump_clock: MockClock) -> None:
    process = FakeProcess()
    found = await fault(process)
    assert found.kind == "stuck"
    [(how, at)] = process.ended
    assert how == "killed"
    assert STUCK_S <= at <= STUCK_S + 1


async def test_it_is_stuck_from_its_last_word_on(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    process = FakeProcess()
    nursery.start_soon(process.speak, 100)
    assert (await fault(process)).kind == "stuck"
    assert process.ended[0][1] == pytest.approx(100 + STUCK_S, abs=2)


async def test_it_is_not_stuck_because_we_were(mock_clock: MockClock) -> None:
    """A machine that slept: what was said meanwhile is not heard yet."""
    process = FakeProcess()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fault, process)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10 * STUCK_S)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(int(STUCK_S) - 1):
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
        assert not process.ended
        nursery.cancel_scope.cancel()


async def test_too_much_memory_ends_it_in_order_after_a_warning(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = FakeProcess()
    nursery.start_soon(process.speak, 1000)

    async def grow() -> None:
        for megabytes in (70, 85, 90, 100, 101):
            await trio.sleep(10)
            process.memory_bytes = megabytes * MB

    nursery.start_soon(grow)
    found = await fault(process, 100 * MB)
    assert found == Fault("memory", "it took too much memory: 101 MB of 100")
    [(how, at)] = process.ended
    assert how == "ended"
    assert 50 <= at <= 51
    warnings = [r.getMessage() for r in caplog.records if "much memory" in r.getMessage()]
    assert warnings == ["agent process 1: much memory: 85 MB of 100"]
    assert process.looks >= 50
    nursery.cancel_scope.cancel()


async def test_one_that_takes_ever_more_memory_is_killed_though_it_says_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Its loop stands still in the midst of what takes the memory: SIGTERM does not reach it."""
    process = FakeProcess()

    async def grow() -> None:
        while True:
            await trio.sleep(1)
            process.memory_bytes += 30 * MB

    nursery.start_soon(grow)
    assert (await fault(process, 100 * MB)).kind == "memory"
    assert [how for how, _ in process.ended] == ["ended", "killed"]
    assert process.ended[1][1] - process.ended[0][1] <= 3
    nursery.cancel_scope.cancel()


# -- restarts ----------------------------------------------------------------------------------


def test_a_failure_is_followed_by_a_start_soon_and_then_later() -> None:
    restarts = Restarts(allowed=True)
    waits = [restarts.after(float(now)) for now in range(LIMIT)]
    assert waits[:2] == [FIRST_S, 2 * FIRST_S]
    assert waits[-1] is None
    assert Restarts(allowed=False).after(0) is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_there_is_no_end_to_restarts_of_what_fails_seldom_and_an_end_to_all_others(
    pauses: list[float],
) -> None:
    restarts, now, failures = Restarts(allowed=True), 0.0, [float("-inf")] * LIMIT
    for pause in pauses:
        now += pause
        failures.append(now)
        recent = sum(now - at < WITHIN_S for at in failures)
        wait = restarts.after(now)
        assert (wait is None) == (recent >= LIMIT)
        assert wait is None or FIRST_S <= wait <= LONGEST_S


# -- the limit of agents ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "free", "limit"),
    [
        (2, None, 16),
        (2, 100 * AGENT_BYTES, 16),
        (64, 100 * AGENT_BYTES, 100),
        (2, AGENT_BYTES // 2, 1),
    ],
)
def test_the_limit_goes_by_cores_and_memory(
    cores: int, free: int | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "_cores", lambda: cores)
    monkeypatch.setattr(capacity, "_free_bytes", lambda: free)
    assert default_limit() == limit


OF_MEMORY = {"memory.max": str(5 * AGENT_BYTES), "memory.current": str(2 * AGENT_BYTES)}


@pytest.mark.parametrize(
    ("told", "limit"),
    [
        ({"cpu.max": "150000 100000", "memory.max": "max"}, 2 * PER_CORE),
        ({"cpu.max": "100000 100000", "memory.max": "max"}, PER_CORE),
        ({"cpu.max": "max 100000", "memory.max": "max"}, 4 * PER_CORE),
        (OF_MEMORY, 3),
        (OF_MEMORY | {"memory.stat": f"anon 5\ninactive_file {AGENT_BYTES}\nx 1"}, 4),
        ({}, 4 * PER_CORE),
    ],
)
def test_a_container_has_the_room_that_it_was_given(
    told: dict[str, str], limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "box").mkdir()
    for name, text in told.items():
        (tmp_path / "box" / name).write_text(f"{text}\n")
    real = capacity._read
    fakes = {"/proc/self/cgroup": "1:x:/y\n0::/box\n", "/proc/meminfo": "MemAvailable: 99999999 kB"}
    monkeypatch.setattr(capacity, "_GROUPS", tmp_path)
    monkeypatch.setattr(capacity, "_read", lambda path: fakes.get(str(path)) or real(path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    assert default_limit() == limit


def test_this_machine_has_room_for_an_agent() -> None:
    assert default_limit() >= 1
