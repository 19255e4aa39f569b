"""A receiver as the page is one (server/web/speaker.js): how much it has put out.

It waits for a little audio before it plays, plays on a clock of its own from then on, and waits
anew when it has run dry or was cleared. Here nothing sounds: it is asked, and counts.
"""

from collections import deque
from typing import Final

from attrs import define, field

RATE: Final = 24_000
"""Samples a second."""
START_SAMPLES: Final = RATE * 60 // 1000
"""It plays when it holds so much, or when so much time has passed since the first that it holds."""


@define
class Receiver:
    """What one member of the channel said, on its way to the person's ear.

    Times are in seconds, of any clock, and never go back.

    :ivar played: samples that were put out since the beginning.
    :ivar heard: the same by answer, since the last `clear`.
    """

    played: int = 0
    heard: dict[int, int] = field(factory=dict)
    _pieces: deque[tuple[int, int]] = field(factory=deque)
    _held: int = 0
    _playing: bool = False
    _at: float = 0.0
    """Until when it has played; while it waits, since when."""

    def add(self, number: int, samples: int, now: float) -> None:
        """Samples of an answer came."""
        self.advance(now)
        if not self._held:
            self._at = now
        self._pieces.append((number, samples))
        self._held += samples
        if not self._playing and self._held >= START_SAMPLES:
            self._playing, self._at = True, now

    def advance(self, now: float) -> None:
        """Play until now."""
        if self._held and not self._playing and now - self._at >= START_SAMPLES / RATE:
            self._playing, self._at = True, self._at + START_SAMPLES / RATE
        if self._playing:
            due = min(self._held, int((now - self._at) * RATE))
            self._at += due / RATE
            self._put_out(due)

    def clear(self, now: float) -> dict[int, int]:
        """Drop what is not played yet; what was heard since the last time, by answer."""
        self.advance(now)
        heard, self.heard = self.heard, {}
        self._pieces.clear()
        self._held, self._playing = 0, False
        return heard

    def _put_out(self, samples: int) -> None:
        self.played += samples
        self._held -= samples
        self._playing = self._held > 0
        while samples:
            number, size = self._pieces.popleft()
            taken = min(size, samples)
            if taken < size:
                self._pieces.appendleft((number, size - taken))
            self.heard[number] = self.heard.get(number, 0) + taken
            samples -= taken
