"""Model to person: paced playout of utterances.

Frames are handed to the channel ahead of their time by a small lead, in steps, to absolute
deadlines: the moment at which the channel will run dry is computed from the samples handed over,
never from when this task happened to wake, so that nothing drifts.

How far the person has come is the line's position: of all samples that the channel was ever
handed, those that were heard. Without anybody's word for it that is what was handed less what the
playout clock says is still on its way. A channel that counts for itself knows better: by what its
own buffer gave up when it was cleared, or by the receiver's receipts.

All but `run` is synchronous: whoever stops playout has silence, and knows what was heard, before
anything else in the program can run.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

import trio

from agent.audio import BYTES_PER_SECOND, FRAME_MS, SAMPLE_BYTES, SAMPLE_RATE
from agent.protocol.actions import Heard, PartKey
from agent.streams.ledger import Entry, Ledger, Totals

HELD_LIMIT_S: Final = 1800.0
"""Audio held for playout at most: more than the longest answer that a model may give. What comes
beyond it is dropped, and with it the rest of its part: a part with a hole in it has no place at
which it could be said to be cut."""
LOOK_S: Final = 0.05
"""How often it is looked whether all was heard, where the clock thinks so and the person's receipts
do not yet: as often as these come."""

_log = logging.getLogger(__name__)


class Line(Protocol):
    """What playout needs of a channel; see `agent.rtc.channel.RtcChannel`."""

    def play(self, pcm: bytes) -> None:
        """Take whole frames."""

    def clear(self) -> int | None:
        """Drop what was not heard; how many samples that were, where it can be known."""

    def played(self) -> int | None:
        """The line's position by the person's receipts, where there are any."""


def _ignore(_: str) -> None:
    pass


class Downlink:
    """The playout of one call.

    :param line: takes the audio; does not wait.
    :param lead_ms: how far ahead of its time audio is handed over at most.
    :param step_ms: how much is handed over at once at most; the lead less this is what
        protects against a late wake-up.
    :param clock: seconds; what Trio's deadlines count in.
    :param on_over: is told each response of which all that will ever be heard was heard.
    :param on_first: is told the response of each part of which a first frame was handed over.
    :ivar underruns: times that the channel ran dry in the midst of an utterance.
    """

    def __init__(
        self,
        line: Line,
        *,
        lead_ms: int,
        step_ms: int,
        clock: Callable[[], float] = trio.current_time,
        on_over: Callable[[str], None] = _ignore,
        on_first: Callable[[str], None] = _ignore,
    ) -> None:
        self.underruns = 0
        self.ledger = Ledger()
        self._line = line
        self._lead_s, self._step_s = lead_ms / 1000, step_ms / 1000
        self._step_frames = step_ms // FRAME_MS
        self._clock = clock
        self._on_over, self._on_first = on_over, on_first
        self._handed = 0
        self._dry_at = float("-inf")
        self._cut_at: int | None = None
        self._work = trio.Event()

    # -- what is known -------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """How many samples of all that the channel was ever handed the person has heard."""
        by_the_clock = self._by_the_clock() if self._cut_at is None else self._cut_at
        told = self._line.played()
        # Nobody hears what is to be heard later, whatever a receipt was taken to say.
        return by_the_clock if told is None else min(by_the_clock, told)

    @property
    def playing(self) -> bool:
        """Whether anything is being heard or is about to be."""
        position = self.position
        return any(not entry.over(position) for entry in self.ledger)

    @property
    def paused(self) -> bool:
        """Whether playout stands still, by `pause`."""
        return self._cut_at is not None

    def heard_now(self) -> str | None:
        """The response that is being heard or is the next to be."""
        position = self.position
        entry = next((entry for entry in self.ledger if not entry.over(position)), None)
        return None if entry is None else entry.key.response_id

    def totals(self) -> Totals:
        """What became of all samples of the call so far."""
        return self.ledger.totals(self.position)

    # -- what is to be heard -------------------------------------------------------------------

    def play(self, key: PartKey, pcm: bytes, order: tuple[int, int] = (0, 0)) -> None:
        """Queue audio (pcm16) behind all that is queued of its response, and of earlier ones.

        :param order: the part's place in its response: (output index, content index).
        """
        entry = self.ledger.open(key, order)
        if entry is None:
            self.ledger.refuse(len(pcm) // SAMPLE_BYTES)
            _log.warning("the model has sent too many parts ahead of their time: audio dropped")
            return
        held_s = (self.ledger.waiting() * SAMPLE_BYTES + len(pcm)) / BYTES_PER_SECOND
        if held_s > HELD_LIMIT_S:
            _log.warning("the model has sent too much ahead of its time: audio dropped")
            entry.close()
        entry.add(pcm)
        if entry.ready:
            self._work.set()

    def finish(self, key: PartKey) -> None:
        """No more audio comes for this part."""
        entry = self.ledger.find(key)
        if entry is not None:
            entry.complete = True
            self._work.set()

    def finish_response(self, response_id: str) -> None:
        """No more audio comes for any part of this response."""
        for entry in self.ledger:
            if entry.key.response_id == response_id:
                entry.complete = entry.finished = True
        self._work.set()

    # -- silence -------------------------------------------------------------------------------

    def stop(self, spared: frozenset[str] = frozenset()) -> list[Heard]:
        """Fall silent: nothing that is queued now is ever handed over, and the channel is cleared.

        :param spared: responses that go on, from the sample to which they were heard.
        :returns: for each part of the other responses that were not over, how far it came. A
            response is over when all of it was heard and no more can come.
        """
        self._retire()
        cut = [entry for entry in self.ledger if entry.key.response_id not in spared]
        goes_on = [entry for entry in self.ledger if entry.key.response_id in spared]
        position = self.position
        is_heard = any(entry.handed > entry.played(position) for entry in cut)
        if is_heard or (not goes_on and any(not entry.over(position) for entry in cut)):
            self._silence()
            position = self.position
        if self.paused:
            self.ledger.take_back(position)
        heard = [entry.heard(position) for entry in cut]
        for entry in cut:
            entry.discard()
            self.ledger.remove(entry, position)
        self._go_on()
        return heard

    def pause(self) -> bool:
        """Fall silent for now; whether there was anything to be heard."""
        if self.paused or not self.playing:
            return False
        self._silence()
        return True

    def resume(self) -> None:
        """Go on after a pause, with the first sample that was not heard."""
        if self.paused:
            self.ledger.take_back(self.position)
            self._go_on()

    def _silence(self) -> None:
        if self.paused:
            return
        by_the_clock = self._by_the_clock()
        dropped = self._line.clear()
        self._cut_at = by_the_clock if dropped is None else self._handed - dropped
        self._dry_at = float("-inf")

    def _go_on(self) -> None:
        self._cut_at = None
        self._work.set()

    # -- pacing --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Play for as long as the call lasts."""
        while True:
            self._work = trio.Event()
            due = self.step()
            with trio.move_on_at(float("inf") if due is None else due):
                await self._work.wait()

    def step(self) -> float | None:
        """Hand over what is due.

        :returns: when there is more to do; None: when something new has come.
        """
        self._retire()
        while not self.paused and (entry := self._next()) is not None:
            now = self._clock()
            start = self._start_of(entry, now)
            # Half a millisecond of tolerance: the clock is a float.
            frames = int((now + self._lead_s - start) * 1000 + 0.5) // FRAME_MS
            if frames <= 0:
                return self._dry_at - self._lead_s + self._step_s
            is_first = entry.handed == 0
            pcm = entry.take(min(frames, self._step_frames), self._handed)
            self._handed += len(pcm) // SAMPLE_BYTES
            self._dry_at = start + len(pcm) / BYTES_PER_SECOND
            self._line.play(pcm)
            if is_first:
                self._on_first(entry.key.response_id)
        return self._end_of_what_is_heard()

    def _start_of(self, entry: Entry, now: float) -> float:
        if self._dry_at >= now:
            return self._dry_at
        self.underruns += entry.handed > 0 and self._dry_at > float("-inf")
        return now

    def _next(self) -> Entry | None:
        for entry in self.ledger:
            if entry.ready:
                return entry
            if not entry.complete:
                return None  # later parts wait for the rest of this one
        return None

    def _end_of_what_is_heard(self) -> float | None:
        position = self.position
        if self.paused or not any(
            entry.finished and not entry.over(position) for entry in self.ledger
        ):
            return None
        now = self._clock()
        return self._dry_at if self._dry_at > now else now + LOOK_S

    def _retire(self) -> None:
        for response_id in self.ledger.retire(self.position):
            self._on_over(response_id)

    def _by_the_clock(self) -> int:
        on_its_way_s = max(0.0, self._dry_at - self._clock())
        # To the nearest sample: the clock is a float.
        return self._handed - int(on_its_way_s * SAMPLE_RATE + 0.5)
