"""The way of an agent's own audio: sender, track, send buffer."""

import array
from typing import TYPE_CHECKING

from attrs import define, frozen

from .send_buffer import SendBuffer

if TYPE_CHECKING:
    from .cloud import Cloud
    from .connection import NativeConnection

MOVES_AUDIO = (3, 4)
"""The states in which what is buffered leaves; in an outage it gets nowhere."""


@define(eq=False)
class NativeTrack:
    """An audio track, and its buffer.

    :ivar publisher: the connection that it is published on.
    :ivar dropped: pushes that came while it was disabled, or before the channel was joined.
    """

    cloud: "Cloud"
    buffer: SendBuffer
    is_enabled: bool = True
    publisher: "NativeConnection | None" = None
    released: bool = False
    dropped: int = 0

    def push(self, pcm: bytes, frame_bytes: int) -> None:
        with self.cloud.lock:
            if self._takes():
                self.buffer.push(pcm, frame_bytes)
            else:
                self.dropped += 1

    def take(self, now: float) -> bytes | None:
        return self.buffer.take(now) if self.is_enabled and not self.released else None

    def clear(self) -> int:
        with self.cloud.lock:
            count = self.buffer.clear()
        return count if self.cloud.plan.clear_tells == "count" else 0

    def _takes(self) -> bool:
        if not self.is_enabled or self.released:
            return False
        if self.cloud.plan.before_joined == "kept":
            return True
        return self.publisher is not None and self.publisher.state in MOVES_AUDIO


@define(eq=False)
class NativeSender:
    """Where audio is handed in; without a track it goes nowhere."""

    cloud: "Cloud"
    track: NativeTrack | None = None

    def send(self, pcm: bytes, samples: int, sample_bytes: int, channels: int, rate: int) -> None:
        said = samples * sample_bytes * channels
        if said != len(pcm):
            self.cloud.violate(f"a frame was said to have {said} bytes, it has {len(pcm)}")
        if self.track is None:
            return
        if self.track.publisher is not None and self.track.publisher.released:
            self.cloud.violate("audio was sent after its connection's release")
        self.track.push(pcm, rate // 100 * channels * sample_bytes)


@frozen
class RemoteTrack:
    """Someone else's audio track."""

    user_id: str


@frozen
class Frame:
    """10 ms of someone else's audio as the SDK gives them."""

    uid: str
    channel: str
    rate: int
    channels: int
    pcm: bytes
    at: float


@define
class Format:
    """The rate and channels that frames are wanted in."""

    rate: int = 24000
    channels: int = 1
    is_set: bool = False


def converted(pcm: bytes, rate: int, channels: int) -> bytes:
    """24 kHz mono in another rate and number of channels, roughly: enough to be wrong."""
    samples = array.array("h", pcm)
    if rate == 24000 and channels == 1:
        return pcm
    count = len(samples) * rate // 24000
    picked = array.array("h")
    for at in range(count):
        picked.extend([samples[at * len(samples) // count]] * channels)
    return picked.tobytes()
