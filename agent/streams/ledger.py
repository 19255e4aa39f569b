"""What became of the samples of one content part: received, handed over, played, discarded.

Time is an argument here, in seconds of the clock that paces playout.
"""

from collections import deque
from typing import Final

from attrs import define, field

from agent.audio import FRAME_BYTES, SAMPLE_BYTES, SAMPLE_RATE
from agent.protocol.actions import Heard, PartKey

JOINED_BYTES: Final = 4800
"""Pieces of audio are joined up to this size, 100 ms; captured deltas are larger."""


@define
class Span:
    """Samples that play without a gap.

    :ivar start: when the first of them is heard.
    """

    start: float
    samples: int


@define
class Utterance:
    """The audio of one content part on its way to the person.

    :ivar received: samples that came from the model.
    :ivar handed: samples that the channel was given; padding to a whole frame does not count.
    :ivar complete: no more will come.
    """

    key: PartKey
    received: int = 0
    handed: int = 0
    complete: bool = False
    _chunks: deque[memoryview] = field(factory=deque)
    _spans: list[Span] = field(factory=list)

    @property
    def waiting(self) -> int:
        """Samples that have yet to be handed over."""
        return self.received - self.handed

    @property
    def underway(self) -> bool:
        """Whether a part of it has been handed over already."""
        return self.handed > 0

    @property
    def ready(self) -> bool:
        """Whether a frame can be made: a whole one, or the last."""
        return self.waiting * SAMPLE_BYTES >= FRAME_BYTES or (self.complete and self.waiting > 0)

    def add(self, pcm: bytes) -> None:
        """More audio from the model."""
        self.received += len(pcm) // SAMPLE_BYTES
        # However little comes at a time, what is kept of it is little more than its audio.
        if self._chunks and len(self._chunks[-1]) + len(pcm) <= JOINED_BYTES:
            pcm = bytes(self._chunks.pop()) + pcm
        self._chunks.append(memoryview(pcm))

    def take(self, frames: int, start: float) -> bytes:
        """At most so many frames, to be heard from `start` on; the last is padded with silence."""
        size = min(frames * FRAME_BYTES, self.waiting * SAMPLE_BYTES)
        if not self.complete:
            size -= size % FRAME_BYTES
        pcm = self._cut(size)
        samples = size // SAMPLE_BYTES
        self.handed += samples
        self._note(start, samples)
        return pcm + bytes(-size % FRAME_BYTES)

    def played(self, now: float) -> int:
        """Samples whose time has passed."""
        return sum(
            min(span.samples, max(0, int((now - span.start) * SAMPLE_RATE + 0.5)))
            for span in self._spans
        )

    def over(self, now: float) -> bool:
        """Whether all that will ever come has been heard."""
        return self.complete and self.played(now) == self.received

    def heard(self, now: float) -> Heard:
        """How far it has come."""
        return Heard(key=self.key, received=self.received, played=self.played(now))

    def _cut(self, size: int) -> bytes:
        pieces: list[memoryview] = []
        while size:
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            pieces.append(chunk)
            size -= len(chunk)
        return b"".join(pieces)

    def _note(self, start: float, samples: int) -> None:
        last = self._spans[-1] if self._spans else None
        # Half a sample of tolerance: the clock is a float.
        if last and abs(last.start + last.samples / SAMPLE_RATE - start) * SAMPLE_RATE < 0.5:
            last.samples += samples
        else:
            self._spans.append(Span(start, samples))
