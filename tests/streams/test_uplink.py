"""Person to model: in order, with silence where the microphone is muted."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from agent.audio import ms_to_bytes
from agent.protocol.client_events import InputAudioBufferAppendEvent
from agent.rtc.handover import APPEND_MS, CAPACITY_MS, AudioHandover
from agent.streams.uplink import FILL_STEP_MS, GAP_S, run_uplink

FILL_MS = 1200
APPEND = ms_to_bytes(APPEND_MS)
SILENCE = bytes(ms_to_bytes(FILL_STEP_MS))


def voice(number: int) -> bytes:
    return (number + 1).to_bytes(2, "little") * (APPEND // 2)


class Line:
    """An uplink between a hand-over and a model that keeps what comes, and when."""

    def __init__(
        self, nursery: trio.Nursery, *, fill_ms: int = FILL_MS, send_s: float = 0.0
    ) -> None:
        self.handover = AudioHandover(warn_at=1000)
        self.began = trio.current_time()
        self.sent: list[tuple[float, bytes]] = []
        self.recorded: list[bytes] = []
        self._send_s = send_s
        nursery.start_soon(self._run, fill_ms)

    async def _run(self, fill_ms: int) -> None:
        await run_uplink(self.handover.receive, self._send, self.recorded.append, fill_ms=fill_ms)

    async def _send(self, event: InputAudioBufferAppendEvent) -> None:
        await trio.sleep(self._send_s)
        self.sent.append((trio.current_time() - self.began, event.audio))

    async def speak(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            await trio.sleep(APPEND_MS / 1000)
            self.handover.put(voice(number))

    @property
    def pieces(self) -> list[bytes]:
        return [pcm for _, pcm in self.sent]

    def silence_at(self) -> list[float]:
        return [round(at, 6) for at, pcm in self.sent if pcm == SILENCE]


Open = Callable[..., Line]


@pytest.fixture
def line(nursery: trio.Nursery) -> Open:
    return partial(Line, nursery)


async def test_audio_is_passed_on_as_it_comes(line: Open, autojump_clock: MockClock) -> None:
    open_line = line()
    await open_line.speak(50)
    await trio.sleep(0.01)
    assert open_line.pieces == [voice(number) for number in range(50)]
    assert [round(at, 6) for at, _ in open_line.sent] == [
        round(0.02 * number, 6) for number in range(1, 51)
    ]


async def test_nothing_is_sent_while_nobody_has_spoken_yet(
    line: Open, autojump_clock: MockClock
) -> None:
    open_line = line()
    await trio.sleep(3600)
    assert open_line.sent == []


async def test_a_gap_is_filled_with_silence_in_real_time(
    line: Open, autojump_clock: MockClock
) -> None:
    open_line = line()
    await open_line.speak(1)
    await trio.sleep(3600)
    begin = 0.02 + GAP_S
    steps = FILL_MS // FILL_STEP_MS
    assert open_line.silence_at() == [
        round(begin + number * FILL_STEP_MS / 1000, 6) for number in range(steps)
    ]
    assert sum(len(pcm) for pcm in open_line.pieces[1:]) == ms_to_bytes(FILL_MS)


async def test_a_short_pause_is_no_gap(line: Open, autojump_clock: MockClock) -> None:
    open_line = line()
    for number in range(20):
        await open_line.speak(1, number)
        await trio.sleep(GAP_S - 0.03)
    assert open_line.silence_at() == []


async def test_after_a_gap_the_person_is_heard_at_once_and_the_next_gap_is_filled_too(
    line: Open, autojump_clock: MockClock
) -> None:
    open_line = line()
    await open_line.speak(1)
    await trio.sleep(60)
    filled = len(open_line.sent)
    await open_line.speak(3, first=1)
    await trio.sleep(0.001)
    assert open_line.pieces[filled:] == [voice(1), voice(2), voice(3)]
    await trio.sleep(60)
    assert open_line.silence_at()[FILL_MS // FILL_STEP_MS :] == [
        round(60.08 + GAP_S + number * 0.1, 6) for number in range(FILL_MS // FILL_STEP_MS)
    ]


async def test_speech_in_the_midst_of_a_gap_ends_it(line: Open, autojump_clock: MockClock) -> None:
    open_line = line()
    await open_line.speak(1)
    await trio.sleep(GAP_S + 0.35)
    await open_line.speak(1, first=1)
    await trio.sleep(0.001)
    assert open_line.pieces == [voice(0), SILENCE, SILENCE, SILENCE, SILENCE, voice(1)]


async def test_without_turn_detection_no_gap_is_filled(
    line: Open, autojump_clock: MockClock
) -> None:
    open_line = line(fill_ms=0)
    await open_line.speak(1)
    await trio.sleep(3600)
    assert open_line.pieces == [voice(0)]


async def test_a_slow_model_changes_no_order_and_stale_audio_is_dropped(
    line: Open, autojump_clock: MockClock
) -> None:
    open_line = line(send_s=0.05)
    await open_line.speak(200)
    await trio.sleep(10)
    heard = [(at, int.from_bytes(pcm[:2], "little") - 1) for at, pcm in open_line.sent if any(pcm)]
    numbers = [number for _, number in heard]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 199
    assert open_line.handover.dropped == 200 - len(numbers) > 50
    # While the person speaks nothing arrives that is older than what the hand-over may hold.
    for at, number in heard:
        if at < 200 * 0.02:
            assert at - 0.02 * (number + 1) <= CAPACITY_MS / 1000 + 0.05 + 1e-6


async def test_a_send_that_stands_still_is_followed_by_no_burst(
    line: Open, autojump_clock: MockClock
) -> None:
    release = trio.Event()
    open_line = line()
    original: Callable[[InputAudioBufferAppendEvent], Awaitable[None]] = open_line._send

    async def stand_still(event: InputAudioBufferAppendEvent) -> None:
        await release.wait()
        await original(event)

    async with trio.open_nursery() as nursery:
        handover = AudioHandover(warn_at=1000)
        nursery.start_soon(
            partial(run_uplink, handover.receive, stand_still, lambda _: None, fill_ms=FILL_MS)
        )
        for number in range(500):
            handover.put(voice(number))
            await trio.sleep(0.02)
        release.set()
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert len(open_line.sent) == 1 + CAPACITY_MS // APPEND_MS
    assert open_line.pieces == [voice(0), *(voice(n) for n in range(475, 500))]


async def test_what_is_sent_is_recorded(line: Open, autojump_clock: MockClock) -> None:
    open_line = line()
    await open_line.speak(5)
    await trio.sleep(10)
    assert SILENCE in open_line.recorded
    assert open_line.recorded == open_line.pieces
