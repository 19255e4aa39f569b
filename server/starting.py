"""Starting an agent as a request wants it."""

import math
from typing import Any, Final, Protocol

from attrs import field, frozen
from quart import Request, Response

from agent.errors import AgentError, ConfigError
from agent.options import AgentOptions, OptionsError
from agent.profiles import Profile, UnknownProfile
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import (
    AgentInfo,
    JoinTimeout,
    NotRunning,
    StartFailed,
    Tools,
    TooManyAgents,
)
from server.answers import bad_request, failure, shutting_down
from server.bodies import BadBody, check_options
from server.doors.callers import Callers
from server.doors.tickets import TICKET_OPTIONS
from server.profiles import ProfilesFile
from server.repeating import HEADER

START_FAULTS: Final = (
    (400, "invalid_request"),
    (422, "idempotency_key_reused"),
    (500, "start_failed"),
    (503, "too_many_agents"),
    (504, "join_timeout"),
)
"""What a start may be answered with, beside that the channel has an agent."""


class Agents(Protocol):
    """What is needed of a supervisor. It may one day speak for several machines."""

    def agents(self) -> list[AgentInfo]:
        """All agents there are."""

    def get(self, channel_name: str) -> AgentInfo:
        """A channel's agent, or its last one."""

    def capacity(self) -> tuple[int, int]:
        """How many agents there are, and how many there may be."""

    def can_launch(self) -> bool:
        """Whether agents' processes get ready, as far as is known."""

    async def start(self, options: AgentOptions, *, tools: Tools | None = None) -> AgentInfo:
        """Return once the agent is in its channel."""

    def events(self, channel_name: str) -> EventLog:
        """Those of a channel's agent, or of its last one."""

    async def stop(self, channel_name: str) -> AgentInfo:
        """Return once the agent's process is gone."""


@frozen
class Wanted:
    """What a request wants started.

    :ivar tools: those of its profile; None: the server's own.
    :ivar key: the request's `Idempotency-Key`.
    :ivar by_ticket: whoever wants it is not to read what is the operator's.
    """

    options: AgentOptions
    tools: Tools | None
    key: str | None
    by_ticket: bool = field(default=False, eq=False)


class Starter:
    """Starts agents, and remembers what was wanted of those that run."""

    def __init__(self, agents: Agents, profiles: ProfilesFile, callers: Callers) -> None:
        self._agents, self._profiles, self._callers = agents, profiles, callers
        self._wanted: dict[str, tuple[str, Wanted]] = {}

    async def read(self, request: Request, body: dict[str, Any]) -> Wanted:
        """What a request wants: its own fields over those of the profile.

        That is the one that the request names, or its ticket.

        :raises BadBody: its fields are bad, or there is no such profile.
        """
        caller = self._callers.identify(request, by_query=False)
        by_ticket = caller.channel_name is not None
        if caller.profile is not None:
            body = {**body, "profile": caller.profile}
        try:
            profile = await self.profile(body.get("profile"))
        except BadBody:
            if by_ticket:  # nor is it to read which others there are
                raise BadBody([("", "The ticket's profile is gone")]) from None
            raise
        try:
            options = check_options(body, profile.under(body))
        except BadBody as error:
            raise BadBody(_faults(error.details, by_ticket=by_ticket)) from error
        mcp = None if profile.mcp is None else str(profile.mcp)
        tools = Tools(profile.modules, profile.tools, mcp) if profile.has_tools else None
        return Wanted(options, tools, request.headers.get(HEADER), by_ticket)

    async def start(self, wanted: Wanted) -> AgentInfo:
        """Start it. Cancelled, the agent is stopped again; raises what a supervisor does."""
        info = await self._agents.start(wanted.options, tools=wanted.tools)
        there = {other.channel_name for other in self._agents.agents()}
        self._wanted = {name: told for name, told in self._wanted.items() if name in there}
        self._wanted[info.channel_name] = (info.call_id, wanted)
        return info

    def same(self, wanted: Wanted) -> AgentInfo | None:
        """The channel's agent, if it runs and is just what this request wants, key and all."""
        name = wanted.options.channel_name
        try:
            info = self._agents.get(name)
        except NotRunning:
            return None
        is_it = self._wanted.get(name) == (info.call_id, wanted)
        return info if is_it and info.state != "stopping" else None

    async def profile(self, name: object) -> Profile:
        """The profile of this name, which may be none.

        :raises BadBody: there is no such profile.
        """
        if not isinstance(name, str) or not name:
            return Profile()  # it is no name: the options' class says so
        try:
            return await self._profiles.find(name)
        except UnknownProfile as error:
            raise BadBody([("profile", str(error))]) from error


def _faults(faults: list[tuple[str, str]], *, by_ticket: bool) -> list[tuple[str, str]]:
    """What may be told of these. Of a profile's options a ticket's holder is to read nothing."""
    if not by_ticket:
        return faults
    own = [(path, words) for path, words in faults if path.split(".")[0] in TICKET_OPTIONS]
    return own or [("", "This server is not set up for it")]


def refusal(error: AgentError, wanted: Wanted) -> Response:
    """The answer to a start that failed, but for a channel that has its agent."""
    text = f"Failed to start agent: {error.kind if wanted.by_ticket else error}"
    match error:
        case OptionsError():
            return bad_request(_faults(error.faults, by_ticket=wanted.by_ticket))
        case ConfigError():
            # An option that is well formed but does not go with how this server is set up.
            return bad_request(_faults([("", str(error))], by_ticket=wanted.by_ticket))
        case TooManyAgents():
            response = failure(503, "too_many_agents", text)
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
            return response
        case StartFailed(kind="shutdown"):
            return shutting_down()
        case JoinTimeout():
            return failure(504, "join_timeout", text)
    return failure(500, "start_failed", text)
