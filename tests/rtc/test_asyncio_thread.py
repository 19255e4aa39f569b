"""The asyncio loop on a thread: what it runs, what it does when it is cancelled, stuck or closed.

A thread is real: these tests run in real time, and wait for events with bounds.
"""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import trio

from agent.rtc.asyncio_thread import AsyncioThread, open_asyncio_thread

SOON_S = 10.0
"""A bound for what comes in milliseconds, on a busy machine too."""


@pytest.fixture
async def thread() -> AsyncIterator[AsyncioThread]:
    async with open_asyncio_thread("test") as opened:
        yield opened


async def add(one: int, other: int) -> int:
    await asyncio.sleep(0)
    return one + other


async def test_a_coroutine_runs_on_the_loop_of_another_thread(thread: AsyncioThread) -> None:
    async def where() -> tuple[str, bool]:
        return threading.current_thread().name, asyncio.get_running_loop().is_running()

    assert await thread.run(add, 2, 3, within_s=SOON_S) == 5
    assert await thread.run(where, within_s=SOON_S) == ("test", True)


async def test_what_is_raised_there_is_raised_here(thread: AsyncioThread) -> None:
    async def fail() -> None:
        raise LookupError("there")

    async def leave() -> None:
        raise SystemExit(1)  # as a native library's import may

    with pytest.raises(LookupError, match="there"):
        await thread.run(fail, within_s=SOON_S)
    with pytest.raises(SystemExit):
        await thread.run(leave, within_s=SOON_S)
    assert await thread.run(add, 1, 1, within_s=SOON_S) == 2


class Sleeper:
    """Sleeps for ever, and notes when it was begun and cancelled."""

    def __init__(self) -> None:
        self.began, self.cancelled = threading.Event(), threading.Event()

    async def sleep(self) -> None:
        self.began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.cancelled.set()

    async def until_cancelled(self) -> None:
        assert await trio.to_thread.run_sync(self.cancelled.wait, SOON_S)


async def test_what_is_too_slow_is_cancelled_there(thread: AsyncioThread) -> None:
    sleeper = Sleeper()
    with pytest.raises(trio.TooSlowError):
        await thread.run(sleeper.sleep, within_s=0.05)
    await sleeper.until_cancelled()


async def test_what_is_cancelled_here_is_cancelled_there(thread: AsyncioThread) -> None:
    sleeper = Sleeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: thread.run(sleeper.sleep, within_s=3600))
        assert await trio.to_thread.run_sync(sleeper.began.wait, SOON_S)
        nursery.cancel_scope.cancel()
    await sleeper.until_cancelled()


async def test_what_was_given_up_before_it_began_never_begins(thread: AsyncioThread) -> None:
    blocked, busy, sleeper = threading.Event(), threading.Event(), Sleeper()

    async def block() -> None:
        blocked.set()
        busy.wait(SOON_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: thread.run(block, within_s=SOON_S))
        assert await trio.to_thread.run_sync(blocked.wait, SOON_S)
        with pytest.raises(trio.TooSlowError):
            await thread.run(sleeper.sleep, within_s=0.05)
        busy.set()
    assert await thread.run(add, 1, 1, within_s=SOON_S) == 2
    assert not sleeper.began.is_set()


async def test_closing_cancels_what_runs_and_ends_the_thread() -> None:
    sleeper = Sleeper()
    async with trio.open_nursery() as nursery, open_asyncio_thread("closing") as thread:
        nursery.start_soon(lambda: thread.run(sleeper.sleep, within_s=3600))
        assert await trio.to_thread.run_sync(sleeper.began.wait, SOON_S)
        nursery.cancel_scope.cancel()
    assert sleeper.cancelled.wait(SOON_S)
    assert thread.ended.is_set()
    assert "closing" not in [each.name for each in threading.enumerate()]


async def test_cancelled_while_it_starts_it_leaves_no_thread() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_asyncio_thread("cancelled"):
            await trio.lowlevel.checkpoint()
    assert "cancelled" not in [each.name for each in threading.enumerate()]


async def test_a_loop_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(asyncio, "Runner", fail)
    with pytest.raises(OSError, match="too many"):
        async with open_asyncio_thread("none"):
            pass


async def test_a_thread_that_has_ended_runs_nothing_and_says_so() -> None:
    async with open_asyncio_thread("ended") as thread:
        pass
    with pytest.raises(trio.TooSlowError):
        await thread.run(add, 1, 1, within_s=0.05)


async def test_a_stuck_thread_is_left_behind_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    async def stick() -> None:
        release.wait(SOON_S)

    async with open_asyncio_thread("stuck") as thread:
        with pytest.raises(trio.TooSlowError):
            await thread.run(stick, within_s=0.05)
    assert not thread.ended.is_set()
    assert "stuck" in caplog.text
    # What it still does is no harm to anybody: it ends when the library comes back.
    release.set()
    with trio.fail_after(SOON_S):
        await thread.ended.wait()


async def test_what_is_posted_to_a_stuck_thread_is_done_when_it_is_free() -> None:
    release, done = threading.Event(), threading.Event()

    async def stick() -> None:
        release.wait(SOON_S)

    async with open_asyncio_thread("stuck") as thread:
        with pytest.raises(trio.TooSlowError):
            await thread.run(stick, within_s=0.05)
        thread.post(done.set)
    release.set()
    with trio.fail_after(SOON_S):
        await thread.ended.wait()
    assert done.is_set()


async def test_calls_keep_their_order(thread: AsyncioThread) -> None:
    seen: list[int] = []

    async def note(number: int) -> None:
        seen.append(number)

    for number in range(100):
        await thread.run(note, number, within_s=SOON_S)
    assert seen == list(range(100))
