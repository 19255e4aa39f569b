"""Small servers on real sockets, for tests that run real processes: a model's and a relay's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

Handler = Callable[[WebSocketRequest], Awaitable[None]]
SESSION = {"type": "realtime", "id": "sess_1"}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve WebSockets on a free port; yields the URL without a path."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, handler, "127.0.0.1", 0, ssl_context=None)
        )
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


class Watched:
    """What happened, and a way to wait for it."""

    def __init__(self) -> None:
        self._changed = trio.Event()

    def changed(self) -> None:
        self._changed.set()

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until a condition on this holds; a minute, and the test has failed."""
        with trio.fail_after(60):
            while not wanted():
                self._changed = trio.Event()
                await self._changed.wait()


class Model(Watched):
    """A model that configures the session and then only listens.

    :ivar requests: of the WebSockets that were opened, with their headers.
    :ivar closed: the code and reason with which each of them was closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[WebSocketRequest] = []
        self.closed: list[tuple[int, str | None]] = []
        self.got: list[dict[str, Any]] = []

    async def serve(self, request: WebSocketRequest) -> None:
        self.requests.append(request)
        self.changed()
        websocket = await request.accept()
        try:
            await self.talk(websocket)
        except ConnectionClosed as error:
            reason = error.reason
            self.closed.append((reason.code, reason.reason) if reason else (1006, None))
            self.changed()

    async def talk(self, websocket: WebSocketConnection) -> None:
        await send(websocket, "session.created", session=SESSION)
        while True:
            event = orjson.loads(await websocket.get_message())
            self.got.append(event)
            self.changed()
            if event["type"] == "session.update":
                await send(websocket, "session.updated", session=event["session"])


class SilentModel(Model):
    """A model that never says anything."""

    async def talk(self, websocket: WebSocketConnection) -> None:
        await websocket.get_message()


class RefusingModel(Model):
    """A model that knows no key, in the service's own words (facts captured in 2026)."""

    message = "Incorrect API key provided: sk-x."

    async def talk(self, websocket: WebSocketConnection) -> None:
        error = {
            "type": "invalid_request_error",
            "code": "invalid_api_key",
            "message": self.message,
            "param": None,
            "event_id": None,
        }
        await send(websocket, "error", error=error)
        await websocket.aclose(3000, "invalid_request_error.invalid_api_key")


async def send(websocket: WebSocketConnection, type_: str, **fields: Any) -> None:
    """Send one event."""
    event = {"type": type_, "event_id": "event_1", **fields}
    await websocket.send_message(orjson.dumps(event).decode())


class ModelThatHoldsTheClose(Watched):
    """A model that is ready at once and never answers a close."""

    def __init__(self) -> None:
        super().__init__()
        self.close_asked = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port; yields the URL without a path."""
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(
                partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1")
            )
            yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = WSConnection(ConnectionType.SERVER)
        async for data in stream:
            connection.receive_data(bytes(data))
            for event in connection.events():
                if isinstance(event, Request):
                    await stream.send_all(connection.send(AcceptConnection()))
                    for type_ in ("session.created", "session.updated"):
                        text = orjson.dumps({"type": type_, "event_id": "e", "session": SESSION})
                        await stream.send_all(connection.send(TextMessage(text.decode())))
                elif isinstance(event, CloseConnection):
                    self.close_asked = True
                    self.changed()


class Relay(Watched):
    """A local channel's relay that says what a test tells it to.

    :param uids: who is there already.
    :param told_uid: the uid that it gives to whoever joins; None leaves it unsaid.
    :ivar got: all messages of members, in order.
    :ivar closed: the code and reason with which each member went.
    """

    def __init__(self, *uids: int, told_uid: int | None = 99) -> None:
        super().__init__()
        self.requests: list[WebSocketRequest] = []
        self.got: list[str | bytes] = []
        self.closed: list[tuple[int, str | None]] = []
        self.websocket: WebSocketConnection | None = None
        self._members: dict[str, Any] = {"control": "members", "uids": list(uids)}
        if told_uid is not None:
            self._members["uid"] = told_uid

    async def serve(self, request: WebSocketRequest) -> None:
        self.requests.append(request)
        websocket = await request.accept()
        try:
            await websocket.send_message(orjson.dumps(self._members).decode())
            self.websocket = websocket
            self.changed()
            while True:
                self.got.append(await websocket.get_message())
                self.changed()
        except ConnectionClosed as error:
            reason = error.reason
            self.closed.append((reason.code, reason.reason) if reason else (1006, None))
            self.changed()

    async def say(self, message: str | bytes | dict[str, Any]) -> None:
        """Send the member that joined last a message; an object goes as JSON."""
        assert self.websocket is not None
        plain = orjson.dumps(message).decode() if isinstance(message, dict) else message
        await self.websocket.send_message(plain)
