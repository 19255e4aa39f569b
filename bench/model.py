"""`python -m bench.model`: the model's end of calls, and a local channel, on one loopback port.

It tells its port first, then a record of each call when the call is over. It ends with its
standard input. What it does in a call is asked for by name:

- `model=talk` answers one time after another; a little silence lies between, so that each
  answer's first frame can be handed over at once.
- `model=barge-in` lets the person interrupt each answer, and goes on sending it all the same.
- `model=interruptions&times=N` does so N times in every way a service may (see `interrupted`), and
  tells when it is done.
"""

import binascii
import os
import sys
import time
from collections.abc import Awaitable, Callable
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

from bench.answers import Answers
from bench.audio import numbers_in
from bench.interrupted import Interrupted
from bench.relay import relay

DELTA_MS: Final = 250
DELTAS: Final = 16
GAP_S: Final = 0.15
SHORT_DELTA_MS: Final = 100
"""Of an answer that is interrupted."""
LATE_DELTAS: Final = 10
BARGE_IN_S: Final = 0.4
"""After the first delta at the earliest; up to a second later than that."""
AFTER_S: Final = 0.5


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
        await session.run(query["model"][0], int(query.get("times", ["0"])[0]))
    except* ConnectionClosed:
        pass
    _tell(session.record)


def _tell(value: dict[str, Any]) -> None:
    print(orjson.dumps(value).decode(), flush=True)


class _Session:
    """One call.

    :ivar record: what is told of it: `arrived`, (frame's number, when) pairs; what `Answers` and
        `Interrupted` note, by the same names.
    """

    def __init__(self, websocket: WebSocketConnection, call: str) -> None:
        self._websocket = websocket
        self._answers = Answers(websocket)
        self._interrupted = Interrupted(self._answers)
        self._arrived: list[tuple[int, float]] = []
        self.record: dict[str, Any] = {
            "call": call,
            "arrived": self._arrived,
            "sent": self._answers.sent,
            "truncated": self._answers.truncated,
            "deleted": self._answers.deleted,
            "began": self._interrupted.began,
            "open": self._interrupted.open,
        }

    async def run(self, script: str, times: int) -> None:
        await self._answers.send("session.created", session={"type": "realtime", "id": "sess_1"})
        update = orjson.loads(await self._websocket.get_message())
        self.record["updated_at"] = time.monotonic()
        await self._answers.send("session.updated", session=update["session"])
        scripts: dict[str, Callable[[], Awaitable[None]]] = {
            "talk": self._talk,
            "barge-in": self._be_interrupted,
            "interruptions": partial(self._be_interrupted_anyhow, times),
        }
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scripts[script])
            await self._listen()

    async def _listen(self) -> None:
        while True:
            text = await self._websocket.get_message()
            now = time.monotonic()
            event = orjson.loads(text)
            if event["type"] == "input_audio_buffer.append":
                pcm = binascii.a2b_base64(event["audio"])
                self._arrived += [(number, now) for number in numbers_in(pcm)]
            else:
                await self._answers.correct(event)

    async def _talk(self) -> None:
        began = trio.current_time()
        for number in count():
            spoken_s = DELTAS * DELTA_MS / 1000
            await trio.sleep_until(began + number * (spoken_s + GAP_S))
            await self._answers.begin(number)
            await self._answers.send_deltas(number, DELTAS, DELTA_MS)
            await self._answers.end(number, "completed")

    async def _be_interrupted(self) -> None:
        for number in count():
            await self._answers.begin(number)
            began = trio.current_time()
            # At another point of the playout's steps each time.
            at_s = BARGE_IN_S + number * 0.137 % 1
            await self._answers.send_deltas(number, 20, SHORT_DELTA_MS)
            await trio.sleep_until(began + at_s)
            await self._answers.send(
                "input_audio_buffer.speech_started",
                audio_start_ms=0,
                item_id=f"item_person_{number}",
            )
            await self._answers.send_deltas(number, LATE_DELTAS, SHORT_DELTA_MS)
            await self._answers.end(number, "cancelled")
            await trio.sleep(GAP_S)

    async def _be_interrupted_anyhow(self, times: int) -> None:
        await self._interrupted.run(times)
        # What follows from the last one has the time of any other.
        await trio.sleep(AFTER_S)
        _tell({"interrupted": times})


if __name__ == "__main__":
    trio.run(_main)
