"""Local barge-in: a pause at the first sound, and not a sample lost if it was none of speech."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from agent.protocol.actions import PartKey
from agent.streams.barge_in import UNDECIDED_S, LocalBargeIn
from agent.streams.downlink import Downlink
from tests.fakes.far_end import FarEnd, numbered

WINDOW_S = 0.5
SPEECH, SILENCE = b"speech", b"silence"


class Call:
    """Playout that a detector may interrupt which hears speech where a test says so."""

    def __init__(self) -> None:
        self.protected = False
        self.fed: list[bytes] = []
        self.far_end = FarEnd(trio.current_time, "nothing", 0, lambda part: part not in self.gone)
        self.gone: set[int] = set()
        self.downlink = Downlink(self.far_end, lead_ms=60, step_ms=40)
        self.barge_in = LocalBargeIn(
            self, self.downlink, window_s=WINDOW_S, may_pause=lambda: not self.protected
        )

    def feed(self, pcm: bytes) -> bool:
        self.fed.append(pcm)
        return pcm == SPEECH

    def say(self, part: int = 1, ms: int = 1000) -> None:
        self.downlink.play(PartKey(f"resp_{part}", "item", 0), numbered(part, 0, 24 * ms))
        self.downlink.finish_response(f"resp_{part}")

    def stop(self, part: int = 1) -> None:
        """The server has heard speech, too."""
        self.downlink.stop()
        self.gone.add(part)

    def heard_ms(self, part: int = 1) -> float:
        self.far_end.listen()
        return self.far_end.heard.get(part, 0) / 24


@asynccontextmanager
async def a_call() -> AsyncIterator[Call]:
    call = Call()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call.downlink.run)
        nursery.start_soon(call.barge_in.run)
        yield call
        nursery.cancel_scope.cancel()


async def test_all_audio_is_listened_to(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.protected = True
        for pcm in (SILENCE, SPEECH, SILENCE):
            call.barge_in.hear(pcm)
        call.protected = False
        call.say()
        call.barge_in.hear(SPEECH)
        call.barge_in.hear(SPEECH)
        assert call.fed == [SILENCE, SPEECH, SILENCE, SPEECH, SPEECH]


async def test_the_first_sound_of_speech_pauses_playout_at_once(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SILENCE)
        assert call.far_end.clears == 0
        call.barge_in.hear(SPEECH)
        assert call.far_end.clears == 1
        assert call.downlink.paused
        await trio.sleep(WINDOW_S - 0.001)
        assert call.heard_ms() == 300


async def test_a_false_alarm_costs_a_pause_and_no_sample(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SPEECH)
        await trio.sleep(WINDOW_S + 0.2)
        assert call.barge_in.false_alarms == 1
        assert call.heard_ms() == 500
        await trio.sleep(1)
        assert call.heard_ms() == 1000
        assert call.downlink.underruns == 0
        assert call.barge_in.false_alarms == 1


async def test_more_speech_does_not_make_a_pause_longer(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SPEECH)
        await trio.sleep(WINDOW_S - 0.1)
        call.barge_in.hear(SPEECH)
        await trio.sleep(0.2)
        assert call.heard_ms() == 400
        assert call.barge_in.false_alarms == 1


async def test_each_false_alarm_is_counted(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        for number in (1, 2, 3):
            await trio.sleep(0.1)
            call.barge_in.hear(SPEECH)
            await trio.sleep(WINDOW_S + 0.001)
            assert call.barge_in.false_alarms == number
        await trio.sleep(1)
        assert call.heard_ms() == 1000


async def test_a_stop_within_the_window_was_no_false_alarm(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SPEECH)
        await trio.sleep(WINDOW_S - 0.1)
        call.stop()
        await trio.sleep(1)
        assert call.barge_in.false_alarms == 0
        assert call.heard_ms() == 300
        call.say(2)
        await trio.sleep(1)
        assert call.heard_ms(2) == 1000


@pytest.mark.parametrize("after_s", [0.1, 0.399])
async def test_a_second_pause_has_a_window_of_its_own(
    after_s: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.1)
        call.barge_in.hear(SPEECH)
        await trio.sleep(0.1)
        call.stop()
        call.say(2)
        await trio.sleep(after_s)  # the first window is not over
        call.barge_in.hear(SPEECH)
        await trio.sleep(WINDOW_S - 0.001)
        assert call.heard_ms(2) == round(after_s * 1000)
        assert call.barge_in.false_alarms == 0
        await trio.sleep(0.002)
        assert call.barge_in.false_alarms == 1
        await trio.sleep(1)
        assert call.heard_ms(2) == 1000


async def test_what_the_server_has_not_decided_yet_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SPEECH)
        await trio.sleep(0.2)
        call.barge_in.wait(0.4)
        await trio.sleep(WINDOW_S + 0.399)
        assert call.barge_in.false_alarms == 0
        await trio.sleep(0.002)
        assert call.barge_in.false_alarms == 1
        await trio.sleep(1)
        assert call.heard_ms() == 1000


@pytest.mark.parametrize("seconds", [UNDECIDED_S + 1, float("inf")])
async def test_but_not_for_ever(seconds: float, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SPEECH)
        call.barge_in.wait(seconds)
        await trio.sleep(WINDOW_S + UNDECIDED_S - 0.001)
        assert call.heard_ms() == 300
        await trio.sleep(0.101)
        assert call.heard_ms() == pytest.approx(400, abs=0.1)


async def test_what_was_no_interruption_ends_the_pause_at_once(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.say()
        await trio.sleep(0.3)
        call.barge_in.go_on()  # which there is nothing to do for
        call.barge_in.hear(SPEECH)
        await trio.sleep(0.1)
        call.barge_in.go_on()
        assert call.barge_in.false_alarms == 1
        await trio.sleep(0.7)
        assert call.heard_ms() == 1000
        assert call.barge_in.false_alarms == 1


async def test_what_is_protected_is_not_paused(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.protected = True
        call.say()
        await trio.sleep(0.3)
        call.barge_in.hear(SPEECH)
        await trio.sleep(0.7)
        assert call.heard_ms() == 1000
        assert call.far_end.clears == 0
        assert call.barge_in.false_alarms == 0


async def test_where_nothing_plays_nothing_is_paused(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.barge_in.hear(SPEECH)
        call.say()
        await trio.sleep(1)
        assert call.heard_ms() == 1000
        call.barge_in.hear(SPEECH)
        await trio.sleep(1)
        assert call.far_end.clears == 0
        assert call.barge_in.false_alarms == 0
