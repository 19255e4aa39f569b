"""What is to be sent waits here and leaves at the speed of speech."""

import time
from collections import deque

from attrs import define, field

from .plan import Plan

DEFAULT_DELAY_MS = 160
FRAME_MS = 10


@define
class SendBuffer:
    """Frames of 10 ms. Whoever uses it holds the cloud's lock.

    :ivar delay_ms: nothing leaves before so much is here; again when it ran dry.
    :ivar pushes: when audio was handed in, and how many bytes.
    :ivar overflowed: frames that found no room, or made room.
    :ivar refused: pushes of which nothing was taken.
    :ivar cleared: frames that were dropped on demand.
    :ivar gaps: when speech went on after a silence too short to be a pause, and how long it was.
    """

    plan: Plan
    delay_ms: int = DEFAULT_DELAY_MS
    max_frames: int | None = None
    pushes: list[tuple[float, int]] = field(factory=list)
    sent: int = 0
    overflowed: int = 0
    refused: int = 0
    cleared: int = 0
    gaps: list[tuple[float, float]] = field(factory=list)
    _frames: deque[bytes] = field(factory=deque)
    _rest: bytes = b""
    _flows: bool = False
    _dry_since: float | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, pcm: bytes, frame_bytes: int) -> None:
        """Take audio whose frames of 10 ms have so many bytes."""
        self.pushes.append((time.monotonic(), len(pcm)))
        odd = len(pcm) % frame_bytes
        if odd and self.plan.odd_lengths == "refused":
            self.refused += 1
            return
        if odd and self.plan.odd_lengths == "padded":
            pcm += bytes(frame_bytes - odd)
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % frame_bytes
        self._rest = pcm[whole:]
        for at in range(0, whole, frame_bytes):
            self._add(pcm[at : at + frame_bytes])

    def take(self, now: float) -> bytes | None:
        """The frame that leaves now, each 10 ms."""
        if not self._flows and len(self._frames) * FRAME_MS < max(self.delay_ms, FRAME_MS):
            return None
        if not self._frames:
            self._flows, self._dry_since = False, now
            return None
        if self._dry_since is not None:
            self._note_gap(now)
        self._flows = True
        self.sent += 1
        return self._frames.popleft()

    def clear(self) -> int:
        """Drop what is here; what comes next is no continuation."""
        count = len(self._frames)
        self._frames.clear()
        self._rest, self._flows, self._dry_since = b"", False, None
        self.cleared += count
        return count

    def _add(self, frame: bytes) -> None:
        limit = self.plan.buffer_frames if self.max_frames is None else self.max_frames
        if len(self._frames) < limit:
            self._frames.append(frame)
            return
        self.overflowed += 1
        if self.plan.buffer_overflow == "drops_oldest":
            self._frames.popleft()
            self._frames.append(frame)

    def _note_gap(self, now: float) -> None:
        assert self._dry_since is not None
        silence_s = now - self._dry_since
        if silence_s < self.plan.pause_s:
            self.gaps.append((now, silence_s))
        self._dry_since = None
