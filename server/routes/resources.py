"""Agents as resources: each has an address, `/agents/{channel_name}`."""

from typing import Any, Final, TypedDict
from urllib.parse import quote

from attrs import evolve
from quart import Blueprint, Response, request

from agent.errors import AgentError
from agent.options import AgentOptions
from agent.supervisor.supervisor import AgentInfo, AlreadyRunning, NotRunning
from server.answers import answer, failure
from server.bodies import BadBody, read_object
from server.doors.callers import Callers
from server.openapi.operations import Says, Takes, describes
from server.repeating import HEADER, SCHEMA, Repeating
from server.starting import START_FAULTS, Agents, Starter, Wanted, refusal

_NOT_FOUND: Final = (404, "agent_not_found")


class AgentList(TypedDict):
    """All agents that there are, in the order of their start."""

    agents: list[AgentInfo]


def resource_routes(
    agents: Agents, callers: Callers, starter: Starter, repeating: Repeating
) -> Blueprint:
    """`/agents`, and each agent's own address."""
    routes = Blueprint("resources", __name__)

    @routes.get("/agents")
    @describes("Lists the agents", {200: Says("those that there are", AgentList)})
    async def list_agents() -> Response:
        return answer(AgentList(agents=agents.agents()))

    @routes.get("/agents/<channel_name>")
    @describes(
        "Shows a channel's agent", {200: Says("it, or the last one of late", AgentInfo)}, _NOT_FOUND
    )
    async def show_agent(channel_name: str) -> Response:
        try:
            return answer(_shown(agents.get(channel_name), callers))
        except NotRunning:
            return no_agent()

    @routes.put("/agents/<channel_name>")
    @describes(
        "Has the channel have this agent",
        {
            200: Says("it runs already, by the same options and `Idempotency-Key`", AgentInfo),
            201: Says("it was started", AgentInfo, headers={"Location": "its address"}),
        },
        (409, "agent_already_running"),
        *START_FAULTS,
        body=Takes(AgentOptions, ["uid"]),
        headers={HEADER: SCHEMA},
    )
    async def put_agent(channel_name: str) -> Response:
        body = await read_object(request)
        return await repeating.answer(request, body, lambda: put(channel_name, body))

    async def put(channel_name: str, body: dict[str, Any]) -> Response:
        wanted = await starter.read(request, _named(body, channel_name))
        try:
            info = await starter.start(wanted)
        except AlreadyRunning:
            return _already(starter, wanted, callers)
        except AgentError as error:
            return refusal(error, wanted)
        response = answer(_shown(info, callers), 201)
        response.headers["Location"] = address(info.channel_name)
        return response

    @routes.delete("/agents/<channel_name>")
    @describes(
        "Stops a channel's agent",
        {200: Says("its process is gone, and this is how it ended", AgentInfo)},
        _NOT_FOUND,
    )
    async def delete_agent(channel_name: str) -> Response:
        try:
            return answer(_shown(await agents.stop(channel_name), callers))
        except NotRunning:
            return no_agent()

    return routes


def no_agent() -> Response:
    """The answer where a channel has none."""
    return failure(404, "agent_not_found", "No agent for this channel")


def address(channel_name: str) -> str:
    """An agent's address on this server.

    A channel called `.` or `..` has one, too, but most clients take these for a step in the path
    before they send it (curl does not, with --path-as-is); `/stop_agent` does without.
    """
    return f"/agents/{quote(channel_name, safe='')}"


def _shown(info: AgentInfo, callers: Callers) -> AgentInfo:
    """What is the operator's is not for people with tickets: a failure's reason is of the log."""
    has_ticket = callers.identify(request, by_query=False).channel_name is not None
    if not has_ticket:
        return info
    reason = "" if info.kind else info.reason
    return evolve(info, last_log=(), metadata={}, pid=None, reason=reason)


def _named(body: dict[str, Any], channel_name: str) -> dict[str, Any]:
    if body.get("channel_name", "") not in ("", channel_name):
        raise BadBody([("channel_name", "is not the one in the address")])
    return body | {"channel_name": channel_name}


def _already(starter: Starter, wanted: Wanted, callers: Callers) -> Response:
    info = starter.same(wanted)
    if info is not None:
        return answer(_shown(info, callers))
    text = f"Agent already running for channel: {wanted.options.channel_name}"
    return failure(409, "agent_already_running", text)
