"""The agents of one server: at most one a channel, each in a process of its own."""

import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from attrs import evolve, field, frozen

from agent.config import EMBEDDED_MODEL, Settings
from agent.errors import AgentError
from agent.options import AgentOptions, OptionsError
from agent.supervisor.event_log import EventLog
from agent.supervisor.process import open_agent_process

JOIN_S: Final = 30.0
"""From launch to being in the channel: connecting and configuring the model, with its retries."""

KEPT: Final = 64
"""Channels whose last agent's events are kept: its end is the last of them."""

_log = logging.getLogger(__name__)


class AlreadyRunning(AgentError):
    """The channel has its agent already."""


class NotRunning(AgentError):
    """The channel has no agent."""


class JoinTimeout(AgentError):
    """The agent was not in its channel in time; its process is gone."""


class StartFailed(AgentError):
    """The agent ended before it was in its channel; the text says why."""


@frozen(kw_only=True)
class AgentInfo:
    """What is known of one agent.

    :ivar call_id: names this call; no other has it.
    :ivar state: starting, running, stopping; and then ended, as was meant, or failed.
    :ivar started_at: seconds since 1970.
    :ivar embedded: whether it talks to the embedded model.
    :ivar reason: why it stops, or ended.
    :ivar exit_status: of its process; negative: the signal that killed it.
    :ivar last_log: the last lines that the process of a failed one wrote.
    """

    channel_name: str
    call_id: str
    uid: int
    state: str
    pid: int | None
    started_at: float
    model: str
    embedded: bool
    metadata: dict[str, str] = field(factory=dict)
    reason: str = ""
    exit_status: int | None = None
    last_log: tuple[str, ...] = ()


class _Agent:
    def __init__(self, info: AgentInfo) -> None:
        self.info = info
        self.events = EventLog(secrets.token_hex(4))
        self.scope = trio.CancelScope()
        self.gone = trio.Event()
        self.joined = False

    def has_joined(self, state: dict[str, Any]) -> None:
        self.joined = True
        if self.scope.cancel_called:
            return  # it is being stopped already
        self.info = evolve(
            self.info,
            state="running",
            uid=int(state.get("uid", self.info.uid)),
            model=str(state.get("model")),
            embedded=bool(state.get("embedded")) or self.info.embedded,
        )
        self.events.add({"type": "state", "state": "running", "uid": self.info.uid})

    def stop(self) -> None:
        if self.info.state != "stopping":
            self.stops("stopped")
        self.scope.cancel()

    def stops(self, reason: str) -> None:
        self.info = evolve(self.info, state="stopping")
        self.events.add({"type": "state", "state": "stopping", "reason": reason})

    def ended(self) -> None:
        self.events.add({"type": "state", "state": "ended"})
        self.events.end()
        self.gone.set()


@frozen
class Tools:
    """The operator's tools.

    :ivar modules: `package.module:name` each, for the agents to load.
    :ivar names: of the tools that are in them.
    :ivar mcp: the path of the file of MCP servers, whose tools only an agent knows.
    """

    modules: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    mcp: str | None = None

    def check(self, wanted: Sequence[str] | None) -> None:
        """Refuse what is not among them.

        :raises OptionsError: a request names another.
        """
        unknown = [name for name in wanted or () if name not in self.names]
        if unknown and self.mcp is None:
            there = f"there are: {', '.join(self.names)}" if self.names else "there are none"
            raise OptionsError([("tools", f"there is no tool {', '.join(unknown)}; {there}")])


class Supervisor:
    """Starts, lists and stops agents; see `open_supervisor`."""

    def __init__(self, settings: Settings, nursery: trio.Nursery, tools: Tools) -> None:
        self._settings, self._tools = settings, tools
        self._nursery = nursery
        self._agents: dict[str, _Agent] = {}
        self._past: dict[str, EventLog] = {}
        self._closed = False

    def agents(self) -> list[AgentInfo]:
        """All agents, in the order of their start."""
        return [agent.info for agent in self._agents.values()]

    def events(self, channel_name: str) -> EventLog:
        """The events of a channel's agent, or of its last one.

        :raises NotRunning: there was none of late.
        """
        agent = self._agents.get(channel_name)
        log = self._past.get(channel_name) if agent is None else agent.events
        if log is None:
            raise NotRunning(f"no agent runs for channel: {channel_name}")
        return log

    async def start(self, options: AgentOptions) -> AgentInfo:
        """Start an agent. While the channel's former agent is being stopped this waits for it.

        Cancelled, the agent is stopped again.

        :returns: once the agent is in its channel.
        :raises ConfigError: it is to be in an Agora channel, and no project is set up.
        :raises OptionsError: it is to have a tool that the operator has not.
        :raises AlreadyRunning: the channel has one.
        :raises JoinTimeout: it was not in the channel in time.
        :raises StartFailed: it ended before.
        """
        name = options.channel_name
        self._settings.way_in(options.rtc)
        self._tools.check(options.tools)
        self._check_open()
        while (former := self._agents.get(name)) is not None:
            if former.info.state != "stopping":
                raise AlreadyRunning(f"Agent already running for channel: {name}")
            await former.gone.wait()
            self._check_open()
        agent = _Agent(
            AgentInfo(
                channel_name=name,
                call_id=secrets.token_hex(8),
                uid=options.uid,
                metadata=options.metadata,
                state="starting",
                pid=None,
                started_at=time.time(),
                model=options.model or self._settings.openai_model,
                embedded=self._settings.openai_model == EMBEDDED_MODEL,
            )
        )
        self._agents[name] = agent  # there was no await since the look
        await self._nursery.start(self._run, agent, options)
        return agent.info

    async def stop(self, channel_name: str) -> AgentInfo:
        """Stop a channel's agent.

        :returns: once its process is gone.
        :raises NotRunning: there is none.
        """
        agent = self._agents.get(channel_name)
        if agent is None:
            raise NotRunning(f"no agent runs for channel: {channel_name}")
        agent.stop()
        await agent.gone.wait()
        return agent.info

    def close(self) -> None:
        """Stop all agents, those that are starting too, and start no more."""
        self._closed = True
        for agent in self._agents.values():
            agent.stop()

    def _check_open(self) -> None:
        if self._closed:
            raise StartFailed("the server is shutting down")

    async def _run(
        self, agent: _Agent, options: AgentOptions, *, task_status: trio.TaskStatus[None]
    ) -> None:
        fault: AgentError = StartFailed("it was stopped before it was in its channel")
        try:
            with agent.scope:
                fault = await self._live(agent, options, task_status)
        except* OSError as group:  # no process or no pipe can be made on this machine
            fault = StartFailed(f"it could not be launched: {group.exceptions[0]}")
            _log.error("%s", fault)
        finally:
            del self._agents[options.channel_name]
            self._keep(options.channel_name, agent.events)
            agent.ended()
            _log.info("the agent of channel %s is gone", options.channel_name)
        if not agent.joined:
            raise fault

    def _keep(self, channel_name: str, events: EventLog) -> None:
        self._past.pop(channel_name, None)
        self._past[channel_name] = events
        while len(self._past) > KEPT:
            del self._past[next(iter(self._past))]

    async def _live(
        self, agent: _Agent, options: AgentOptions, task_status: trio.TaskStatus[None]
    ) -> AgentError:
        """Watch one agent until it ends by itself.

        :returns: why it ended, which is a fault only for one that had not joined yet.
        """
        why, faults = "", []
        told = {"tools": list(self._tools.modules), "mcp": self._tools.mcp}
        async with open_agent_process(self._settings, options, **told) as process:
            agent.info = evolve(agent.info, pid=process.pid)
            with trio.move_on_after(JOIN_S) as joining:
                async for state in process.states():
                    if "event" in state:
                        agent.events.add(state["event"])
                    elif state.get("state") == "running":
                        agent.has_joined(state)
                        joining.deadline = math.inf
                        task_status.started()
                    else:
                        why = str(state.get("reason", ""))
                        faults = [(path, words) for path, words in state.get("faults", ())]
                        agent.stops(why)
            if joining.cancelled_caught:
                return JoinTimeout(f"it was not in its channel within {JOIN_S:g} s")
            status = await process.exit()
            why = why or f"it exited with status {status}: {process.last_output}"
            if status:
                _log.error("agent process %d: %s (status %s)", process.pid, why, status)
            return OptionsError(faults) if faults else StartFailed(why)


@asynccontextmanager
async def open_supervisor(settings: Settings, tools: Tools = Tools()) -> AsyncIterator[Supervisor]:
    """A supervisor that owns all the processes it starts: they are gone when the context exits.

    :param settings: what every agent is given.
    :param tools: what an agent may be given of.
    """
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(settings, nursery, tools)
        try:
            yield supervisor
        finally:
            # Each process is sent SIGTERM at once and has its own deadline; see open_agent_process.
            # One that is starting lives in the nursery of its starter, where no cancel of ours
            # would reach it.
            supervisor.close()
            nursery.cancel_scope.cancel()
