"""Responses beside the conversation: their own input, their own events, no trace."""

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent.embedded.history import text_tokens
from agent.embedded.session_defaults import INSTRUCTIONS
from tests.embedded.driving import Driver, Event, error_of, hum, types
from tests.embedded.sockets import open_session

TOOL: Event = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def typed(text: str, **fields: Any) -> Event:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


def beside(driver: Driver, **response: Any) -> list[Event]:
    """Ask for a written response beside the conversation; what came at once."""
    wanted = {"conversation": "none", "output_modalities": ["text"], **response}
    return driver.send("response.create", response=wanted)


def written(driver: Driver) -> str:
    text: str = driver.events("response.output_text.done")[-1]["text"]
    return text


def test_it_has_no_events_of_the_conversation() -> None:
    driver = Driver()
    events = beside(driver, metadata={"topic": "x"}) + driver.pass_time(5)
    assert types(events) == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.deltas",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    for event in events:
        if "response" in event:
            assert event["response"]["conversation_id"] is None
            assert event["response"]["metadata"] == {"topic": "x"}


def test_its_deltas_come_between_those_of_the_conversation() -> None:
    driver = Driver(voice_seconds=5)
    driver.typed("hello")
    beside(driver, instructions=f'Say exactly: "{"word " * 20}"')
    driver.pass_time(10)
    spoken, aside = [event["response"]["id"] for event in driver.events("response.created")]
    ids = [e["response_id"] for _, e in driver.log if e["type"].endswith(".delta")]
    changes = sum(a != b for a, b in pairwise(ids))
    assert set(ids) == {spoken, aside}
    assert changes > 4
    done = driver.events("response.done")
    assert {event["response"]["status"] for event in done} == {"completed"}


class BusyVoice:
    """Takes its time.

    :ivar most: how often it spoke at once.
    """

    def __init__(self) -> None:
        self.most = 0
        self._speaking = 0

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        self._speaking += 1
        self.most = max(self.most, self._speaking)
        await trio.sleep(1)
        self._speaking -= 1
        return hum(1)


async def test_a_session_has_two_voices_at_a_time(autojump_clock: MockClock) -> None:
    voice = BusyVoice()
    async with open_session(voice) as socket:
        for _ in range(4):
            socket.tell("response.create", response={"conversation": "none"})
        for _ in range(4):
            done = await socket.hear("response.done")
            assert done["response"]["status"] == "completed"
    assert voice.most == 2


def test_its_words_are_not_remembered() -> None:
    driver = Driver()
    driver.send("conversation.item.create", item=typed("hello"))
    beside(driver)
    driver.pass_time(5)
    item_id = driver.events("response.output_item.added")[0]["item"]["id"]
    [error] = driver.send("conversation.item.delete", item_id=item_id)
    assert error["error"]["code"] == "item_delete_invalid_item_id"
    # And the person's words still want their answer.
    driver.send("response.create")
    assert driver.requests[-1].text == "You wrote: hello."


def test_it_answers_its_own_input() -> None:
    driver = Driver()
    driver.send("conversation.item.create", item=typed("hello", id="mine"))
    for wanted, heard in (
        ([typed("goodbye")], "goodbye"),
        ([typed("one"), typed("two")], "two"),
        ([typed("first"), {"type": "item_reference", "id": "mine"}], "hello"),
    ):
        beside(driver, input=wanted)
        driver.pass_time(5)
        assert f"You wrote: {heard}." in written(driver)
    beside(driver, input=[])
    driver.pass_time(5)
    assert written(driver).startswith("I am here.")


def test_its_input_is_what_the_model_reads_for_it() -> None:
    driver = Driver()
    driver.send("conversation.item.create", item=typed("x" * 400))
    beside(driver, input=[typed("x" * 40), typed("x" * 80)])
    driver.pass_time(5)
    usage = driver.events("response.done")[0]["response"]["usage"]
    assert usage["input_tokens"] == 30 + text_tokens(INSTRUCTIONS)


def test_an_unknown_reference_is_refused() -> None:
    driver = Driver()
    reference = {"type": "item_reference", "id": "nope"}
    error = error_of(beside(driver, input=[typed("x"), reference]))
    assert (error["code"], error["param"]) == ("item_not_found", "response.input[1].id")
    assert types(beside(driver)) == ["response.created"]


def test_it_answers_calls_in_its_input() -> None:
    driver = Driver()
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "fine"}
    beside(driver, input=[typed("x"), call, output])
    driver.pass_time(5)
    assert "f answered: fine." in written(driver)
    beside(driver, input=[{**output, "call_id": "other"}])
    driver.pass_time(5)
    assert "The function answered: fine." in written(driver)


def test_it_may_call_functions() -> None:
    driver = Driver()
    beside(driver, input=[typed("What is the weather in Oslo?")], tools=[TOOL])
    events = driver.pass_time(5)
    assert "conversation.item.added" not in types(events)
    [call] = driver.events("response.done")[0]["response"]["output"]
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city": "Oslo"}')


def test_it_says_what_its_instructions_ask_for() -> None:
    driver = Driver()
    beside(driver, instructions='Say exactly: "Topic: greetings"')
    driver.pass_time(5)
    assert written(driver) == "This is the demo model, without a key. Topic: greetings"


def test_of_two_at_once_only_the_first_says_what_it_is() -> None:
    driver = Driver()
    driver.typed("hello")
    beside(driver)
    driver.pass_time(5)
    assert "I am the demo model" in driver.requests[0].text
    assert "demo model" not in written(driver)


def test_it_is_cancelled_by_its_name_only() -> None:
    driver = Driver()
    beside(driver)
    driver.pass_time(0.35)
    assert error_of(driver.send("response.cancel"))["code"] == "response_cancel_not_active"
    response_id = driver.events("response.created")[0]["response"]["id"]
    assert types(driver.send("response.cancel", response_id=response_id)) == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]


@pytest.mark.parametrize("conversation", ["auto", "none"])
def test_a_written_response_in_a_spoken_session(conversation: str) -> None:
    driver = Driver()
    beside(driver, conversation=conversation)
    driver.pass_time(5)
    response = driver.events("response.done")[0]["response"]
    assert response["output_modalities"] == ["text"]
    assert response["output"][0]["content"][0]["type"] == "output_text"
    driver.send("response.create")
    assert len(driver.requests) == 1
