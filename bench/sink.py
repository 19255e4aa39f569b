"""The other side of playout: plays what it is handed on a clock of its own, and keeps account."""

import time
from typing import Any

from bench.audio import FRAME_BYTES, FRAME_MS, number_of


class Answer:
    """What the sink saw of one answer.

    :ivar first_at: when its first frame was handed over.
    :ivar handed_ms: how much was handed over before it was cleared, if it was.
    :ivar heard_ms: how much of that had been played when it was cleared.
    :ivar frames_after: frames of 10 ms that were handed over after it was cleared.
    """

    def __init__(self, first_at: float) -> None:
        self.first_at = first_at
        self.handed_ms = 0.0
        self.heard_ms: float | None = None
        self.frames_after = 0


class Sink:
    """Plays frames in the order in which they come, each as soon as the one before is over.

    :ivar answers: by the number that the frames carry.
    """

    def __init__(self) -> None:
        self.answers: dict[int, Answer] = {}
        self._dry_at = 0.0
        self._current: Answer | None = None

    def play(self, pcm: bytes) -> None:
        """Take whole frames of one answer."""
        now = time.monotonic()
        number = number_of(pcm)
        answer = self.answers.get(number)
        if answer is None:
            answer = self.answers[number] = Answer(now)
        frames = len(pcm) // FRAME_BYTES
        if answer.heard_ms is not None:
            answer.frames_after += frames
            return
        self._current = answer
        answer.handed_ms += frames * FRAME_MS
        self._dry_at = max(now, self._dry_at) + frames * FRAME_MS / 1000

    def clear(self) -> None:
        """Drop what has not been played."""
        now = time.monotonic()
        answer = self._current
        if answer is not None and answer.heard_ms is None:
            unplayed_ms = max(0.0, self._dry_at - now) * 1000
            answer.heard_ms = answer.handed_ms - unplayed_ms
        self._dry_at = now

    def report(self) -> list[dict[str, Any]]:
        """All answers as JSON objects."""
        return [{"number": number, **vars(answer)} for number, answer in self.answers.items()]
