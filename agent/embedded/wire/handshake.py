"""The request with which a client asks for a WebSocket, and plain HTTP's answers to other ones.

The WebSocket library would answer everything that is no such request with a bare 400, or not at
all. So the request is read here first; a good one is then handed on with every byte of it.
"""

from http import HTTPStatus
from typing import Final

import h11
import orjson
import trio
from attrs import frozen

MAX_REQUEST: Final = 16 * 1024
"""Bytes of a request's head."""
HANDSHAKE_SECONDS: Final = 10.0
"""From the connection to the end of the request."""
_LINGER_SECONDS: Final = 1.0
_READ_BYTES: Final = 64 * 1024
_VERSION: Final = b"13"


@frozen
class Request:
    """A request's head.

    :ivar target: path and query.
    :ivar headers: by their names in lower case; of several of one name the last.
    :ivar raw: all that came of the connection so far.
    """

    method: str
    target: str
    headers: dict[str, str]
    raw: bytes

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    @property
    def is_upgrade(self) -> bool:
        """Whether it asks for a WebSocket."""
        return (
            self.method == "GET"
            and self.headers.get("upgrade", "").lower() == "websocket"
            and "upgrade" in self.headers.get("connection", "").lower()
        )


@frozen
class Answer:
    """An HTTP answer to what gets no WebSocket."""

    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()


def not_found(request: Request) -> Answer:
    """There is nothing at that path."""
    return Answer(404, f"Invalid URL ({request.method} {request.path})")


UPGRADE_REQUIRED: Final = Answer(
    426,
    "This is a WebSocket endpoint: ask for an upgrade to websocket, version 13.",
    (("Upgrade", "websocket"), ("Sec-WebSocket-Version", _VERSION.decode())),
)
BUSY: Final = Answer(
    503, "As many sessions as may be are open. Try again later.", (("Retry-After", "1"),)
)
_BAD_REQUEST: Final = Answer(400, "This is not an HTTP request.")
_TOO_LONG: Final = Answer(431, f"The request's headers are longer than {MAX_REQUEST} bytes.")


async def read_request(stream: trio.abc.Stream) -> Request | None:
    """The request on a new connection; None where none came, which has been answered.

    Bounded by the caller's deadline.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST)
    raw = b""
    try:
        while True:
            data = bytes(await stream.receive_some(_READ_BYTES))
            if not data:
                return None
            raw += data
            connection.receive_data(data)
            event = connection.next_event()
            if isinstance(event, h11.Request):
                return _request(event, raw)
    except h11.RemoteProtocolError as error:
        await answer(stream, _TOO_LONG if error.error_status_hint == 431 else _BAD_REQUEST)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    return None


async def answer(stream: trio.abc.Stream, given: Answer, method: str = "GET") -> None:
    """Answer with JSON in the form of the service's errors; the connection is of no more use."""
    error = {
        "message": given.message,
        "type": "server_error" if given.status >= 500 else "invalid_request_error",
        "param": None,
        "code": None,
    }
    body = orjson.dumps({"error": error})
    head = h11.Response(
        status_code=given.status,
        reason=HTTPStatus(given.status).phrase.encode(),
        headers=[
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *given.headers,
        ],
    )
    connection = h11.Connection(h11.SERVER)
    data = (connection.send(head) or b"") + (b"" if method == "HEAD" else body)
    try:
        # Closed while the client still sends, the connection would be reset and the answer lost.
        with trio.move_on_after(_LINGER_SECONDS):
            await stream.send_all(data)
            while await stream.receive_some(_READ_BYTES):
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


class Replayed(trio.abc.Stream):
    """A stream from whose beginning something has been read already."""

    def __init__(self, raw: bytes, stream: trio.abc.Stream) -> None:
        self._raw, self._stream = raw, stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """What has been read, then the rest."""
        if not self._raw:
            return await self._stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        data, self._raw = self._raw[:max_bytes], self._raw[max_bytes:] if max_bytes else b""
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream does."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


def _request(event: h11.Request, raw: bytes) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    return Request(
        method=event.method.decode("latin-1"),
        target=event.target.decode("latin-1"),
        headers=headers,
        raw=raw,
    )
