"""The request with which a client asks for a WebSocket, and plain HTTP's answers to other ones.

The WebSocket library would answer everything that is no such request with a bare 400, or not at
all, and fails at some. So the request is read here; of a good one the library gets only what it
needs.
"""

import re
from http import HTTPStatus
from typing import Final

import h11
import orjson
import trio
from attrs import frozen

MAX_REQUEST: Final = 16 * 1024
"""Bytes of a request's head."""
_LINGER_SECONDS: Final = 1.0
_READ_BYTES: Final = 64 * 1024
_VERSION: Final = "13"
_ABSOLUTE: Final = re.compile(r"(?:https?|wss?)://[^/?]*", re.IGNORECASE)


@frozen
class Request:
    """A request's head.

    :ivar target: path and query.
    :ivar headers: by their names in lower case; several of one name are joined by commas.
    :ivar rest: what came behind the head.
    """

    method: str
    target: str
    headers: dict[str, str]
    rest: bytes

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
            and self.headers.get("sec-websocket-version") == _VERSION
            and "sec-websocket-key" in self.headers
        )

    @property
    def for_the_library(self) -> bytes:
        """The request for a WebSocket again, with nothing in it that the library stumbles on."""
        wanted = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol")
        kept = [f"{name}: {self.headers[name]}" for name in wanted if name in self.headers]
        lines = ("GET / HTTP/1.1", "Host: model", "Connection: Upgrade", "Upgrade: websocket")
        return "\r\n".join((*lines, *kept, "", "")).encode("ascii")


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
    "This is a WebSocket endpoint: ask for an upgrade to websocket, version 13, with a key.",
    (("Upgrade", "websocket"), ("Sec-WebSocket-Version", _VERSION)),
)
BUSY: Final = Answer(
    503, "As many sessions as may be are open. Try again later.", (("Retry-After", "1"),)
)
_NOT_ASCII: Final = Answer(400, "The request's headers must be ASCII.")
_TOO_LONG: Final = Answer(431, f"The request's headers are longer than {MAX_REQUEST} bytes.")


async def read_request(stream: trio.abc.Stream) -> Request | None:
    """The request on a new connection; None where none came, which has been answered.

    Bounded by the caller's deadline.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST)
    try:
        event = await _next_event(stream, connection)
    except h11.RemoteProtocolError as error:
        await answer(stream, _TOO_LONG if error.error_status_hint == 431 else _bad_request(error))
        return None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return None
    if not isinstance(event, h11.Request):
        return None
    if not all(value.isascii() for _, value in event.headers):
        await answer(stream, _NOT_ASCII)
        return None
    return _request(event, connection.trailing_data[0])


async def _next_event(stream: trio.abc.Stream, connection: h11.Connection) -> object:
    while True:
        connection.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event


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


def _request(event: h11.Request, rest: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode("ascii"), value.decode("ascii")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(
        method=event.method.decode("ascii"),
        target=_origin_form(event.target.decode("latin-1")),
        headers=headers,
        rest=rest,
    )


def _origin_form(target: str) -> str:
    """A target without the scheme and the host with which proxies send it (RFC 9112, 3.2.2)."""
    found = _ABSOLUTE.match(target)
    if found is None:
        return target
    rest = target[found.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def _bad_request(error: h11.RemoteProtocolError) -> Answer:
    return Answer(400, f"This is no HTTP request that can be understood: {error}.")
