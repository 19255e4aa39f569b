"""The tools that come with the agent, in whole calls."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.session import LAST_WORD_S, Outcome
from agent.tools import ToolContext
from agent.tools.builtin import LAST_WORDS_S, hang_up, transfer_note
from tests.fakes.call import OPTIONS, Running, a_call

GOODBYE_MS = 2000
LEAST_S = OPTIONS.playout_lead_ms / 1000
"""The call may end so much after the last sample was heard, and a look around later."""


def a_call_with_tools() -> AbstractAsyncContextManager[Running]:
    return a_call(tools=ToolContext([hang_up, transfer_note]))


async def calls_function(
    call: Running, name: str, response: str = "r", call_id: str = "c", **arguments: Any
) -> None:
    """The model calls a function in a response that has begun."""
    item = {
        "type": "function_call",
        "id": f"item_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": orjson.dumps(arguments).decode(),
    }
    await call.model.send(
        "response.output_item.done", response_id=response, output_index=1, item=item
    )


async def says_goodbye(call: Running, **arguments: Any) -> float:
    """The model says goodbye and hangs up; when its last sample is heard."""
    began = trio.current_time()
    await call.model.begin("r", "words")
    await call.model.audio(GOODBYE_MS, "r", "words")
    await calls_function(call, "hang_up", **arguments)
    await call.model.end_item("r", "words")
    await call.model.end("r")
    return began + GOODBYE_MS / 1000


async def ended(call: Running) -> Outcome:
    await call.over.wait()
    assert call.outcome is not None, call.error
    return call.outcome


def output(call: Running, call_id: str = "c") -> list[Any]:
    """What the model was told of this call."""
    items = [event["item"] for event in call.model.of_type("conversation.item.create")]
    return [orjson.loads(item["output"]) for item in items if item.get("call_id") == call_id]


async def test_the_call_ends_when_the_last_words_have_been_heard(
    autojump_clock: MockClock,
) -> None:
    async with a_call_with_tools() as call:
        heard_at = await says_goodbye(call, reason="all is done")
        assert await ended(call) == Outcome("hung up by the agent: all is done")
        assert call.channel.handed_ms() == GOODBYE_MS
        assert heard_at - 0.001 < trio.current_time() <= heard_at + LAST_WORD_S + 0.2 + LEAST_S


async def test_words_that_come_after_the_call_are_heard_too(autojump_clock: MockClock) -> None:
    async with a_call_with_tools() as call:
        await call.model.begin("r", "words")
        await calls_function(call, "hang_up")
        await trio.sleep(3)  # it thinks about its last words
        assert not call.over.is_set()
        began = trio.current_time()
        await call.model.audio(GOODBYE_MS, "r", "words")
        await call.model.end_item("r", "words")
        await call.model.end("r")
        assert await ended(call) == Outcome("hung up by the agent")
        assert trio.current_time() > began + GOODBYE_MS / 1000 - 0.001


@pytest.mark.parametrize("over", ["speech", "text"])
async def test_spoken_over_it_does_not_end_the_call(over: str, autojump_clock: MockClock) -> None:
    async with a_call_with_tools() as call:
        await says_goodbye(call)
        await trio.sleep(0.5)
        if over == "speech":
            await call.model.speech_started()
        else:
            call.call._perform(call.call.conversation.user_text("wait"))
        await trio.sleep(0.1)
        assert output(call) == [{"error": "cancelled: the person interrupted"}]
        await trio.sleep(LAST_WORDS_S)
        assert not call.over.is_set()
        assert len(output(call)) == 1
        assert len(call.model.of_type("response.create")) == (over == "text")


async def test_spoken_over_before_the_call_is_complete_it_does_not_end_the_call(
    autojump_clock: MockClock,
) -> None:
    async with a_call_with_tools() as call:
        await call.model.begin("r", "words")
        await call.model.audio(GOODBYE_MS, "r", "words")
        await trio.sleep(0.5)
        await call.model.speech_started()
        await calls_function(call, "hang_up")
        await call.model.end("r", "cancelled")
        await trio.sleep(LAST_WORDS_S)
        assert not call.over.is_set()
        assert output(call) == [{"error": "not run: the person interrupted"}]


async def test_without_words_the_call_ends_at_once(autojump_clock: MockClock) -> None:
    async with a_call_with_tools() as call:
        began = trio.current_time()
        await call.model.begin("r", "words")
        await calls_function(call, "hang_up")
        await call.model.end("r")
        assert await ended(call) == Outcome("hung up by the agent")
        assert trio.current_time() <= began + LAST_WORD_S + 0.2


async def test_a_goodbye_of_the_response_before_is_heard_too(autojump_clock: MockClock) -> None:
    """A tool of the goodbye's own may be answered by nothing but the call to hang up."""
    async with a_call_with_tools() as call:
        began = trio.current_time()
        await call.model.answer(GOODBYE_MS, "r0", "words")
        await call.model.send("response.created", response={"id": "r"})
        await calls_function(call, "hang_up")
        await call.model.end("r")
        await ended(call)
        assert trio.current_time() > began + GOODBYE_MS / 1000 - 0.001


async def test_spoken_over_a_goodbye_of_the_response_before_it_does_not_end_the_call(
    autojump_clock: MockClock,
) -> None:
    async with a_call_with_tools() as call:
        await call.model.answer(GOODBYE_MS, "r0", "words")
        await call.model.send("response.created", response={"id": "r"})
        await calls_function(call, "hang_up")
        await call.model.end("r")
        await trio.sleep(0.5)
        await call.model.speech_started()
        await trio.sleep(5)
        assert not call.over.is_set()
        assert output(call) == [{"error": "cancelled: the person interrupted"}]
        assert not call.model.of_type("response.create")


async def test_nobody_is_hung_up_on_in_the_midst_of_a_word(autojump_clock: MockClock) -> None:
    """All was heard; but the person has begun to speak, of which the server tells later."""
    async with a_call_with_tools() as call:
        heard_at = await says_goodbye(call)
        await trio.sleep_until(heard_at + 0.3)
        await call.model.speech_started()
        await trio.sleep(5)
        assert not call.over.is_set()


async def test_a_note_reaches_the_operator_and_the_model_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with a_call_with_tools() as call:
        await call.model.send("response.created", response={"id": "r"})
        await calls_function(call, "transfer_note", summary="Mr Smith, a refund", to="billing")
        await call.model.end("r")
        await call.model.until(lambda: call.model.of_type("response.create"))
        note = {"type": "transfer_note", "summary": "Mr Smith, a refund", "to": "billing"}
        assert note in call.events
        assert output(call) == ["noted"]
        await wait_all_tasks_blocked()
        assert not call.over.is_set()


async def test_a_note_without_a_summary_is_none(autojump_clock: MockClock) -> None:
    async with a_call_with_tools() as call:
        await call.model.send("response.created", response={"id": "r"})
        await calls_function(call, "transfer_note", to="billing")
        await call.model.end("r")
        await call.model.until(lambda: call.model.of_type("response.create"))
        assert not [e for e in call.events if e["type"] == "transfer_note"]
        assert "summary" in output(call)[0]["error"]


async def test_outside_of_a_call_both_do_no_harm() -> None:
    tools = ToolContext([hang_up, transfer_note])
    ended_ = await tools.execute_tool("hang_up", "{}")
    noted = await tools.execute_tool("transfer_note", '{"summary": "x"}')
    assert not getattr(ended_, "failed", True)
    assert not getattr(noted, "failed", True)
