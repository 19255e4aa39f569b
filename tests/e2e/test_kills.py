"""Nothing is left of a server that is killed, in whatever moment it was; and cycles leave nothing.

An ordinary run kills a server in four moments, `make prove` in all twelve; of start and stop it
does three cycles or two hundred.
"""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson
import pytest
import trio
from attrs import define
from hypothesis import settings

from agent.config import Settings
from agent.memory import resident_bytes
from agent.options import AgentOptions
from agent.supervisor.supervisor import AlreadyRunning, open_supervisor
from tests.e2e.processes import ServerProcess, running_server
from tests.loopback import Model, ModelThatHoldsTheClose, Relay, serving

MANY: Final = settings().max_examples >= 1000
CYCLES: Final = 200 if MANY else 3
MARK: Final = "KILL_TEST_MARK"
PERSON: Final = 7
STEP_S: Final = 0.01
"""How often it is looked what processes there are: nobody tells of that."""
LIMIT_S: Final = 30
"""The test has failed then, on however slow a machine."""


@define
class Scene:
    """A server, its agent's channel and model, and a way to ask the server for something."""

    server: ServerProcess
    model: Model | ModelThatHoldsTheClose
    relay: Relay
    mark: str
    nursery: trio.Nursery

    def processes(self) -> list[int]:
        """All that the server has started, and itself."""
        return list(marked(self.mark))

    async def until(self, wanted: Callable[[], object]) -> None:
        while not wanted():  # noqa: ASYNC110
            await trio.sleep(STEP_S)

    async def ask(self, path: str) -> None:
        """Send a request and wait for nothing."""
        body = orjson.dumps({"channel_name": "lobby"} | ({"uid": 1} if "start" in path else {}))
        where = urlsplit(self.server.url)
        stream = await trio.open_tcp_stream(str(where.hostname), int(where.port or 0))
        head = f"POST {path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(body)}"
        await stream.send_all(f"{head}\r\n\r\n".encode() + body)
        self.nursery.start_soon(_read, stream)

    async def start(self) -> None:
        status, answer = await self.server.post("/start_agent", {"channel_name": "lobby", "uid": 1})
        assert status == 200, answer


async def _read(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        async with stream:
            await stream.receive_some()


def marked(mark: str) -> Iterator[int]:
    """Living processes that have inherited this from the server, whoever their parent is."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and mark.encode() in _environ(entry):
            yield int(entry.name)


def _environ(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()  # empty for a zombie
    except OSError:
        return b""


# -- moments -----------------------------------------------------------------------------------


async def asked_for(s: Scene) -> None:
    await s.ask("/start_agent")


async def launched(s: Scene) -> None:
    await s.ask("/start_agent")
    await s.until(lambda: len(s.processes()) > 1)


async def importing(s: Scene) -> None:
    await launched(s)
    await trio.sleep(0.1)


async def kept_warm(s: Scene) -> None:
    await s.until(lambda: len(s.processes()) > 1)
    await trio.sleep(0.1)


async def model_is_asked(s: Scene) -> None:
    assert isinstance(s.model, Model)
    model = s.model
    await s.ask("/start_agent")
    await model.until(lambda: model.requests)


async def model_is_told(s: Scene) -> None:
    assert isinstance(s.model, Model)
    model = s.model
    await s.ask("/start_agent")
    await model.until(lambda: model.got)


async def joining(s: Scene) -> None:
    await s.ask("/start_agent")
    await s.relay.until(lambda: s.relay.requests)


async def answered(s: Scene) -> None:
    await s.start()


async def in_a_call(s: Scene) -> None:
    await s.start()
    await s.relay.say(PERSON.to_bytes(4, "big") + bytes(4800))
    assert isinstance(s.model, Model)
    model = s.model
    await model.until(lambda: any(e["type"] == "input_audio_buffer.append" for e in model.got))


async def asked_to_stop(s: Scene) -> None:
    await s.start()
    await s.ask("/stop_agent")


async def left(s: Scene) -> None:
    await asked_to_stop(s)
    await s.relay.until(lambda: s.relay.closed)


async def stopping_and_stuck(s: Scene) -> None:
    """The model never answers the agent's close."""
    await s.start()
    await s.ask("/stop_agent")
    assert isinstance(s.model, ModelThatHoldsTheClose)
    model = s.model
    await model.until(lambda: model.close_asked)


Moment = Callable[[Scene], Awaitable[None]]
MOMENTS: Final[list[Moment]] = [
    *(importing, in_a_call, stopping_and_stuck, kept_warm),
    *(asked_for, launched, model_is_asked, model_is_told),
    *(joining, answered, asked_to_stop, left),
]


@asynccontextmanager
async def a_scene(model: Model | ModelThatHoldsTheClose, warm: int) -> AsyncIterator[Scene]:
    relay, mark = Relay(PERSON), secrets.token_hex(8)
    serve = model.serving() if isinstance(model, ModelThatHoldsTheClose) else serving(model.serve)
    async with serve as url, serving(relay.serve) as channels:
        environ = {
            "RTC": "local",
            "LOCAL_CHANNEL_URL": f"{channels}/channels",
            "REALTIME_API_BASE_URI": url,
            "OPENAI_API_KEY": "unused",
            "AGENTS_WARM": str(warm),
            MARK: mark,
        }
        async with (
            running_server(exit_status=-signal.SIGKILL, **environ) as server,
            trio.open_nursery() as nursery,
        ):
            yield Scene(server, model, relay, mark, nursery)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("moment", MOMENTS if MANY else MOMENTS[:4])
async def test_nothing_outlives_a_server_that_is_killed(moment: Moment) -> None:
    model = ModelThatHoldsTheClose() if moment is stopping_and_stuck else Model()
    with trio.fail_after(LIMIT_S):
        async with a_scene(model, warm=int(moment is kept_warm)) as s:
            await moment(s)
            os.kill(s.server.process.pid, signal.SIGKILL)
            await s.until(lambda: not s.processes())
            # A member that was there is gone, and was not only forgotten by who listens to it.
            await s.until(lambda: len(s.relay.closed) == len(s.relay.requests))


# -- cycles ------------------------------------------------------------------------------------


def options(name: str) -> AgentOptions:
    return AgentOptions(channel_name=name, uid=1)


async def test_cycles_of_start_and_stop_leave_nothing() -> None:
    model, relay = Model(), Relay(PERSON)
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        settings_ = Settings(
            rtc="local", local_channel_url=f"{channels}/c", realtime_api_base_uri=url, agents_warm=0
        )
        # None is kept warm: whether there is one just now would be counted.
        async with open_supervisor(settings_) as supervisor:
            await cycle(supervisor.start, supervisor.stop, 2)
            files, memory = open_files(), resident_bytes()
            await cycle(supervisor.start, supervisor.stop, CYCLES)
            await until(lambda: open_files() <= files)
            # What is kept of each of the last 64 is some kilobytes; a leak would grow without end.
            assert resident_bytes() - memory < 32 * 2**20
        await until(lambda: not children())
    assert len(relay.closed) == len(relay.requests) == CYCLES + 2


async def cycle(
    start: Callable[[AgentOptions], Awaitable[object]],
    stop: Callable[[str], Awaitable[object]],
    times: int,
) -> None:
    for number in range(times):
        name = f"cycle {number}"
        await start(options(name))
        await stop(name)


async def test_of_twenty_starts_at_once_one_wins() -> None:
    model, relay = Model(), Relay(PERSON)
    won: list[object] = []
    lost: list[AlreadyRunning] = []
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        settings_ = Settings(
            rtc="local", local_channel_url=f"{channels}/c", realtime_api_base_uri=url, agents_warm=0
        )
        async with open_supervisor(settings_) as supervisor, trio.open_nursery() as nursery:

            async def start() -> None:
                try:
                    won.append(await supervisor.start(options("lobby")))
                except AlreadyRunning as error:
                    lost.append(error)

            for _ in range(20):
                nursery.start_soon(start)
    assert (len(won), len(lost), len(relay.requests)) == (1, 19, 1)
    assert not children()


def children() -> list[int]:
    """Processes of ours, zombies too."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return [int(pid) for pid in found]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(wanted: Callable[[], object]) -> None:
    with trio.fail_after(LIMIT_S):
        while not wanted():  # noqa: ASYNC110
            await trio.sleep(STEP_S)
