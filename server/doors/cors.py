"""Other sites' pages: which may call this server, and what a browser is told of that (CORS).

None may unless the operator lists its origin. There is no wildcard, and browsers are never told to
send what they hold for this site: there are no cookies here, and a page sends its ticket itself.
"""

from typing import Final

from quart import Quart, Request, Response, request

_METHODS: Final = "GET, POST, PUT, DELETE"
_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_MAX_AGE_S: Final = 600
"""For so long a browser need not ask again; an origin that is taken off the list may be let ask for
as long, and is then refused its answers all the same."""


class Origins:
    """The origins whose pages may call.

    :param listed: with commas between them, as the setting has it; None is none.
    """

    def __init__(self, listed: str | None) -> None:
        self._listed = frozenset(origin.strip() for origin in (listed or "").split(","))

    def allow(self, origin: str | None) -> bool:
        """Whether this Origin header is one of them, to the letter."""
        return bool(origin) and origin in self._listed

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return self._listed != {""}


def cors(app: Quart, origins: Origins) -> None:
    """Tell browsers, in every answer and every error, that a listed origin may read it."""
    if not origins.any:
        return

    @app.after_request
    async def add_headers(response: Response) -> Response:
        response.vary.add("Origin")  # for caches, whoever asks
        origin = request.headers.get("Origin")
        if origin is not None and origins.allow(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Location, Retry-After"
        return response


def preflight(call: Request, origins: Origins) -> Response | None:
    """The answer to a browser that asks before it lets a listed origin call; else None."""
    asks = call.method == "OPTIONS" and "Access-Control-Request-Method" in call.headers
    if not asks or not origins.allow(call.headers.get("Origin")):
        return None
    response = Response(b"", 204)
    response.headers["Access-Control-Allow-Methods"] = _METHODS
    response.headers["Access-Control-Allow-Headers"] = _HEADERS
    response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_S)
    return response
