"""Clients of the embedded model: one without a WebSocket, one with, both in memory."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from agent.embedded.answers.voice import Voice
from agent.embedded.wire.admission import Applicant
from agent.embedded.wire.endpoint import converse
from agent.embedded.wire.model_socket import SocketClosed
from agent.embedded.wire.websocket import serve_stream
from tests.embedded.driving import Event, LoudIsSpeech, hum

EMBEDDED = Applicant(model="embedded")


class HummingVoice:
    """Hums for a while, once it has thought for a while.

    :ivar said: the texts that it was given.
    :ivar cancelled: how often it was stopped while it thought.
    """

    def __init__(self, *, seconds: float = 2.0, delay: float = 0.0) -> None:
        self.said: list[str] = []
        self.cancelled = 0
        self._seconds = seconds
        self._delay = delay

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        self.said.append(text)
        try:
            await trio.sleep(self._delay)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        return hum(self._seconds)


class MemorySocket:
    """A `ModelSocket` whose client is the test.

    :ivar received: what the model was given so far.
    :ivar closed: code and reason with which the model closed it.
    :ivar is_cut: the model ended it without a close frame.
    """

    def __init__(self) -> None:
        self.received = 0
        self.closed: tuple[int, str] | None = None
        self.is_cut = False
        self._to_model, self._from_client = trio.open_memory_channel[str | bytes](1000)
        # No room: the model waits until the client reads.
        self._to_client, self._from_model = trio.open_memory_channel[str | bytes](0)

    async def receive(self) -> str | bytes:
        try:
            message = await self._from_client.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as error:
            raise SocketClosed from error
        self.received += 1
        return message

    async def send(self, message: str | bytes) -> None:
        try:
            await self._to_client.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise SocketClosed from error

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.closed is None and not self.is_cut:
            self.closed = (code, reason)
        self._end()

    async def cut(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_cut = True
        self._end()

    def _end(self) -> None:
        self._to_client.close()
        self._from_client.close()

    # -- the client's end ------------------------------------------------------------------------

    def tell(self, type_: str, **fields: Any) -> None:
        """Send an event to the model."""
        self._to_model.send_nowait(json.dumps({"type": type_, **fields}))

    async def hear_raw(self) -> str | bytes:
        """The model's next message."""
        return await self._from_model.receive()

    async def hear(self, type_: str | None = None) -> Event:
        """The model's next event (of a type)."""
        while True:
            event: Event = json.loads(await self.hear_raw())
            if type_ in (None, event["type"]):
                return event

    def hang_up(self) -> None:
        """Be gone."""
        self._to_model.close()
        self._from_model.close()


@asynccontextmanager
async def open_session(
    voice: Voice, client: Applicant = EMBEDDED, **options: Any
) -> AsyncIterator[MemorySocket]:
    """A session with the model; the context ends when the model has."""
    socket = MemorySocket()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(converse, socket, client, **{"vad": LoudIsSpeech} | options, voice=voice)
        )
        yield socket
        socket.hang_up()


@asynccontextmanager
async def open_websocket(
    path: str = "/v1/realtime?model=embedded",
    *,
    headers: list[tuple[bytes, bytes]] | None = None,
    subprotocols: list[str] | None = None,
    api_key: str | None = None,
    voice: Callable[[], Voice] = HummingVoice,
    **options: Any,
) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket to the model, over streams in memory."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(
                serve_stream, theirs, voice=voice(), api_key=api_key, vad=LoudIsSpeech, **options
            )
        )
        yield await connect(nursery, ours, path, headers, subprotocols)
        await ours.aclose()


async def connect(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    path: str = "/v1/realtime?model=embedded",
    headers: list[tuple[bytes, bytes]] | None = None,
    subprotocols: list[str] | None = None,
) -> WebSocketConnection:
    """Open a WebSocket on a stream."""
    # Any stream will do, but the library's types know of sockets only.
    return await wrap_client_stream(
        nursery,
        stream,  # type: ignore[arg-type]
        "model",
        path,
        extra_headers=headers,
        subprotocols=subprotocols,
    )


async def hear(connection: WebSocketConnection, type_: str | None = None) -> Event:
    """The model's next event (of a type)."""
    while True:
        event: Event = json.loads(await connection.get_message())
        if type_ in (None, event["type"]):
            return event
