"""The audio on a model's line, where the server speaks G.711, and what the agent speaks: pcm16.

Everything behind this file is 24 kHz pcm16: the pacing, the ledger, `audio_end_ms`. Towards a
server that takes or gives G.711, the events that hold audio are converted here, at the edge. What
is made of a content part never lasts longer than what the server sent of it, so no more of it can
be reported as heard than the server has.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs
from attrs import define, field

from agent.audio import SAMPLE_RATE
from agent.errors import ModelFormatUnknown
from agent.g711 import G711_RATE, G711Decoder, G711Encoder, G711Law, import_libraries
from agent.protocol.actions import PartKey
from agent.protocol.base import UNSET
from agent.protocol.client_events import InputAudioBufferAppendEvent
from agent.protocol.codec import UnknownEvent
from agent.protocol.server_events import (
    RealtimeServerEvent,
    ResponseAudioDeltaEvent,
    ResponseAudioDoneEvent,
    ResponseDoneEvent,
)
from agent.protocol.session import AudioFormat

MAX_PARTS: Final = 16
"""Content parts whose audio may be on its way at once, at some 100 KiB each. A response has one or
two, and one response is spoken at a time; more than this are of a server that never ends them."""

ServerEvent: TypeAlias = RealtimeServerEvent | UnknownEvent

_LAWS: Final[Mapping[tuple[str | None, int | None], G711Law | None]] = {
    (None, None): None,
    ("audio/pcm", None): None,
    ("audio/pcm", SAMPLE_RATE): None,
    ("audio/pcmu", None): "audio/pcmu",
    ("audio/pcmu", G711_RATE): "audio/pcmu",
    ("audio/pcma", None): "audio/pcma",
    ("audio/pcma", G711_RATE): "audio/pcma",
}
"""The formats that are known, by type and rate. A session without one speaks pcm (the reference's
`RealtimeAudioFormats`), which has this one rate; G.711's rate is not said."""


@define(eq=False)
class ModelAudio:
    """Converts the audio of one session's events, both ways. With pcm both ways it does nothing.

    :param input: what the server takes, as its `session.updated` says.
    :param output: what it gives.
    :raises ModelFormatUnknown: one of them is neither 24 kHz pcm nor G.711.
    :raises ConfigError: one of them is G.711, and the extra `g711` is not installed.
    """

    input: AudioFormat
    output: AudioFormat
    _encoder: G711Encoder | None = field(init=False, default=None)
    _law: G711Law | None = field(init=False, default=None)
    _decoders: dict[PartKey, G711Decoder] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        law, self._law = _law_of("input", self.input), _law_of("output", self.output)
        if law is not None:
            self._encoder = G711Encoder(law)
        elif self._law is not None:
            import_libraries()  # now, rather than with the first words of an answer

    def to_model(self, event: InputAudioBufferAppendEvent) -> InputAudioBufferAppendEvent:
        """The person's audio as the server takes it.

        :returns: the event, perhaps without any audio: G.711 comes out of the stream up to 40 ms
            later than it went in, in steps. An empty one need not be sent.
        """
        if self._encoder is None:
            return event
        return attrs.evolve(event, audio=self._encoder.feed(event.audio))

    def from_model(self, event: ServerEvent) -> list[ServerEvent]:
        """What the server sent, as the rest of the agent takes it: none, one or two events."""
        if self._law is None:
            return [event]
        if isinstance(event, ResponseAudioDeltaEvent):
            return self._delta(event, self._decoder(_key(event), self._law))
        if isinstance(event, ResponseAudioDoneEvent):
            return [*self._tail(_key(event)), event]
        if isinstance(event, ResponseDoneEvent):
            # Parts whose own end was lost: what they held back is heard all the same.
            keys = [key for key in self._decoders if key.response_id == event.response.id]
            return [*(tail for key in keys for tail in self._tail(key)), event]
        return [event]

    def _delta(self, event: ResponseAudioDeltaEvent, decoder: G711Decoder) -> list[ServerEvent]:
        pcm = decoder.feed(event.delta)
        return [attrs.evolve(event, delta=pcm)] if pcm else []

    def _tail(self, key: PartKey) -> list[ServerEvent]:
        """What was held back of a part that has ended; the server knows no such event."""
        decoder = self._decoders.pop(key, None)
        pcm = decoder.flush() if decoder is not None else b""
        if not pcm:
            return []
        tail = ResponseAudioDeltaEvent(
            response_id=key.response_id,
            item_id=key.item_id,
            content_index=key.content_index,
            delta=pcm,
        )
        return [tail]

    def _decoder(self, key: PartKey, law: G711Law) -> G711Decoder:
        decoder = self._decoders.get(key)
        if decoder is None:
            if len(self._decoders) == MAX_PARTS:
                del self._decoders[next(iter(self._decoders))]  # the one that began first
            decoder = self._decoders[key] = G711Decoder(law)
        return decoder


def _key(event: ResponseAudioDeltaEvent | ResponseAudioDoneEvent) -> PartKey:
    return PartKey(event.response_id, event.item_id, event.content_index or 0)


def _law_of(side: str, audio: AudioFormat) -> G711Law | None:
    """Which G.711 a format is; None for pcm."""
    kind = None if audio.type is UNSET else audio.type
    rate = None if audio.rate is UNSET else audio.rate
    if (kind, rate) not in _LAWS:
        at = f" at {rate} Hz" if rate is not None else ""
        raise ModelFormatUnknown(
            f"the model's server wants {side} audio in a format not known here: {kind!r}{at}"
        )
    return _LAWS[kind, rate]
