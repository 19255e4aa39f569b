"""The embedded model by itself on a TCP port."""

import logging
import socket
from functools import partial
from typing import Final

import trio
from attrs import frozen

from agent.embedded.wire.endpoint import ModelOptions
from agent.embedded.wire.handshake import BUSY, HANDSHAKE_SECONDS, answer, read_request
from agent.embedded.wire.websocket import serve_stream

PATH: Final = "/v1/realtime"
MAX_SESSIONS: Final = 64
"""At once; a client more is told to come back."""

_log = logging.getLogger(__name__)


@frozen
class ModelServer:
    """A listening socket and the model behind it.

    :ivar options: as for `converse`.
    """

    listener: socket.socket
    options: ModelOptions
    max_sessions: int = MAX_SESSIONS

    async def run(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `stopping` is set, then close the sessions in order; closes the listener.

        Cancellation ends all sessions at once.
        """
        limit = trio.CapacityLimiter(self.max_sessions)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self.listener))
        serve = partial(trio.serve_listeners, partial(self._serve, limit, stopping), [listener])
        async with listener, trio.open_nursery() as sessions, trio.open_nursery() as accepting:
            await accepting.start(partial(serve, handler_nursery=sessions))
            task_status.started()
            await stopping.wait()
            accepting.cancel_scope.cancel()

    async def _serve(
        self, limit: trio.CapacityLimiter, stopping: trio.Event, stream: trio.SocketStream
    ) -> None:
        who, began = _peer(stream), trio.current_time()
        try:
            limit.acquire_nowait()
        except trio.WouldBlock:
            _log.warning("%s: turned away, %d sessions are open", who, self.max_sessions)
            await _turn_away(stream)
            return
        try:
            done = await serve_stream(stream, path=PATH, stopping=stopping, **self.options)
        finally:
            limit.release()
        _log.info(
            "%s: %s; %.1f s, %d messages received, %d sent",
            who,
            done.reason,
            trio.current_time() - began,
            done.received,
            done.sent,
        )


async def _turn_away(stream: trio.SocketStream) -> None:
    async with stream:
        with trio.move_on_after(HANDSHAKE_SECONDS):
            request = await read_request(stream)
            if request is not None:
                await answer(stream, BUSY, request.method)


def _peer(stream: trio.SocketStream) -> str:
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:  # already gone
        return "a client"
    return f"{host}:{port}"
