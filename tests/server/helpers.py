"""What the server's tests share: a supervisor without processes, and a real server on loopback."""

import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
import trio
from attrs import evolve
from quart_trio import QuartTrio
from trio_websocket import WebSocketConnection, wrap_client_stream

from agent.config import Settings
from agent.errors import AgentError
from agent.listening import authority
from agent.options import AgentOptions
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import AgentInfo, AlreadyRunning, NotRunning, Tools
from server.app import create_app, make_relay
from server.connections.listening import open_listener
from server.connections.serving import Door, open_server
from server.doors.auth import Keys
from server.doors.tickets import Tickets
from server.profiles import ProfilesFile
from server.relay.channels import Relay
from server.stages import Stages

OWN_KEY = "the-server's-own"
SECRET = b"of the tickets"
PER_CLIENT = 100
LIMIT_S = 20
"""For what would never happen: no test waits for it to pass."""


class FakeAgents:
    """A supervisor's surface; agents are in their channels at once.

    :ivar fault: raised by the next start.
    :ivar started: the options of each start, and
    :ivar tools: the tools that it was given.
    :ivar may_join: a start waits for it.
    :ivar limit: how many agents there may be.
    """

    def __init__(self) -> None:
        self.fault: AgentError | None = None
        self.limit = 10
        self.launches = True
        self.started: list[AgentOptions] = []
        self.tools: list[Tools | None] = []
        self.may_join = trio.Event()
        self.may_join.set()
        self.logs: dict[str, EventLog] = {}
        self._infos: dict[str, AgentInfo] = {}
        self._past: dict[str, AgentInfo] = {}

    def agents(self) -> list[AgentInfo]:
        return list(self._infos.values())

    def can_launch(self) -> bool:
        return self.launches

    def capacity(self) -> tuple[int, int]:
        return len(self._infos), self.limit

    def events(self, channel_name: str) -> EventLog:
        if channel_name not in self.logs:
            raise NotRunning("it does not run")
        return self.logs[channel_name]

    def get(self, channel_name: str) -> AgentInfo:
        found = self._infos.get(channel_name) or self._past.get(channel_name)
        if found is None:
            raise NotRunning("it does not run")
        return found

    async def start(self, options: AgentOptions, *, tools: Tools | None = None) -> AgentInfo:
        await self.may_join.wait()
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        if options.channel_name in self._infos:
            raise AlreadyRunning("it runs")
        self.started.append(options)
        self.tools.append(tools)
        info = AgentInfo(
            channel_name=options.channel_name,
            call_id=f"call-{len(self.started)}",
            uid=options.uid,
            state="running",
            pid=4711,
            started_at=1_700_000_000.5,
            model=options.model or "a-model",
            embedded=False,
        )
        self._infos[options.channel_name] = info
        return info

    def change(self, channel_name: str, **changes: Any) -> None:
        self._infos[channel_name] = evolve(self._infos[channel_name], **changes)

    async def stop(self, channel_name: str) -> AgentInfo:
        await trio.lowlevel.checkpoint()
        if channel_name not in self._infos:
            raise NotRunning("it does not run")
        ended = evolve(
            self._infos.pop(channel_name), state="ended", reason="stopped", exit_status=0
        )
        self._past[channel_name] = ended
        return ended


def make_app(
    settings: Settings | None = None,
    agents: FakeAgents | None = None,
    *,
    relay: Relay | None = None,
    stages: Stages | None = None,
    profiles: ProfilesFile | None = None,
    clock: Callable[[], float] = time.time,
) -> QuartTrio:
    """The application with nothing around it."""
    settings = settings or Settings(openai_api_key="a-key", openai_model="a-model")
    keys = Keys(settings, OWN_KEY)
    tickets = Tickets(keys, SECRET, clock)
    return create_app(
        settings,
        agents or FakeAgents(),
        keys=keys,
        relay=relay,
        stages=stages,
        profiles=profiles,
        tickets=tickets,
    )


@asynccontextmanager
async def open_websocket(
    stream: trio.SocketStream, here: str, path: str, **options: Any
) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket over a stream, which is closed at the end.

    trio-websocket leaves its own to the garbage collector where the server closes first.
    """
    async with stream, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, stream, here, path, **options)
        yield websocket
        await websocket.aclose()
        nursery.cancel_scope.cancel()


class Served:
    """A server that runs.

    :ivar here: its host:port.
    """

    def __init__(self, here: str, relay: Relay, stages: Stages) -> None:
        self.here, self.relay, self.stages = here, relay, stages

    def join(
        self, channel: str, uid: int | str = "", **options: Any
    ) -> AbstractAsyncContextManager[WebSocketConnection]:
        """A WebSocket to a channel."""
        return self.open(f"/channels/{channel}?uid={uid}", **options)

    @asynccontextmanager
    async def open(self, path: str, **options: Any) -> AsyncIterator[WebSocketConnection]:
        """A WebSocket to a path."""
        stream = await self.connect(receive_buffer=2**20)
        async with open_websocket(stream, self.here, path, **options) as websocket:
            yield websocket

    async def connect(self, receive_buffer: int = 4096) -> trio.SocketStream:
        """A bare connection, whose system takes little that its program does not read."""
        host, port = self.here.rsplit(":", 1)
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect((host, int(port)))
        return trio.SocketStream(sock)

    def close_channels(self) -> None:
        """What happens when the agents are gone."""
        self.stages.closing.set()
        self.relay.close()


@asynccontextmanager
async def serving(
    settings: Settings | None = None,
    agents: FakeAgents | None = None,
    *,
    limit_s: float | None = None,
    tls: ssl.SSLContext | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Served]:
    """A real server of the application, on loopback.

    :param clock: for tickets.
    """
    relay, stages = make_relay(), Stages()
    app = make_app(settings, agents, relay=relay, stages=stages, clock=clock)
    listener = open_listener("127.0.0.1", 0, has_keys=False)
    with trio.fail_after(limit_s or LIMIT_S):
        async with open_server(Door(listener, tls), per_client=PER_CLIENT) as server:
            server.start(app)
            served = Served(authority(listener), relay, stages)
            yield served
            served.close_channels()


HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {here}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


async def shake_hands(stream: trio.SocketStream, served: Served, path: str, more: str = "") -> str:
    """A WebSocket's handshake by hand; returns the answer's head. Frames may follow it unread."""
    request = HANDSHAKE.format(path=path, here=served.here, more=more)
    await stream.send_all(request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    return head.decode()


async def control(websocket: WebSocketConnection) -> dict[str, Any]:
    """The next message, which is control."""
    message = orjson.loads(await websocket.get_message())
    assert isinstance(message, dict)
    return message
