"""Playout and its ledger: conservation, pacing, no zombies, on the mock clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.audio import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE
from agent.protocol.actions import Heard, PartKey
from agent.streams.downlink import HELD_LIMIT_S, HELD_PARTS, Downlink
from agent.streams.ledger import Utterance

KEY = PartKey("resp_1", "item_1", 0)
LATER = PartKey("resp_1", "item_2", 0)


def pcm(ms: float, value: int = 1000) -> bytes:
    return value.to_bytes(2, "little") * round(ms * 24)


class Played:
    """A channel that keeps when it was handed what."""

    def __init__(self, lead_ms: int = 60, step_ms: int = 40) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.downlink = Downlink(self._take, lead_ms=lead_ms, step_ms=step_ms)

    def _take(self, piece: bytes) -> None:
        assert piece
        assert len(piece) % FRAME_BYTES == 0
        self.pieces.append((trio.current_time(), piece))

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
async def test_pacing_keeps_to_the_lead_and_does_not_drift_in_an_hour(
    lead_ms: int, step_ms: int, autojump_clock: MockClock
) -> None:
    async with playing(lead_ms, step_ms) as played:
        began = trio.current_time()
        hour = 3600 if (lead_ms, step_ms) == (60, 40) else 60
        for _ in range(hour // 10):
            played.downlink.play(KEY, pcm(10_000))
            await trio.sleep(9.9)
        sent = 0
        for at, piece in played.pieces:
            lead = began + sent / SAMPLE_RATE - at
            assert -1e-6 <= lead <= lead_ms / 1000 + 1e-6
            assert len(piece) <= step_ms * 48
            sent += len(piece) // 2
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
        assert played.downlink.stop() == [Heard(key=LATER, received=12_000, played=120 * 24)]
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
    assert played.downlink.discarded == 2 * 60 * SAMPLE_RATE


async def test_a_server_that_names_ever_new_parts_is_not_held_for(
    autojump_clock: MockClock,
) -> None:
    played = Played()
    for number in range(HELD_PARTS + 10):
        played.downlink.play(PartKey("resp", f"item_{number}", 0), pcm(1))
    assert played.downlink.discarded == 10 * SAMPLE_RATE // 1000
    assert len(played.downlink.stop()) == HELD_PARTS


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
            assert 0 <= handed + downlink.discarded - received <= stops * 60 * 24

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.integers(1, 9))
def test_an_utterances_samples_come_out_once_and_in_order(sizes: list[int], frames: int) -> None:
    utterance, audio = Utterance(KEY), b""
    for number, size in enumerate(sizes):
        piece = (number + 1).to_bytes(2, "little") * size
        audio += piece
        utterance.add(piece)
    utterance.complete = True
    out, clock = b"", 5.0
    while utterance.ready:
        piece = utterance.take(frames, clock)
        clock += len(piece) / 2 / SAMPLE_RATE
        out += piece
    assert out[: len(audio)] == audio
    assert out[len(audio) :] == bytes(-len(audio) % FRAME_BYTES)
    assert utterance.handed == utterance.received == len(audio) // 2
    assert utterance.played(5.0) == 0
    assert utterance.played(clock) == utterance.received
    assert utterance.over(clock)
    assert utterance.played(5.0 + FRAME_SAMPLES / SAMPLE_RATE) == min(240, utterance.received)
