"""How long a connection may wait for its next request.

Hypercorn has a timer for that. It is set again by the task of the request that ends, which Quart
cancels at that very moment, so that after its first request a connection had all the time it wants.
"""

import math
from typing import Final

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

HEAD_S: Final = 5.0
"""For a TLS handshake, and for all of a request's head, from the connection's begin or from the end
of the request before. Both are a packet or two: whoever takes longer holds a place for nothing."""


class Attended:
    """The application for one connection, which is cut where no request is running for `HEAD_S`.

    :param waiting: what the connection runs in; its deadline is set by the caller, and then here.
    """

    def __init__(self, app: ASGIFramework, waiting: trio.CancelScope) -> None:
        self._app, self._waiting = app, waiting
        self._running = 0

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        self._running += 1
        self._waiting.deadline = math.inf
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
            if self._running == 0:
                self._waiting.deadline = trio.current_time() + HEAD_S
