"""A client's WebSocket that always ends: on connecting, on closing, and when it is cancelled.

trio-websocket's own `open_websocket` bounds the wait for the handshake, and then waits without
bound for its reader task, which still waits for the handshake. Here the stream and the reader
have an owner that ends both.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

import h11
import trio
from attrs import frozen
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

from agent.errors import AgentError, ungrouped

_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@frozen(kw_only=True)
class Terms:
    """How a WebSocket is opened and closed.

    :ivar headers: for the request.
    :ivar connect_s: seconds for TCP, TLS and the upgrade together.
    :ivar close_s: seconds for the closing handshake.
    :ivar max_message: bytes of the longest message that is taken.
    :ivar queue: messages that wait to be taken; then the socket waits.
    :ivar goodbye: the reason that is given with the close.
    :ivar unreachable: makes the error for a server that can't be reached, from the reason.
    :ivar refused: makes the error for an answer that is no upgrade, from its status and body.
    """

    headers: tuple[tuple[bytes, bytes], ...] = ()
    connect_s: float
    close_s: float
    max_message: int
    queue: int = 1
    goodbye: str | None = None
    unreachable: Callable[[str], AgentError]
    refused: Callable[[int, str], AgentError]


@asynccontextmanager
async def open_websocket(url: str, terms: Terms) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket to a ws:// or wss:// URL, closed with 1000 when the context exits.

    Cancelled, it still gets the time of a closing handshake.

    :raises AgentError: one that `terms` makes.
    """
    with ungrouped():
        # The streams outermost: closed inside of the nursery, when that has been cancelled, they
        # would put a Cancelled in the place of the body's own error.
        async with AsyncExitStack() as streams, trio.open_nursery() as nursery:
            websocket = await _connect(_Reader(nursery), streams, url, terms)
            try:
                yield websocket
            finally:
                with trio.move_on_after(terms.close_s, shield=True):
                    await websocket.aclose(1000, terms.goodbye)
                nursery.cancel_scope.cancel()


class _Reader:
    """Stands where trio-websocket expects the nursery for its reader task, whose end it hides.

    :ivar handshake: is cancelled when the reader ends: then the handshake will not come.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.handshake = trio.CancelScope()
        self.has_ended = False
        self.rejection: ConnectionRejected | None = None
        self._nursery = nursery

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._run, read)

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except ConnectionRejected as rejection:
            self.rejection = rejection
        except (ProtocolError, h11.ProtocolError):
            # Either what came is no WebSocket, or a ping has met our close and was answered where
            # no answer may be: the connection is over in both cases.
            pass
        self.has_ended = True
        self.handshake.cancel()


async def _connect(
    reader: _Reader, streams: AsyncExitStack, url: str, terms: Terms
) -> WebSocketConnection:
    parts = urlsplit(url)
    reader.handshake.deadline = trio.current_time() + terms.connect_s
    try:
        with reader.handshake:
            stream = await _open_stream(parts, streams)
            return await wrap_client_stream(
                reader,  # type: ignore[arg-type]
                stream,
                parts.netloc.rpartition("@")[2],
                f"{parts.path or '/'}?{parts.query}",
                extra_headers=list(terms.headers),
                message_queue_size=terms.queue,
                max_message_size=terms.max_message,
                receive_buffer_size=2**16,
            )
    except (OSError, ssl.SSLError, trio.BrokenResourceError) as failure:
        raise terms.unreachable(_in_words(failure)) from failure
    raise _why_not(reader, terms)


def _why_not(reader: _Reader, terms: Terms) -> AgentError:
    if reader.rejection is not None:
        body = (reader.rejection.body or b"").decode(errors="replace")[:500]
        return terms.refused(reader.rejection.status_code, " ".join(body.split()))
    if reader.has_ended:
        return terms.unreachable("it hung up without a WebSocket handshake")
    return terms.unreachable(f"no answer within {terms.connect_s:g} s")


async def _open_stream(parts: SplitResult, streams: AsyncExitStack) -> _Stream:
    host = parts.hostname or ""
    if parts.scheme != "wss":
        plain = await trio.open_tcp_stream(host, parts.port or 80)
        streams.push_async_callback(trio.aclose_forcefully, plain)
        return plain
    secure = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    streams.push_async_callback(trio.aclose_forcefully, secure)
    await secure.do_handshake()  # here, where what is wrong with a certificate is told
    return secure


def _in_words(failure: BaseException) -> str:
    """The reason in what Trio raises, which often stands in the cause."""
    cause = failure.__cause__ or failure
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return str(cause) or type(cause).__name__
