"""`python -m bench.model`: the model's end of calls, and a local channel, on one loopback port.

It tells its port first, then a record of each call when the call is over. It ends with its
standard input. What it does in a call is asked for by name:

- `model=talk` answers one time after another; a little silence lies between, so that each
  answer's first frame can be handed over at once.
- `model=barge-in` lets the person interrupt each answer, and goes on sending it all the same.
"""

import binascii
import os
import sys
import time
from functools import partial
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

from bench.audio import FRAME_MS, numbered_frame, numbers_in
from bench.relay import relay

FASTER: Final = 5
"""Audio comes so many times faster than it is spoken."""
DELTA_MS: Final = 250
DELTAS: Final = 16
GAP_S: Final = 0.15
SHORT_DELTA_MS: Final = 100
"""Of an answer that is interrupted."""
LATE_DELTAS: Final = 10
BARGE_IN_S: Final = 0.4
"""After the first delta at the earliest; up to a second later than that."""


async def _main() -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, _handle, "127.0.0.1", 0, ssl_context=None)
        server = await nursery.start(serve)
        _tell({"port": server.port})
        async for _ in trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())):
            pass
        nursery.cancel_scope.cancel()


async def _handle(request: WebSocketRequest) -> None:
    url = urlsplit(request.path)
    websocket = await request.accept()
    if url.path.startswith("/channels/"):
        await relay(websocket)
        return
    query = parse_qs(url.query)
    session = _Session(websocket, query.get("call", [""])[0])
    try:
        await session.run(query["model"][0])
    except* ConnectionClosed:
        pass
    _tell(session.record)


def _tell(value: dict[str, Any]) -> None:
    print(orjson.dumps(value).decode(), flush=True)


class _Session:
    """One call.

    :ivar record: `arrived`: (frame's number, when) pairs; `sent`: (answer's number, when its
        first delta was sent); `ends`: (answer's number, audio_end_ms) of what was truncated.
    """

    def __init__(self, websocket: WebSocketConnection, call: str) -> None:
        self._websocket = websocket
        self._arrived: list[tuple[int, float]] = []
        self._sent: list[tuple[int, float]] = []
        self._ends: list[tuple[int, int]] = []
        self.record: dict[str, Any] = {
            "call": call,
            "arrived": self._arrived,
            "sent": self._sent,
            "ends": self._ends,
        }

    async def run(self, script: str) -> None:
        await self._send("session.created", session={"type": "realtime", "id": "sess_1"})
        update = orjson.loads(await self._websocket.get_message())
        self.record["updated_at"] = time.monotonic()
        await self._send("session.updated", session=update["session"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk if script == "talk" else self._be_interrupted)
            await self._listen()

    async def _listen(self) -> None:
        while True:
            text = await self._websocket.get_message()
            now = time.monotonic()
            event = orjson.loads(text)
            match event["type"]:
                case "input_audio_buffer.append":
                    pcm = binascii.a2b_base64(event["audio"])
                    self._arrived += [(number, now) for number in numbers_in(pcm)]
                case "conversation.item.truncate":
                    number = int(event["item_id"].removeprefix("item_"))
                    self._ends.append((number, event["audio_end_ms"]))

    async def _talk(self) -> None:
        began = trio.current_time()
        for number in count():
            spoken_s = DELTAS * DELTA_MS / 1000
            await trio.sleep_until(began + number * (spoken_s + GAP_S))
            await self._begin_answer(number)
            await self._send_deltas(number, DELTAS, DELTA_MS)
            await self._end_answer(number, "completed")

    async def _be_interrupted(self) -> None:
        for number in count():
            await self._begin_answer(number)
            began = trio.current_time()
            # At another point of the playout's steps each time.
            at_s = BARGE_IN_S + number * 0.137 % 1
            await self._send_deltas(number, 20, SHORT_DELTA_MS)
            await trio.sleep_until(began + at_s)
            await self._send(
                "input_audio_buffer.speech_started",
                audio_start_ms=0,
                item_id=f"item_person_{number}",
            )
            await self._send_deltas(number, LATE_DELTAS, SHORT_DELTA_MS)
            await self._end_answer(number, "cancelled")
            await trio.sleep(GAP_S)

    async def _begin_answer(self, number: int) -> None:
        response = {"id": f"resp_{number}", "status": "in_progress", "output": []}
        await self._send("response.created", response=response)
        await self._send(
            "response.output_item.added",
            response_id=f"resp_{number}",
            output_index=0,
            item=_item(number, "in_progress"),
        )
        part = {"type": "audio", "transcript": ""}
        await self._send("response.content_part.added", **_place(number), part=part)

    async def _send_deltas(self, number: int, deltas: int, delta_ms: int) -> None:
        audio = numbered_frame(number) * (delta_ms // FRAME_MS)
        delta = binascii.b2a_base64(audio, newline=False).decode()
        began = trio.current_time()
        for at in range(deltas):
            await trio.sleep_until(began + at * delta_ms / 1000 / FASTER)
            if not self._sent or self._sent[-1][0] != number:
                self._sent.append((number, time.monotonic()))
            await self._send("response.output_audio.delta", **_place(number), delta=delta)

    async def _end_answer(self, number: int, status: str) -> None:
        await self._send("response.output_audio.done", **_place(number))
        item = _item(number, "completed" if status == "completed" else "incomplete")
        await self._send(
            "response.output_item.done", response_id=f"resp_{number}", output_index=0, item=item
        )
        response = {"id": f"resp_{number}", "status": status, "output": [item]}
        await self._send("response.done", response=response)

    async def _send(self, type_: str, **fields: Any) -> None:
        event = {"type": type_, "event_id": "event_1", **fields}
        await self._websocket.send_message(orjson.dumps(event).decode())


def _place(number: int) -> dict[str, Any]:
    return {
        "response_id": f"resp_{number}",
        "item_id": f"item_{number}",
        "output_index": 0,
        "content_index": 0,
    }


def _item(number: int, status: str) -> dict[str, Any]:
    return {
        "id": f"item_{number}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [],
    }


if __name__ == "__main__":
    trio.run(_main)
