"""The document that describes this API."""

from typing import Any

from quart import Blueprint, Response, current_app

from server.answers import answer
from server.openapi.document import document
from server.openapi.operations import Says, describes


def openapi_routes() -> Blueprint:
    """`/openapi.json`."""
    routes = Blueprint("openapi", __name__)
    made: list[dict[str, Any]] = []

    @routes.get("/openapi.json")
    @describes("This document", {200: Says("OpenAPI 3.1", dict[str, Any])})
    async def openapi() -> Response:
        if not made:  # when it is first asked for, all routes are there
            made.append(document(current_app))
        return answer(made[0])

    return routes
