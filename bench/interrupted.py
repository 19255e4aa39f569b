"""What the model does in a call in which the person interrupts every answer.

Each answer is interrupted at another point: while it is still generated, or when the model has long
done with it and most of it is yet to be heard. What the model had sent by then still comes: late
deltas of the answer, and a few more of it when the next one has begun.
"""

import time
from typing import Final

import trio
from attrs import define, field

from bench.answers import FASTER, Answers, audio_delta

DELTA_MS: Final = 250
DELTAS: Final = 14
"""Of an answer: it is generated in about 0.7 s, and so half of them are interrupted before."""
EARLIEST_S: Final = 0.3
"""After the first delta."""
LATEST_S: Final = 1.0
LATE_DELTAS: Final = 10
STRAGGLERS: Final = 3
"""Deltas of an answer that come when the next one has begun."""
_EVERY_S: Final = DELTA_MS / 1000 / FASTER
_GOLDEN: Final = 0.618
"""Its multiples, without their whole part, fill the time evenly, at no step of the playout's."""


@define
class Interrupted:
    """One such call.

    :ivar began: (answer's number, when the person's speech over it was told) pairs.
    :ivar open: the number of each answer that was still generated then.
    """

    answers: Answers
    began: list[tuple[int, float]] = field(factory=list)
    open: list[int] = field(factory=list)

    async def run(self, times: int) -> None:
        """Give so many answers, each of which is interrupted."""
        for number in range(times):
            at_s = EARLIEST_S + (LATEST_S - EARLIEST_S) * (number * _GOLDEN % 1)
            is_open = await self._answer(number, at_s)
            await self._interrupt(number, is_open)

    async def _answer(self, number: int, seconds: float) -> bool:
        """Give an answer for so long; whether it is still open then."""
        await self.answers.begin(number)
        began = trio.current_time()
        for at in range(DELTAS):
            if at * _EVERY_S >= seconds:
                break
            await trio.sleep_until(began + at * _EVERY_S)
            await self.answers.send_words(number, f"word {at} ")
            await self._say(number)
            if at == 0 and number > 0:
                for _ in range(STRAGGLERS):
                    await self._say(number - 1)
        is_open = seconds < DELTAS * _EVERY_S
        if not is_open:
            await self.answers.end(number, "completed")
        await trio.sleep_until(began + seconds)
        return is_open

    async def _interrupt(self, number: int, is_open: bool) -> None:
        item = f"item_person_{number}"
        send = self.answers.send
        self.open += [number] * is_open
        self.began.append((number, time.monotonic()))
        await send("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        # What was on its way comes at once, or as it was paced.
        every_s = number % 2 * _EVERY_S
        for _ in range(LATE_DELTAS):
            await self._say(number)
            await trio.sleep(every_s)
        if is_open:
            await self.answers.end(number, "cancelled")
        await send("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=item)
        await send("input_audio_buffer.committed", item_id=item, previous_item_id=None)

    async def _say(self, number: int) -> None:
        await self.answers.send_delta(number, audio_delta(number, DELTA_MS))
