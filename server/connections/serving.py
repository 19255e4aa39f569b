"""Connections: accepted here, spoken to by Hypercorn, which knows HTTP and WebSockets.

This stands in for `hypercorn.trio.serve`, which lets a peer that does not read hold the server
for ever: its sends are shielded from cancellation. Here no send takes longer than `SEND_S`, and
`open_server` ends within `GRACE_S` of being told to, whoever is connected. A client has `HEAD_S` to
begin and to complete a request's head (app.py bounds its body), and only so many connections.
"""

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import h11
import trio
import wsproto.utilities
from attrs import frozen
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from server.connections.attended import HEAD_S, Attended
from server.connections.crowd import Crowd, room

# A member that takes nothing for so long has lost five times what its outbox holds.
SEND_S: Final = 10.0
# A machine that vanished sends no goodbye. TCP's own probes find out, within 15 s where nothing
# else is sent: the first after 5 s of silence, then every 5 s, and the second without an answer is
# the last. WebSocket pings (see websockets.py) would need the application on both ends to do it.
_KEEPALIVE: Final = {
    "TCP_KEEPIDLE": 5,  # Linux
    "TCP_KEEPALIVE": 5,  # the same on macOS
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 2,
    # Linux: the same for what was sent and is not acknowledged.
    "TCP_USER_TIMEOUT": int(SEND_S * 1000),
}
# For requests and WebSockets to end by themselves; on loopback that takes milliseconds.
GRACE_S: Final = 3.0
# What escapes from Hypercorn 0.18 when a peer breaks the rules: found by sending it mutilated
# requests and frames.
_PROTOCOL_ERRORS: Final = (
    h11.ProtocolError,  # a frame that comes before the handshake is answered
    wsproto.utilities.ProtocolError,
)

_log = logging.getLogger(__name__)


@frozen
class Door:
    """A listening socket.

    :ivar tls: what its connections are encrypted by, if they are.
    """

    listening: socket.socket
    tls: ssl.SSLContext | None = None


class Server:
    """The connections of its listening sockets; made by `open_server`."""

    def __init__(self, doors: Sequence[Door], crowd: Crowd, nursery: trio.Nursery) -> None:
        self._doors, self._crowd, self._nursery = doors, crowd, nursery
        self._accepting = trio.CancelScope()
        self._config, self._context = _config(), WorkerContext(None)
        self._streams: set[BoundedStream] = set()
        self._none_open = trio.Event()

    def start(self, app: ASGIFramework) -> None:
        """Begin to accept connections; until now they wait."""
        self._nursery.start_soon(self._accept_at_all, app)

    async def finish(self) -> None:
        """Accept no more and let what is going on end; what has not after the grace is cut off."""
        self._accepting.cancel()
        await self._context.terminated.set()
        with trio.move_on_after(GRACE_S):
            while self._streams:
                self._none_open = trio.Event()
                await self._none_open.wait()
        for stream in list(self._streams):
            stream.cut()
        self._nursery.cancel_scope.cancel()

    async def _accept_at_all(self, app: ASGIFramework) -> None:
        # Connections are not in this scope: they may go on when no more are accepted.
        with self._accepting:
            async with trio.open_nursery() as accepting:
                for door in self._doors:
                    accepting.start_soon(self._accept, app, door)

    async def _accept(self, app: ASGIFramework, door: Door) -> None:
        handle = partial(self._let_in, app, door.tls)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(door.listening))
        await trio.serve_listeners(handle, [listener], handler_nursery=self._nursery)

    async def _let_in(
        self,
        app: ASGIFramework,
        tls: ssl.SSLContext | None,
        stream: trio.SocketStream,
    ) -> None:
        client = None
        with suppress(OSError):  # gone already
            client = self._crowd.enter(stream.socket.getpeername()[0])
        if client is None:
            stream.socket.close()
            return
        try:
            await self._handle(app, tls, stream)
        finally:
            self._crowd.leave(client)

    async def _handle(
        self,
        app: ASGIFramework,
        tls: ssl.SSLContext | None,
        stream: trio.SocketStream,
    ) -> None:
        bounded = BoundedStream(stream, self._forget)
        self._streams.add(bounded)
        outer = bounded if tls is None else _encrypted(bounded, tls)
        # An object of its own for each connection: Hypercorn lets lifespans share it.
        state = ConnectionState({})
        waiting = trio.CancelScope(deadline=trio.current_time() + HEAD_S)
        wrapped = ASGIWrapper(Attended(app, waiting))
        try:
            with waiting:
                await _Connection(wrapped, self._config, self._context, state, outer).run()  # type: ignore[arg-type]
        except* _PROTOCOL_ERRORS as errors:
            _log.warning("a connection was dropped: %r", errors.exceptions)
        except* Exception as errors:  # noqa: BLE001
            # Blind: Hypercorn decodes what peers send in many places without a guard, and no list
            # of what that raises is ever complete. It must cost one connection, whatever it is,
            # and not the server with everybody's calls.
            _log.error("a connection was dropped", exc_info=errors)
        finally:
            bounded.cut()

    def _forget(self, stream: "BoundedStream") -> None:
        self._streams.discard(stream)
        if not self._streams:
            self._none_open.set()


class _Connection(TCPServer):
    """Hypercorn's, for HTTP/1.1 alone: whoever offers HTTP/2 is answered without.

    In that a client can read and yet never let a stream go on; Hypercorn 0.18 then collects all
    that is sent on it. Proxies speak it to browsers, and HTTP/1.1 to servers.
    """

    async def _read_data(self) -> None:
        # Where Hypercorn looks for such an offer. An upgrade that is not taken up is no error.
        spoken = self.protocol.protocol
        assert isinstance(spoken, H11Protocol)  # TLS offers nothing else either
        spoken._check_protocol = _take_up_nothing  # type: ignore[assignment,method-assign]
        await super()._read_data()


async def _take_up_nothing(_: h11.Request) -> None:
    pass


class BoundedStream(trio.abc.Stream):
    """A socket stream whose sends fail, in place of waiting for ever, when the peer does not read.

    :param on_closed: called when it is closed, perhaps more than once.
    """

    def __init__(
        self, stream: trio.SocketStream, on_closed: Callable[["BoundedStream"], None]
    ) -> None:
        self._stream, self._on_closed = stream, on_closed
        self.socket = stream.socket
        with suppress(OSError):  # already reset: the first read will tell
            _notice_silence(stream)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or break the connection.

        :raises trio.BrokenResourceError: the peer is gone or did not read.
        """
        try:
            with trio.fail_after(SEND_S):
                await self._stream.send_all(data)
        except trio.TooSlowError:
            self.cut()
            raise trio.BrokenResourceError("the peer does not read") from None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """What the peer sent."""
        return await self._stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        """Only of interest to who has something to send that can be made later."""
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        # Not the stream's: that raises BusyResourceError in a task that is about to send, which
        # nobody expects there. A send after this one raises ClosedResourceError.
        with suppress(OSError):  # the peer is gone
            self.socket.shutdown(socket.SHUT_WR)
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close."""
        self.cut()
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """Close without waiting; whoever waits on the stream is woken with an error."""
        self.socket.close()
        self._on_closed(self)


@asynccontextmanager
async def open_server(*doors: Door, per_client: int) -> AsyncIterator[Server]:
    """A server that owns its connections: none is left when the context exits.

    :param doors: whose sockets listen already; the server closes them.
    :param per_client: connections that one client may have, if it is not this machine.
    """
    async with trio.open_nursery() as nursery:
        server = Server(doors, Crowd(room(), per_client), nursery)
        yield server
        await server.finish()


def _encrypted(bounded: BoundedStream, tls: ssl.SSLContext) -> trio.SSLStream[BoundedStream]:
    # As HTTP has it: a client that closes says so in HTTP, and waits for no goodbye of TLS.
    return trio.SSLStream(bounded, tls, server_side=True, https_compatible=True)


def _notice_silence(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            stream.setsockopt(socket.IPPROTO_TCP, option, value)


def _config() -> Config:
    config = Config()
    config.accesslog = None
    # A logger in place of a name: then Hypercorn adds no handler and no format of its own.
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    return config
