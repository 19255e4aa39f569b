"""Calls that the user's client runs: what it answers, and all that it may do instead."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import WebSocketConnection

from agent.rtc.channel import DataReceived, UserLeft
from agent.rtc.local import open_local_channel
from agent.streams.chat import MAX_WHOLE
from agent.streams.chunks import Reassembler, to_chunks
from agent.tools import ClientTool, LocalToolCallExecuted, RunContext, ToolContext
from agent.tools.client import ANSWERED, ANYBODY, ClientCalls
from agent.tools.outputs import MAX_OUTPUT
from tests.fakes.call import OPTIONS, Running, a_call
from tests.fakes.channel import PERSON, MemoryChannel
from tests.server.helpers import LIMIT_S, control, serving

SHOW = ClientTool(name="show", parameters={"type": "object"}, timeout_s=5)
LEFT = {"error": "the user's client has left"}
SILENT = {"error": "the user's client did not answer within 5 s"}
OTHER = 8


@define
class Asked:
    """A call that the client was asked to run."""

    calls: ClientCalls
    messages: list[dict[str, Any]]
    outcomes: list[LocalToolCallExecuted] = field(factory=list)
    over: trio.Event = field(factory=trio.Event)
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    def answer(self, result: Any = None, *, uid: int = PERSON, call_id: Any = "c") -> None:
        self.calls.answer(uid, {"tool_call_id": call_id, "result": result})

    async def outcome(self) -> Any:
        """What the model is told."""
        await self.over.wait()
        [executed] = self.outcomes
        told = orjson.loads(executed.json_encoded_output)
        assert executed.failed == (isinstance(told, dict) and told.keys() == {"error"})
        return told

    async def run(self, uid: int | None, call_id: str) -> None:
        with self.scope:
            run = RunContext(uid=uid, call_id=call_id)
            self.outcomes.append(await self.calls.call(call_id, SHOW, {"x": 1}, run))
            self.over.set()


@asynccontextmanager
async def a_client_call(uid: int | None = PERSON, call_id: str = "c") -> AsyncIterator[Asked]:
    messages: list[dict[str, Any]] = []
    asked = Asked(ClientCalls(messages.append), messages)
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.run, uid, call_id)
            await wait_all_tasks_blocked()
            yield asked
    assert not asked.calls._waiting


async def test_the_client_is_asked_and_its_answer_is_the_result(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        assert asked.messages == [
            {
                "type": "client_tool_call",
                "tool_call_id": "c",
                "name": "show",
                "arguments": {"x": 1},
                "uid": PERSON,
            }
        ]
        asked.answer({"shown": [1, "two", None]})
        assert await asked.outcome() == {"shown": [1, "two", None]}
        assert trio.current_time() < 1


@pytest.mark.parametrize("message", [{}, {"result": None}])
async def test_a_result_may_be_missing(message: dict[str, Any], autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        asked.calls.answer(PERSON, {"tool_call_id": "c", **message})
        assert await asked.outcome() is None


async def test_a_channel_that_does_not_tell_who_answers_will_do(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        asked.answer(1, uid=ANYBODY)
        assert await asked.outcome() == 1


async def test_a_client_that_does_not_answer_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        assert await asked.outcome() == SILENT
        assert trio.current_time() == 5


async def test_a_second_answer_is_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_client_call() as asked:
        asked.answer("one")
        asked.answer("two")
        assert await asked.outcome() == "one"
        assert caplog.messages == ["a client's answer comes twice: dropped"]
        asked.answer("three")
    assert caplog.messages[1:] == ["a client's answer comes too late, or twice: dropped"]


async def test_a_late_answer_is_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_client_call() as asked:
        assert await asked.outcome() == SILENT
        caplog.clear()
        asked.answer("at last")
    assert caplog.messages == ["a client's answer comes too late, or twice: dropped"]


async def test_nobody_else_can_answer(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_client_call() as asked:
        asked.answer("mine", uid=OTHER)
        await wait_all_tasks_blocked()
        assert not asked.outcomes
        assert caplog.messages == ["a client's answer is from 8, who was not asked: dropped"]
        asked.answer("right")
        assert await asked.outcome() == "right"


@pytest.mark.parametrize("call_id", ["unknown", "", 5, None, ["c"], {"c": 1}, True])
async def test_an_answer_to_nothing_that_was_asked_is_dropped(
    call_id: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_client_call() as asked:
        asked.answer("what", call_id=call_id)
        assert caplog.messages == ["a client's answer is for no call of ours: dropped"]
        assert await asked.outcome() == SILENT


async def test_an_answer_that_is_too_large_is_an_error(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        asked.answer("x" * MAX_OUTPUT)
        assert f"at most {MAX_OUTPUT}" in (await asked.outcome())["error"]


async def test_a_client_that_leaves_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        asked.calls.left(OTHER)
        await wait_all_tasks_blocked()
        assert not asked.outcomes
        asked.calls.left(PERSON)
        assert await asked.outcome() == LEFT
        assert trio.current_time() < 1


async def test_a_client_that_leaves_when_it_has_answered_has_answered(
    autojump_clock: MockClock,
) -> None:
    async with a_client_call() as asked:
        asked.answer("bye")
        asked.calls.left(PERSON)
        assert await asked.outcome() == "bye"


async def test_an_answer_of_one_who_has_left_is_dropped(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        asked.calls.left(PERSON)
        asked.answer("bye")
        assert await asked.outcome() == LEFT


async def test_where_nobody_is_there_nobody_is_asked(autojump_clock: MockClock) -> None:
    async with a_client_call(uid=None) as asked:
        assert await asked.outcome() == {"error": "the user is not there"}
        assert not asked.messages


async def test_a_call_that_is_cancelled_is_forgotten(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_client_call() as asked:
        asked.scope.cancel()
        await wait_all_tasks_blocked()
        assert not asked.outcomes
        asked.answer("late")
    assert caplog.messages == ["a client's answer comes too late, or twice: dropped"]


async def test_few_of_the_calls_that_are_over_are_remembered(autojump_clock: MockClock) -> None:
    async with a_client_call() as asked:
        asked.answer()
        for number in range(2 * ANSWERED):
            with trio.CancelScope() as scope:
                scope.cancel()
                await asked.calls.call(f"c{number}", SHOW, {}, RunContext(uid=PERSON))
    assert len(asked.calls._over) == ANSWERED


async def test_a_call_that_is_too_long_is_not_waited_for(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[dict[str, Any]] = []

    def refuse(message: dict[str, Any]) -> str:
        asked.append(message)
        return "9 bytes; at most 8"

    calls = ClientCalls(refuse)
    outcome = await calls.call("c", SHOW, {"x": 1}, RunContext(uid=PERSON))
    words = "the arguments are too long for the data channel: 9 bytes; at most 8"
    assert orjson.loads(outcome.json_encoded_output) == {"error": words}
    assert outcome.failed
    assert trio.current_time() == 0
    assert [message["type"] for message in asked] == ["client_tool_call"]  # and nobody is told off
    assert not calls._waiting
    assert caplog.messages == [f"the client's tool show: {words}"]


# In a whole call.


def tools() -> ToolContext:
    return ToolContext([SHOW])


def answer(call: Running, uid: int, result: Any, call_id: str = "c") -> None:
    for chunk in to_chunks({"tool_call_id": call_id, "result": result}, "m1"):
        call.channel.tell.send_nowait(DataReceived(uid, chunk))


async def ask(call: Running, arguments: str = "{}") -> None:
    """The model has the client run something."""
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "show"}
    item["arguments"] = arguments
    await call.model.send("response.created", response={"id": "r", "status": "in_progress"})
    done = {"response_id": "r", "output_index": 0, "item": item}
    await call.model.send("response.output_item.done", **done)
    await call.model.send("response.done", response={"id": "r", "status": "completed"})


async def told(call: Running) -> Any:
    """What the model was told of it, before it was asked to go on."""
    await call.model.until(lambda: call.model.of_type("response.create"))
    output, create = call.model.got[-2:]
    assert create["type"] == "response.create"
    assert output["item"]["call_id"] == "c"
    return orjson.loads(output["item"]["output"])


async def test_the_call_goes_to_the_channel_and_its_answer_to_the_model(
    autojump_clock: MockClock,
) -> None:
    async with a_call(tools=tools()) as call:
        await ask(call)
        await call.channel.until(lambda: call.channel.messages)
        [asked] = call.channel.messages
        assert (asked["type"], asked["tool_call_id"]) == ("client_tool_call", "c")
        answer(call, OTHER, "not this")
        answer(call, PERSON, "shown")
        assert await told(call) == "shown"


async def test_of_arguments_that_are_too_long_the_model_is_told_at_once(
    autojump_clock: MockClock,
) -> None:
    # Written shorter by the model than by us: 1e15 is 1000000000000000.0.
    arguments = f'{{"x": [{",".join(["1e15"] * (MAX_WHOLE // 18))}]}}'
    async with a_call(tools=tools()) as call:
        await ask(call, arguments)
        words = (await told(call))["error"]
        assert words.startswith("the arguments are too long for the data channel: ")
        assert words.endswith(f" bytes of JSON; at most {MAX_WHOLE} can be sent")
        assert not call.channel.messages
        assert trio.current_time() < 1


async def test_the_person_may_leave_meanwhile(autojump_clock: MockClock) -> None:
    async with a_call(tools=tools()) as call:
        await ask(call)
        await call.channel.until(lambda: call.channel.messages)
        call.channel.tell.send_nowait(UserLeft(PERSON, "quit"))
        assert await told(call) == LEFT


async def test_where_the_person_has_left_the_model_is_told(autojump_clock: MockClock) -> None:
    async with a_call(tools=tools()) as call:
        call.channel.tell.send_nowait(UserLeft(PERSON, "quit"))
        await wait_all_tasks_blocked()
        await ask(call)
        assert await told(call) == {"error": "the user is not there"}
        assert not call.channel.messages


async def test_answers_that_nobody_asked_for_are_no_typed_text(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with a_call(tools=tools()) as call:
        for chunk in to_chunks({"tool_call_id": 5, "type": "text", "text": "hi"}, "m1"):
            call.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        await wait_all_tasks_blocked()
        assert [event["type"] for event in call.model.got] == ["session.update"]
    assert "a client's answer is for no call of ours: dropped" in caplog.messages


@pytest.mark.parametrize("is_sent", [True, False])
async def test_a_call_that_is_not_wanted_any_more_is_taken_back(
    is_sent: bool, autojump_clock: MockClock
) -> None:
    messages: list[dict[str, Any]] = []
    calls = ClientCalls(messages.append, lambda _: not is_sent)
    outcome = await calls.call("c", SHOW, {}, RunContext(uid=PERSON))
    assert orjson.loads(outcome.json_encoded_output) == SILENT
    cancel = {"type": "client_tool_cancel", "tool_call_id": "c"}
    assert messages[1:] == ([cancel] if is_sent else [])


# On a local channel, whose relay tells an agent who has sent what.


async def next_data(websocket: WebSocketConnection) -> str:
    """The next data packet, as an ordinary member gets it."""
    while not isinstance(text := await websocket.get_message(), str) or text.startswith("{"):
        pass
    return text


async def test_on_a_local_channel_too_nobody_else_can_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [made_up] = to_chunks({"tool_call_id": "c", "result": "not this"}, "m1")
    [right] = to_chunks({"tool_call_id": "c", "result": "shown"}, "m1")
    options = evolve(OPTIONS, subscribe_uid=PERSON)
    async with (
        serving() as served,
        served.join("room", PERSON) as person,
        served.join("room", OTHER) as other,
    ):
        for member in (person, other):
            assert (await control(member))["control"] == "members"
        async with (
            open_local_channel(f"ws://{served.here}/channels", "room", 99) as line,
            # Of the channel in memory the call asks no more than this one has.
            a_call(
                options,
                channel=cast(MemoryChannel, line),
                person=False,
                tools=tools(),
                patience_s=LIMIT_S,
            ) as call,
        ):
            await ask(call)
            asked = Reassembler().feed(99, await next_data(person))
            assert asked is not None
            assert asked["uid"] == PERSON
            await other.send_message(made_up)
            assert await next_data(person) == made_up  # so the agent gets it first, too
            await person.send_message(right)
            assert await told(call) == "shown"
    assert "a client's answer is from 8, who was not asked: dropped" in caplog.messages
