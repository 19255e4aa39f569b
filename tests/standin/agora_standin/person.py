"""Someone in a channel, in the hands of a test."""

import threading
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from .channel import FRAME_BYTES, QUIT, Channel
from .data_stream import FIRST_ID, Way

if TYPE_CHECKING:
    from .cloud import Cloud


@frozen
class Heard:
    """10 ms of someone's audio.

    :ivar at: on the clock of `time.monotonic`.
    """

    at: float
    uid: str
    pcm: bytes


@frozen
class Message:
    """A data message that came."""

    uid: str
    stream: int
    data: bytes


@define(eq=False)
class Person:
    """Hears all and gets all; every method may be called from any thread.

    :ivar others: who is known to be there.
    :ivar spoken: set while there is nothing left to say.
    :ivar put_out_for: the reason for which it was put out.
    """

    cloud: "Cloud"
    uid: str = ""
    is_announced: bool = True
    heard: list[Heard] = field(factory=list)
    messages: list[Message] = field(factory=list)
    others: set[str] = field(factory=set)
    spoken: threading.Event = field(factory=threading.Event)
    put_out_for: int | None = None
    _channel: Channel | None = None
    _publishes: bool = True
    _is_muted: bool = False
    _to_say: bytearray = field(factory=bytearray)
    _way: Way = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._way = Way(self.cloud.plan)
        self.spoken.set()

    def join(
        self, channel: str, uid: int | str, *, publishes: bool = True, is_audience: bool = False
    ) -> None:
        """Come in. The audience is not announced, and publishes nothing."""
        self.uid, self.is_announced = str(uid), not is_audience
        self._publishes = publishes and not is_audience
        self.put_out_for = None
        self._channel = self.cloud.channel(channel)
        self._channel.join(self)

    def leave(self, reason: int = QUIT) -> None:
        """Go, for one of the SDK's reasons: 0 quit, 1 dropped, 2 became audience."""
        with self.cloud.lock:
            channel, self._channel = self._channel, None
            if channel is not None:
                channel.leave(self, reason)
            self.others.clear()
            self._to_say.clear()
            self.spoken.set()

    def speak(self, pcm: bytes) -> None:
        """Say this, 24 kHz mono, in real time, after what is still to be said."""
        with self.cloud.lock:
            self._to_say += pcm
            self.spoken.clear()

    def mute(self) -> None:
        self._is_muted = True

    def unmute(self) -> None:
        self._is_muted = False

    def publish(self, on: bool = True) -> None:
        """Begin, or cease, to publish audio."""
        self._publishes = on

    def send(self, data: bytes | str, stream: int = FIRST_ID) -> None:
        """Send a data message, as a client does, without its limits."""
        with self.cloud.lock:
            channel = self._channel
            arriving = self._way.carry(data.encode() if isinstance(data, str) else data)
        for message in arriving if channel is not None else []:
            assert channel is not None
            channel.carry(self, stream, message)

    def pcm(self, uid: str | None = None) -> bytes:
        """All that was heard, or all of one user's."""
        return b"".join(heard.pcm for heard in list(self.heard) if uid in (None, heard.uid))

    # -- as a member ---------------------------------------------------------------------------

    def next_frame(self, now: float) -> bytes | None:
        said = bytes(self._to_say[:FRAME_BYTES])
        del self._to_say[:FRAME_BYTES]
        if not self._to_say:
            self.spoken.set()
        if not self._publishes:
            return None
        if self._is_muted:
            return bytes(FRAME_BYTES) if self.cloud.plan.muted_frames else None
        if said or self.cloud.plan.silence == "frames":
            return said.ljust(FRAME_BYTES, b"\0")
        return None

    def hear(self, uid: str, pcm: bytes, now: float) -> None:
        if uid != "0":
            self.heard.append(Heard(now, uid, pcm))

    def receive(self, uid: str, stream: int, data: bytes) -> None:
        self.messages.append(Message(uid, stream, data))

    def meet(self, uid: str) -> None:
        self.others.add(uid)

    def miss(self, uid: str, reason: int) -> None:
        self.others.discard(uid)

    def evict(self, reason: int) -> None:
        self.put_out_for, self._channel = reason, None
