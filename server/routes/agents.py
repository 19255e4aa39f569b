"""Starting, stopping and listing agents, and the server's health."""

from typing import Any, Protocol

import attrs
from quart import Blueprint, Response, request

from agent.config import EMBEDDED_MODEL, Settings
from agent.errors import AgentError, ConfigError
from agent.options import AgentOptions, OptionsError
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import AgentInfo, AlreadyRunning, JoinTimeout, NotRunning
from server.answers import answer, bad_request, failure
from server.auth import Keys
from server.bodies import BadBody, read_options, read_stop
from server.event_stream import server_sent


class Agents(Protocol):
    """What is needed of a supervisor. It may one day speak for several machines."""

    def agents(self) -> list[AgentInfo]:
        """All agents there are."""

    async def start(self, options: AgentOptions) -> AgentInfo:
        """Return once the agent is in its channel."""

    def events(self, channel_name: str) -> EventLog:
        """Those of a channel's agent, or of its last one."""

    async def stop(self, channel_name: str) -> AgentInfo:
        """Return once the agent's process is gone."""


def agent_routes(settings: Settings, agents: Agents, keys: Keys) -> Blueprint:
    """`/start_agent`, `/stop_agent`, `/agents`, their events, and `/healthz`."""
    routes = Blueprint("agents", __name__)
    routes.register_error_handler(BadBody, _bad_body)

    @routes.post("/start_agent")
    async def start_agent() -> Response:
        return await _start(agents, await read_options(request))

    @routes.post("/stop_agent")
    async def stop_agent() -> Response:
        body = await read_stop(request)
        try:
            info = await agents.stop(body.channel_name)
        except NotRunning:
            text = "No active agent found for the provided channel_name"
            return failure(404, "agent_not_found", text)
        return answer({"status": "Agent process terminated", "channel_name": info.channel_name})

    @routes.get("/agents")
    async def list_agents() -> Response:
        return answer({"agents": [attrs.asdict(info) for info in agents.agents()]})

    @routes.get("/agents/<channel_name>/events")
    async def events(channel_name: str) -> Response:
        try:
            log = agents.events(channel_name)
        except NotRunning:
            return failure(404, "agent_not_found", "No agent for this channel")
        return server_sent(log, request.headers.get("Last-Event-ID"))

    @routes.get("/healthz")
    async def healthz() -> Response:
        model = EMBEDDED_MODEL if settings.embedded else settings.openai_model
        health = {"status": "ok", "model": model, "embedded": settings.embedded}
        # Of this very caller: a proxy may add the key for a page, which has none to send.
        key_needed = not keys.admit(request.headers.get("Authorization"))
        return answer(health | {"agents": len(agents.agents()), "key_needed": key_needed})

    return routes


async def _start(agents: Agents, options: AgentOptions) -> Response:
    try:
        info = await agents.start(options)
    except AlreadyRunning:
        text = f"Agent already running for channel: {options.channel_name}"
        return failure(400, "agent_already_running", text)
    except OptionsError as error:
        return bad_request(error.faults)
    except ConfigError as error:
        # An option that is well formed but does not go with how this server is set up.
        return bad_request([("", str(error))])
    except JoinTimeout as error:
        return failure(504, "join_timeout", f"Failed to start agent: {error}")
    except AgentError as error:
        return failure(500, "start_failed", f"Failed to start agent: {error}")
    return answer({"status": "Agent started!"} | _started(info))


def _started(info: AgentInfo) -> dict[str, Any]:
    told = ("channel_name", "uid", "model", "embedded", "pid")
    return {name: getattr(info, name) for name in told}


async def _bad_body(error: BadBody) -> Response:
    return bad_request(error.details)
