"""The embedded model at the far end of any Trio stream, as a WebSocket server."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Unpack

import h11
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import ProtocolError

from agent.embedded.wire.admission import SUBPROTOCOL, applicant
from agent.embedded.wire.client_stream import ClientStream
from agent.embedded.wire.endpoint import ModelOptions, converse
from agent.embedded.wire.gate import Gate
from agent.embedded.wire.handshake import (
    BUSY,
    UPGRADE_REQUIRED,
    Request,
    answer,
    not_found,
    read_request,
)
from agent.embedded.wire.model_socket import SocketClosed
from agent.embedded.wire.running import Summary
from agent.embedded.wire.stopping import until

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""The service takes appends of 15 MiB."""
CLOSE_SECONDS: Final = 2.0
PING_SECONDS: Final = 20.3
"""How often the service pings, as captured."""
_READ_BYTES: Final = 64 * 1024


async def serve_stream(
    stream: trio.abc.Stream,
    *,
    path: str | None = None,
    gate: Gate | None = None,
    stopping: trio.Event | None = None,
    **options: Unpack[ModelOptions],
) -> Summary:
    """Be the model for the one client at the other end of a stream, until either closes.

    What the client wants is in its request's URL and headers. A request that is for no WebSocket
    gets an HTTP answer. The stream is closed in every case. Cancellation ends the session at once.

    :param path: the only path at which there is a model; None: it is at all of them.
    :param gate: bounds how many clients there are at a time.
    :param stopping: once it is set the WebSocket is closed in order, with code 1001, and a client
        that has none is not waited for.
    :param options: as for `converse`.
    """
    gate = gate or Gate()
    async with stream:
        request = None
        async with until(stopping):
            with gate.handshake():
                request = await _read_upgrade(stream, path)
        if request is None:
            return Summary("no WebSocket was asked for")
        with gate.session() as is_free:
            if is_free:
                return await _serve(stream, request, stopping, options)
        async with until(stopping):
            with gate.handshake():
                await answer(stream, BUSY)
        return Summary("turned away: as many sessions as may be are open")


async def _read_upgrade(stream: trio.abc.Stream, path: str | None) -> Request | None:
    """The request for a WebSocket; what else came has been answered."""
    request = await read_request(stream)
    if request is None:
        return None
    if path is not None and request.path != path:
        await answer(stream, not_found(request), request.method)
    elif not request.is_upgrade:
        await answer(stream, UPGRADE_REQUIRED, request.method)
    else:
        return request
    return None


async def _serve(
    stream: trio.abc.Stream, request: Request, stopping: trio.Event | None, options: ModelOptions
) -> Summary:
    summary = Summary("the client is gone")
    async with trio.open_nursery() as nursery:
        reader = _Reader(nursery)
        connection = await _accept(reader, stream, request)
        if connection is not None:
            nursery.start_soon(_ping, connection)
            client = applicant(request.target, request.headers)
            socket = _WebSocket(connection, stream)
            summary = await converse(socket, client, stopping=stopping, **options)
            # It may be telling the client what was wrong with its frames.
            with trio.move_on_after(CLOSE_SECONDS):
                await reader.ended.wait()
        nursery.cancel_scope.cancel()
    return summary


async def _accept(
    reader: "_Reader", stream: trio.abc.Stream, request: Request
) -> WebSocketConnection | None:
    seen = ClientStream(stream, request.for_the_library, request.rest)
    try:
        asked = await wrap_server_stream(
            reader,  # type: ignore[arg-type]  # of a nursery it uses start_soon only
            seen,
            message_queue_size=1,
            max_message_size=MAX_MESSAGE,
            receive_buffer_size=_READ_BYTES,
        )
        offered = SUBPROTOCOL in asked.proposed_subprotocols
        connection = await asked.accept(subprotocol=SUBPROTOCOL if offered else None)
    except ConnectionClosed:
        return None
    seen.accepted(connection)
    return connection


class _Reader:
    """Stands where trio-websocket expects the nursery for its reader task, whose end it hides.

    :ivar ended: is set when the reader has ended.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.ended = trio.Event()
        self._nursery = nursery

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._run, read)

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        # The client broke the rules, or its ping has met our close and was answered where no answer
        # may be: the connection is over in both cases.
        with suppress(ProtocolError, h11.ProtocolError):
            await read()
        self.ended.set()


async def _ping(connection: WebSocketConnection) -> None:
    """Ping for as long as the connection lasts, answered or not."""
    try:
        while True:
            await trio.sleep(PING_SECONDS)
            # Longer than a send may take (`client_stream`), so that no ping is cut short.
            with trio.move_on_after(PING_SECONDS):
                await connection.ping()
    except ConnectionClosed:
        return


class _WebSocket:
    """A `ModelSocket` of trio-websocket's."""

    def __init__(self, connection: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self._connection = connection
        self._stream = stream

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.get_message()
        except ConnectionClosed as error:
            raise SocketClosed from error

    async def send(self, message: str | bytes) -> None:
        try:
            await self._connection.send_message(message)
        except ConnectionClosed as error:
            raise SocketClosed from error

    async def close(self, code: int, reason: str) -> None:
        # A client that does not answer the closing handshake is not waited for.
        with trio.move_on_after(CLOSE_SECONDS):
            await self._connection.aclose(code, reason)

    async def cut(self) -> None:
        await trio.aclose_forcefully(self._stream)
