"""The formats in which audio travels, and the person's audio made pcm16 whatever it came as.

Inside the embedded model all audio is pcm16 at 24 kHz: the detector of speech wants it, and the
events' milliseconds are counted in it.
"""

from typing import Any, Final

from agent.audio import BYTES_PER_SECOND, SAMPLE_BYTES, ms_to_bytes
from agent.embedded.forms.refusals import Refusal
from agent.g711 import G711_RATE, G711Decoder, G711Encoder

PCM: Final = "audio/pcm"
PCMU: Final = "audio/pcmu"
PCMA: Final = "audio/pcma"
_PIECE_OF_PCM: Final = ms_to_bytes(100)
_PIECE_OF_G711: Final = G711_RATE * 60 // 1000
"""A decoder may give 40 ms more for a piece than the piece lasts."""


def bytes_a_second(name: str) -> int:
    """How many bytes a second of audio is, in the format of this name."""
    return BYTES_PER_SECOND if name == PCM else G711_RATE


def encoded(pcm: bytes, name: str) -> bytes:
    """Audio as a whole in the format of this name."""
    if name == PCM:
        return pcm
    encoder = G711Encoder("audio/pcmu" if name == PCMU else "audio/pcma")
    return encoder.feed(pcm) + encoder.flush()


def invalid_audio(path: str) -> Refusal:
    """What is no base64, or half a sample."""
    message = (
        f"Invalid '{path}'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) "
        "but got an invalid value."
    )
    return Refusal("invalid_value", message, path)


def check_samples(size: int, name: str, path: str) -> None:
    """Whole samples: in G.711 each byte is one.

    :raises Refusal: there is half a sample.
    """
    if name == PCM and size % SAMPLE_BYTES:
        raise invalid_audio(path)


class IncomingAudio:
    """The person's audio, in the format that the session says at the time.

    :ivar name: that format.
    """

    def __init__(self) -> None:
        self.name = PCM
        self._decoder: G711Decoder | None = None

    @property
    def piece_bytes(self) -> int:
        """Audio is converted in pieces of this size, of which none becomes more than 100 ms."""
        return _PIECE_OF_PCM if self._decoder is None else _PIECE_OF_G711

    def obey(self, name: str) -> None:
        """What is fed from now on is of this format; of the old one `flush` brought the rest."""
        if name == self.name:
            return
        self.name = name
        self._decoder = _decoder(name)

    def feed(self, data: bytes) -> bytes:
        """The next piece of audio as pcm16 of 24 kHz; a part of G.711 is held back."""
        return data if self._decoder is None else self._decoder.feed(data)

    def flush(self) -> bytes:
        """What was held back: now all that was fed has come out."""
        return b"" if self._decoder is None else self._decoder.flush()


def format_name(audio: Any) -> str:
    """The name of a format object of the session's or a response's JSON."""
    return str(audio["type"])


def _decoder(name: str) -> G711Decoder | None:
    if name == PCM:
        return None
    return G711Decoder("audio/pcmu" if name == PCMU else "audio/pcma")
