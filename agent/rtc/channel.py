"""What a way into an RTC channel must offer.

Each implementation is one file here, with an `open_..._channel` context manager that yields when
the channel is joined and has left it when it exits. Audio is 24 kHz mono pcm16.
"""

from typing import Protocol, TypeAlias

import trio
from attrs import frozen

from agent.rtc.handover import AudioHandover


@frozen
class UserJoined:
    """A person is in the channel."""

    uid: int


@frozen
class UserLeft:
    """A person left, for this reason."""

    uid: int
    reason: str


@frozen
class DataReceived:
    """A person's data message, as it came (one chunk of SPEC's format)."""

    uid: int
    packet: str


@frozen
class RecordingOver:
    """The recording that plays the person has come to its end; the agent may still answer."""


@frozen
class ChannelLost:
    """We are out of the channel, for this reason."""

    reason: str


ChannelEvent: TypeAlias = UserJoined | UserLeft | DataReceived | RecordingOver | ChannelLost


class RtcChannel(Protocol):
    """A joined channel. No method but `send_data` waits."""

    @property
    def uid(self) -> int:
        """Our own."""

    @property
    def audio(self) -> AudioHandover:
        """What the person that is listened to says."""

    @property
    def events(self) -> trio.MemoryReceiveChannel[ChannelEvent]:
        """Who comes and goes and writes."""

    def listen_to(self, uid: int) -> None:
        """From now on, hear this person only."""

    def play(self, pcm: bytes) -> None:
        """Speak: whole 10 ms frames, ahead of their time by the playout's lead at most."""

    def clear(self) -> int | None:
        """Silence at once: what was handed over and has not been heard is dropped everywhere.

        :returns: how many samples were dropped unheard, where the channel paces what it sends and
            so can count them; None where it cannot.
        """

    def played(self) -> int | None:
        """How many samples, of all that `play` was ever given, the person has heard.

        :returns: by the person's own receipts, as of now; None where there are none that can be
            relied on, and the playout clock has to do.
        """

    async def send_data(self, packet: str) -> bool:
        """Send one data message of at most 1,024 bytes to all others.

        :returns: false: the channel did not take it, and is not going to.
        :raises ChannelError: the channel is lost.
        """
