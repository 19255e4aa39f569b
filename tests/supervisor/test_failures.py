"""Agents that fail: seen, told of with their reason, contained, and started again."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from attrs import evolve
from trio_websocket import WebSocketConnection

from agent.config import Settings
from agent.supervisor.info import AgentInfo
from agent.supervisor.process import AgentProcess
from agent.supervisor.supervisor import (
    StartFailed,
    Supervisor,
    Tools,
    TooManyAgents,
    open_supervisor,
)
from tests.loopback import SESSION, Model, send
from tests.supervisor.test_supervisor import (
    World,
    child,
    handed,
    is_gone,
    once,
    options,
    pid_of,
    prepared,
    until,
    world,
)

NAMES = ("spin", "hold_the_gil", "leave_behind", "take_memory")
HARMFUL = Tools(tuple(f"tests.supervisor.harmful:{name}" for name in NAMES), NAMES)


NONE = Tools()


class HarmfulModel(Model):
    """A model that calls a tool without arguments as soon as it is ready."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    async def talk(self, websocket: WebSocketConnection) -> None:
        await send(websocket, "session.created", session=SESSION)
        await websocket.get_message()
        await send(websocket, "session.updated", session=SESSION)
        await send(websocket, "response.created", response={"id": "r", "conversation_id": "c"})
        call = {"type": "function_call", "id": "i", "call_id": "c", "name": self.name}
        call["arguments"] = "{}"
        where = {"response_id": "r", "output_index": 0}
        await send(websocket, "response.output_item.done", **where, item=call)
        while True:
            await websocket.get_message()


@asynccontextmanager
async def an_agent(
    w: World, tools: Tools = NONE, **settings: Any
) -> AsyncIterator[tuple[Supervisor, list[Any]]]:
    """An agent in its channel, and what is told of its states."""
    states: list[Any] = []

    def told(_: AgentInfo, event: dict[str, Any]) -> None:
        if event["type"] == "state":
            states.append(event["state"])

    async with open_supervisor(evolve(w.settings, **settings), tools, on_event=told) as supervisor:
        await supervisor.start(options())
        yield supervisor, states


async def test_an_agent_that_is_killed_is_back_in_its_channel() -> None:
    async with world() as w, an_agent(w) as (supervisor, states):
        first = pid_of(supervisor)
        os.kill(first, signal.SIGKILL)
        await until(lambda: states.count("running") == 2)
        assert states == ["starting", "running", "restarting", "starting", "running"]
        info = supervisor.get("lobby")
        assert info.pid != first
        assert (info.restarts, info.reason) == (1, "")
        assert (await supervisor.stop("lobby")).state == "ended"
        assert is_gone(first)


async def test_a_signal_without_a_name_ends_one_agent_and_no_other() -> None:
    async with world() as w, an_agent(w, agent_restart="never") as (supervisor, _):
        await supervisor.start(options("other"))
        os.kill(pid_of(supervisor), signal.SIGRTMIN + 1)
        await until(lambda: len(supervisor.agents()) == 1)
        info = supervisor.get("lobby")
        assert info.reason == f"it was killed by signal {signal.SIGRTMIN + 1}"
        assert supervisor.get("other").state == "running"


async def test_a_machine_that_can_launch_nothing_ends_no_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as w, an_agent(w) as (supervisor, _):
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(StartFailed, match=r"could not be launched: .*No such file"):
            await supervisor.start(options("other"))
        assert supervisor.get("lobby").state == "running"


async def test_whoever_listens_to_events_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: AgentInfo, __: dict[str, Any]) -> None:
        raise LookupError("a bug")

    async with world() as w, open_supervisor(w.settings, on_event=fail) as supervisor:
        assert (await supervisor.start(options())).state == "running"
        assert (await supervisor.stop("lobby")).state == "ended"
    assert "an event of the type state was not taken" in caplog.text


async def test_what_a_tool_leaves_behind_goes_with_the_agent() -> None:
    async with world(HarmfulModel("leave_behind")) as w, an_agent(w, HARMFUL) as (supervisor, _):
        reader = supervisor.events("lobby").reader()
        result: dict[str, Any] = {}
        while result.get("type") != "tool_result":
            found = await reader.next()
            assert found is not None
            result = found[1]
        left = int(result["output"])
        assert not is_gone(left)
        await supervisor.stop("lobby")
        await until(lambda: is_gone(left) or is_zombie(left))


async def test_the_servers_own_secrets_are_in_no_agents_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "hunter2-webhook")
    monkeypatch.setenv("SERVER_API_KEY", "hunter2-key")
    monkeypatch.setenv("HARMLESS", "for a tool")
    async with world() as w, an_agent(w) as (supervisor, _):
        environ = environ_of(pid_of(supervisor))
    assert b"HARMLESS=for a tool" in environ
    assert b"hunter2" not in environ


@pytest.mark.parametrize("tool", ["leave_behind", "fork"])
async def test_what_a_tool_leaves_behind_goes_though_agent_and_supervisor_are_killed(
    tool: str,
) -> None:
    async with world(HarmfulModel(tool)) as w, child() as made:
        await handed(made, w, f"tests.supervisor.harmful:{tool}")
        told = b""
        while b'"tool_result"' not in told or not told.endswith(b"\n"):
            told += await made.control.receive_some()
        [left] = [
            int(line["event"]["output"])
            for line in map(orjson.loads, told.splitlines())
            if line.get("event", {}).get("type") == "tool_result"
        ]
        assert not is_gone(left)
        made.process.kill()
        await until(lambda: is_gone(left) or is_zombie(left))


async def test_whatever_a_process_says_ends_no_other_agent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as w, an_agent(w, agent_restart="never") as (supervisor, _):
        await supervisor.start(options("other"))
        take = AgentProcess._take_message

        def fail(process: AgentProcess, message: dict[str, Any]) -> None:
            if process.channel_name == "lobby":
                raise RecursionError("a bug")
            take(process, message)

        monkeypatch.setattr(AgentProcess, "_take_message", fail)
        await until(lambda: len(supervisor.agents()) == 1)
        assert supervisor.get("lobby").state == "failed"
        assert supervisor.get("other").state == "running"
    assert "a bug in listening to agent process" in caplog.text


async def test_a_machine_without_threads_ends_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trio launches processes on one."""

    async def refuse(*_: Any, **__: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("agent.supervisor.pool.RETRY_S", 0.1)
    monkeypatch.setattr("agent.supervisor.pool.CALM_S", 0.0)
    async with world() as w, an_agent(w, agents_warm=1) as (supervisor, _):
        monkeypatch.setattr(trio, "run_process", refuse)
        started, failed = 0, 0
        while supervisor.can_launch() or not failed:
            try:
                await supervisor.start(options(f"other-{started}"))
            except StartFailed:
                failed += 1
                await trio.sleep(0.1)
            else:
                started += 1
        assert started <= 1  # the one that was on its way to be warm
        assert supervisor.get("lobby").state == "running"


def environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def is_zombie(pid: int) -> bool:
    """Ended, and not yet taken note of by whoever is its parent now; or just now it was."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_an_agent_that_waits_to_be_started_again_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.supervisor.restarts.FIRST_S", 600.0)
    monkeypatch.setattr("agent.supervisor.restarts.LONGEST_S", 600.0)
    async with world() as w, an_agent(w) as (supervisor, states):
        os.kill(pid_of(supervisor), signal.SIGKILL)
        await until(lambda: states[-1] == "restarting")
        assert (await supervisor.stop("lobby")).state == "ended"


async def test_an_agent_whose_person_left_is_not_started_again() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        await supervisor.start(evolve(options(), user_rejoin_grace_s=0))
        await w.relay.say({"control": "left", "uid": 7, "reason": "quit"})
        await until(lambda: not supervisor.agents())
        info = supervisor.get("lobby")
        assert (info.state, info.reason, info.exit_status) == ("ended", "the person left", 0)
        assert (info.restarts, info.last_log) == (0, ())


@pytest.mark.parametrize("tool", ["spin", "hold_the_gil"])
async def test_an_agent_that_is_stuck_is_ended_and_its_stacks_are_told(
    tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Python, and in C with the GIL held."""
    monkeypatch.setattr("agent.supervisor.watching.STUCK_S", 2.0)
    async with world(HarmfulModel(tool)) as w, an_agent(w, HARMFUL, agent_restart="never") as it:
        supervisor, _ = it
        pid = pid_of(supervisor)
        await until(lambda: not supervisor.agents())
        assert is_gone(pid)
        info = supervisor.get("lobby")
        assert (info.state, info.kind, info.killed) == ("failed", "stuck", True)
        assert info.reason == "it was stuck: not a word for 2 s"
        assert any(f"in {tool}" in line and "harmful.py" in line for line in info.last_log)


async def test_an_agent_that_is_stopped_by_a_signal_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.supervisor.watching.STUCK_S", 2.0)
    async with world() as w, an_agent(w, agent_restart="never") as (supervisor, _):
        os.kill(pid_of(supervisor), signal.SIGSTOP)
        await until(lambda: not supervisor.agents())
        assert supervisor.get("lobby").kind == "stuck"


async def test_an_agent_that_takes_too_much_memory_ends_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.supervisor.watching.KILL_AT", 1000)
    async with world() as w, an_agent(w, agent_restart="never", agent_memory_mb=1) as it:
        supervisor, _ = it
        await until(lambda: not supervisor.agents())
        info = supervisor.get("lobby")
        assert (info.state, info.kind, info.killed) == ("failed", "memory", False)
        assert info.memory_bytes > 2**20
        await w.relay.until(lambda: w.relay.closed)
        assert w.relay.closed == [(1000, "left")]


async def test_one_that_takes_memory_and_does_not_hear_that_it_should_end_is_killed() -> None:
    model = HarmfulModel("take_memory")
    settings = {"agent_restart": "never", "agent_memory_mb": 120}
    async with world(model) as w, an_agent(w, HARMFUL, **settings) as (supervisor, _):
        await until(lambda: not supervisor.agents())
        info = supervisor.get("lobby")
        assert (info.state, info.kind, info.killed) == ("failed", "memory", True)
        assert 180 * 2**20 < info.memory_bytes < 400 * 2**20


async def test_a_stuck_process_ends_though_nobody_is_left_to_kill_it() -> None:
    """By its own watchdog, in the midst of C code that does not give up the GIL."""
    async with world() as w, child() as made:
        await prepared(made, w, watchdog_s=1, tools=("tests.supervisor.harmful_import:x",))
        await made.control.aclose()
        assert await made.process.wait() == 1


async def test_there_are_no_more_agents_than_there_may_be() -> None:
    async with world() as w, an_agent(w, agents_max=1) as (supervisor, _):
        with pytest.raises(TooManyAgents) as caught:
            await supervisor.start(options("other"))
        assert caught.value.retry_after_s > 0
        assert supervisor.capacity() == (1, 1)
        await supervisor.stop("lobby")
        await supervisor.start(options("other"))


# -- draining --------------------------------------------------------------------------------------


async def test_a_supervisor_that_drains_lets_calls_end_and_begins_none() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        await supervisor.start(evolve(options(), user_rejoin_grace_s=0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.drain, 600)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(StartFailed, match="shutting down"):
                await supervisor.start(options("other"))
            await w.relay.say({"control": "left", "uid": 7, "reason": "quit"})
        assert supervisor.get("lobby").reason == "the person left"


async def test_draining_ends_with_its_time() -> None:
    async with world() as w, open_supervisor(w.settings) as supervisor:
        await supervisor.start(options())
        await supervisor.drain(0.1)
        assert supervisor.get("lobby").state == "running"


# -- warm processes --------------------------------------------------------------------------------


def keeping_warm(w: World) -> Settings:
    return evolve(once(w.settings), agents_warm=1)


async def test_an_agent_is_a_process_that_was_kept_warm() -> None:
    async with world() as w, open_supervisor(keeping_warm(w)) as supervisor:
        await until(lambda: len(supervisor.pool))
        [warm] = supervisor.pool.pids()
        assert (await supervisor.start(options())).pid == warm
        await until(lambda: len(supervisor.pool))
        [another] = supervisor.pool.pids()
        assert another != warm
        os.kill(another, signal.SIGKILL)
        await until(lambda: supervisor.pool.pids() not in ([], [another]))
        [third] = supervisor.pool.pids()
    assert is_gone(warm)
    assert is_gone(third)


async def test_what_is_kept_warm_goes_with_its_supervisor() -> None:
    async with world() as w, child() as made:
        await prepared(made, w)
        told = b""
        while b"warm" not in told:
            told += await made.control.receive_some()
        await made.control.aclose()
        assert await made.process.wait() == 0


async def test_a_warm_process_ends_when_it_is_told_to() -> None:
    async with world() as w, child() as made:
        await prepared(made, w)
        told = b""
        while b"warm" not in told:
            told += await made.control.receive_some()
        made.process.terminate()
        assert await made.process.wait() == 0
        async for data in made.control:
            told += data
        assert orjson.loads(told.splitlines()[-1]) == {
            "state": "ended",
            "reason": "stopped by SIGTERM",
        }
