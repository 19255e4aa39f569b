"""G.711 at 8 kHz to and from the 24 kHz pcm16 that the rest of the program speaks.

G.711 is the telephone's: one byte a sample, 8,000 samples a second, in one of two laws, mu-law
(`audio/pcmu`) and A-law (`audio/pcma`). A `G711Encoder` makes it, a `G711Decoder` reads it. Both
are streams: audio is fed in pieces of any size, and how it was cut up does not change the result.

A good filter needs to see what comes after a sample, so a stream holds some audio back: nothing
comes out for the first pieces, and `flush` brings the rest. What has come out never lasts longer
than what was fed. After `flush` it lasts as long: three samples of 24 kHz for each one of 8 kHz.

soxr and audioop come with the extra `g711` and are imported by the first stream that is made. An
agent that speaks pcm pays for neither.
"""

import warnings
from types import ModuleType
from typing import Final, Literal, TypeAlias

from agent.audio import SAMPLE_BYTES, SAMPLE_RATE
from agent.errors import ConfigError

G711_RATE: Final = 8_000
"""Samples a second, and bytes: RFC 3551, section 4.5.14."""
G711Law: TypeAlias = Literal["audio/pcmu", "audio/pcma"]
"""mu-law and A-law, as the Realtime API names them."""

_GROUP_BYTES: Final = SAMPLE_RATE // G711_RATE * SAMPLE_BYTES
"""The pcm16 that makes one sample of G.711."""
_PCM: Final = "<i2"
_NATIVE: Final = "=i2"
"""audioop's samples are in the machine's byte order."""
_QUALITY: Final = "LQ"
"""soxr's setting, as measured between 24 and 8 kHz in pieces of 20 ms:

    setting   held back (mean, most)   tones above 4 kHz, going down   at 3 kHz   at 3.4 kHz
    QQ        nothing                  not damped: they fold down      0 dB       0 dB
    LQ        23 ms, 40 ms             -107 dB or less                 0 dB       -8 dB
    MQ, HQ    43 ms, 76 ms             -116 dB or less                 0 dB       0 dB

What is held back delays every answer. G.711's own noise is near -40 dB, so nobody hears how much
better the slower settings reject, and what lies above 3 kHz is not worth their delay."""


def import_libraries() -> ModuleType:
    """Import soxr (with numpy, some 100 ms) and audioop now rather than with the first stream.

    :returns: audioop.
    :raises ConfigError: the extra `g711` is not installed.
    """
    try:
        import soxr  # noqa: F401  (to have it found missing here, where that is told)

        with warnings.catch_warnings():
            # It left Python in 3.13, for which the extra brings audioop-lts of the same name.
            warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
            import audioop
    except ImportError as error:
        raise ConfigError(
            f"G.711 audio needs {error.name}, which is not installed: the extra g711 brings it"
        ) from None
    return audioop


class G711Encoder:
    """Makes G.711 of 24 kHz pcm16.

    :param law: `audio/pcmu` or `audio/pcma`.
    :raises ConfigError: the extra `g711` is not installed.
    """

    def __init__(self, law: G711Law) -> None:
        audioop = import_libraries()
        self._compress = audioop.lin2ulaw if law == "audio/pcmu" else audioop.lin2alaw
        self._resampler = _Resampler(SAMPLE_RATE, G711_RATE, reads=_PCM, gives=_NATIVE)
        self._rest = b""

    def feed(self, pcm: bytes) -> bytes:
        """The G.711 that more audio makes ready, often nothing.

        :param pcm: 24 kHz mono pcm16 of any size; half a sample waits for its other half.
        """
        pcm = self._rest + pcm
        # Whole groups only, so that the resampler never has a part of a sample to round.
        whole = len(pcm) - len(pcm) % _GROUP_BYTES
        self._rest = pcm[whole:]
        return self._compressed(self._resampler.feed(pcm[:whole]))

    def flush(self) -> bytes:
        """What was held back; what is fed next begins a new stream.

        One or two samples too many are padded with silence to a group of three. Half a sample is
        dropped.
        """
        samples = self._rest[: len(self._rest) // SAMPLE_BYTES * SAMPLE_BYTES]
        self._rest = b""
        group = samples.ljust(_GROUP_BYTES, b"\0") if samples else b""
        return self._compressed(self._resampler.feed(group) + self._resampler.flush())

    def _compressed(self, samples: bytes) -> bytes:
        return bytes(self._compress(samples, SAMPLE_BYTES))


class G711Decoder:
    """Makes 24 kHz pcm16 of G.711.

    :param law: `audio/pcmu` or `audio/pcma`.
    :raises ConfigError: the extra `g711` is not installed.
    """

    def __init__(self, law: G711Law) -> None:
        audioop = import_libraries()
        self._expand = audioop.ulaw2lin if law == "audio/pcmu" else audioop.alaw2lin
        self._resampler = _Resampler(G711_RATE, SAMPLE_RATE, reads=_NATIVE, gives=_PCM)

    def feed(self, data: bytes) -> bytes:
        """The 24 kHz mono pcm16 that more G.711, of any size, makes ready, often nothing."""
        return self._resampler.feed(self._expand(data, SAMPLE_BYTES))

    def flush(self) -> bytes:
        """What was held back; what is fed next begins a new stream."""
        return self._resampler.flush()


class _Resampler:
    """One rate to another, in 16-bit samples.

    :param reads: numpy's name for the samples that are fed, byte order included.
    :param gives: the same for those that come out.
    """

    def __init__(self, from_rate: int, to_rate: int, *, reads: str, gives: str) -> None:
        import soxr

        # As floats: soxr dithers its integers, and the same audio must give the same bytes.
        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=_QUALITY)
        self._reads, self._gives = reads, gives

    def feed(self, samples: bytes) -> bytes:
        return self._resampled(samples, last=False)

    def flush(self) -> bytes:
        rest = self._resampled(b"", last=True)
        self._stream.clear()
        return rest

    def _resampled(self, samples: bytes, *, last: bool) -> bytes:
        import numpy as np

        floats = np.frombuffer(samples, self._reads).astype(np.float32)
        resampled = self._stream.resample_chunk(floats, last=last)
        return bytes(np.clip(np.rint(resampled), -32_768, 32_767).astype(self._gives))
