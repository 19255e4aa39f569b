"""What a route says of itself, beside it: the rest of the document at `/openapi.json` is derived.

@routes.get("/agents")
@describes("Lists the agents", {200: Says("all there are", AgentList)})
async def list_agents() -> Response:
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import field, frozen

from server.answers import JSON

_Route = TypeVar("_Route", bound=Callable[..., Any])
_NAME: Final = "operation"


@frozen
class Says:
    """One answer.

    :ivar words: what it means.
    :ivar kind: the class of its JSON, or text; None: it has no body.
    :ivar media: its content types.
    :ivar headers: their names, and what they say.
    """

    words: str
    kind: Any = None
    media: Sequence[str] = (JSON,)
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Takes:
    """The body of a request: a class, or an agent's options of which some must be there."""

    kind: Any
    required: Sequence[str] = ()


@frozen
class Operation:
    """What one route does.

    :ivar faults: those of the table (see `server.faults`) that it may answer, as (status, code),
        beside those that any route may.
    :ivar headers: those of a request that mean something to it: their names and JSON Schemas.
    """

    summary: str
    answers: Mapping[int, Says]
    faults: frozenset[tuple[int, str]] = frozenset()
    body: Takes | None = None
    headers: Mapping[str, Mapping[str, Any]] = field(factory=dict)


def describes(
    summary: str,
    answers: Mapping[int, Says],
    *faults: tuple[int, str],
    body: Takes | None = None,
    headers: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[_Route], _Route]:
    """Say what the route below does; see `Operation`."""

    def decorate(route: _Route) -> _Route:
        told = Operation(summary, answers, frozenset(faults), body, headers or {})
        setattr(route, _NAME, told)
        return route

    return decorate


def operation_of(route: Callable[..., Any]) -> Operation | None:
    """What a route says of itself."""
    return getattr(route, _NAME, None)
