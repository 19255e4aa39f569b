"""The agents of one server: at most one a channel, each in a process of its own."""

import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio
from attrs import frozen

from agent.config import EMBEDDED_MODEL, Settings
from agent.nurseries import first_of
from agent.options import AgentOptions, OptionsError, to_plain
from agent.supervisor.capacity import default_limit
from agent.supervisor.event_log import Event, EventLog
from agent.supervisor.info import (
    AgentInfo,
    AlreadyRunning,
    JoinTimeout,
    NotRunning,
    StartFailed,
    TooManyAgents,
)
from agent.supervisor.life import Life, new_info
from agent.supervisor.pool import Pool
from agent.supervisor.process import AgentProcess, Message, run_agent_process
from agent.supervisor.restarts import Restarts
from agent.watchdog import STUCK_S

__all__ = [
    "AgentInfo",
    "AlreadyRunning",
    "JoinTimeout",
    "NotRunning",
    "StartFailed",
    "Supervisor",
    "TooManyAgents",
    "Tools",
    "open_supervisor",
]

KEPT: Final = 64
"""Channels whose last agent is remembered when it has ended: why, and its last events."""
KEPT_S: Final = 3600.0
SHUTDOWN: Final = "the server is shutting down"
RETRY_AFTER_S: Final = 10
"""Calls last for minutes: asking more often finds the same."""

_log = logging.getLogger(__name__)


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
    """Starts, lists and stops agents; see `open_supervisor`.

    :ivar limit: of agents at a time.
    """

    def __init__(
        self,
        settings: Settings,
        nursery: trio.Nursery,
        tools: Tools,
        on_event: Callable[[AgentInfo, Event], None],
    ) -> None:
        self.limit = settings.agents_max or default_limit()
        self._settings, self._tools, self._on_event = settings, tools, on_event
        self._nursery = nursery
        self._agents: dict[str, Life] = {}
        self._past: dict[str, tuple[float, Life]] = {}
        self._closed = False
        self.pool = Pool(settings.agents_warm, self._launch)

    def agents(self) -> list[AgentInfo]:
        """All agents there are, in the order of their start."""
        return [agent.now for agent in self._agents.values()]

    def capacity(self) -> tuple[int, int]:
        """How many agents there are, and may be."""
        return len(self._agents), self.limit

    def can_launch(self) -> bool:
        """Whether processes get ready, as far as is known: only those kept warm tell."""
        return not self.pool.fails

    def get(self, channel_name: str) -> AgentInfo:
        """The agent of a channel, or the last one that it had, of late.

        :raises NotRunning: there is none.
        """
        return self._known(channel_name).now

    def events(self, channel_name: str) -> EventLog:
        """The events of a channel's agent, or of its last one.

        :raises NotRunning: there was none of late.
        """
        return self._known(channel_name).events

    async def start(self, options: AgentOptions, *, tools: Tools | None = None) -> AgentInfo:
        """Start an agent. While the channel's former agent is being stopped this waits for it.

        Cancelled, the agent is stopped again.

        :param tools: those that it may be given of, in the place of the supervisor's own.
        :returns: once the agent is in its channel.
        :raises ConfigError: it is to be in an Agora channel, and no project is set up.
        :raises OptionsError: it is to have a tool that the operator has not.
        :raises AlreadyRunning: the channel has one.
        :raises TooManyAgents: there are as many as there may be.
        :raises JoinTimeout: it was not in the channel in time.
        :raises StartFailed: it ended before.
        """
        name = options.channel_name
        tools = self._tools if tools is None else tools
        self._settings.way_in(options.rtc)
        tools.check(options.tools)
        self._check_open()
        while (former := self._agents.get(name)) is not None:
            if former.info.state != "stopping":
                raise AlreadyRunning(f"Agent already running for channel: {name}")
            await first_of(former.gone, former.changed)
            self._check_open()
        if len(self._agents) >= self.limit:
            raise TooManyAgents(self.limit, RETRY_AFTER_S)
        # There was no await since the look.
        agent = self._agents[name] = self._new(options, tools)
        await self._nursery.start(self._run, agent)
        return agent.info

    async def stop(self, channel_name: str) -> AgentInfo:
        """Stop a channel's agent.

        :returns: once its process is gone; how, is in it.
        :raises NotRunning: there is none.
        """
        agent = self._agents.get(channel_name)
        if agent is None:
            raise NotRunning(f"no agent runs for channel: {channel_name}")
        agent.stop()
        await agent.gone.wait()
        return agent.info

    async def drain(self, seconds: float) -> None:
        """Start no more agents, and let those that run end by themselves, for so long at most."""
        self._closed = True
        for agent in self._agents.values():
            agent.restarts.allowed = False
            if agent.info.state == "restarting":
                agent.stop(SHUTDOWN)
        with trio.move_on_after(seconds):
            for agent in list(self._agents.values()):
                await agent.gone.wait()

    def close(self) -> None:
        """Stop all agents, those that are starting too, and start no more."""
        self._closed = True
        for agent in self._agents.values():
            agent.stop(SHUTDOWN, is_shutdown=True)

    def _known(self, channel_name: str) -> Life:
        found = self._agents.get(channel_name)
        if found is None:
            self._forget()
            found = self._past.get(channel_name, (0.0, None))[1]
        if found is None:
            raise NotRunning(f"no agent runs for channel: {channel_name}")
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise StartFailed(SHUTDOWN, "shutdown")

    def _new(self, options: AgentOptions, tools: Tools) -> Life:
        embedded = self._settings.openai_model == EMBEDDED_MODEL
        info = new_info(options, model=self._settings.openai_model, embedded=embedded)
        told: Message = {"call_id": info.call_id, "tools": list(tools.modules), "mcp": tools.mcp}
        restarts = Restarts(self._settings.agent_restart == "on-failure")
        return Life(options, info, told, restarts, self._on_event)

    async def _run(self, agent: Life, *, task_status: trio.TaskStatus[None]) -> None:
        name, megabytes = agent.info.channel_name, self._settings.agent_memory_mb
        agent.becomes("starting")
        try:
            await agent.run(self.pool, megabytes * 2**20 or None, task_status=task_status)
        finally:
            del self._agents[name]
            self._past.pop(name, None)
            self._past[name] = trio.current_time(), agent
            self._forget()

    def _forget(self) -> None:
        oldest = trio.current_time() - KEPT_S if self._past else math.inf
        recent = [(name, it) for name, it in self._past.items() if it[0] >= oldest]
        self._past = dict(recent[-KEPT:])

    async def _launch(self) -> AgentProcess:
        first: Message = {
            "settings": to_plain(self._settings),
            "tools": list(self._tools.modules),
            "watchdog_s": STUCK_S,
        }
        process: AgentProcess = await self._nursery.start(partial(run_agent_process, first))
        return process


def _ignore(_: AgentInfo, __: Event) -> None:
    pass


@asynccontextmanager
async def open_supervisor(
    settings: Settings,
    tools: Tools = Tools(),
    *,
    on_event: Callable[[AgentInfo, Event], None] = _ignore,
) -> AsyncIterator[Supervisor]:
    """A supervisor that owns all the processes it starts: they are gone when the context exits.

    :param settings: what every agent is given; the limits of agents are in it, too.
    :param tools: what an agent may be given of.
    :param on_event: is told of every event of every agent; does not wait.
    """
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(settings, nursery, tools, on_event)
        nursery.start_soon(supervisor.pool.run)
        try:
            yield supervisor
        finally:
            # Each process is sent SIGTERM at once and has its own deadline; see run_agent_process.
            # One that is starting lives in the nursery of its starter, where no cancel of ours
            # would reach it.
            supervisor.close()
            nursery.cancel_scope.cancel()
