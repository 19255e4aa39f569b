"""How long a connection may wait for its next request, and that it speaks HTTP/1.1.

Hypercorn has a timer for that. It is set again by the task of the request that ends, which Quart
cancels at that very moment, so that after its first request a connection had all the time it wants.

In HTTP/2 a client can read and yet never let a stream go on; Hypercorn 0.18 then collects all that
is sent on it. Proxies, which speak it to browsers, speak HTTP/1.1 to servers.
"""

import math
from typing import Final

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

HEAD_S: Final = 5.0
"""For a TLS handshake, and for all of a request's head, from the connection's begin or from the end
of the request before. Both are a packet or two: whoever takes longer holds a place for nothing."""
REFUSED_S: Final = 1.0
"""For a client to take an answer without a body, and for Hypercorn, which can wait for one that has
gone meanwhile."""


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
        if scope["type"] != "lifespan" and scope["http_version"] == "2":
            self._waiting.deadline = trio.current_time() + REFUSED_S
            await _refuse(scope, send)
            return
        self._running += 1
        self._waiting.deadline = math.inf
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
            if self._running == 0:
                self._waiting.deadline = trio.current_time() + HEAD_S


async def _refuse(scope: Scope, send: ASGISendCallable) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000, "reason": None})
        return
    # Without a body, which might wait for ever.
    await send({"type": "http.response.start", "status": 505, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
