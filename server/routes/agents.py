"""Starting and stopping agents, their events, and the server's health."""

from typing import Any, Final, TypedDict

from quart import Blueprint, Response, request

from agent.config import EMBEDDED_MODEL, Settings
from agent.errors import AgentError
from agent.options import AgentOptions
from agent.supervisor.event_log import Event
from agent.supervisor.supervisor import AlreadyRunning, NotRunning
from server.answers import answer, failure
from server.bodies import StopRequest, read_object, read_stop
from server.doors.callers import Callers
from server.event_stream import STREAM, Sent, server_sent
from server.openapi.operations import Says, Takes, describes
from server.repeating import HEADER, SCHEMA, Repeating
from server.routes.resources import no_agent
from server.starting import START_FAULTS, Agents, Starter, refusal


class Started(TypedDict):
    """The answer to a start. More is at `/agents/{channel_name}`."""

    status: str
    channel_name: str
    uid: int
    model: str
    embedded: bool
    pid: int | None


class Stopped(TypedDict):
    """The answer when an agent's process is gone.

    :ivar exit_status: negative for the signal that killed it.
    :ivar killed: the server had to send it SIGKILL.
    """

    status: str
    channel_name: str
    exit_status: int | None
    killed: bool


class Health(TypedDict):
    """How the server is.

    :ivar agents: how many there are.
    :ivar key_needed: whether this very caller would need a key for the rest.
    """

    status: str
    model: str
    embedded: bool
    agents: int
    key_needed: bool


_FOR_TICKETS: Final = frozenset({"state", "transcript", "events_missed"})
"""What people with tickets get of the events. What tools did and found is the operator's."""


def agent_routes(
    settings: Settings, agents: Agents, callers: Callers, starter: Starter, repeating: Repeating
) -> Blueprint:
    """`/start_agent`, `/stop_agent`, an agent's events, and `/healthz`."""
    routes = Blueprint("agents", __name__)

    @routes.post("/start_agent")
    @describes(
        "Starts an agent",
        {200: Says("it is in its channel", Started)},
        (400, "agent_already_running"),
        *START_FAULTS,
        body=Takes(AgentOptions, ["channel_name", "uid"]),
        headers={HEADER: SCHEMA},
    )
    async def start_agent() -> Response:
        body = await read_object(request)
        return await repeating.answer(request, body, lambda: _start(starter, body))

    @routes.post("/stop_agent")
    @describes(
        "Stops an agent",
        {200: Says("its process is gone", Stopped)},
        (400, "invalid_request"),
        (404, "agent_not_found"),
        body=Takes(StopRequest),
    )
    async def stop_agent() -> Response:
        body = await read_stop(request)
        try:
            info = await agents.stop(body.channel_name)
        except NotRunning:
            text = "No active agent found for the provided channel_name"
            return failure(404, "agent_not_found", text)
        stopped = Stopped(
            status="Agent process terminated",
            channel_name=info.channel_name,
            exit_status=info.exit_status,
            killed=info.killed,
        )
        return answer(stopped)

    @routes.get("/agents/<channel_name>/events")
    @describes(
        "Streams an agent's events",
        {
            200: Says("server-sent events, until its process is gone", Sent, [STREAM]),
            204: Says("all was read, up to the last"),
        },
        (404, "agent_not_found"),
        headers={"Last-Event-ID": {"type": "string"}},
    )
    async def agent_events(channel_name: str) -> Response:
        try:
            log = agents.events(channel_name)
        except NotRunning:
            return no_agent()
        has_ticket = callers.identify(request, by_query=True).channel_name is not None
        return server_sent(
            log,
            request.headers.get("Last-Event-ID"),
            head=request.method == "HEAD",
            shown=_for_ticket if has_ticket else None,
        )

    @routes.get("/healthz")
    @describes("Tells how the server is", {200: Says("it serves", Health)})
    async def healthz() -> Response:
        model = EMBEDDED_MODEL if settings.embedded else settings.openai_model
        # Of this very caller: a proxy may add the key for a page, which has none to send.
        key_needed = not callers.admits(request.headers.get("Authorization"))
        health = Health(
            status="ok",
            model=model,
            embedded=settings.embedded,
            agents=len(agents.agents()),
            key_needed=key_needed,
        )
        return answer(health)

    return routes


def _for_ticket(event: Event) -> Event | None:
    if event.get("type") not in _FOR_TICKETS:
        return None
    # The reason of a failure may be a line of the log.
    return {k: v for k, v in event.items() if k != "reason"} if event.get("kind") else event


async def _start(starter: Starter, body: dict[str, Any]) -> Response:
    wanted = await starter.read(request, body)
    try:
        info = await starter.start(wanted)
    except AlreadyRunning:
        text = f"Agent already running for channel: {wanted.options.channel_name}"
        return failure(400, "agent_already_running", text)
    except AgentError as error:
        return refusal(error, wanted)
    started = Started(
        status="Agent started!",
        channel_name=info.channel_name,
        uid=info.uid,
        model=info.model,
        embedded=info.embedded,
        pid=None if wanted.by_ticket else info.pid,
    )
    return answer(started)
