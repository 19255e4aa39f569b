"""A channel in memory: what is played is kept with its time, the person is the test."""

from collections.abc import Callable
from typing import Any

import trio
from attrs import define

from agent.audio import FRAME_BYTES, samples_to_ms
from agent.rtc.channel import ChannelEvent, UserJoined
from agent.rtc.handover import AudioHandover
from agent.streams.chunks import Reassembler

PERSON = 7


@define
class Handed:
    """Audio that was handed over, and when."""

    at: float
    pcm: bytes


class MemoryChannel:
    """What `agent.rtc.channel.RtcChannel` asks for.

    :ivar handed: all that was handed over, in order.
    :ivar cleared: when the channel was cleared.
    :ivar messages: the data messages, put together again.
    """

    uid = 1

    def __init__(self) -> None:
        self.audio = AudioHandover()
        self.handed: list[Handed] = []
        self.cleared: list[float] = []
        self.messages: list[dict[str, Any]] = []
        self.listened_to: int | None = None
        self.tell, self.events = trio.open_memory_channel[ChannelEvent](100)
        self._reassembler = Reassembler()
        self._changed = trio.Event()

    def join(self, uid: int = PERSON) -> None:
        """The person comes."""
        self.tell.send_nowait(UserJoined(uid))

    def listen_to(self, uid: int) -> None:
        self.listened_to = uid
        self._note()

    def play(self, pcm: bytes) -> None:
        assert len(pcm) % FRAME_BYTES == 0
        self.handed.append(Handed(trio.current_time(), pcm))
        self._note()

    def clear(self) -> None:
        self.cleared.append(trio.current_time())
        self._note()

    def played(self) -> None:
        """It gives no receipts."""

    async def send_data(self, packet: str) -> bool:
        assert len(packet.encode("ascii")) <= 1024
        message = self._reassembler.feed(0, packet)
        if message is not None:
            self.messages.append(message)
        self._note()
        await trio.lowlevel.checkpoint()
        return True

    async def speak(self, pcm: bytes) -> None:
        """Say this, in real time, in frames of 10 ms."""
        began = trio.current_time()
        for count, at in enumerate(range(0, len(pcm), FRAME_BYTES), 1):
            await trio.sleep_until(began + count * 0.01)
            self.audio.put(pcm[at : at + FRAME_BYTES])

    def handed_ms(self) -> int:
        """Milliseconds of audio handed over so far."""
        return samples_to_ms(sum(len(piece.pcm) for piece in self.handed) // 2)

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until a condition on this channel holds; the test's own deadline bounds it."""
        while not wanted():
            self._changed = trio.Event()
            await self._changed.wait()

    def _note(self) -> None:
        self._changed.set()
