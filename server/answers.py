"""What every answer has in common: errors as JSON with a stable `code`, and security headers.

`{"error": text for people, "code": word for programs}`, and `details` where a request is at fault.
"""

from collections.abc import Sequence
from typing import Final, NotRequired, TypedDict

import attrs
import orjson
from quart import Quart, Response
from quart.typing import ResponseTypes
from werkzeug.exceptions import HTTPException, InternalServerError

JSON: Final = "application/json"
# The page is all of one origin; the channel's WebSocket is too, but browsers differ in whether
# 'self' covers ws: and wss:.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Of other sites none may hold the page's window, nor load what is here as a picture or a
    # script. Origins that may call do that by fetch, to which this does not apply.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
_AGAIN_S: Final = 5
"""A server is started again in seconds."""
# Not Strict-Transport-Security: it binds a whole host, other programs' ports too, and for months.
# That is for whoever owns the name to say, in the proxy.


class Detail(TypedDict):
    """Where a request is at fault, and why."""

    path: str
    message: str


class Failure(TypedDict):
    """What every error's answer holds: text for people, and a word for programs."""

    error: str
    code: str
    details: NotRequired[list[Detail]]


def answer(body: object, status: int = 200) -> Response:
    """JSON, also of attrs classes; never cached, since it tells how things are now."""
    data = orjson.dumps(body, default=attrs.asdict)
    response = Response(data, status, content_type=JSON)
    response.headers["Cache-Control"] = "no-store"
    return response


def failure(status: int, code: str, error: str) -> Response:
    """An error's answer. Status and code are to be in the table; see `server.faults`."""
    return answer(Failure(error=error, code=code), status)


def shutting_down() -> Response:
    """The answer of a server that is to stop. Another, or the next, may be asked soon."""
    response = failure(503, "shutting_down", "The server is shutting down")
    response.headers["Retry-After"] = str(_AGAIN_S)
    return response


def bad_request(details: Sequence[tuple[str, str]]) -> Response:
    """The answer to a body that is at fault in these places: (path, message) pairs."""
    faults = [Detail(path=path, message=message) for path, message in details]
    body = Failure(error="Invalid request data", code="invalid_request", details=faults)
    return answer(body, 400)


def dress(app: Quart) -> None:
    """Make the app answer every error in JSON, and with the security headers whatever it is."""
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_add_headers)

    @app.after_websocket
    async def of_a_refusal(response: ResponseTypes | None) -> ResponseTypes | None:
        return await _add_headers(response) if isinstance(response, Response) else response


async def _http_error(error: HTTPException) -> Response | HTTPException:
    status = error.code
    if status is None or status < 400:
        return error  # a redirect
    name = "Internal server error" if isinstance(error, InternalServerError) else error.name
    response = failure(status, error.name.lower().replace(" ", "_"), name)
    for header, value in error.get_headers():
        if header not in ("Content-Type", "Content-Length"):
            response.headers[header] = value  # Allow, Retry-After
    return response


async def _add_headers(response: Response) -> Response:
    for header, value in _HEADERS.items():
        response.headers.setdefault(header, value)
    return response
