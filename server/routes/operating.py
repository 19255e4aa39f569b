"""For those who run the server: `/metrics`, and `/readyz`, by which a load balancer goes."""

from typing import Final, TypedDict

from quart import Blueprint, Response, request

from agent.config import Settings
from agent.errors import ConfigError
from server.answers import answer
from server.openapi.operations import Says, describes
from server.operating.metrics import Metrics
from server.stages import Stages
from server.starting import Agents

TEXTS: Final = ("text/plain", "application/openmetrics-text")
RETRY_S: Final = 5
"""When whoever was told that the server is not ready may ask again: calls end all the time."""


class Readiness(TypedDict):
    """Whether an agent could be started now, and why not, in words for programs."""

    status: str
    reasons: list[str]


def operating_routes(
    settings: Settings, agents: Agents, stages: Stages, metrics: Metrics
) -> Blueprint:
    """`/metrics` and `/readyz`."""
    routes = Blueprint("operating", __name__)

    @routes.get("/metrics")
    @describes(
        "Tells figures, for Prometheus",
        {200: Says("the text format, or OpenMetrics where it is asked for", str, TEXTS)},
    )
    async def tell_metrics() -> Response:
        text, content_type = metrics.exposition(request.headers.get("Accept", ""))
        response = Response(text, content_type=content_type)
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.get("/readyz")
    @describes(
        "Tells whether an agent could be started now",
        {
            200: Says("it could", Readiness),
            503: Says("it could not", Readiness, headers={"Retry-After": "when to ask again"}),
        },
    )
    async def readyz() -> Response:
        reasons = obstacles(settings, agents, stages)
        if not reasons:
            return answer(Readiness(status="ready", reasons=[]))
        response = answer(Readiness(status="not ready", reasons=reasons), 503)
        response.headers["Retry-After"] = str(RETRY_S)
        return response

    return routes


def obstacles(settings: Settings, agents: Agents, stages: Stages) -> list[str]:
    """Why no agent could be started now, in words for programs; none: it could.

    Anybody may read them: they tell no names and no numbers.
    """
    count, limit = agents.capacity()
    found = {
        "stopping": stages.stopping.is_set(),
        "draining": stages.draining.is_set(),
        "full": count >= limit,
        "configuration": not _is_usable(settings),
        "processes": not agents.can_launch(),
    }
    return [word for word, is_so in found.items() if is_so]


def _is_usable(settings: Settings) -> bool:
    """Whether agents have a way into their channels. A model they have always: see `embedded`."""
    try:
        settings.way_in()
    except ConfigError:
        return False
    return True
