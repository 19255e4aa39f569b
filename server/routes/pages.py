"""The web client: one page and its files."""

from pathlib import Path
from typing import Final

import trio
from quart import Blueprint, Response, abort, request
from werkzeug.security import safe_join

from server.openapi.operations import Says, describes

_WEB: Final = Path(__file__).parent.parent / "web"
# Of our own, since the system's table can be wrong and browsers run no script of another type.
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_UNCHANGED: Final = Says("it is as it was")


def page_routes() -> Blueprint:
    """`/` and `/web/<name>`."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    @describes("The page", {200: Says("the page", str, ["text/html"]), 304: _UNCHANGED})
    async def index() -> Response:
        return await _file("index.html")

    @routes.get("/web/<path:name>")
    @describes(
        "A file of the page",
        {200: Says("the file", str, [*_TYPES.values()]), 304: _UNCHANGED},
        (404, "not_found"),
    )
    async def file(name: str) -> Response:
        return await _file(name)

    return routes


async def _file(name: str) -> Response:
    path = safe_join(str(_WEB), name)
    kind = _TYPES.get(Path(name).suffix)
    if path is None or kind is None:
        abort(404)
    try:
        data = await trio.Path(path).read_bytes()
    except (OSError, ValueError):  # no such file; a name that is too long, or with a NUL in it
        abort(404)
    response = Response(data, content_type=kind)
    # Asked for again each time and answered 304 by its tag: a page is never half old, half new.
    response.headers["Cache-Control"] = "no-cache"
    await response.add_etag()
    await response.make_conditional(request)
    return response
