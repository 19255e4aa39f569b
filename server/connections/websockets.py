"""A WebSocket as the routes here need it, on Quart and Hypercorn.

Quart's own puts a task and two queues of ten between the socket and the route, and cancels the
route when the peer leaves: what was queued is lost and nobody learns how the peer left. Here
`receive` is the server's own receive, and a peer that leaves is a `SocketClosed` after its last
message.

Sending waits: `send` returns when the message is with the kernel (serving.py bounds how long).
"""

from typing import Any, Final

import trio
from attrs import frozen
from hypercorn.events import Closed
from hypercorn.protocol.ws_stream import (
    ASGIWebsocketState,
    FrameTooLargeError,
    WebsocketBuffer,
    WSStream,
)
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import websocket
from quart.asgi import ASGIWebsocketConnection
from quart_trio.asgi import TrioASGIWebsocketConnection
from quart_trio.wrappers import TrioWebsocket
from wsproto.connection import ConnectionState
from wsproto.events import Message, Ping

# How long a peer has to answer a close. Hypercorn would close the socket at once, and a peer whose
# audio is still on its way gets a reset then, which can wipe out the close code before it is read.
CLOSE_S: Final = 2.0
# For the proxies on the way, which cut a connection that says nothing for a minute. Not Hypercorn's
# own pings: its first goes out with the handshake, and trio-websocket fails with LocalProtocolError
# where a ping meets its close, as it does when a client is done at once.
PING_S: Final = 20.0


@frozen
class SocketClosed(Exception):
    """The peer has left.

    :ivar clean: it said so with a close frame, in place of just being gone.
    """

    clean: bool


class Websocket(TrioWebsocket):
    """One WebSocket, from before its handshake is answered."""

    inbox: "Inbox"
    hypercorn: WSStream | None = None
    """Hypercorn's side of it; None in tests without a server."""
    _finished = False

    @property
    def closed(self) -> bool:
        """Whether either side has closed it."""
        # Hypercorn's word too: it loses the event where it finds out in a task that was cancelled.
        cut = self.hypercorn is not None and self.hypercorn.closed
        return self._finished or cut or self.inbox.closed is not None

    async def accept_messages(self, most_bytes: int, subprotocol: str | None = None) -> None:
        """Complete the handshake.

        :param most_bytes: a peer that sends a longer message is put out with code 1009.
        :param subprotocol: named in the answer if the peer offers it.
        """
        if self.hypercorn is not None:
            self.hypercorn.buffer = _Buffer(most_bytes)
            # No compression: it would cost time on each frame of each member, for audio that does
            # not compress, and a small message could inflate to one that fills the memory.
            self.hypercorn.handshake.extensions = None
        offered = subprotocol in self.requested_subprotocols
        await self.accept(subprotocol=subprotocol if offered else None)

    async def send_message(self, message: str | bytes) -> None:
        """Send; does nothing where the peer is gone, which `receive` tells."""
        await self._send(message)

    async def finish(self, code: int, reason: str) -> None:
        """Close, and give the peer a moment to answer. Does nothing where it is closed."""
        if self.closed:
            return
        self._finished = True
        await self.close(code, reason)
        with trio.move_on_after(CLOSE_S):
            await self.drain()

    async def cut(self) -> None:
        """End the connection without a close frame."""
        self._finished = True
        # What Hypercorn's side sends goes through this method of its protocol's, which alone
        # reaches the connection.
        protocol = getattr(getattr(self.hypercorn, "send", None), "__self__", None)
        if protocol is not None:
            await protocol.send(Closed())

    async def drain(self) -> None:
        """Drop what the peer sends until it has left."""
        try:
            while True:
                await self.receive()
        except SocketClosed:
            return


def current_websocket() -> Websocket:
    """The WebSocket of the route that is running, for tasks beside it too."""
    current = websocket._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(current, Websocket)
    return current


class WebsocketConnection(TrioASGIWebsocketConnection):
    """What runs a route for one WebSocket; see the module's docstring."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the route. Only `receive` tells it that the peer has left."""
        stream = _hypercorn_of(send)
        inbox = self.receive_channel = Inbox(receive, stream)  # type: ignore[assignment]
        route = self._create_websocket_from_scope(send)
        assert isinstance(route, Websocket)
        route.inbox, route.hypercorn = inbox, stream
        async with trio.open_nursery() as nursery:
            if stream is not None:
                nursery.start_soon(_ping, stream)
            await ASGIWebsocketConnection.handle_websocket(self, route, send)
            nursery.cancel_scope.cancel()

    async def send_data(self, send: ASGISendCallable, data: str | bytes) -> None:
        """Send one message; Quart's own tells a signal of each besides."""
        text, binary = (data, None) if isinstance(data, str) else (None, data)
        await send({"type": "websocket.send", "bytes": binary, "text": text})


class Inbox:
    """The messages of one WebSocket; takes the place of Quart's queue.

    :ivar closed: how the peer left, once it has.
    """

    def __init__(self, receive: ASGIReceiveCallable, stream: WSStream | None) -> None:
        self._receive, self._stream = receive, stream
        self.closed: SocketClosed | None = None

    async def receive(self) -> str | bytes:
        while self.closed is None:
            event: Any = await self._receive()
            if event["type"] == "websocket.receive":
                binary = event.get("bytes")
                message: str | bytes = event["text"] if binary is None else binary
                return message
            if event["type"] == "websocket.disconnect":
                self.closed = SocketClosed(_was_clean(self._stream, event))
        raise self.closed


class _Buffer(WebsocketBuffer):
    """Hypercorn's, which goes on collecting what a peer sends after its message became too long."""

    def extend(self, event: Message[Any]) -> None:
        if self.length > self.max_length:
            raise FrameTooLargeError
        super().extend(event)


async def _ping(stream: WSStream) -> None:
    while True:
        await trio.sleep(PING_S)
        if stream.state is ASGIWebsocketState.CONNECTED:
            await stream._send_wsproto_event(Ping())


def _hypercorn_of(send: ASGISendCallable) -> WSStream | None:
    """Hypercorn's side of the WebSocket: `send` is a method of it.

    ASGI has no word for three things that are needed here: a limit of its own for each route, no
    compression, and whether the peer said goodbye (Hypercorn's disconnect is always 1006).
    """
    stream = getattr(send, "__self__", None)
    return stream if isinstance(stream, WSStream) else None


def _was_clean(stream: WSStream | None, event: Any) -> bool:
    if stream is None:
        return bool(event.get("code", 1000) != 1006)
    return stream.connection.state is ConnectionState.CLOSED
