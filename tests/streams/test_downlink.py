"""Playout: pacing, pauses, conservation, no zombies, on the mock clock."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.audio import FRAME_BYTES, SAMPLE_RATE
from agent.protocol.actions import Heard, PartKey
from agent.streams.downlink import HELD_LIMIT_S, LOOK_S, Downlink
from agent.streams.ledger import MAX_ENTRIES
from tests.fakes.far_end import Counts, FarEnd, numbered

KEY = PartKey("resp_1", "item_1", 0)
LATER = PartKey("resp_1", "item_2", 0)


def pcm(ms: float, value: int = 1000) -> bytes:
    return value.to_bytes(2, "little") * round(ms * 24)


class Played:
    """A channel that keeps when it was handed what.

    :ivar cleared: when it was cleared.
    :ivar given_up: what a clear returns.
    :ivar receipt: what `played` returns.
    """

    def __init__(self, lead_ms: int = 60, step_ms: int = 40) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.cleared: list[float] = []
        self.given_up: int | None = None
        self.receipt: int | None = None
        self.over: list[str] = []
        self.downlink = Downlink(self, lead_ms=lead_ms, step_ms=step_ms, on_over=self.over.append)

    def play(self, piece: bytes) -> None:
        assert piece
        assert len(piece) % FRAME_BYTES == 0
        self.pieces.append((trio.current_time(), piece))

    def clear(self) -> int | None:
        self.cleared.append(trio.current_time())
        return self.given_up

    def played(self) -> int | None:
        return self.receipt

    @property
    def audio(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)


@asynccontextmanager
async def playing(lead_ms: int = 60, step_ms: int = 40) -> AsyncIterator[Played]:
    played = Played(lead_ms, step_ms)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(played.downlink.run)
        yield played
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("lead_ms", "step_ms"), [(60, 40), (60, 10), (10, 10), (200, 200)])
async def test_pacing_keeps_to_the_lead(
    lead_ms: int, step_ms: int, autojump_clock: MockClock
) -> None:
    async with playing(lead_ms, step_ms) as played:
        began = trio.current_time()
        for _ in range(3):
            played.downlink.play(KEY, pcm(10_000))
            await trio.sleep(9.9)
        sent = 0
        for at, piece in played.pieces:
            lead = began + sent / SAMPLE_RATE - at
            assert -1e-6 <= lead <= lead_ms / 1000 + 1e-6
            assert len(piece) <= step_ms * 48
            sent += len(piece) // 2
        assert sent >= 29.7 * SAMPLE_RATE
        assert played.downlink.underruns == 0


async def test_the_first_frame_does_not_wait(autojump_clock: MockClock) -> None:
    async with playing() as played:
        await wait_all_tasks_blocked()
        played.downlink.play(KEY, pcm(10))
        await wait_all_tasks_blocked()
        assert [at for at, _ in played.pieces] == [trio.current_time()]


async def test_parts_play_in_order_and_the_last_frame_is_padded(autojump_clock: MockClock) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(25, 1))
        played.downlink.play(LATER, pcm(20, 2))
        await trio.sleep(1)
        assert played.audio == pcm(20, 1)  # the rest of it may still come
        played.downlink.finish(KEY)
        played.downlink.finish(LATER)
        await trio.sleep(1)
        assert played.audio == pcm(25, 1) + pcm(5, 0) + pcm(20, 2)
        assert not played.downlink.playing


async def test_a_response_that_ends_without_its_parts_being_done_plays_out(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(15))
        played.downlink.finish_response("resp_1")
        await trio.sleep(1)
        assert played.audio == pcm(15) + pcm(5, 0)
        assert not played.downlink.playing


async def test_stopping_reports_each_part_and_forgets_it(autojump_clock: MockClock) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(300))
        played.downlink.finish(KEY)
        played.downlink.play(LATER, pcm(500))
        await trio.sleep(0.42)
        assert played.downlink.stop() == [
            Heard(key=KEY, received=7200, played=7200, whole=True),
            Heard(key=LATER, received=12_000, played=120 * 24, whole=False),
        ]
        assert played.cleared == [trio.current_time()]
        handed = played.audio
        await trio.sleep(1)
        assert played.audio == handed
        assert not played.downlink.playing
        assert played.downlink.stop() == []


async def test_what_is_played_right_after_a_stop_is_played(autojump_clock: MockClock) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(1000))
        await trio.sleep(0.5)
        played.downlink.stop()
        before = len(played.audio)
        played.downlink.play(LATER, pcm(100, 7))  # no checkpoint lies between
        played.downlink.finish(LATER)
        await trio.sleep(1)
        assert played.audio[before:] == pcm(100, 7)


async def test_audio_beyond_the_limit_is_dropped_and_counted(autojump_clock: MockClock) -> None:
    played = Played()
    minute = pcm(60_000)
    for _ in range(int(HELD_LIMIT_S / 60) + 2):
        played.downlink.play(KEY, minute)
    assert played.downlink.totals().discarded == 2 * 60 * SAMPLE_RATE


async def test_a_server_that_names_ever_new_parts_is_not_held_for(
    autojump_clock: MockClock,
) -> None:
    played = Played()
    for number in range(MAX_ENTRIES + 10):
        played.downlink.play(PartKey("resp", f"item_{number}", 0), pcm(1))
    assert played.downlink.totals().discarded == 10 * SAMPLE_RATE // 1000
    assert len(played.downlink.stop()) == MAX_ENTRIES


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("play"), st.integers(1, 2000)),
            st.tuples(st.just("wait"), st.integers(0, 500)),
            st.tuples(st.just("finish"), st.just(0)),
            st.tuples(st.just("finish response"), st.just(0)),
            st.tuples(st.just("stop"), st.just(0)),
        ),
        max_size=30,
    )
)
def test_samples_are_conserved_in_any_order_of_events(steps: list[tuple[str, int]]) -> None:
    """Received = played + discarded + still to come, and nothing sounds after a stop."""

    async def main() -> None:
        async with playing() as played:
            downlink, part, received, stops = played.downlink, 0, 0, 0
            for what, amount in steps:
                key = PartKey(f"resp_{part}", "item", 0)
                if what == "play":
                    downlink.play(key, pcm(amount))
                    received += 24 * amount
                elif what == "wait":
                    await trio.sleep(amount / 1000)
                elif what == "finish":
                    downlink.finish(key)
                    part += 1
                elif what == "finish response":
                    downlink.finish_response(key.response_id)
                    part += 1
                else:
                    handed = len(played.audio)
                    reports = downlink.stop()
                    assert all(0 <= report.played <= report.received for report in reports)
                    part, stops = part + 1, stops + 1
                    await trio.sleep(0.2)
                    assert len(played.audio) == handed
            downlink.finish_response(f"resp_{part}")
            await trio.sleep(100)
            assert not downlink.playing
            handed = played.audio.count((1000).to_bytes(2, "little"))
            # What was in the channel's hands at a stop, a lead at most, was not heard.
            totals = downlink.totals()
            assert 0 <= handed + totals.discarded - received <= stops * 60 * 24
            assert totals.received == received == totals.played + totals.discarded

    trio.run(main, clock=MockClock(autojump_threshold=0))


# -- a pause -------------------------------------------------------------------------------------


class Line:
    """Playout whose far end says, sample by sample, what was heard.

    Part N is the part number N of `far_end`, in a response of its own unless it is said otherwise.

    :ivar over: the responses that playout said were heard.
    """

    def __init__(self, counts: Counts = "nothing", delay_ms: int = 0) -> None:
        self.over: list[str] = []
        self.gone: set[int] = set()
        clock = trio.current_time
        self.far_end = FarEnd(clock, counts, delay_ms / 1000, lambda part: part not in self.gone)
        self.downlink = Downlink(self.far_end, lead_ms=60, step_ms=40, on_over=self.over.append)

    def play(self, part: int, ms: float, *, of: int | None = None) -> None:
        """One more whole part."""
        key = PartKey(f"resp_{of or part}", f"item_{part}", 0)
        self.downlink.play(key, numbered(part, 0, round(ms * 24)), (part, 0))
        self.downlink.finish(key)

    def finish(self, *responses: int) -> None:
        for number in responses:
            self.downlink.finish_response(f"resp_{number}")

    def heard_ms(self, part: int = 1) -> float:
        self.far_end.listen()
        return self.far_end.heard.get(part, 0) / 24


@asynccontextmanager
async def a_line(counts: Counts = "nothing", delay_ms: int = 0) -> AsyncIterator[Line]:
    line = Line(counts, delay_ms)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.downlink.run)
        yield line
        nursery.cancel_scope.cancel()


ALL_THAT_COUNT = pytest.mark.parametrize(
    ("counts", "delay_ms"),
    [("nothing", 0), ("what it gives up", 0), ("what was heard", 0), ("what was heard", 137)],
)


@ALL_THAT_COUNT
@pytest.mark.parametrize("at_ms", [0, 1, 123.45, 990, 999.9])
async def test_after_a_pause_it_goes_on_at_the_same_sample(
    counts: Counts, delay_ms: int, at_ms: float, autojump_clock: MockClock
) -> None:
    async with a_line(counts, delay_ms) as line:
        line.play(1, 1000)
        line.finish(1)
        await trio.sleep(at_ms / 1000)
        assert line.downlink.pause()
        heard = line.heard_ms()
        assert heard == pytest.approx(max(0, at_ms - delay_ms), abs=0.1)
        await trio.sleep(0.7)
        assert line.heard_ms() == heard
        assert line.far_end.clears == 1
        line.downlink.resume()
        await trio.sleep(0.5)
        assert line.heard_ms() == pytest.approx(min(1000, heard + 500 - delay_ms), abs=0.1)
        await trio.sleep(2)
        assert line.heard_ms() == 1000
        assert line.over == ["resp_1"]
        assert line.downlink.underruns == 0
        assert line.downlink.totals().played == line.downlink.totals().received == 24_000


@given(
    st.sampled_from(["nothing", "what it gives up", "what was heard"]),
    st.integers(0, 200),
    st.lists(st.floats(1, 400), min_size=1, max_size=4),
    st.lists(st.tuples(st.floats(0, 400), st.integers(0, 300), st.booleans()), max_size=8),
)
def test_pauses_lose_nothing_and_nothing_is_heard_twice(
    counts: Counts, delay_ms: int, parts: list[float], pauses: list[tuple[float, int, bool]]
) -> None:
    """The far end itself sees to it that each part's samples come in their order."""

    async def main() -> None:
        async with a_line(counts, delay_ms) as line:
            for number, ms in enumerate(parts, 1):
                line.play(number, ms, of=(number + 1) // 2)
            line.finish(1, 2)
            for after_ms, ms, is_short in pauses:
                await trio.sleep(after_ms / 1000)
                line.downlink.pause()
                if not is_short:  # otherwise playout's task has no turn in it
                    await trio.sleep(ms / 1000)
                line.downlink.resume()
            await trio.sleep(10)
            heard = [line.heard_ms(number) for number in range(1, len(parts) + 1)]
            assert heard == [round(ms * 24) / 24 for ms in parts]
            assert line.over == ["resp_1", "resp_2"][: (len(parts) + 1) // 2]
            assert line.downlink.underruns == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


HELD_BACK = pytest.mark.parametrize("held_back_ms", [20, 70])
"""How far the person is behind the playout clock, which nobody knows before a pause or a stop."""


@HELD_BACK
async def test_what_was_heard_before_a_pause_is_what_the_channel_says(
    held_back_ms: int, autojump_clock: MockClock
) -> None:
    async with playing() as played:
        frames = b"".join(pcm(10, number) for number in range(50))
        played.downlink.play(KEY, frames)
        await trio.sleep(0.21)
        played.given_up = (50 + held_back_ms) * 24
        played.downlink.pause()
        assert played.downlink.position == (210 - held_back_ms) * 24
        before = len(played.audio)
        played.downlink.resume()
        await trio.sleep(1)
        assert played.audio[before:] == frames[(210 - held_back_ms) * 48 :]


@HELD_BACK
async def test_what_was_heard_before_a_pause_is_what_the_receipts_say_by_its_end(
    held_back_ms: int, autojump_clock: MockClock
) -> None:
    async with playing() as played:
        frames = b"".join(pcm(10, number) for number in range(50))
        played.downlink.play(KEY, frames)
        await trio.sleep(0.21)
        played.receipt = 100 * 24  # the first
        played.downlink.pause()
        assert played.downlink.position == 100 * 24
        before = len(played.audio)
        await trio.sleep(0.1)
        played.receipt = (210 - held_back_ms) * 24
        played.downlink.resume()
        await trio.sleep(1)
        assert played.audio[before:] == frames[(210 - held_back_ms) * 48 :]


async def test_receipts_never_say_more_than_was_handed_over_and_is_due(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(500))
        await trio.sleep(0.2)
        played.receipt = 10**9
        assert played.downlink.position == 200 * 24
        assert played.downlink.stop()[0].played == 200 * 24


async def test_where_nothing_plays_there_is_no_pause(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        assert not line.downlink.pause()
        line.play(1, 100)
        line.finish(1)
        await trio.sleep(0.1)
        assert not line.downlink.pause()
        line.downlink.resume()
        assert not line.downlink.paused
        assert line.far_end.clears == 0


async def test_where_there_is_no_pause_none_is_ended(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        line.play(1, 200)
        for _ in range(3):
            await trio.sleep(0.05)
            line.downlink.resume()
        await trio.sleep(0.05)
        assert line.heard_ms() == 200
        assert line.downlink.totals().played == 200 * 24


async def test_a_pause_is_not_made_twice(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        line.play(1, 100)
        await trio.sleep(0.05)
        assert [line.downlink.pause(), line.downlink.pause()] == [True, False]
        assert line.far_end.clears == 1


async def test_what_comes_in_a_pause_waits_for_its_end(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        line.play(1, 100)
        await trio.sleep(0.05)
        line.downlink.pause()
        line.play(2, 100)
        line.finish(1, 2)
        await trio.sleep(1)
        assert (line.heard_ms(1), line.heard_ms(2), line.over) == (50, 0, [])
        assert line.downlink.playing
        line.downlink.resume()
        await trio.sleep(1)
        assert (line.heard_ms(1), line.heard_ms(2)) == (100, 100)
        assert line.over == ["resp_1", "resp_2"]


# -- a stop --------------------------------------------------------------------------------------


@ALL_THAT_COUNT
async def test_a_stop_in_a_pause_tells_what_was_heard_and_ends_it(
    counts: Counts, delay_ms: int, autojump_clock: MockClock
) -> None:
    async with a_line(counts, delay_ms) as line:
        line.play(1, 1000)
        await trio.sleep(0.3)
        line.downlink.pause()
        await trio.sleep(0.2)
        [heard] = line.downlink.stop()
        assert heard.played == (300 - delay_ms) * 24 == line.heard_ms() * 24
        assert (heard.received, heard.whole) == (24_000, False)
        assert not line.downlink.paused
        assert not line.downlink.playing
        line.gone.add(1)
        line.downlink.resume()
        line.play(2, 100)
        await trio.sleep(1)
        assert line.heard_ms(2) == 100
        assert line.far_end.clears == 1
        assert line.downlink.underruns == 0


@HELD_BACK
async def test_a_stop_counts_what_the_channel_gives_up(
    held_back_ms: int, autojump_clock: MockClock
) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(500))
        await trio.sleep(0.21)
        played.given_up = (50 + held_back_ms) * 24
        [heard] = played.downlink.stop()
        assert heard.played == (210 - held_back_ms) * 24
        totals = played.downlink.totals()
        assert totals.played == heard.played
        assert totals.received == totals.played + totals.discarded == 500 * 24


async def test_a_stop_before_anything_was_handed_over_clears_the_channel_too(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        await wait_all_tasks_blocked()
        played.downlink.play(KEY, pcm(500))
        assert [heard.played for heard in played.downlink.stop()] == [0]
        assert len(played.cleared) == 1
        await trio.sleep(1)
        assert not played.pieces


@ALL_THAT_COUNT
@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("at_ms", [170, 297, 330])
async def test_a_spared_response_goes_on_at_the_sample_to_which_it_had_come(
    counts: Counts, delay_ms: int, is_paused: bool, at_ms: int, autojump_clock: MockClock
) -> None:
    """Whatever is before it or behind it on the line, and in whatever mix."""
    async with a_line(counts, delay_ms) as line:
        for number in (1, 2, 3):
            line.play(number, 101 * number)
        line.finish(1, 2, 3)
        await trio.sleep(at_ms / 1000)
        if is_paused:
            line.downlink.pause()
            await trio.sleep(0.1)
        heard = line.downlink.stop(frozenset({"resp_2"}))
        line.gone |= {1, 3}
        was = {number: line.heard_ms(number) for number in (1, 3)}
        assert {report.key.response_id: report.played / 24 for report in heard} == {
            f"resp_{number}": ms for number, ms in was.items() if ms < 101 * number
        }
        await trio.sleep(2)
        assert {number: line.heard_ms(number) for number in (1, 2, 3)} == was | {2: 202}
        assert line.over[-1] == "resp_2"
        assert not line.downlink.playing


async def test_a_spared_response_is_not_cut_where_nothing_else_is_on_the_line(
    autojump_clock: MockClock,
) -> None:
    async with a_line() as line:
        line.play(1, 500)
        line.play(2, 500)
        await trio.sleep(0.2)
        [heard] = line.downlink.stop(frozenset({"resp_1"}))
        assert (heard.key.response_id, heard.played) == ("resp_2", 0)
        line.gone.add(2)
        await trio.sleep(0.3)
        assert line.heard_ms() == 500  # without a gap
        assert line.far_end.clears == 0


# -- the order -----------------------------------------------------------------------------------


async def test_an_earlier_part_that_comes_later_is_played_first(autojump_clock: MockClock) -> None:
    async with playing() as played:
        await wait_all_tasks_blocked()
        played.downlink.play(LATER, pcm(100, 2), (1, 0))
        played.downlink.play(KEY, pcm(100, 1), (0, 0))
        played.downlink.finish_response("resp_1")
        await trio.sleep(1)
        assert played.audio == pcm(100, 1) + pcm(100, 2)


async def test_an_earlier_part_that_comes_too_late_is_played_next(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        played.downlink.play(LATER, pcm(100, 2), (1, 0))
        played.downlink.play(PartKey("resp_1", "item_3", 0), pcm(100, 3), (2, 0))
        await trio.sleep(0.05)
        played.downlink.play(KEY, pcm(100, 1), (0, 0))
        played.downlink.finish_response("resp_1")
        await trio.sleep(1)
        assert played.audio == pcm(100, 2) + pcm(100, 1) + pcm(100, 3)


async def test_what_is_being_heard_has_a_name(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        assert line.downlink.heard_now() is None
        line.play(1, 100)
        line.play(2, 100)
        line.finish(1, 2)
        names = [line.downlink.heard_now()]
        for _ in range(4):
            await trio.sleep(0.055)
            names.append(line.downlink.heard_now())
        assert names == ["resp_1", "resp_1", "resp_2", "resp_2", None]


# -- the end -------------------------------------------------------------------------------------


async def test_the_end_is_told_once_when_the_last_sample_was_heard(
    autojump_clock: MockClock,
) -> None:
    async with a_line() as line:
        line.play(1, 100, of=1)
        line.play(2, 130, of=1)
        line.finish(1)
        await trio.sleep(0.229)
        assert line.over == []
        await trio.sleep(0.002)
        assert line.over == ["resp_1"]
        line.finish(1)
        await trio.sleep(10)
        assert line.over == ["resp_1"]


async def test_the_end_waits_for_the_word_that_nothing_more_comes(
    autojump_clock: MockClock,
) -> None:
    async with a_line() as line:
        line.play(1, 100)
        await trio.sleep(10)
        assert line.over == []
        line.finish(1)
        await wait_all_tasks_blocked()
        assert line.over == ["resp_1"]


async def test_the_end_waits_for_receipts_that_come_later_than_the_clock(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        played.receipt = 0
        played.downlink.play(KEY, pcm(100))
        played.downlink.finish_response("resp_1")
        for receipt in (0, 1000, 2399):
            played.receipt = receipt
            await trio.sleep(1)
            assert played.over == []
            assert played.downlink.playing
        played.receipt = 2400
        await trio.sleep(LOOK_S + 0.001)
        assert played.over == ["resp_1"]
        await trio.sleep(10)
        assert played.over == ["resp_1"]


async def test_of_a_response_that_was_stopped_no_end_is_told(autojump_clock: MockClock) -> None:
    async with a_line() as line:
        line.play(1, 100)
        line.finish(1)
        await trio.sleep(0.099)
        line.downlink.stop()
        await trio.sleep(1)
        assert line.over == []


async def test_a_response_that_was_heard_by_the_time_of_a_stop_was_not_stopped(
    autojump_clock: MockClock,
) -> None:
    line = Line()  # whose task has no turn at all
    line.play(1, 40)
    line.finish(1)
    line.downlink.step()
    await trio.sleep(0.04)
    assert line.downlink.stop() == []
    assert line.over == ["resp_1"]
    assert line.far_end.clears == 0


# -- what is not as it should be ------------------------------------------------------------------


async def test_an_underrun_is_counted_and_playout_goes_on_from_then(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(100, 1))
        await trio.sleep(0.3)
        played.downlink.play(KEY, pcm(500, 2))
        assert played.downlink.position == 100 * 24
        await trio.sleep(0.2)
        assert played.downlink.underruns == 1
        assert played.downlink.position == 300 * 24  # the silence is none of its samples
        assert [at for at, _ in played.pieces[3:5]] == [pytest.approx(0.3, abs=1e-6)] * 2
        await trio.sleep(1)
        assert played.audio == pcm(100, 1) + pcm(500, 2)
        assert played.downlink.underruns == 1


async def test_silence_between_two_parts_is_no_underrun(autojump_clock: MockClock) -> None:
    async with playing() as played:
        for key in (KEY, LATER):
            played.downlink.play(key, pcm(100))
            played.downlink.finish(key)
            await trio.sleep(1)
        assert played.downlink.underruns == 0


async def test_a_pause_is_no_underrun_but_one_after_it_is(autojump_clock: MockClock) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(300))
        await trio.sleep(0.1)
        played.downlink.pause()
        await trio.sleep(1)
        played.downlink.resume()
        await trio.sleep(0.1)
        assert played.downlink.underruns == 0
        await trio.sleep(1)
        played.downlink.play(KEY, pcm(100))
        await trio.sleep(1)
        assert played.downlink.underruns == 1


class Paced:
    """Playout without a task: the clock stands where it is put."""

    def __init__(self, lead_ms: int = 60, step_ms: int = 40) -> None:
        self.now = 0.0
        self.handed_ms: list[int] = []
        clock = lambda: self.now  # noqa: E731
        self.downlink = Downlink(self, lead_ms=lead_ms, step_ms=step_ms, clock=clock)

    def play(self, piece: bytes) -> None:
        self.handed_ms.append(len(piece) // 48)

    def clear(self) -> None:
        pass

    def played(self) -> None:
        pass

    def step_at(self, now: float) -> tuple[float, list[int]]:
        """When it wants to wake again, and what it handed over."""
        self.now, self.handed_ms = now, []
        due = self.downlink.step()
        assert due is not None
        return round(due, 6), self.handed_ms


def test_a_task_that_wakes_late_hands_over_what_is_due() -> None:
    paced = Paced()
    paced.downlink.play(KEY, pcm(10_000))
    assert paced.step_at(0) == (0.04, [40, 20])
    assert paced.step_at(0.04) == (0.08, [40])
    assert paced.step_at(0.095) == (0.13, [40, 10])  # within the lead
    assert paced.downlink.underruns == 0
    assert paced.downlink.position == 95 * 24
    assert paced.step_at(0.2) == (0.24, [40, 20])  # 50 ms too late
    assert paced.downlink.underruns == 1
    assert paced.downlink.position == 150 * 24
    assert paced.step_at(0.24) == (0.28, [40])
    assert paced.downlink.underruns == 1


def test_a_task_that_wakes_early_hands_over_nothing() -> None:
    paced = Paced()
    paced.downlink.play(KEY, pcm(10_000))
    paced.step_at(0)
    assert paced.step_at(0.009) == (0.04, [])


def test_a_task_with_nothing_to_do_waits_for_something_new() -> None:
    paced = Paced()
    assert paced.downlink.step() is None
    paced.downlink.play(KEY, pcm(40))
    assert paced.downlink.step() is None
    paced.downlink.finish_response(KEY.response_id)
    assert paced.downlink.step() == 0.04  # when all of it was heard
    paced.downlink.pause()
    assert paced.downlink.step() is None


def test_a_task_that_always_wakes_late_does_not_drift_in_an_hour() -> None:
    paced = Paced(200, 100)
    late_ms = itertools.cycle([0, 30, 60, 90])
    due, handed_ms = 0.0, 0
    while due < 3600:
        if paced.downlink.ledger.waiting() < SAMPLE_RATE:
            paced.downlink.play(KEY, pcm(10_000))
        due, handed = paced.step_at(due + next(late_ms) / 1000)
        handed_ms += sum(handed)
    assert handed_ms == pytest.approx((paced.now + 0.2) * 1000)
    assert paced.downlink.position == pytest.approx(paced.now * SAMPLE_RATE, abs=1)
    assert paced.downlink.underruns == 0


async def test_of_a_part_beyond_the_limit_nothing_more_is_ever_heard(
    autojump_clock: MockClock,
) -> None:
    async with playing() as played:
        played.downlink.play(KEY, pcm(HELD_LIMIT_S * 1000))
        played.downlink.play(KEY, pcm(10))
        await trio.sleep(60)
        played.downlink.play(KEY, pcm(10))  # there is room now, but it would follow a hole
        assert played.downlink.totals().discarded == 2 * 240
        played.downlink.play(LATER, pcm(10))
        assert played.downlink.totals().discarded == 2 * 240
        first, second = played.downlink.stop()
        assert first.received == (HELD_LIMIT_S + 0.02) * SAMPLE_RATE
        assert first.played == 60 * SAMPLE_RATE
        assert second.received == 240
