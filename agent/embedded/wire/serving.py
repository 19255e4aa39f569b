"""The embedded model by itself on a TCP port."""

import logging
import socket
from functools import partial
from typing import Final

import trio
from attrs import field, frozen

from agent.embedded.wire.endpoint import ModelOptions
from agent.embedded.wire.gate import Gate
from agent.embedded.wire.websocket import serve_stream

PATH: Final = "/v1/realtime"

_log = logging.getLogger(__name__)


@frozen
class ModelServer:
    """A listening socket and the model behind it.

    :ivar options: as for `converse`.
    :ivar gate: bounds how many clients there are at a time.
    """

    listener: socket.socket
    options: ModelOptions
    gate: Gate = field(factory=Gate)

    async def run(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `stopping` is set, then close the sessions in order; closes the listener.

        Cancellation ends all sessions at once.
        """
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self.listener))
        serve = partial(trio.serve_listeners, partial(self._serve, stopping), [listener])
        async with listener, trio.open_nursery() as sessions, trio.open_nursery() as accepting:
            await accepting.start(partial(serve, handler_nursery=sessions))
            task_status.started()
            await stopping.wait()
            accepting.cancel_scope.cancel()

    async def _serve(self, stopping: trio.Event, stream: trio.SocketStream) -> None:
        who, began = _peer(stream), trio.current_time()
        try:
            done = await serve_stream(
                stream, path=PATH, gate=self.gate, stopping=stopping, **self.options
            )
        except Exception:  # noqa: BLE001  # the other sessions have no part in this one's fault
            _log.exception("%s: a fault of this program has ended the session", who)
            return
        _log.info(
            "%s: %s; %.1f s, %d messages received, %d sent",
            who,
            done.reason,
            trio.current_time() - began,
            done.received,
            done.sent,
        )


def _peer(stream: trio.SocketStream) -> str:
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:  # already gone
        return "a client"
    return f"{host}:{port}"
