"""An alarm on the mock clock: it rings once, at the time that was set last."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from agent.alarm import Alarm


class Clock:
    """An alarm, and when it rang, in seconds from the beginning."""

    def __init__(self) -> None:
        self.began = trio.current_time()
        self.rang: list[float] = []
        self.alarm = Alarm(self.ring)

    def ring(self) -> None:
        self.rang.append(round(trio.current_time() - self.began, 6))

    async def at(self, second: float) -> None:
        await trio.sleep_until(self.began + second)


@asynccontextmanager
async def a_clock() -> AsyncIterator[Clock]:
    clock = Clock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.alarm.run)
        yield clock
        nursery.cancel_scope.cancel()


async def test_an_alarm_that_was_not_set_does_not_ring(autojump_clock: MockClock) -> None:
    async with a_clock() as clock:
        await clock.at(1e9)
        assert clock.rang == []


async def test_it_rings_once(autojump_clock: MockClock) -> None:
    async with a_clock() as clock:
        clock.alarm.set(5)
        await clock.at(4.999)
        assert clock.rang == []
        await clock.at(1e6)
        assert clock.rang == [5]


@pytest.mark.parametrize(
    ("settings", "rang"),
    [
        ([(0, 5), (0, 7)], 7),
        ([(0, 7), (0, 5)], 5),
        ([(0, 5), (3, 5)], 8),  # later
        ([(0, 5), (3, 1)], 4),  # earlier
        ([(0, 5), (1, 5), (2, 5), (3, 5)], 8),
        ([(0, 5), (3, 0)], 3),  # at once
    ],
)
async def test_it_rings_at_the_time_that_was_set_last(
    settings: list[tuple[float, float]], rang: float, autojump_clock: MockClock
) -> None:
    async with a_clock() as clock:
        for at, seconds in settings:
            await clock.at(at)
            clock.alarm.set(seconds)
        await clock.at(100)
        assert clock.rang == [rang]


async def test_it_rings_again_when_it_is_set_again(autojump_clock: MockClock) -> None:
    async with a_clock() as clock:
        for at in (0, 10, 10.5, 20):
            await clock.at(at)
            clock.alarm.set(2)
        await clock.at(100)
        assert clock.rang == [2, 12.5, 22]


async def test_it_may_be_set_before_it_runs(autojump_clock: MockClock) -> None:
    clock = Clock()
    clock.alarm.set(5)
    await clock.at(3)
    with trio.move_on_after(100):
        await clock.alarm.run()
    assert clock.rang == [5]


async def test_it_may_be_set_while_it_rings(autojump_clock: MockClock) -> None:
    clock = Clock()

    def ring_every_second() -> None:
        clock.ring()
        alarm.set(1)

    alarm = Alarm(ring_every_second)
    alarm.set(1)
    with trio.move_on_after(3.5):
        await alarm.run()
    assert clock.rang == [1, 2, 3]


async def test_it_may_be_set_in_the_very_moment_in_which_it_is_due(
    autojump_clock: MockClock,
) -> None:
    """Then it may have rung already or not; either way it rings at the time that was set last."""
    for _ in range(20):  # Trio wakes the two tasks in random order
        async with a_clock() as clock:
            clock.alarm.set(5)
            await clock.at(5)
            clock.alarm.set(2)
            await clock.at(100)
            assert clock.rang in ([7], [5, 7])
