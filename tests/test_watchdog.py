"""The watchdog's times. That it ends a process: tests/supervisor/test_failures.py."""

import faulthandler
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent.watchdog import FED_EVERY_S, Watchdog


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each time that it was armed."""
    seconds: list[float] = []

    def note(timeout: float, **_: Any) -> None:
        seconds.append(timeout)

    monkeypatch.setattr(faulthandler, "dump_traceback_later", note)
    return seconds


async def test_it_is_fed_for_as_long_as_the_loop_goes_round(
    armed: list[float], autojump_clock: MockClock
) -> None:
    with trio.move_on_after(3.5 * FED_EVERY_S):
        await Watchdog(15).run()
    assert armed == [15.0] * 4


async def test_no_feeding_and_no_later_word_puts_off_an_end(
    armed: list[float], autojump_clock: MockClock
) -> None:
    watchdog = Watchdog(15)
    watchdog.end_within(1.5)
    await trio.sleep(1)
    watchdog.feed()
    watchdog.end_within(4)
    assert armed == pytest.approx([1.5, 0.5, 0.5])
