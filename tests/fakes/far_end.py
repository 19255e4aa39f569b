"""The person's end of a call, sample by sample: what was heard is counted here and nowhere else."""

from collections import deque
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import define

from agent.audio import FRAME_SAMPLES, SAMPLE_RATE

Samples: TypeAlias = npt.NDArray[np.uint16]
Counts: TypeAlias = Literal["nothing", "what it gives up", "what was heard"]
"""What a channel tells of what it was handed: nothing, so that the playout clock has to do; what it
gives up when it is cleared (Agora); or what was heard (the receipts of the page)."""
PARTS: Final = 255


def numbered(part: int, first: int, count: int) -> bytes:
    """Samples that say whose they are: the number of their part, from 1, and their own."""
    own = np.arange(first, first + count, dtype=np.uint32) % 256
    return ((part << 8) + own).astype("<u2").tobytes()


@define
class _Piece:
    """Samples on their way; the first of them is heard at `start`."""

    start: float
    samples: Samples


class FarEnd:
    """A line as `Downlink` wants it.

    It plays what it is handed in its order, each piece when the one before is over and at the
    earliest after its own delay.

    :param clock: seconds.
    :param counts: what it tells.
    :param delay_s: how long it holds back what it is handed; only where it tells what was heard,
        since nothing else would know.
    :param may_play: is asked of each part whose samples are handed over.
    :ivar heard: samples heard, by the number of their part.
    :ivar clears: how often it was cleared.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        counts: Counts,
        delay_s: float,
        may_play: Callable[[int], bool],
    ) -> None:
        self.heard: dict[int, int] = {}
        self.clears = 0
        self._clock = clock
        self._counts = counts
        self._delay_s = delay_s if counts == "what was heard" else 0.0
        self._may_play = may_play
        self._pieces: deque[_Piece] = deque()
        self._dry_at = float("-inf")
        self._handed = 0
        self._cut_at: int | None = None

    def play(self, pcm: bytes) -> None:
        self.listen()
        samples = np.frombuffer(pcm, "<u2")
        assert len(samples)
        assert len(samples) % FRAME_SAMPLES == 0
        for part in set((samples >> 8).tolist()) - {0}:
            assert self._may_play(part), f"part {part} was silenced"
        start = max(self._clock() + self._delay_s, self._dry_at)
        self._pieces.append(_Piece(start, samples))
        self._dry_at = start + len(samples) / SAMPLE_RATE
        self._handed += len(samples)
        self._cut_at = None

    def clear(self) -> int | None:
        self.listen()
        self.clears += 1
        dropped = sum(len(piece.samples) for piece in self._pieces)
        self._pieces.clear()
        self._dry_at = float("-inf")
        self._cut_at = self._handed - dropped
        return dropped if self._counts == "what it gives up" else None

    def played(self) -> int | None:
        self.listen()
        if self._counts != "what was heard":
            return None
        if self._cut_at is not None:
            return self._cut_at
        return self._handed - sum(len(piece.samples) for piece in self._pieces)

    def listen(self) -> None:
        """Hear what has its time by now."""
        now = self._clock()
        while self._pieces:
            piece = self._pieces[0]
            due = int((now - piece.start) * SAMPLE_RATE + 0.5)
            if due <= 0:
                return
            self._hear(piece.samples[:due])
            if due < len(piece.samples):
                piece.start += due / SAMPLE_RATE
                piece.samples = piece.samples[due:]
                return
            self._pieces.popleft()

    def unheard(self) -> set[int]:
        """The parts of which there are samples on their way."""
        return {part for piece in self._pieces for part in set((piece.samples >> 8).tolist()) - {0}}

    def _hear(self, samples: Samples) -> None:
        """Each part's samples come once, in their order and without a gap."""
        parts = samples >> 8
        for part in sorted(set(parts.tolist()) - {0}):
            own = samples[parts == part] & 255
            first = self.heard.get(part, 0)
            expected = np.arange(first, first + len(own)) % 256
            assert np.array_equal(own, expected), f"part {part} is out of order at {first}"
            self.heard[part] = first + len(own)
