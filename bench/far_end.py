"""The far end of a real call: a member of the server's channel, as the page is one for a person."""

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import orjson
import trio
from attrs import define, field, frozen
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from bench.audio import FRAME_BYTES, numbers_in
from bench.receiver import Receiver

AGENT: Final = 1
PERSON: Final = 7
MESSAGE_BYTES: Final = 2 * FRAME_BYTES
"""The page's microphone sends messages of 20 ms."""
MESSAGE_S: Final = 0.02
RECEIPT_S: Final = 0.05
"""How often it is told how much was heard, while something is."""
_HEADER: Final = 4
_SAMPLES: Final = FRAME_BYTES // 2


@frozen
class Arrived:
    """A frame of 10 ms of the agent's came, of the answer of this number."""

    at: float
    number: int


@frozen
class Cleared:
    """The agent's `clear` came.

    :ivar heard: samples that had been put out by then, by answer, since the last one.
    """

    at: float
    heard: dict[int, int]


@define
class _Turn:
    pieces: deque[bytes]
    began: float = 0.0
    over: trio.Event = field(factory=trio.Event)


class FarEnd:
    """A member who hears, and speaks; where it says nothing it sends silence.

    :param receipts: whether it tells the agent how much of it was heard.
    :ivar events: what came of the agent, in order.
    """

    def __init__(self, websocket: WebSocketConnection, *, receipts: bool) -> None:
        self.events: list[Arrived | Cleared] = []
        self._websocket = websocket
        self._receiver = Receiver()
        self._receipts = receipts
        self._told = 0
        self._turn: _Turn | None = None
        self._came = trio.Event()

    async def run(self) -> None:
        """Be there until the channel is closed or this is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._speak)
            if self._receipts:
                nursery.start_soon(self._tell_while_it_plays)
            await self._hear()
            nursery.cancel_scope.cancel()

    async def say(self, pcm: bytes) -> float:
        """Say this; when its first samples were put on the wire."""
        size = MESSAGE_BYTES
        pieces = (pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size))
        turn = self._turn = _Turn(deque(pieces))
        await turn.over.wait()
        return turn.began

    async def answer(self) -> None:
        """Wait for the next frame of the agent's."""
        self._came = trio.Event()
        await self._came.wait()

    async def _speak(self) -> None:
        header, at = PERSON.to_bytes(_HEADER, "big"), trio.current_time()
        with suppress(ConnectionClosed):
            while True:
                at += MESSAGE_S
                await trio.sleep_until(at)
                await self._websocket.send_message(header + self._next_piece())

    def _next_piece(self) -> bytes:
        turn = self._turn
        if turn is None:
            return bytes(MESSAGE_BYTES)
        turn.began = turn.began or time.monotonic()
        piece = turn.pieces.popleft()
        if not turn.pieces:
            self._turn = None
            turn.over.set()
        return piece

    async def _hear(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = await self._websocket.get_message()
                now = time.monotonic()
                if isinstance(message, bytes):
                    self._take_audio(message, now)
                elif message.startswith("{"):
                    await self._take_control(orjson.loads(message), now)

    def _take_audio(self, message: bytes, now: float) -> None:
        if int.from_bytes(message[:_HEADER], "big") != AGENT:
            return
        for number in numbers_in(message[_HEADER:]):
            self.events.append(Arrived(now, number))
            self._receiver.add(number, _SAMPLES, now)
        self._came.set()

    async def _take_control(self, control: dict[str, Any], now: float) -> None:
        if control["control"] == "clear" and control["uid"] == AGENT:
            self.events.append(Cleared(now, self._receiver.clear(now)))
            if self._receipts:
                await self._tell()

    async def _tell_while_it_plays(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await trio.sleep(RECEIPT_S)
                self._receiver.advance(time.monotonic())
                if self._receiver.played > self._told:
                    await self._tell()

    async def _tell(self) -> None:
        self._told = self._receiver.played
        receipt = {"control": "played", "uid": AGENT, "samples": self._told}
        await self._websocket.send_message(orjson.dumps(receipt).decode())


@asynccontextmanager
async def open_far_end(url: str, *, receipts: bool) -> AsyncIterator[FarEnd]:
    """Join a channel; it is left when the context exits.

    :param url: the channel's.
    """
    async with open_websocket_url(f"{url}?uid={PERSON}") as websocket:
        far_end = FarEnd(websocket, receipts=receipts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far_end.run)
            yield far_end
            nursery.cancel_scope.cancel()
