"""The agent's own call, with a channel in memory: all else is what runs in a real one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from agent.options import AgentOptions
from agent.rtc.channel import ChannelEvent, UserJoined
from agent.rtc.handover import AudioHandover
from agent.session import Call
from agent.streams.model import dial, open_model
from agent.streams.model_address import model_address
from agent.streams.recorder import Tap
from agent.streams.session_config import session_of
from bench.sink import Sink


class MemoryChannel:
    """An `RtcChannel` with one person in it, who is heard through `audio`."""

    uid = 1

    def __init__(self, sink: Sink) -> None:
        self.audio = AudioHandover()
        self._sink = sink
        events_in, self.events = trio.open_memory_channel[ChannelEvent](1)
        events_in.send_nowait(UserJoined(7))
        self._events_in = events_in  # kept open

    def listen_to(self, uid: int) -> None:
        """See `RtcChannel`."""

    def play(self, pcm: bytes) -> None:
        """See `RtcChannel`."""
        self._sink.play(pcm)

    def clear(self) -> None:
        """See `RtcChannel`."""
        self._sink.clear()

    def played(self) -> None:
        """See `RtcChannel`."""

    async def send_data(self, packet: str) -> bool:
        """See `RtcChannel`."""
        await trio.lowlevel.checkpoint()
        return True


@asynccontextmanager
async def open_our_call(url: str, sink: Sink) -> AsyncIterator[Callable[[bytes], None]]:
    """A call, with what takes the source's frames from its thread.

    :param url: with a `model=` in its query.
    """
    token = trio.lowlevel.current_trio_token()
    channel = MemoryChannel(sink)
    options = AgentOptions(channel_name="bench")
    address = model_address(url, "", key=None, auth="bearer")
    async with open_model(dial(address), session_of(options)) as model:
        call = Call(options, model, channel, tap=Tap(), chat_prefix="bench")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.run)
            yield lambda frame: channel.audio.put_from_thread(frame, token)
            nursery.cancel_scope.cancel()
