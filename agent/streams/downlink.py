"""Model to person: paced playout of utterances.

Frames are handed to the channel ahead of their time by a small lead, in steps, to absolute
deadlines: the moment at which the channel will run dry is computed from the samples handed over,
never from when this task happened to wake, so that nothing drifts.
"""

import logging
from collections.abc import Callable
from typing import Final

import trio

from agent.audio import BYTES_PER_SECOND, FRAME_MS, SAMPLE_BYTES
from agent.protocol.actions import Heard, PartKey
from agent.streams.ledger import Utterance

HELD_LIMIT_S: Final = 1800.0
"""Audio held for playout at most: more than the longest answer that a model may give."""

HELD_PARTS: Final = 256
"""Content parts held for playout at most: an answer has one to three, and few answers wait."""

_log = logging.getLogger(__name__)


class Downlink:
    """The playout of one call.

    :param play: hands whole 10 ms frames to the channel; does not wait.
    :param lead_ms: how far ahead of its time audio is handed over at most.
    :param step_ms: how much is handed over at once at most; the lead less this is what
        protects against a late wake-up.
    :param clock: seconds; what `trio.sleep_until` counts in.
    :ivar underruns: times that the channel ran dry in the midst of an utterance.
    :ivar discarded: samples that were dropped unheard.
    """

    def __init__(
        self,
        play: Callable[[bytes], None],
        *,
        lead_ms: int,
        step_ms: int,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.underruns = 0
        self.discarded = 0
        self._hand_over = play
        self._lead_s, self._step_s = lead_ms / 1000, step_ms / 1000
        self._step_frames = step_ms // FRAME_MS
        self._clock = clock
        self._queue: list[Utterance] = []
        self._dry_at = float("-inf")
        self._work = trio.Event()
        self._pacing = trio.CancelScope()

    @property
    def playing(self) -> bool:
        """Whether anything is being heard or is about to be."""
        self._retire()
        return bool(self._queue)

    def play(self, key: PartKey, pcm: bytes) -> None:
        """Queue audio (pcm16) behind all that is queued."""
        utterance = self._find(key)
        if self._is_full(len(pcm), is_new=utterance is None):
            self.discarded += len(pcm) // SAMPLE_BYTES
            _log.warning("the model has sent too much ahead of its time: audio dropped")
            return
        utterance = utterance or self._append(key)
        utterance.add(pcm)
        if utterance.ready:
            self._work.set()

    def finish(self, key: PartKey) -> None:
        """No more audio comes for this part."""
        utterance = self._find(key)
        if utterance is not None:
            utterance.complete = True
            self._work.set()

    def finish_response(self, response_id: str) -> None:
        """No more audio comes for any part of this response."""
        for utterance in self._queue:
            if utterance.key.response_id == response_id:
                utterance.complete = True
        self._work.set()

    def stop(self) -> list[Heard]:
        """Fall silent: nothing that is queued now is ever handed over.

        The channel's own buffer is the caller's to clear, with no await in between.

        :returns: for each part that had not been heard to its end, how far it came.
        """
        self._retire()
        now = self._clock()
        heard = [utterance.heard(now) for utterance in self._queue]
        self.discarded += sum(report.received - report.played for report in heard)
        self._queue.clear()
        self._dry_at = float("-inf")
        self._pacing.cancel()
        return heard

    async def run(self) -> None:
        """Play for as long as the call lasts."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            with trio.CancelScope() as self._pacing:
                await self._pace()

    async def _pace(self) -> None:
        while (utterance := self._next()) is not None:
            now = self._clock()
            start = self._start_of(utterance, now)
            # Half a millisecond of tolerance: the clock is a float.
            frames = int((now + self._lead_s - start) * 1000 + 0.5) // FRAME_MS
            if frames > 0:
                pcm = utterance.take(min(frames, self._step_frames), start)
                self._dry_at = start + len(pcm) / BYTES_PER_SECOND
                self._hand_over(pcm)
            else:
                await trio.sleep_until(self._dry_at - self._lead_s + self._step_s)
            self._retire()

    def _start_of(self, utterance: Utterance, now: float) -> float:
        if self._dry_at >= now:
            return self._dry_at
        self.underruns += utterance.underway
        return now

    def _next(self) -> Utterance | None:
        for utterance in self._queue:
            if utterance.ready:
                return utterance
            if not utterance.complete:
                return None  # later parts wait for the rest of this one
        return None

    def _retire(self) -> None:
        now = self._clock()
        while self._queue and self._queue[0].over(now):
            del self._queue[0]

    def _find(self, key: PartKey) -> Utterance | None:
        return next((u for u in self._queue if u.key == key), None)

    def _append(self, key: PartKey) -> Utterance:
        self._queue.append(Utterance(key))
        return self._queue[-1]

    def _is_full(self, size: int, *, is_new: bool) -> bool:
        if is_new and len(self._queue) >= HELD_PARTS:
            return True
        held = sum(utterance.waiting for utterance in self._queue) * SAMPLE_BYTES
        return held + size > HELD_LIMIT_S * BYTES_PER_SECOND
