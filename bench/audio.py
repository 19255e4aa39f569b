"""Frames of 10 ms that carry a number, so that one can be recognised wherever it turns up.

The agent's own constants are not used here: the bare loop must not load a module of the agent.
"""

from typing import Final

FRAME_MS: Final = 10
FRAME_S: Final = FRAME_MS / 1000
FRAME_BYTES: Final = 480
"""24 kHz mono pcm16."""
_NUMBER_BYTES: Final = 4
_REST: Final = bytes((7 * at) % 256 for at in range(FRAME_BYTES - _NUMBER_BYTES))


def numbered_frame(number: int) -> bytes:
    """A frame of noise that begins with its number."""
    return number.to_bytes(_NUMBER_BYTES, "little") + _REST


def number_of(pcm: bytes) -> int:
    """The number that the first frame carries."""
    return int.from_bytes(pcm[:_NUMBER_BYTES], "little")


def numbers_in(pcm: bytes) -> list[int]:
    """The numbers of all frames."""
    return [number_of(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES)]
