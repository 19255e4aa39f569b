"""The input audio buffer, and the turns that are found in it.

The buffer never grows without bound: while nobody speaks under voice activity detection it keeps
what a turn may still reach back to, otherwise `MAX_BUFFER_SECONDS`.
"""

from typing import Final, TypeAlias

from attrs import frozen

from agent.audio import BYTES_PER_SECOND, SAMPLE_BYTES, SAMPLE_RATE
from agent.embedded.person.vad import (
    HOLD_BACK_SAMPLES,
    SpeechProbability,
    SpeechStarted,
    SpeechStopped,
    VoiceActivity,
)
from agent.embedded.settings import TurnRules

MAX_BUFFER_SECONDS: Final = 120
_MAX_BUFFER_BYTES: Final = MAX_BUFFER_SECONDS * BYTES_PER_SECOND


@frozen
class TurnBegan:
    """The person speaks.

    :ivar start: where the turn's audio begins, prefix padding and all, in samples of the session.
    """

    start: int


@frozen
class TurnEnded:
    """The person has spoken.

    :ivar end: where the turn's audio ends, the silence and all, in samples of the session.
    :ivar pcm: the turn's audio.
    :ivar speech_seconds: how long the speech in it was.
    """

    end: int
    pcm: bytes
    speech_seconds: float


Turn: TypeAlias = TurnBegan | TurnEnded


class Hearing:
    """Keeps the person's audio and finds turns in it.

    :param source: tells speech from other sound.
    :param rules: how turns are found; None where the client commits by itself.
    """

    def __init__(self, source: SpeechProbability, rules: TurnRules | None) -> None:
        self._activity = VoiceActivity(source, threshold=0.5, silence_samples=0)
        self._buffer = bytearray()
        self._written = 0
        self._speech_began = 0
        self._rules: TurnRules | None = None
        self.obey(rules)

    @property
    def buffered_bytes(self) -> int:
        """How much audio a commit would take."""
        return len(self._buffer)

    @property
    def position(self) -> int:
        """How much audio was heard, in samples of the session."""
        return self._written

    def obey(self, rules: TurnRules | None) -> None:
        """Find turns by these rules from now on; a turn that has begun goes on under them."""
        if rules is None or self._rules is None:
            self._activity.restart(self._written)
        self._rules = rules
        if rules is not None:
            self._activity.threshold = rules.threshold
            self._activity.silence_samples = _samples(rules.silence_duration_ms)

    def append(self, pcm: bytes) -> list[Turn]:
        """Hear the next samples; at most 100 ms of them, so that what they bring is not lost."""
        self._buffer += pcm
        self._written += len(pcm) // SAMPLE_BYTES
        if self._rules is None:
            self._keep(_MAX_BUFFER_BYTES)
            return []
        turns = [self._turn(change, self._rules) for change in self._activity.feed(pcm)]
        if not self._activity.speaking:
            padding = _samples(self._rules.prefix_padding_ms) + HOLD_BACK_SAMPLES
            self._keep(min(padding * SAMPLE_BYTES, _MAX_BUFFER_BYTES))
        elif len(self._buffer) >= _MAX_BUFFER_BYTES:
            turns.append(self._end_turn(self._written, self._written))
            self._activity.restart(self._written)
        return turns

    def take(self) -> TurnEnded:
        """All that is in the buffer, at the client's wish; detection begins anew."""
        if not self._activity.speaking:
            self._speech_began = self._start
        turn = self._end_turn(self._written, self._written)
        self._activity.restart(self._written)
        return turn

    def clear(self) -> None:
        """Forget what is in the buffer, and the turn that has begun."""
        self._buffer.clear()
        self._activity.restart(self._written)

    @property
    def _start(self) -> int:
        """The position of the buffer's first sample."""
        return self._written - len(self._buffer) // SAMPLE_BYTES

    def _turn(self, change: SpeechStarted | SpeechStopped, rules: TurnRules) -> Turn:
        if isinstance(change, SpeechStopped):
            return self._end_turn(change.at, change.silent_since)
        self._speech_began = change.at
        start = max(self._start, change.at - _samples(rules.prefix_padding_ms))
        del self._buffer[: (start - self._start) * SAMPLE_BYTES]
        return TurnBegan(start)

    def _end_turn(self, end: int, silent_since: int) -> TurnEnded:
        size = (end - self._start) * SAMPLE_BYTES
        pcm = bytes(self._buffer[:size])
        del self._buffer[:size]
        return TurnEnded(end, pcm, (silent_since - self._speech_began) / SAMPLE_RATE)

    def _keep(self, size: int) -> None:
        del self._buffer[: max(0, len(self._buffer) - size)]


def _samples(ms: int) -> int:
    return ms * SAMPLE_RATE // 1000
