"""How audio is measured: 24 kHz mono pcm16 little-endian, in frames of 10 ms.

Every figure of samples, bytes and milliseconds in the program comes from here.
"""

from typing import Final

SAMPLE_RATE: Final = 24_000
"""Samples a second."""
SAMPLE_BYTES: Final = 2
FRAME_MS: Final = 10
FRAME_SAMPLES: Final = SAMPLE_RATE * FRAME_MS // 1000
FRAME_BYTES: Final = FRAME_SAMPLES * SAMPLE_BYTES
BYTES_PER_SECOND: Final = SAMPLE_RATE * SAMPLE_BYTES


def ms_to_bytes(ms: int) -> int:
    """Bytes of audio in so many milliseconds."""
    return ms * SAMPLE_RATE // 1000 * SAMPLE_BYTES


def samples_to_ms(samples: int) -> int:
    """Whole milliseconds in so many samples, rounded down."""
    return samples * 1000 // SAMPLE_RATE


def seconds_of(pcm: bytes | bytearray | memoryview) -> float:
    """How long audio lasts, in seconds."""
    return len(pcm) / BYTES_PER_SECOND
