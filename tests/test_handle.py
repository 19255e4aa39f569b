"""The program's hand on an agent: before, during and after a call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

import agent.run
from agent.audio import ms_to_bytes
from agent.config import Settings
from agent.errors import AgentError, ModelLost, NotInCall
from agent.handle import Agent
from agent.options import AgentOptions
from agent.run import Recording, run_agent
from agent.session import Outcome
from agent.streams.model_address import ModelAddress
from tests.fakes.model import ScriptedModel, memory_websocket

MINUTE = bytes(ms_to_bytes(60_000))
OPTIONS = AgentOptions(channel_name="demo")


@define
class Running:
    """An agent in the test's hand, in a call with a recorded person and a model in memory."""

    agent: Agent
    model: ScriptedModel = field(factory=ScriptedModel)
    addresses: list[ModelAddress] = field(factory=list)
    states: list[dict[str, Any]] = field(factory=list)
    outcome: Outcome | None = None
    error: AgentError | None = None
    over: trio.Event = field(factory=trio.Event)

    def dial(self, address: ModelAddress) -> Any:
        self.addresses.append(address)
        return memory_websocket(self.model.serve)

    async def run(self, ms: int = 60_000) -> None:
        try:
            self.outcome = await run_agent(
                Settings(openai_api_key="sk-x"),
                OPTIONS,
                recording=Recording(MINUTE[: ms_to_bytes(ms)], None),
                agent=self.agent,
                on_state=self.states.append,
            )
        except AgentError as error:
            self.error = error
        self.over.set()


@pytest.fixture
def a_call(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a call."""

    @asynccontextmanager
    async def opened(ms: int = 60_000) -> AsyncIterator[Running]:
        running = Running(Agent())
        monkeypatch.setattr(agent.run, "dial", running.dial)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(running.run, ms))
            await wait_all_tasks_blocked()
            assert running.states
            with trio.fail_after(600):
                yield running
            nursery.cancel_scope.cancel()

    return opened


class Speaker:
    """A call that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str | tuple[str, bool]] = []

    def interrupt(self) -> None:
        self.told.append("interrupt")

    def say(self, words: str, *, allow_interruptions: bool) -> None:
        self.told.append((words, allow_interruptions))


# -- without a call --------------------------------------------------------------------------------


def test_without_a_call_there_is_nothing_to_interrupt_and_nobody_to_say_anything() -> None:
    handle = Agent()
    handle.interrupt()
    with pytest.raises(NotInCall, match="not in a call"):
        handle.say("Hello.")


def test_what_it_is_told_reaches_the_call_while_there_is_one() -> None:
    handle, call = Agent(), Speaker()
    with handle.in_call(call):
        handle.say("One.")
        handle.say("Two.", allow_interruptions=False)
        handle.interrupt()
    handle.interrupt()
    with pytest.raises(NotInCall):
        handle.say("Three.")
    assert call.told == [("One.", True), ("Two.", False), "interrupt"]


@pytest.mark.parametrize("words", ["", " \n"])
def test_there_have_to_be_words(words: str) -> None:
    handle, call = Agent(), Speaker()
    with handle.in_call(call), pytest.raises(ValueError, match="no words"):
        handle.say(words)
    assert call.told == []


async def test_a_program_can_wait_for_the_call(autojump_clock: MockClock) -> None:
    handle, call = Agent(), Speaker()
    with trio.move_on_after(5) as patience:
        await handle.joined()
    assert patience.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle.joined)
        await wait_all_tasks_blocked()
        with handle.in_call(call):
            await wait_all_tasks_blocked()
            assert not nursery.child_tasks
    with trio.fail_after(1):
        await handle.joined()  # it was


def test_a_call_that_failed_is_over_too() -> None:
    handle, call = Agent(), Speaker()
    with pytest.raises(ZeroDivisionError), handle.in_call(call):
        raise ZeroDivisionError
    with pytest.raises(NotInCall):
        handle.say("Hello.")
    assert call.told == []


async def test_the_first_reason_counts() -> None:
    handle = Agent()
    assert handle.reason == "stopped"
    handle.stop("first")
    handle.stop("second")
    handle.stop()
    assert handle.reason == "first"
    assert handle.scope.cancel_called


# -- before, during and after a call --------------------------------------------------------------


async def test_an_agent_that_was_stopped_before_it_runs_joins_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(Agent())
    monkeypatch.setattr(agent.run, "dial", running.dial)
    running.agent.stop("the order was taken back")
    await running.run()
    assert running.outcome == Outcome("the order was taken back", 0)
    assert running.states == []
    assert running.model.got == []


async def test_stopped_while_it_runs_it_leaves_in_order(
    a_call: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "agent.run")
    async with a_call() as running:
        await trio.sleep(3)
        assert not running.over.is_set()
        running.agent.stop("enough")
        running.agent.stop("too late")
        await running.over.wait()
        assert running.outcome == Outcome("enough", 0)
        assert running.model.closed_with == 1000
        assert "call over: enough; 3.0 s" in caplog.text


async def test_stopped_before_the_model_answers_it_is_never_in_a_call(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_nothing(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(agent.run, "dial", lambda _: memory_websocket(say_nothing))
    running = Running(Agent())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.run)
        await trio.sleep(1)
        running.agent.stop("enough")
        with trio.fail_after(10):
            await running.over.wait()
    assert running.outcome == Outcome("enough", 0)
    assert running.states == []


async def test_cancelled_it_leaves_in_order_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(Agent())
    monkeypatch.setattr(agent.run, "dial", running.dial)
    with trio.move_on_after(3) as scope:
        await running.run()
    assert scope.cancelled_caught
    assert running.agent.reason == "cancelled"
    assert running.model.closed_with == 1000


async def test_a_call_that_ends_by_itself_has_its_own_reason(
    a_call: Any, autojump_clock: MockClock
) -> None:
    async with a_call(ms=1000) as running:
        await running.over.wait()
        assert running.outcome == Outcome("the recording is over", 0)
        running.agent.stop("after it")
        with pytest.raises(NotInCall):
            running.agent.say("Hello.")


async def test_a_call_that_fails_is_not_stopped(a_call: Any, autojump_clock: MockClock) -> None:
    async with a_call() as running:
        await running.model.close(1011, "out of order")
        await running.over.wait()
        assert isinstance(running.error, ModelLost)
        with pytest.raises(NotInCall):
            running.agent.say("Hello.")


async def test_words_are_said_by_the_model(a_call: Any, autojump_clock: MockClock) -> None:
    async with a_call() as running:
        running.agent.say("It is so.")
        await trio.sleep(0.1)
        [create] = running.model.of_type("response.create")
        assert "It is so." in create["response"]["instructions"]
        assert not create["response"].get("metadata")


async def test_protected_words_are_marked(a_call: Any, autojump_clock: MockClock) -> None:
    async with a_call() as running:
        running.agent.say("This call is recorded.", allow_interruptions=False)
        await trio.sleep(0.1)
        [create] = running.model.of_type("response.create")
        assert create["response"]["metadata"]


async def test_an_interruption_silences_the_agent_and_the_model_is_told_what_was_heard(
    a_call: Any, autojump_clock: MockClock
) -> None:
    async with a_call() as running:
        running.agent.interrupt()  # nothing is being said
        await running.model.begin()
        await running.model.audio(1000)
        await trio.sleep(0.3)
        running.agent.interrupt()
        running.agent.interrupt()
        await trio.sleep(0.1)
        [truncate] = running.model.of_type("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == ("item_1", 300)
        assert len(running.model.of_type("response.cancel")) == 1
        assert not running.over.is_set()
