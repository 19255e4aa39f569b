"""Voices: text in, speech out.

`espeak-ng` is a small synthesiser that any Linux or macOS can install. Where it is missing, the
caller's own words are played back: it takes no more than that to hear that a call works.
"""

import math
import shutil
import struct
import subprocess
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import soxr
import trio

from agent.audio import SAMPLE_RATE

MAX_TEXT: Final = 1_000
"""Characters of text that are spoken; what is longer is cut."""
MAX_ECHO_BYTES: Final = 30 * SAMPLE_RATE * 2
DEADLINE: Final = 10.0
"""Seconds that a synthesiser may take; it takes 0.05."""
SLOWEST: Final = 80
"""Words a minute below which espeak-ng does not go."""
_LOUDNESS: Final = 0.1
"""Root mean square of speech, of full scale: -20 dBFS."""
_PEAK: Final = 0.89
_FULL_SCALE: Final = 32_767
_CHIME: Final = ((660.0, 0.25), (880.0, 0.4))
"""Two soft tones: hertz, seconds."""
_CHIME_LOUDNESS: Final = 0.08

Samples = npt.NDArray[np.float32]


class VoiceError(Exception):
    """There is no speech, for the reason that it says. The fault is this machine's."""


class Voice(Protocol):
    """Turns text into speech."""

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        """Say the text.

        :param heard: what the person said last, for a voice that has no other; may be empty.
        :param speed: 1 is as usual, 2 is twice as fast at the same pitch; a voice that cannot do
            that speaks as usual.
        :returns: pcm16, 24 kHz, mono.
        :raises VoiceError: it cannot be said.
        """


class EspeakVoice:
    """The voice of espeak-ng, one process for each answer.

    :param program: espeak-ng, by name or path.
    :param voice: one of espeak-ng's voices.
    :param words_a_minute: how fast it speaks.
    """

    def __init__(
        self, program: str = "espeak-ng", *, voice: str = "en", words_a_minute: int = 165
    ) -> None:
        self._command = [program, "--stdin", "--stdout", "-v", voice, "-s"]
        self._words_a_minute = words_a_minute

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        """Say the text, at half the usual speed or more. Cancellation ends the process.

        :raises VoiceError: espeak-ng cannot be run, fails, or takes too long.
        """
        wave = await self._run(text[:MAX_TEXT], round(self._words_a_minute * speed))
        samples, rate = wave_samples(wave)
        if rate != SAMPLE_RATE:
            samples = soxr.resample(samples, rate, SAMPLE_RATE)
        return pcm16(levelled(samples))

    async def _run(self, text: str, words_a_minute: int) -> bytes:
        try:
            with trio.fail_after(DEADLINE):
                done = await trio.run_process(
                    [*self._command, str(max(words_a_minute, SLOWEST))],
                    stdin=text.encode(),
                    capture_stdout=True,
                    capture_stderr=True,
                )
        except trio.TooSlowError as error:
            raise VoiceError(f"espeak-ng took more than {DEADLINE:.0f} s") from error
        except subprocess.CalledProcessError as error:
            raise VoiceError(f"espeak-ng failed with status {error.returncode}") from error
        except OSError as error:
            raise VoiceError(f"espeak-ng cannot be run: {error.strerror}") from error
        return bytes(done.stdout)


class EchoVoice:
    """Plays back what it heard, or a chime where it heard nothing."""

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        """Play back `heard`, at any `speed` as fast as it was said.

        `text` is only what the transcript says about it.
        """
        await trio.lowlevel.checkpoint()
        return heard[-MAX_ECHO_BYTES:] if heard else pcm16(_chime())


def find_voice() -> Voice:
    """The best voice that this machine has."""
    program = shutil.which("espeak-ng")
    return EchoVoice() if program is None else EspeakVoice(program)


def wave_samples(wave: bytes) -> tuple[Samples, int]:
    """The samples (-1 to 1) and the rate of a mono pcm16 WAV.

    The sizes in its header may be nonsense, as they are where the WAV was written to a pipe.

    :raises VoiceError: it is no such WAV.
    """
    if wave[:4] != b"RIFF" or wave[8:12] != b"WAVE":
        raise VoiceError("the synthesiser gave no WAV")
    at, rate = 12, 0
    while at + 8 <= len(wave):
        name, size = wave[at : at + 4], int.from_bytes(wave[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt ":
            rate = _rate(wave[at : at + 16])
        elif name == b"data" and rate:
            data = wave[at : at + min(size, (len(wave) - at) // 2 * 2)]
            return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(_FULL_SCALE), rate
        at += size + size % 2
    raise VoiceError("the synthesiser gave a WAV without audio")


def levelled(samples: Samples) -> Samples:
    """The same speech at a loudness that is pleasant, without clipping."""
    if not samples.size or not np.any(samples):
        return samples
    loudness = math.sqrt(float(np.mean(np.square(samples))))
    peak = float(np.max(np.abs(samples)))
    return samples * np.float32(min(_LOUDNESS / loudness, _PEAK / peak))


def pcm16(samples: Samples) -> bytes:
    """Samples from -1 to 1 as little-endian pcm16."""
    return bytes(np.clip(np.rint(samples * _FULL_SCALE), -32_768, 32_767).astype("<i2"))


def _rate(fmt: bytes) -> int:
    if len(fmt) < 16:
        raise VoiceError("the synthesiser gave a broken WAV")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt)
    if (kind, channels, bits) != (1, 1, 16) or not rate:
        raise VoiceError("the synthesiser gave a WAV that is not mono pcm16")
    return int(rate)


def _chime() -> Samples:
    tones = [_tone(hertz, seconds) for hertz, seconds in _CHIME]
    return np.concatenate(tones)


def _tone(hertz: float, seconds: float) -> Samples:
    time = np.arange(int(seconds * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    # It swells in 10 ms, so that nothing clicks, and dies away like a bell.
    envelope = np.minimum(time / 0.01, 1.0) * np.exp(-6.0 * time)
    return (_CHIME_LOUDNESS * envelope * np.sin(2 * math.pi * hertz * time)).astype(np.float32)
