"""Signals: held back, then taken one by one as a wish to stop."""

import os
import signal
from collections.abc import Iterator

import pytest
import trio

from agent.signals import hold_signals, stop_on_signals


class Exited(BaseException):
    pass


class Reasons(list[str]):
    """The reasons that were given for a stop; `until` waits for so many of them."""

    def __init__(self) -> None:
        self._changed = trio.Event()

    def note(self, reason: str) -> None:
        self.append(reason)
        self._changed.set()

    async def until(self, count: int) -> None:
        with trio.fail_after(30):
            while len(self) < count:
                self._changed = trio.Event()
                await self._changed.wait()


@pytest.fixture(autouse=True)
def _mask_restored() -> Iterator[None]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.mark.parametrize("inherited", [signal.SIG_DFL, signal.SIG_IGN])
async def test_a_signal_while_the_program_starts_is_neither_lost_nor_raised(
    inherited: signal.Handlers, nursery: trio.Nursery
) -> None:
    signal.signal(signal.SIGINT, inherited)
    reasons = Reasons()
    hold_signals()
    signal.raise_signal(signal.SIGINT)
    assert signal.SIGINT in signal.sigpending()
    await nursery.start(stop_on_signals, reasons.note)
    await reasons.until(1)
    assert reasons == ["stopped by SIGINT"]
    nursery.cancel_scope.cancel()


async def test_terminated_again_and_again(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "_exit", _exit)
    reasons = Reasons()
    await nursery.start(stop_on_signals, reasons.note)
    for count in range(1, 4):
        signal.raise_signal(signal.SIGTERM)
        await reasons.until(count)
    signal.raise_signal(signal.SIGINT)
    await reasons.until(4)
    assert reasons == ["stopped by SIGTERM"] * 3 + ["stopped by SIGINT"]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("exit_at", [2, 3])
async def test_the_second_interrupt_exits_or_a_later_one(
    exit_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "_exit", _exit)
    reasons = Reasons()
    with pytest.RaisesGroup(pytest.RaisesExc(Exited, match="130")):
        async with trio.open_nursery() as nursery:
            await nursery.start(stop_on_signals, reasons.note, exit_at)
            for count in range(1, exit_at):
                signal.raise_signal(signal.SIGINT)
                await reasons.until(count)
            signal.raise_signal(signal.SIGINT)
    assert reasons == ["stopped by SIGINT"] * (exit_at - 1)


def _exit(status: int) -> None:
    raise Exited(str(status))
