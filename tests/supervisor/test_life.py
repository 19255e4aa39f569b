"""What becomes of an agent by what its process tells and how it exits; on the mock clock."""

from collections import deque
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from agent.options import AgentOptions
from agent.supervisor.info import JoinTimeout
from agent.supervisor.life import Life, new_info
from agent.supervisor.restarts import Restarts

RUNNING = {"state": "running", "uid": 9, "model": "m"}
OPTIONS = AgentOptions(channel_name="lobby")


def event() -> trio.Event:
    return trio.Event()


@define(eq=False)
class FakeProcess:
    """A process that is in its channel at once, tells its end, and exits."""

    end_told: dict[str, Any]
    exit_status: int
    warm: trio.Event = field(factory=event)
    closed: trio.Event = field(factory=event)
    gone: trio.Event = field(factory=event)
    last_lines: deque[str] = field(factory=lambda: deque([""]))
    pid: int = 4711
    memory_bytes: int = 0
    was_killed: bool = False
    on_message: Any = None
    channel_name: str = ""
    call_id: str = ""
    told: dict[str, Any] = field(factory=dict)

    async def tell(self, message: dict[str, Any]) -> None:
        self.told = message
        self.on_message(RUNNING)
        await trio.sleep(1)
        if self.end_told:
            self.on_message({"state": "ended", **self.end_told})
        self.closed.set()
        self.gone.set()

    def end(self) -> None:
        self.gone.set()


@define
class FakePool:
    processes: list[FakeProcess]

    async def take(self) -> Any:
        await trio.lowlevel.checkpoint()
        return self.processes.pop(0)


AGAIN = ["running", "restarting", "starting", "running"]


@pytest.mark.parametrize(
    ("told", "status", "wanted"),
    [
        ({"reason": "the person left"}, 0, (["running", "stopping", "ended"], "")),
        ({"reason": "nobody came"}, 3, (["running", "stopping", "ended"], "")),
        # What it said counts, though its process could not exit as it should.
        ({"reason": "the limit was reached"}, 1, (["running", "stopping", "ended"], "")),
        (
            {"reason": "refused", "kind": "model", "is_final": True},
            1,
            (["running", "failed"], "model"),
        ),
        # It is started again, and that one ends as was meant.
        (
            {"reason": "lost", "kind": "model"},
            1,
            (AGAIN, ""),
        ),
        ({}, 1, (AGAIN, "")),
        ({}, -35, (AGAIN, "")),
    ],
)
async def test_how_a_process_ends_says_what_becomes_of_its_agent(
    told: dict[str, Any],
    status: int,
    wanted: tuple[list[str], str],
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    states, kind = wanted
    seen: list[str] = []

    def note(_: object, event: dict[str, Any]) -> None:
        seen.append(event["state"])

    info = new_info(OPTIONS, model="m", embedded=False)
    life = Life(OPTIONS, info, {}, Restarts(allowed=True), note)
    pool: Any = FakePool([FakeProcess(told, status), FakeProcess({"reason": "over"}, 0)])
    await nursery.start(life.run, pool, None)
    await life.gone.wait()
    assert seen[: len(states)] == states
    assert life.info.kind == kind


@pytest.mark.parametrize(("limit_s", "processes"), [(1.4, 1), (2.4, 2), (None, 3)])
async def test_the_limit_of_a_call_is_that_of_all_its_processes(
    limit_s: float | None, processes: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Each fails after a second; the next is there half a second later, and then one."""
    given = evolve(OPTIONS, max_duration_s=limit_s)
    info = new_info(given, model="m", embedded=False)
    life = Life(given, info, {}, Restarts(allowed=True), lambda *_: None)
    made = [FakeProcess({"reason": "lost", "kind": "model"}, 1) for _ in range(2)]
    pool: Any = FakePool([*made, FakeProcess({"reason": "over"}, 0)])
    await nursery.start(life.run, pool, None)
    await life.gone.wait()
    assert 3 - len(pool.processes) == processes
    assert [process.told["elapsed_s"] for process in made[:processes]] == [0, 1.5][:processes]
    assert life.info.reason == ("over" if limit_s is None else "lost")


@define
class LateProcess(FakeProcess):
    """One that is in its channel just when nobody waits for that any more."""

    async def tell(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()

    def end(self) -> None:
        self.on_message(RUNNING)
        self.closed.set()
        self.gone.set()


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_start_that_was_given_up_does_not_succeed_after_all(
    is_cancelled: bool, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    states: list[str] = []
    info = new_info(OPTIONS, model="m", embedded=False)
    life = Life(
        OPTIONS, info, {}, Restarts(allowed=True), lambda _, event: states.append(event["state"])
    )
    pool: Any = FakePool([LateProcess({}, 0)])
    if is_cancelled:
        with trio.move_on_after(1):
            await nursery.start(life.run, pool, None)
    else:
        with pytest.raises(JoinTimeout):
            await nursery.start(life.run, pool, None)
    assert "running" not in states
    assert not life.joined
    assert states[0] == "stopping"
