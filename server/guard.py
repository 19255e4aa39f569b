"""What is asked of every request before its route runs: the keys, or else to be of this machine."""

from typing import Final

from quart import Quart, Request, Response, Websocket, request, websocket

from server.answers import failure
from server.auth import Keys, is_own_host, is_own_page
from server.stages import Stages

# A browser asks for the page without a key, and health probes have none. The page learns from
# /healthz that it would need one, which it cannot send, and says so.
_OPEN: Final = ("/", "/healthz", "/readyz")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


def guard(app: Quart, keys: Keys, stages: Stages) -> None:
    """Refuse what may not pass; a WebSocket before its handshake is answered."""

    @app.before_request
    async def check_request() -> Response | None:
        refusal = _check(request, keys, changes=request.method not in _SAFE)
        if refusal is None and request.method not in _SAFE and stages.draining.is_set():
            return failure(503, "shutting_down", "The server is shutting down")
        return refusal

    @app.before_websocket
    async def check_websocket() -> Response | None:
        return _check(websocket, keys, changes=True)


def _check(call: Request | Websocket, keys: Keys, *, changes: bool) -> Response | None:
    if keys.needed:
        return _check_key(call, keys)
    host, origin = call.headers.get("Host"), call.headers.get("Origin")
    if not is_own_host(host):
        return failure(403, "foreign_host", "This server answers to localhost only")
    if changes and not is_own_page(origin, host):
        return failure(403, "foreign_origin", "Requests from other sites' pages are refused")
    return None


def _check_key(call: Request | Websocket, keys: Keys) -> Response | None:
    is_open = call.path in _OPEN or call.path.startswith("/web/")
    if is_open or keys.admit(call.headers.get("Authorization")):
        return None
    text = "A valid key is needed: Authorization: Bearer KEY"
    refusal = failure(401, "unauthorized", text)
    refusal.headers["WWW-Authenticate"] = "Bearer"
    return refusal
