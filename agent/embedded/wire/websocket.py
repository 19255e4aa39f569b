"""The embedded model at the far end of any Trio stream, as a WebSocket server."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Unpack

import h11
import trio
from attrs import frozen
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import ProtocolError

from agent.embedded.wire.admission import SUBPROTOCOL, applicant
from agent.embedded.wire.endpoint import ModelOptions, converse
from agent.embedded.wire.handshake import (
    HANDSHAKE_SECONDS,
    UPGRADE_REQUIRED,
    Replayed,
    Request,
    answer,
    not_found,
    read_request,
)
from agent.embedded.wire.model_socket import SocketClosed
from agent.embedded.wire.running import Summary

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""The service takes appends of 15 MiB."""
CLOSE_SECONDS: Final = 2.0
PING_SECONDS: Final = 20.3
"""How often the service pings, as captured."""
GOING_AWAY: Final = 1001
_READ_BYTES: Final = 64 * 1024


async def serve_stream(
    stream: trio.abc.Stream,
    *,
    path: str | None = None,
    stopping: trio.Event | None = None,
    **options: Unpack[ModelOptions],
) -> Summary:
    """Be the model for the one client at the other end of a stream, until either closes.

    What the client wants is in its request's URL and headers. A request that is for no WebSocket
    gets an HTTP answer. The stream is closed in every case. Cancellation ends the session at once.

    :param path: the only path at which there is a model; None: it is at all of them.
    :param stopping: once it is set the WebSocket is closed in order, with code 1001.
    :param options: as for `converse`.
    """
    summary = Summary("no WebSocket was asked for")
    async with stream, trio.open_nursery() as nursery:
        accepted = await _accept(nursery, stream, path)
        if accepted is not None:
            nursery.start_soon(_ping, accepted.connection)
            summary = await _converse(accepted, stopping, options)
        nursery.cancel_scope.cancel()
    return summary


@frozen
class _Accepted:
    connection: WebSocketConnection
    request: Request
    stream: trio.abc.Stream


async def _converse(
    accepted: _Accepted, stopping: trio.Event | None, options: ModelOptions
) -> Summary:
    socket = _WebSocket(accepted.connection, accepted.stream)
    client = applicant(accepted.request.target, accepted.request.headers)
    summary = Summary("this side shuts down")

    async with trio.open_nursery() as nursery:
        if stopping is not None:
            nursery.start_soon(_cancel_after, stopping, nursery.cancel_scope)
        summary = await converse(socket, client, **options)
        nursery.cancel_scope.cancel()
    # Where the session is over by itself, this does nothing.
    await socket.close(GOING_AWAY, "the server is shutting down")
    return summary


async def _cancel_after(stopping: trio.Event, session: trio.CancelScope) -> None:
    await stopping.wait()
    session.cancel()


async def _accept(
    nursery: trio.Nursery, stream: trio.abc.Stream, path: str | None
) -> _Accepted | None:
    reader = _Reader(nursery)
    with trio.move_on_after(HANDSHAKE_SECONDS):
        request = await read_request(stream)
        if request is None:
            return None
        if path is not None and request.path != path:
            await answer(stream, not_found(request), request.method)
        elif not request.is_upgrade:
            await answer(stream, UPGRADE_REQUIRED, request.method)
        else:
            with reader.handshake:
                return await _upgrade(reader, request, stream)
    return None


async def _upgrade(
    reader: "_Reader", request: Request, stream: trio.abc.Stream
) -> _Accepted | None:
    try:
        asked = await wrap_server_stream(
            reader,  # type: ignore[arg-type]  # of a nursery it uses start_soon only
            Replayed(request.raw, stream),
            message_queue_size=1,
            max_message_size=MAX_MESSAGE,
            receive_buffer_size=_READ_BYTES,
        )
        offered = SUBPROTOCOL in asked.proposed_subprotocols
        connection = await asked.accept(subprotocol=SUBPROTOCOL if offered else None)
    except ConnectionClosed:
        return None
    return _Accepted(connection, request, stream)


class _Reader:
    """Stands where trio-websocket expects the nursery for its reader task, whose end it hides.

    :ivar handshake: is cancelled when the reader ends: then the handshake will not come.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.handshake = trio.CancelScope()
        self._nursery = nursery

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._run, read)

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        # The client broke the rules, or its ping has met our close and was answered where no answer
        # may be: the connection is over in both cases.
        with suppress(ProtocolError, h11.ProtocolError):
            await read()
        self.handshake.cancel()


async def _ping(connection: WebSocketConnection) -> None:
    try:
        while True:
            await trio.sleep(PING_SECONDS)
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
