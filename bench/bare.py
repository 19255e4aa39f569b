"""The bare loop: the smallest program of Trio, trio-websocket and orjson that holds a call.

It has no types, no checks, no transcripts and no second chance; it is what the agent is compared
with. `python -m bench.bare URL` only connects and asks for a session: the bare cold start.
"""

import base64
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from bench.audio import FRAME_BYTES, FRAME_S
from bench.sink import Sink


async def ask_for_session(websocket: WebSocketConnection) -> None:
    """Wait for `session.created`, send `session.update`, wait for `session.updated`."""
    await websocket.get_message()
    session = {"type": "realtime", "instructions": "Be brief."}
    await websocket.send_message(
        orjson.dumps({"type": "session.update", "session": session}).decode()
    )
    await websocket.get_message()


@asynccontextmanager
async def open_bare_call(
    url: str, sink: Sink, frames_an_append: int
) -> AsyncIterator[Callable[[bytes], None]]:
    """A call, with what takes the source's frames from its thread.

    :param frames_an_append: put together to this after Trio has woken for each, as one does it.
    """
    token = trio.lowlevel.current_trio_token()
    frames_in, frames = trio.open_memory_channel[bytes](50)
    async with open_websocket_url(url, max_message_size=2**24) as websocket:
        await ask_for_session(websocket)
        loop = _Loop(websocket, sink)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.send_frames, frames, frames_an_append * FRAME_BYTES)
            nursery.start_soon(loop.take_events)
            nursery.start_soon(loop.play_frames)
            yield lambda frame: token.run_sync_soon(_put, frames_in, frame)
            nursery.cancel_scope.cancel()


def _put(frames: trio.MemorySendChannel[bytes], frame: bytes) -> None:
    with suppress(trio.WouldBlock):  # the machine stood still for half a second: the frame is lost
        frames.send_nowait(frame)


class _Loop:
    def __init__(self, websocket: WebSocketConnection, sink: Sink) -> None:
        self._websocket, self._sink = websocket, sink
        self._queue: deque[bytes] = deque()
        self._arrived = trio.Event()
        self._began = 0.0
        self._item = self._interrupted = ""

    async def send_frames(
        self, frames: trio.MemoryReceiveChannel[bytes], append_bytes: int
    ) -> None:
        held = b""
        async for frame in frames:
            held += frame
            if len(held) < append_bytes:
                continue
            audio = base64.b64encode(held).decode()
            await self._send({"type": "input_audio_buffer.append", "audio": audio})
            held = b""

    async def take_events(self) -> None:
        while True:
            event = orjson.loads(await self._websocket.get_message())
            match event["type"]:
                case "response.output_audio.delta":
                    self._take_delta(event)
                case "input_audio_buffer.speech_started":
                    await self._stop()

    async def play_frames(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            due = self._began = trio.current_time()
            while self._queue:
                self._sink.play(self._queue.popleft())
                due += FRAME_S
                await trio.sleep_until(due)

    def _take_delta(self, event: dict[str, Any]) -> None:
        if event["response_id"] == self._interrupted:
            return
        self._item = event["item_id"]
        pcm = base64.b64decode(event["delta"])
        self._queue.extend(pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES))
        self._arrived.set()

    async def _stop(self) -> None:
        self._queue.clear()
        self._sink.clear()
        self._interrupted = self._item.replace("item", "resp")
        await self._send(
            {
                "type": "conversation.item.truncate",
                "item_id": self._item,
                "content_index": 0,
                "audio_end_ms": int((trio.current_time() - self._began) * 1000),
            }
        )

    async def _send(self, event: dict[str, Any]) -> None:
        await self._websocket.send_message(orjson.dumps(event).decode())


async def _start(url: str) -> None:
    async with open_websocket_url(url) as websocket:
        await ask_for_session(websocket)
        print("{}", flush=True)


if __name__ == "__main__":
    trio.run(_start, sys.argv[1])
