"""The embedded model inside the process that needs it, behind a pair of sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Unpack

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from agent.embedded.wire.endpoint import ModelOptions
from agent.embedded.wire.websocket import serve_stream

_MAX_MESSAGE: Final = 16 * 2**20


@asynccontextmanager
async def open_embedded(**options: Unpack[ModelOptions]) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket to an embedded model of one's own, which ends with the context.

    No port is opened: nobody else can talk to it.

    :param options: as for `converse`.
    """
    ours, theirs = trio.socket.socketpair()
    async with trio.SocketStream(ours) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_stream, trio.SocketStream(theirs), **options))
        yield await wrap_client_stream(
            nursery,
            stream,
            "embedded",
            "/v1/realtime?model=embedded",
            max_message_size=_MAX_MESSAGE,
            receive_buffer_size=2**16,
        )
        nursery.cancel_scope.cancel()
