"""Agent processes, for real: started, watched, stopped, and never left behind."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from attrs import evolve, frozen

from agent.config import Settings
from agent.options import AgentOptions, to_plain
from agent.supervisor.supervisor import (
    AgentInfo,
    AlreadyRunning,
    JoinTimeout,
    NotRunning,
    StartFailed,
    Supervisor,
    open_supervisor,
)
from tests.loopback import Model, ModelThatHoldsTheClose, RefusingModel, Relay, SilentModel, serving

PERSON = 7
SECRETS = ("hunter2-openai", "hunter2-server", "hunter2-cert")


@frozen
class World:
    """A model and a relay, and the settings by which agents find them."""

    model: Model
    relay: Relay
    settings: Settings


@asynccontextmanager
async def world(model: Model | None = None, relay: Relay | None = None) -> AsyncIterator[World]:
    model, relay = model or Model(), relay or Relay(PERSON)
    with trio.fail_after(60):
        async with serving(model.serve) as url, serving(relay.serve) as channels:
            settings = Settings(
                rtc="local",
                local_channel_url=f"{channels}/channels",
                realtime_api_base_uri=url,
                openai_api_key=SECRETS[0],
                server_api_key=SECRETS[1],
                agora_app_cert=SECRETS[2],
                log_level="debug",
                agents_warm=0,  # half a second of a core
            )
            yield World(model, relay, settings)


def once(settings: Settings) -> Settings:
    """With agents that are not started again."""
    return evolve(settings, agent_restart="never")


def options(name: str = "lobby") -> AgentOptions:
    return AgentOptions(channel_name=name, uid=42)


def pid_of(supervisor: Supervisor, name: str = "lobby") -> int:
    (info,) = (info for info in supervisor.agents() if info.channel_name == name)
    assert info.pid is not None
    return info.pid


def seen(supervisor: Supervisor) -> list[AgentInfo]:
    """What there is, but for what changes from second to second."""
    return [evolve(info, memory_bytes=0) for info in supervisor.agents()]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until(wanted: Callable[[], object]) -> None:
    """What a process does is told by no event."""
    with trio.fail_after(60):
        while not wanted():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def test_the_life_of_an_agent() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        assert supervisor.agents() == []
        info = await supervisor.start(options())
        assert seen(supervisor) == [info]
        # The uid is the one that the relay gave.
        assert (info.channel_name, info.uid, info.state) == ("lobby", 99, "running")
        assert (info.model, info.embedded) == ("gpt-realtime-2.1", False)
        assert w.relay.requests[0].path == "/channels/lobby?uid=42&agent=1"
        pid = pid_of(supervisor)
        assert not is_gone(pid)

        with pytest.raises(AlreadyRunning, match=r"\AAgent already running for channel: lobby\Z"):
            await supervisor.start(options())
        assert seen(supervisor) == [info]

        stopped = await supervisor.stop("lobby")
        assert is_gone(pid)
        assert (stopped.pid, stopped.state, stopped.reason) == (pid, "ended", "stopped")
        assert (stopped.exit_status, stopped.killed) == (0, False)
        assert supervisor.get("lobby") == stopped
        assert supervisor.agents() == []
        assert supervisor.capacity()[0] == 0
        await w.relay.until(lambda: w.relay.closed)
        await w.model.until(lambda: w.model.closed)
        assert w.relay.closed == [(1000, "left")]
        assert w.model.closed == [(1000, None)]

        with pytest.raises(NotRunning, match="lobby"):
            await supervisor.stop("lobby")
        again = await supervisor.start(options())
        assert again.pid not in (None, pid)


async def test_a_process_of_its_own_without_secrets() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        pid = (await supervisor.start(options())).pid
        assert pid is not None
        assert os.getsid(pid) == os.getpgid(pid) == pid
        assert os.getsid(pid) != os.getsid(0)
        assert_nothing_shared(pid)


def assert_nothing_shared(pid: int) -> None:
    """No secret where others can read it, and no socket of ours in the child."""
    inside = Path(f"/proc/{pid}")
    if not inside.exists():
        pytest.skip("needs Linux's /proc")
    told = (inside / "cmdline").read_bytes() + (inside / "environ").read_bytes()
    assert b"agent.supervised" in told
    assert not [secret for secret in SECRETS if secret.encode() in told]
    sockets = [
        {str(file.readlink()) for file in Path(f"/proc/{who}/fd").iterdir() if is_socket(file)}
        for who in (pid, os.getpid())
    ]
    assert sockets[0]
    assert sockets[1]
    assert not sockets[0] & sockets[1]


def is_socket(file: Path) -> bool:
    return file.exists() and str(file.readlink()).startswith("socket:")


async def test_two_channels_at_a_time() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.start, options("one"))
            nursery.start_soon(supervisor.start, options("two"))
        assert {info.channel_name for info in supervisor.agents()} == {"one", "two"}
        await supervisor.stop("one")
        assert [info.channel_name for info in supervisor.agents()] == ["two"]
        assert not is_gone(pid_of(supervisor, "two"))


async def test_a_start_that_fails_gives_the_childs_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(RefusingModel()) as w, open_supervisor(w.settings) as supervisor:
        with pytest.raises(StartFailed) as caught:
            await supervisor.start(options())
        assert supervisor.agents() == []
    words = "the model's server refused: Incorrect API key provided: sk-x. (invalid_api_key)"
    assert str(caught.value) == words
    assert "Traceback" not in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]
    # The child's own log, under its channel's name.
    relayed = [record for record in caplog.records if record.name == "agent"]
    assert [record.getMessage() for record in relayed] == [words]
    assert relayed[0].__dict__["channel_name"] == "lobby"


async def test_a_channel_that_cannot_be_joined_is_the_reason() -> None:
    async with world() as w:
        nowhere = evolve(w.settings, local_channel_url="ws://user:hunter2-openai@127.0.0.1:1/c")
        async with open_supervisor(nowhere) as supervisor:
            with pytest.raises(StartFailed, match=r"local channel at ws://127\.0\.0\.1:1/c") as c:
                await supervisor.start(options())
    assert "hunter2" not in str(c.value)


async def test_a_start_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.supervisor.life.JOIN_S", 0.6)
    model = SilentModel()
    async with world(model) as w, open_supervisor(w.settings) as supervisor:
        with pytest.raises(JoinTimeout, match=r"within 0\.6 s"):
            await supervisor.start(options())
        assert supervisor.agents() == []


async def test_a_start_that_is_given_up_leaves_nothing() -> None:
    async with world(SilentModel()) as w, open_supervisor(w.settings) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.start, options())
            await w.model.until(lambda: w.model.requests)
            pid = pid_of(supervisor)
            assert supervisor.agents()[0].state == "starting"
            nursery.cancel_scope.cancel()
        assert is_gone(pid)
        assert supervisor.agents() == []


async def test_stopped_while_it_starts() -> None:
    async with world(SilentModel()) as w, open_supervisor(w.settings) as supervisor:
        failed: list[StartFailed] = []

        async def start() -> None:
            with pytest.raises(StartFailed) as caught:
                await supervisor.start(options())
            failed.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await w.model.until(lambda: w.model.requests)
            pid = pid_of(supervisor)
            await supervisor.stop("lobby")
            assert is_gone(pid)
        assert [str(error) for error in failed] == ["it was stopped before it was in its channel"]


async def test_a_start_waits_for_the_end_of_one_that_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever went away and comes back does not hear that there is an agent, which then ends."""
    monkeypatch.setattr("agent.supervisor.process.TERMINATE_S", 1.0)
    async with (
        world(SilentModel()) as w,
        open_supervisor(w.settings) as supervisor,
        trio.open_nursery() as nursery,
    ):
        given_up = trio.CancelScope()

        async def start() -> None:
            with given_up:
                await supervisor.start(options())

        nursery.start_soon(start)
        await w.model.until(lambda: w.model.requests)
        first = pid_of(supervisor)
        os.kill(first, signal.SIGSTOP)  # as if it imported for long: it does not say that it ends
        given_up.cancel()
        await until(lambda: supervisor.get("lobby").state == "stopping")
        nursery.start_soon(supervisor.start, options())
        await w.model.until(lambda: len(w.model.requests) == 2)
        assert is_gone(first)
        nursery.cancel_scope.cancel()


async def test_a_supervisor_that_ends_does_not_wait_for_an_agent_that_is_starting() -> None:
    async with world(SilentModel()) as w, trio.open_nursery() as nursery:
        async with open_supervisor(w.settings) as supervisor:

            async def start() -> None:
                with pytest.raises(StartFailed, match="the server is shutting down"):
                    await supervisor.start(options())
                with pytest.raises(StartFailed, match="shutting down"):
                    await supervisor.start(options())

            nursery.start_soon(start)
            await w.model.until(lambda: w.model.requests)
            pid = pid_of(supervisor)
        assert is_gone(pid)


async def test_a_start_waits_for_the_former_agents_end() -> None:
    model, relay = ModelThatHoldsTheClose(), Relay(PERSON)
    with trio.fail_after(60):
        async with world() as w, model.serving() as url, serving(relay.serve) as channels:
            settings = evolve(
                w.settings, realtime_api_base_uri=url, local_channel_url=f"{channels}/channels"
            )
            async with open_supervisor(settings) as supervisor, trio.open_nursery() as nursery:
                former = (await supervisor.start(options())).pid
                assert former is not None
                nursery.start_soon(supervisor.stop, "lobby")
                await model.until(lambda: model.close_asked)
                assert [info.state for info in supervisor.agents()] == ["stopping"]
                assert not is_gone(former)
                latter = await supervisor.start(options())
                assert is_gone(former)
                assert latter.pid != former


async def test_an_agent_that_is_killed_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w, open_supervisor(once(w.settings)) as supervisor:
        pid = (await supervisor.start(options())).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not supervisor.agents())
        info = supervisor.get("lobby")
        assert (info.state, info.kind, info.exit_status) == ("failed", "killed", -9)
        assert info.reason == "it was killed by SIGKILL"
        assert "in the channel lobby" in info.last_log
        assert is_gone(pid)
        again = await supervisor.start(options())
        assert again.state == "running"
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "status -9" in errors[0].getMessage()


async def test_an_agent_that_ends_by_itself_is_noticed() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        pid = (await supervisor.start(evolve(options(), user_rejoin_grace_s=0))).pid
        assert pid is not None
        await w.relay.say({"control": "left", "uid": PERSON, "reason": "quit"})
        await until(lambda: not supervisor.agents())
        assert is_gone(pid)


async def test_an_agent_that_does_not_end_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.supervisor.process.TERMINATE_S", 0.05)
    async with world() as w, open_supervisor(w.settings) as supervisor:
        pid = (await supervisor.start(options())).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it takes no SIGTERM any more
        info = await supervisor.stop("lobby")
        assert is_gone(pid)
        assert (info.killed, info.exit_status, info.state) == (True, -9, "ended")
    assert f"agent process {pid} does not end: it is killed" in caplog.text


@pytest.mark.parametrize("way", ["end", "error", "cancelled"])
async def test_a_supervisor_leaves_no_process(way: str) -> None:
    pids: list[int] = []
    async with world() as w:
        with trio.CancelScope() as scope:
            try:
                async with open_supervisor(w.settings) as supervisor:
                    for name in ("one", "two"):
                        await supervisor.start(options(name))
                        pids.append(pid_of(supervisor, name))
                    if way == "error":
                        int("x")
                    if way == "cancelled":
                        scope.cancel()
                        await trio.sleep_forever()
            except* ValueError:
                assert way == "error"
        assert len(pids) == 2
        assert all(is_gone(pid) for pid in pids)
        await w.relay.until(lambda: len(w.relay.closed) == 2)
        assert w.relay.closed == [(1000, "left")] * 2


# -- a child by hand ------------------------------------------------------------------------------


@frozen
class Child:
    process: trio.Process
    control: trio.SocketStream


@asynccontextmanager
async def child() -> AsyncIterator[Child]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "agent.supervised", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    control = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    try:
        async with control:
            yield Child(process, control)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def handed(made: Child, w: World, *tools: str) -> None:
    await prepared(made, w, tools=tools)
    call: dict[str, Any] = {
        "options": to_plain(options()),
        "call_id": "c",
        "tools": tools,
        "mcp": None,
        "elapsed_s": 0,
    }
    await made.control.send_all(orjson.dumps(call) + b"\n")


async def prepared(
    made: Child, w: World, watchdog_s: float = 15, tools: tuple[str, ...] = ()
) -> None:
    first = {"settings": to_plain(w.settings), "tools": tools, "watchdog_s": watchdog_s}
    await made.control.send_all(orjson.dumps(first) + b"\n")


async def test_without_its_supervisor_an_agent_leaves() -> None:
    async with world() as w, child() as made:
        await handed(made, w)
        told = b""
        while b"running" not in told:
            told += await made.control.receive_some()
        await made.control.aclose()
        assert await made.process.wait() == 0
        await w.relay.until(lambda: w.relay.closed)
        await w.model.until(lambda: w.model.closed)
        assert w.relay.closed == [(1000, "left")]
        assert w.model.closed == [(1000, None)]


async def test_without_its_supervisor_an_agent_does_not_even_begin() -> None:
    async with world(), child() as made:
        await made.control.aclose()
        assert await made.process.wait() == 0


async def test_an_agent_tells_its_states_and_sums_its_call_up() -> None:
    async with world() as w, child() as made:
        await handed(made, w)
        told = b""
        async for data in made.control:
            told += data
            if b"running" in data:
                made.process.terminate()
        lines = [orjson.loads(line) for line in told.splitlines()]
        warm, running, *events, ended = [line for line in lines if "memory_bytes" not in line]
        assert warm == {"state": "warm"}
        about = {"uid": 99, "model": "gpt-realtime-2.1", "embedded": False}
        assert running == {"state": "running"} | about
        assert [line["event"]["type"] for line in events] == ["metrics", "call_record"]
        assert events[1]["event"]["reason"] == "stopped by SIGTERM"
        assert ended == {"state": "ended", "reason": "stopped by SIGTERM"}
        assert await made.process.wait() == 0
