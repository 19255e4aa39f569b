"""What became of every sample: received, handed over, played, discarded, per content part.

The rules:

- What was received waits, was handed to the channel, or was discarded; nothing else can become of
  it, and nothing is two of these. So `received == waiting + handed + discarded`, at every step.
- What was handed over is played, or on its way to the person. What the channel gave up unheard was
  never handed over: it is taken back, and waits again or is discarded. So `played <= handed`.
- How much was played follows from one figure, the line's position: how many samples of all that
  the channel was ever handed the person has heard. Who knows the position is not known here.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from attrs import define, field

from agent.audio import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_BYTES, SAMPLE_RATE
from agent.protocol.actions import Heard, PartKey

JOINED_BYTES: Final = 4800
"""Pieces of audio are joined up to this size, 100 ms; captured deltas are larger."""
KEPT_SAMPLES: Final = 2 * SAMPLE_RATE
"""Of each part that were handed over and can still be taken back. Nothing holds more: receivers
some 100 ms, a relay 2 s at the worst."""
MAX_ENTRIES: Final = 256
"""Content parts that are held at most: an answer has one to three, and few answers wait."""


@define
class Span:
    """Samples of one part that follow each other on the line.

    :ivar start: the line's position at the first of them.
    """

    start: int
    samples: int

    def played(self, position: int) -> int:
        """How many of them were heard, when the line's position is this."""
        return min(self.samples, max(0, position - self.start))


@define
class Entry:
    """The audio of one content part.

    :ivar order: the part's place in its response: (output index, content index).
    :ivar received: samples that came from the model.
    :ivar waiting: samples that have yet to be handed over.
    :ivar handed: samples that the channel was given and has not given up unheard; the silence that
        fills the last frame does not count.
    :ivar discarded: samples that will never be heard.
    :ivar complete: no more will come.
    :ivar finished: no more will come of the whole response.
    """

    key: PartKey
    order: tuple[int, int] = (0, 0)
    received: int = 0
    waiting: int = 0
    handed: int = 0
    discarded: int = 0
    complete: bool = False
    finished: bool = False
    _closed: bool = False
    _settled: int = 0
    _spans: list[Span] = field(factory=list)
    _chunks: deque[memoryview] = field(factory=deque)
    _on_the_way: deque[memoryview] = field(factory=deque)
    _held: int = 0

    @property
    def ready(self) -> bool:
        """Whether a frame can be made: a whole one, or the last."""
        return self.waiting >= FRAME_SAMPLES or (self.complete and self.waiting > 0)

    def played(self, position: int) -> int:
        """Samples that the person has heard, when the line's position is this."""
        return self._settled + sum(span.played(position) for span in self._spans)

    def over(self, position: int) -> bool:
        """Whether all that will ever come has been heard or discarded."""
        return self.complete and self.played(position) + self.discarded == self.received

    def heard(self, position: int) -> Heard:
        """How far it has come."""
        played = self.played(position)
        whole = self.complete and played == self.received
        return Heard(key=self.key, received=self.received, played=played, whole=whole)

    def add(self, pcm: bytes) -> None:
        """More audio from the model."""
        samples = len(pcm) // SAMPLE_BYTES
        self.received += samples
        if self._closed:
            self.discarded += samples
            return
        self.waiting += samples
        # However little comes at a time, what is kept of it is little more than its audio.
        if self._chunks and len(self._chunks[-1]) + len(pcm) <= JOINED_BYTES:
            pcm = bytes(self._chunks.pop()) + pcm
        self._chunks.append(memoryview(pcm))

    def take(self, frames: int, line: int) -> bytes:
        """At most so many frames, to be handed over now; the last is padded with silence.

        :param line: how many samples the channel was ever handed.
        """
        size = min(frames * FRAME_BYTES, self.waiting * SAMPLE_BYTES)
        if not self.complete:
            size -= size % FRAME_BYTES
        pcm = self._cut(size)
        samples = size // SAMPLE_BYTES
        self.waiting -= samples
        self.handed += samples
        last = self._spans[-1] if self._spans else None
        if last and last.start + last.samples == line:
            last.samples += samples
        else:
            self._spans.append(Span(line, samples))
        return pcm + bytes(-size % FRAME_BYTES)

    def take_back(self, position: int) -> None:
        """The channel has given up all that is beyond this position: it waits again."""
        heard = max(self.handed - self._held, self.played(position))
        self.waiting += self.handed - heard
        back = (self.handed - heard) * SAMPLE_BYTES
        while back:
            piece = self._on_the_way.pop()
            self._chunks.appendleft(piece[-back:])
            back -= min(back, len(piece))
        self._on_the_way.clear()
        self._held = 0
        self._spans.clear()
        self.handed = self._settled = heard

    def close(self) -> None:
        """What comes from now on is never to be heard."""
        self._closed = True

    def discard(self) -> None:
        """Nothing that waits, or that comes later, is ever to be heard."""
        self.close()
        self.discarded += self.waiting
        self.waiting = 0
        self._chunks.clear()

    def _cut(self, size: int) -> bytes:
        pieces: list[memoryview] = []
        while size:
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            pieces.append(chunk)
            size -= len(chunk)
        pcm = b"".join(pieces)
        if pcm:
            self._on_the_way.append(memoryview(pcm))
            self._held += len(pcm) // SAMPLE_BYTES
        while (
            self._on_the_way
            and self._held - len(self._on_the_way[0]) // SAMPLE_BYTES >= KEPT_SAMPLES
        ):
            self._held -= len(self._on_the_way.popleft()) // SAMPLE_BYTES
        return pcm


@define
class Totals:
    """Samples of a whole call."""

    received: int = 0
    played: int = 0
    discarded: int = 0


@define
class Ledger:
    """All parts whose response may still be heard, in playing order.

    :ivar gone: what became of the samples of the parts that are not held any more.
    """

    gone: Totals = field(factory=Totals)
    _entries: list[Entry] = field(factory=list)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def find(self, key: PartKey) -> Entry | None:
        """The entry of this part."""
        return next((entry for entry in self._entries if entry.key == key), None)

    def open(self, key: PartKey, order: tuple[int, int]) -> Entry | None:
        """The entry of this part, made where there is none; None: there are too many.

        Parts play in the order in which they come, but those of one response in their own.
        """
        known = self.find(key)
        if known is not None or len(self._entries) >= MAX_ENTRIES:
            return known
        entry = Entry(key, order)
        self._entries.insert(self._place(entry), entry)
        return entry

    def refuse(self, samples: int) -> None:
        """So many samples came and will never be heard; no part holds them."""
        self.gone.received += samples
        self.gone.discarded += samples

    def waiting(self) -> int:
        """Samples that have yet to be handed over."""
        return sum(entry.waiting for entry in self._entries)

    def take_back(self, position: int) -> None:
        """The channel has given up all that is beyond this position."""
        for entry in self._entries:
            entry.take_back(position)

    def remove(self, entry: Entry, position: int) -> None:
        """Hold this entry no more: nothing of it waits or is on its way."""
        self._entries.remove(entry)
        self.gone.received += entry.received
        self.gone.played += entry.played(position)
        self.gone.discarded += entry.discarded

    def retire(self, position: int) -> list[str]:
        """Hold no more what is over; the responses of which all was heard that will ever come."""
        is_over: dict[str, bool] = {}
        for entry in self._entries:
            name = entry.key.response_id
            is_over[name] = is_over.get(name, True) and entry.finished and entry.over(position)
        over = [name for name, yes in is_over.items() if yes]
        if over:
            for entry in list(self._entries):
                if is_over[entry.key.response_id]:
                    self.remove(entry, position)
        return over

    def totals(self, position: int) -> Totals:
        """What became of all samples so far."""
        held = [entry.played(position) for entry in self._entries]
        return Totals(
            received=self.gone.received + sum(entry.received for entry in self._entries),
            played=self.gone.played + sum(held),
            discarded=self.gone.discarded + sum(entry.discarded for entry in self._entries),
        )

    def _place(self, new: Entry) -> int:
        for at, entry in enumerate(self._entries):
            same = entry.key.response_id == new.key.response_id
            if same and entry.order > new.order and not entry.handed:
                return at
        return len(self._entries)
