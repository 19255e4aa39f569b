"""The hand-over of the person's audio: bounded, in order, and never asleep over what waits."""

import threading
from collections import deque
from itertools import count
from typing import TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.audio import FRAME_BYTES, ms_to_bytes
from agent.rtc.handover import APPEND_MS, CAPACITY_MS, AudioHandover

APPEND = ms_to_bytes(APPEND_MS)
ROOM = CAPACITY_MS // APPEND_MS


def append(number: int) -> bytes:
    """An append's length of audio that can be told from others."""
    return number.to_bytes(4, "big") * (APPEND // 4)


async def drained(handover: AudioHandover) -> list[bytes]:
    """All that waits now."""
    pieces = []
    with trio.CancelScope() as scope:
        while True:
            scope.deadline = trio.current_time() + 1
            pieces.append(await handover.receive())
    return pieces


async def test_frames_are_put_together_to_appends(autojump_clock: MockClock) -> None:
    handover = AudioHandover()
    frames = [bytes([number]) * FRAME_BYTES for number in range(5)]
    for frame in frames:
        handover.put(frame)
    assert await drained(handover) == [frames[0] + frames[1], frames[2] + frames[3]]
    handover.put(b"\xff" * FRAME_BYTES)
    assert await drained(handover) == [frames[4] + b"\xff" * FRAME_BYTES]


async def test_what_is_long_enough_goes_as_it_is(autojump_clock: MockClock) -> None:
    handover = AudioHandover()
    long = bytes(range(250)) * 7
    assert APPEND < len(long) < 2 * APPEND
    handover.put(long)
    assert await drained(handover) == [long]


async def test_what_is_very_long_is_cut_so_that_the_bound_is_one_of_time(
    autojump_clock: MockClock,
) -> None:
    handover = AudioHandover(warn_at=1000)
    minute = bytes(ms_to_bytes(60_000))
    handover.put(minute)
    pieces = await drained(handover)
    assert len(b"".join(pieces)) <= ms_to_bytes(CAPACITY_MS) + APPEND


async def test_of_a_former_speaker_nothing_is_left(autojump_clock: MockClock) -> None:
    handover = AudioHandover()
    handover.put(bytes([1]) * (APPEND + 2))
    handover.put(bytes([1]) * 10)
    handover.clear()
    handover.put(bytes([2]) * APPEND)
    assert await drained(handover) == [bytes([2]) * APPEND]


async def test_the_oldest_is_dropped_and_counted(autojump_clock: MockClock) -> None:
    handover = AudioHandover(warn_at=1000)
    for number in range(ROOM):
        handover.put(append(number))
    assert handover.dropped == 0
    for number in range(ROOM, ROOM + 7):
        handover.put(append(number))
    assert handover.dropped == 7
    assert await drained(handover) == [append(number) for number in range(7, ROOM + 7)]
    handover.put(append(0))
    assert handover.dropped == 7


async def test_no_more_is_held_than_half_a_second(autojump_clock: MockClock) -> None:
    handover = AudioHandover(warn_at=1000)
    for _ in range(1000):
        handover.put(bytes(FRAME_BYTES))
    assert sum(len(piece) for piece in await drained(handover)) == ms_to_bytes(CAPACITY_MS)
    assert handover.dropped == 500 - ROOM


async def test_clear_drops_what_waits(autojump_clock: MockClock) -> None:
    handover = AudioHandover()
    handover.put(append(1))
    handover.clear()
    handover.put(append(2))
    assert await drained(handover) == [append(2)]
    assert handover.dropped == 0


async def test_a_long_queue_warns(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    handover = AudioHandover(warn_at=2)
    for number in range(3):
        handover.put(append(number))
    await handover.receive()
    assert caplog.messages == ["audio for the model: 3 are waiting"]
    await handover.receive()
    assert len(caplog.messages) == 1


async def test_from_a_real_thread_in_order() -> None:
    total = 2000
    handover = AudioHandover(warn_at=total)
    token = trio.lowlevel.current_trio_token()
    room = threading.Semaphore(ROOM)  # the thread is never so far ahead that it would drop

    def speak() -> None:
        for number in range(total):
            room.acquire()
            handover.put_from_thread(append(number), token)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    with trio.fail_after(20):
        for number in range(total):
            assert await handover.receive() == append(number)
            room.release()
    thread.join()
    assert handover.dropped == 0


async def test_a_thread_never_waits() -> None:
    handover = AudioHandover(warn_at=1000)
    token = trio.lowlevel.current_trio_token()

    def speak() -> None:
        for number in range(10 * ROOM):
            handover.put_from_thread(append(number), token)

    thread = threading.Thread(target=speak)
    thread.start()
    thread.join()  # while Trio stands still
    assert handover.dropped == 9 * ROOM
    assert await handover.receive() == append(9 * ROOM)


async def test_a_thread_that_outlives_trio_is_told() -> None:
    async def token() -> trio.lowlevel.TrioToken:
        return trio.lowlevel.current_trio_token()

    finished: list[trio.lowlevel.TrioToken] = []
    thread = threading.Thread(target=lambda: finished.append(trio.run(token)))
    thread.start()
    thread.join()
    with pytest.raises(trio.RunFinishedError):
        AudioHandover().put_from_thread(append(0), finished[0])


# A step: put (from a task or as if from a thread), give others their turn, or be cancelled.
Step: TypeAlias = tuple[str, int]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(["put", "thread", "turn", "blocked", "cancel"]), st.integers(1, 3)),
    max_size=60,
)


@given(STEPS)
def test_no_wake_up_is_lost_and_no_audio(steps: list[Step]) -> None:
    trio.run(_interleave, steps, clock=MockClock(autojump_threshold=0))


async def _interleave(steps: list[Step]) -> None:
    handover = AudioHandover(warn_at=1000)
    token = trio.lowlevel.current_trio_token()
    got: list[bytes] = []
    expected: deque[bytes] = deque()
    numbers = count()
    scope = trio.CancelScope()

    async def consume() -> None:
        nonlocal scope
        while True:
            with trio.CancelScope() as scope:
                while True:
                    piece = await handover.receive()
                    got.append(piece)
                    await trio.lowlevel.checkpoint_if_cancelled()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        for what, times in steps:
            for _ in range(times):
                if what == "put":
                    expected.append(append(next(numbers)))
                    handover.put(expected[-1])
                elif what == "thread":
                    expected.append(append(next(numbers)))
                    handover.put_from_thread(expected[-1], token)
                elif what == "turn":
                    await trio.lowlevel.cancel_shielded_checkpoint()
                elif what == "blocked":
                    await wait_all_tasks_blocked()
                    # All that was handed over woke the consumer: nothing waits beside it.
                    assert len(got) + handover.dropped == len(expected)
                else:
                    scope.cancel()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(got) + handover.dropped == len(expected)
    assert got == sorted(got)
    if not handover.dropped:
        assert got == list(expected)


@given(st.lists(st.integers(1, 4 * FRAME_BYTES).map(lambda half: half * 2), max_size=40))
def test_pieces_of_any_size_are_cut_nowhere_else(sizes: list[int]) -> None:
    """Joined, what comes out is what went in, but for a rest that is shorter than an append."""
    handover = AudioHandover(warn_at=1000, capacity_ms=10_000)
    pieces = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    for piece in pieces:
        handover.put(piece)
    got = trio.run(drained, handover, clock=MockClock(autojump_threshold=0))
    assert all(len(piece) >= APPEND for piece in got)
    whole, out = b"".join(pieces), b"".join(got)
    assert whole.startswith(out)
    assert len(whole) - len(out) < APPEND
