"""A long conversation at random, on the mock clock: no drift, no growth, no zombie.

It lasts twenty minutes, `make prove` an hour.

Answers of any length come at five times the speed of speech, some stall, some are made of several
items; the person lets them be said, speaks over them, or types.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import trio
from attrs import define, evolve, field
from hypothesis import settings
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.audio import SAMPLE_RATE
from agent.rtc.channel import DataReceived
from agent.streams.chunks import to_chunks
from tests.fakes.call import OPTIONS, Running, a_call
from tests.fakes.channel import PERSON, Handed, MemoryChannel
from tests.test_fuzzed_calls import KEPT, LIMITS, sizes

LONG_S = 3600 if settings().max_examples >= 1000 else 1200
# Longer steps than usual: the time is spent on turns. That the usual ones do not drift is shown in
# streams/test_downlink.py.
UNHURRIED = evolve(OPTIONS, playout_lead_ms=200, playout_step_ms=150)
LEAD_S = UNHURRIED.playout_lead_ms / 1000
DELTA_MS = 250
LONGEST_MS = 30_000


@define
class Ears:
    """The person's: a clock of their own for what is handed over, and no memory of its samples.

    :ivar dry_at: when all that was handed over will have been heard.
    :ivar worst_lead_s: how far ahead of its time anything was handed over.
    :ivar handed_ms: of the answer that is being heard.
    """

    dry_at: float = float("-inf")
    worst_lead_s: float = 0.0
    handed_ms: float = 0.0
    silenced: bool = False
    total_ms: float = 0.0

    def hear(self, piece: Handed) -> None:
        assert not self.silenced, "an answer went on after it had been interrupted"
        ms = len(piece.pcm) / 48
        start = max(self.dry_at, piece.at)
        self.worst_lead_s = max(self.worst_lead_s, start - piece.at)
        self.dry_at = start + ms / 1000
        self.handed_ms += ms
        self.total_ms += ms

    def heard_ms(self) -> float:
        """Of the answer, by now."""
        return self.handed_ms - max(0.0, self.dry_at - trio.current_time()) * 1000


@define
class Conversation:
    """The model's and the person's part in a call."""

    call: Running
    random: Random
    ears: Ears = field(factory=Ears)
    turns: int = 0
    interruptions: int = 0
    stalls: int = 0
    errors_ms: list[float] = field(factory=list)

    async def one_turn(self) -> None:
        """The person has spoken; the answer comes, and is heard or interrupted."""
        self.turns += 1
        names = f"resp_{self.turns}", f"item_{self.turns}"
        length_ms = self.random.choice((400, 3000, 8000, 8000, 20_000, LONGEST_MS))
        heard_for_s = length_ms / 1000 * self.random.choice((0.1, 0.5, 0.9, 1, 1, 1))
        is_cut = heard_for_s < length_ms / 1000
        self.ears.silenced, self.ears.handed_ms = False, 0
        began = trio.current_time()
        await self.call.model.begin(*names)
        until = began + heard_for_s if is_cut else float("inf")
        await self.send(length_ms, names, until)
        is_generated = trio.current_time() < until
        if is_generated:
            await self.call.model.end_item(*names)
            await self.call.model.end(names[0])
        if is_cut:
            await trio.sleep_until(until)
            await self.interrupt(names, is_generated=is_generated)
        else:
            await self.call.channel.until(lambda: self.ears.handed_ms >= length_ms)
            await trio.sleep_until(max(self.ears.dry_at, trio.current_time()) + 0.2)
            assert not self.call.call.downlink.playing

    async def send(self, length_ms: int, names: tuple[str, str], until: float) -> None:
        stalls = self.random.random() < 0.1
        for at in range(0, length_ms, DELTA_MS):
            if trio.current_time() >= until:
                return
            sent_at = trio.current_time()
            await self.call.model.words("word ", *names)
            await self.call.model.audio(min(DELTA_MS, length_ms - at), *names)
            await trio.sleep(0.05)
            assert trio.current_time() - sent_at < 0.051, "an event had to wait"
            if stalls and at == 1000:
                self.stalls += 1
                await trio.sleep(self.random.uniform(1, 3))

    async def interrupt(self, names: tuple[str, str], *, is_generated: bool) -> None:
        self.interruptions += 1
        cuts = len(self.corrections())
        if self.random.random() < 0.8:
            await self.call.model.speech_started(f"user_{self.turns}")
        else:
            [chunk] = to_chunks({"type": "text", "text": "stop"}, f"m{self.turns}")
            self.call.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        heard_ms = self.ears.heard_ms()
        await wait_all_tasks_blocked()
        self.call.channel.cleared.clear()
        self.ears.silenced, self.ears.dry_at = True, float("-inf")
        for _ in range(self.random.randrange(10)):
            await self.call.model.audio(DELTA_MS, *names)
        if not is_generated:
            await self.call.model.end_item(*names, status="incomplete")
            await self.call.model.end(names[0], status="cancelled")
        await self.call.model.speech_stopped(f"user_{self.turns}")
        await trio.sleep(0.3)
        [told] = self.corrections()[cuts:]
        assert told["item_id"] == names[1]
        self.errors_ms.append(abs(told.get("audio_end_ms", 0) - heard_ms))

    def corrections(self) -> list[dict[str, Any]]:
        kinds = ("conversation.item.truncate", "conversation.item.delete")
        return [event for event in self.call.model.got if event["type"] in kinds]


class OpenEars(MemoryChannel):
    """Keeps nothing of what it is handed."""

    listen: Callable[[Handed], None]

    def play(self, pcm: bytes) -> None:
        super().play(pcm)
        self.listen(self.handed.pop())
        self.messages.clear()


async def test_a_long_conversation_neither_drifts_nor_grows(autojump_clock: MockClock) -> None:
    channel = OpenEars()
    async with a_call(UNHURRIED, channel=channel, patience_s=2 * LONG_S) as call:
        talk = Conversation(call, Random(4))
        channel.listen = talk.ears.hear
        began = trio.current_time()
        while trio.current_time() < began + LONG_S:
            await talk.one_turn()
            await trio.sleep(talk.random.uniform(2, 14))
        assert talk.turns > LONG_S / 24
        assert talk.interruptions > LONG_S / 72
        # No drift: never further ahead of its time, and never behind but where the model stalled.
        assert talk.ears.worst_lead_s <= LEAD_S + 1e-6
        assert call.call.downlink.underruns <= talk.stalls
        # To the millisecond, from the first interruption to the last.
        assert max(talk.errors_ms) <= 1
        # No growth: what is kept has a limit, and nothing of the audio is.
        words = "Call.conversation._responses._known[].items[].parts[].words"
        limits = LIMITS | {"bytes": 2**17, words: LONGEST_MS // DELTA_MS}
        for path, size in sizes(call).items():
            assert size <= limits.get(path, KEPT), path
        assert not list(call.call.downlink.ledger)
        totals = call.call.downlink.totals()
        assert totals.received == totals.played + totals.discarded
        assert totals.played / SAMPLE_RATE > LONG_S / 5
