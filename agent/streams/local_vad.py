"""Hearing that the person begins to speak: in the agent itself, ahead of the server.

WebRTC's voice activity detector, in the wheel of webrtcvad, says of each 20 ms whether they may be
speech. What makes a beginning and an end of that is here:

- Speech begins when a sound has held up for `BEGIN_STEPS` steps of 10 ms and the detector has
  taken all of it for speech.
- Speech is over when the detector has found none for `END_MS`. Its verdict lingers for up to 60 ms,
  which come on top.

A sound holds up while no step falls far below the loudest before it. Clicks and key strokes do not,
nor does anything else that dies away within 50 ms. By the detector alone they would all begin
speech: a single loud sample counts for 60 to 80 ms with it, however quiet it is by then.

webrtcvad comes with the extra `vad` and is imported by the first `LocalVad` that is made. An agent
without one does not pay for it.
"""

from array import array
from typing import Final

from agent.audio import FRAME_BYTES, FRAME_MS
from agent.errors import ConfigError
from agent.extras import how_to_install

_BLOCK_BYTES: Final = 2 * FRAME_BYTES
"""What the detector is asked about at once: two steps, which are an append event's worth."""
_BLOCK_MS: Final = 2 * FRAME_MS
_TOLD_RATE: Final = 16_000
"""The rate that the detector is told, which knows 8, 16, 32 and 48 kHz and not our 24.

Nothing is resampled: it is given the samples as they are and hears all of it a musical fifth
lower, at two thirds of the speed. A block is 30 ms to it, and the 80 to 4,000 Hz in which it looks
are 120 to 6,000 of the person's. It knows deep voices, and the hiss of an `s` comes into its
sight. Milliseconds from the first audible sample to the beginning by the rules of this file, over
640 utterances of espeak-ng (9 voices; 0, -12 and -24 dB; white noise of 0, 20 and 100 rms) and
360 of people, likewise:

    24 kHz becomes        espeak-ng: median, p90, missed   people: median, p90, missed
    8 kHz by soxr (HQ)    64   163   1                     72   222   4
    8 kHz, means of 3     62   164   1                     72   215   4
    "16 kHz"              59   152   4                     69   193   4

It is no worse for people made half again as deep or as high, and costs nothing: a block takes 4 to
6 microseconds in all, and some 30 while a sound may be a beginning. Means of three samples take 28
more, soxr 13 and numpy's 21 MiB."""
_AGGRESSIVENESS: Final = 3
"""The detector's most sceptical setting. With 2 speech begins sooner (p90 106 and 167 ms), but so
it does whenever noise of -50 dBFS sets in. A needless interruption is worse than a late one: whom
this misses the server still hears."""

BEGIN_STEPS: Final = 5
"""Steps of 10 ms that a sound must hold up: three blocks, of which it may enter the first late."""
END_MS: Final = 300
"""Silence after which speech is over."""
_HOLDS_UP: Final = 5
"""A step holds up that reaches one fifth (-14 dB) of the loudest before it. One fourth delays some
speech (p90 157 ms for espeak-ng), one sixth lets a few knocks in."""
_LOUDEST_PERCENT: Final = 90
"""What is left of the loudest 10 ms later, so that speech may follow upon a click."""


class LocalVad:
    """Tells the beginning of speech in the person's audio, some 60 ms after it.

    Its clock is the audio: speech that a gap cuts off ends with the silence that fills the gap, if
    that is fed as well.

    What it takes for speech as well: an echo of the agent's own voice; a bang that is heard for
    80 ms; a tone or a noise that sets in, for 0.3 s, until the detector is used to it, and for as
    long as it lasts where it is loud (-30 dBFS).

    :raises ConfigError: the extra `vad` is not installed.
    """

    def __init__(self) -> None:
        try:
            import webrtcvad
        except ImportError as error:
            raise ConfigError(
                f"local voice activity detection needs {error.name}, which is not installed: "
                f"{how_to_install('vad')}"
            ) from None
        self._detector = webrtcvad.Vad(_AGGRESSIVENESS)
        self._rest = b""
        self._speaking = False
        self._silent_ms = 0
        self._steps = 0
        self._loudest = 0

    @property
    def speaking(self) -> bool:
        """Speech has begun and has not ended."""
        return self._speaking

    def feed(self, pcm: bytes) -> bool:
        """More of the person's audio. How it is cut into pieces does not change what is heard.

        :param pcm: 24 kHz mono pcm16 of any length; what does not fill a block of 20 ms waits for
            the next piece.
        :returns: whether speech has begun in it, after none.
        """
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % _BLOCK_BYTES
        self._rest = pcm[whole:]
        began = False
        for at in range(0, whole, _BLOCK_BYTES):
            began |= self._begins(pcm[at : at + _BLOCK_BYTES])
        return began

    def _begins(self, block: bytes) -> bool:
        """Whether speech begins with this block; notes its end as well."""
        if not self._detector.is_speech(block, _TOLD_RATE):
            self._steps = self._loudest = 0
            self._silent_ms += _BLOCK_MS
            self._speaking = self._speaking and self._silent_ms < END_MS
            return False
        self._silent_ms = 0
        if self._speaking or not self._holds_up(block):
            return False
        self._speaking = True
        return True

    def _holds_up(self, block: bytes) -> bool:
        """Whether the sound has held up for long enough by the end of this block."""
        samples = array("h", block)
        half = len(samples) // 2
        for step in (samples[:half], samples[half:]):
            loudness = max(step) - min(step)  # whatever the DC offset
            self._loudest = max(loudness, self._loudest * _LOUDEST_PERCENT // 100)
            holds_up = 0 < self._loudest <= loudness * _HOLDS_UP
            self._steps = self._steps + 1 if holds_up else 0
        return self._steps >= BEGIN_STEPS
