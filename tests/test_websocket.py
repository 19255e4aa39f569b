"""Opening a WebSocket to what is none, or to nothing: one clear error each, and no socket left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import WebSocketRequest, serve_websocket

from agent.errors import AgentError, ModelRefused, ModelUnreachable
from agent.websocket import Terms, open_websocket

Handler = Callable[[trio.SocketStream], Awaitable[None]]


def terms(connect_s: float = 10) -> Terms:
    return Terms(
        connect_s=connect_s,
        close_s=1,
        max_message=1000,
        unreachable=ModelUnreachable,
        refused=lambda status, body: ModelRefused(f"{status} {body}"),
    )


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def says_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def hangs_up(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.receive_some(1000)


async def refuses(stream: trio.SocketStream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nno key")


async def speaks_tls(stream: trio.SocketStream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"\x15\x03\x03\x00\x02\x02\x0a")


@pytest.mark.parametrize(
    ("handler", "scheme", "words"),
    [
        (says_nothing, "ws", "no answer within 0.05 s"),
        (says_nothing, "wss", "no answer within 0.05 s"),
        (hangs_up, "ws", "it hung up without a WebSocket handshake"),
        (refuses, "ws", "401 no key"),
        (refuses, "wss", "SSL"),
        (speaks_tls, "ws", "it hung up without a WebSocket handshake"),
        (speaks_tls, "wss", "SSL"),
    ],
)
async def test_what_is_no_websocket(handler: Handler, scheme: str, words: str) -> None:
    async with listening(handler) as port:
        limit = terms(0.05 if handler is says_nothing else 10)
        with pytest.raises(AgentError) as caught:
            async with open_websocket(f"{scheme}://127.0.0.1:{port}/", limit):
                raise AssertionError("it opened")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ws://127.0.0.1:1/", "Connection refused"),
        ("ws://no-such-host.invalid/", "Name or service not known"),
    ],
)
async def test_where_nobody_is(url: str, words: str) -> None:
    with pytest.raises(ModelUnreachable) as caught:
        async with open_websocket(url, terms()):
            raise AssertionError("it opened")
    assert words in str(caught.value) or "resolution" in str(caught.value)


async def test_the_wait_for_an_answer_ends(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _theirs = memory_stream_pair()

    async def connect(*_: object) -> trio.abc.Stream:
        return ours

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    began = trio.current_time()
    with pytest.raises(ModelUnreachable, match="no answer within 10 s"):
        async with open_websocket("ws://anywhere/", terms()):
            raise AssertionError("it opened")
    assert trio.current_time() - began == pytest.approx(10)


async def greet(request: WebSocketRequest) -> None:
    websocket = await request.accept()
    await websocket.send_message("hello")
    await trio.sleep_forever()


@asynccontextmanager
async def peer_url() -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, greet, "127.0.0.1", 0, None)
        yield f"ws://127.0.0.1:{server.port}/path?query=1"
        nursery.cancel_scope.cancel()


async def test_the_bodys_own_error_comes_out_as_it_is() -> None:
    async with peer_url() as url:
        with pytest.raises(ModelRefused, match="my own"):
            async with open_websocket(url, terms()):
                raise ModelRefused("my own")


async def test_a_bug_in_the_body_does_not_vanish() -> None:
    async with peer_url() as url:
        with pytest.RaisesGroup(KeyError):
            async with open_websocket(url, terms()):
                raise KeyError("a bug")
