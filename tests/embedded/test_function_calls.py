"""Function calls on the wire: their events, their answers, and how they end."""

import json
from typing import Any

import pytest

from tests.embedded.driving import Driver, Event, error_of, loud, quiet, types

WEATHER: Event = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TIMER: Event = {
    "type": "function",
    "name": "set_timer",
    "parameters": {
        "type": "object",
        "properties": {"minutes": {"type": "integer"}},
        "required": ["minutes"],
    },
}
ASKED = "What is the weather in Paris?"
OPENED = ["response.output_item.added", "conversation.item.added"]
CLOSED = [
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


def prepared(**options: Any) -> Driver:
    """A session with two functions."""
    driver = Driver(**options)
    driver.update(tools=[WEATHER, TIMER])
    return driver


def ask(driver: Driver, text: str = ASKED, **response: Any) -> list[Event]:
    """Type something, and let it be answered; what came from the response's creation on."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    driver.send("conversation.item.create", item=item)
    return answer(driver, **response)


def answer(driver: Driver, **response: Any) -> list[Event]:
    """Ask for a response; all of it."""
    return driver.send("response.create", response=response) + driver.pass_time(10)


def give_output(driver: Driver, call_id: str, output: str) -> list[Event]:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return driver.send("conversation.item.create", item=item)


def calls(driver: Driver) -> list[Event]:
    """The calls of the newest response, in its `response.done`."""
    output = driver.events("response.done")[-1]["response"]["output"]
    return [item for item in output if item["type"] == "function_call"]


def said(driver: Driver) -> str:
    """The words of the newest response."""
    words: str = driver.events("response.output_audio_transcript.done")[-1]["transcript"]
    return words


def test_a_call_has_its_events_in_order() -> None:
    driver = prepared()
    events = ask(driver)
    assert types(events) == [
        "response.created",
        *OPENED,
        "response.deltas",
        *CLOSED,
        "response.done",
        "rate_limits.updated",
    ]
    assert not driver.requests


def test_a_call_is_told_the_same_everywhere() -> None:
    driver = prepared()
    events = ask(driver)
    by_type = {event["type"]: event for event in events}
    opened = by_type["response.output_item.added"]["item"]
    done = by_type["response.function_call_arguments.done"]
    assert opened == by_type["conversation.item.added"]["item"]
    assert opened == {
        "id": done["item_id"],
        "type": "function_call",
        "status": "in_progress",
        "name": "get_weather",
        "call_id": done["call_id"],
        "arguments": "",
    }
    final = opened | {"status": "completed", "arguments": '{"city": "Paris"}'}
    assert final == by_type["conversation.item.done"]["item"]
    assert final == by_type["response.output_item.done"]["item"]
    assert [final] == by_type["response.done"]["response"]["output"]
    assert (done["name"], done["arguments"]) == ("get_weather", final["arguments"])
    assert len(done["call_id"]) == len("call_") + 16
    deltas = [e for e in events if e["type"] == "response.function_call_arguments.delta"]
    assert "".join(event["delta"] for event in deltas) == final["arguments"]
    assert len(deltas) > 1
    assert all(event["obfuscation"] for event in deltas)
    assert all(event["call_id"] == done["call_id"] for event in deltas)
    usage = by_type["response.done"]["response"]["usage"]
    assert usage["output_token_details"] == {"text_tokens": 8, "audio_tokens": 0}


def test_the_answer_of_a_function_is_said_once() -> None:
    driver = prepared()
    ask(driver)
    give_output(driver, calls(driver)[0]["call_id"], "sunny, 21 degrees")
    events = answer(driver)
    assert "response.output_audio.delta" in [event["type"] for event in events]
    assert "I am the demo model" in said(driver)
    assert "get_weather answered: sunny, 21 degrees." in said(driver)
    answer(driver)
    assert "answered" not in said(driver)
    ask(driver)
    assert calls(driver)


def test_the_answer_may_come_before_the_response_is_done() -> None:
    driver = prepared()
    driver.typed(ASKED)
    driver.pass_time(0.31)
    [added] = driver.events("response.output_item.added")
    output = give_output(driver, added["item"]["call_id"], "rain")
    assert types(output) == ["conversation.item.added", "conversation.item.done"]
    driver.pass_time(5)
    assert driver.events("response.done")[-1]["response"]["status"] == "completed"
    answer(driver)
    assert "get_weather answered: rain." in said(driver)


def test_without_an_answer_it_waits_and_does_not_call_again() -> None:
    driver = prepared()
    ask(driver)
    answer(driver)
    assert "I still wait for an answer of get_weather." in said(driver)
    assert len(driver.events("response.function_call_arguments.done")) == 1


def test_several_functions_are_called_in_one_response() -> None:
    driver = prepared()
    events = ask(driver, "Set a timer for 5 minutes and tell me the weather in Rome")
    assert types(events)[1:-2] == [*OPENED, "response.deltas", *CLOSED] * 2
    assert [e["output_index"] for e in driver.events("response.output_item.done")] == [0, 1]
    timer, weather = calls(driver)
    assert (timer["name"], weather["name"]) == ("set_timer", "get_weather")
    assert timer["call_id"] != weather["call_id"]
    give_output(driver, weather["call_id"], "rain")
    give_output(driver, timer["call_id"], "started")
    answer(driver)
    assert "get_weather answered: rain. set_timer answered: started." in said(driver)


def test_one_answer_of_two_is_told_and_then_the_other() -> None:
    driver = prepared()
    ask(driver, "Set a timer for 5 minutes and tell me the weather in Rome")
    timer, weather = calls(driver)
    for call, words in ((weather, "rain"), (timer, "started")):
        give_output(driver, call["call_id"], words)
        answer(driver)
        assert f"{call['name']} answered: {words}." in said(driver)
    assert len(driver.events("response.function_call_arguments.done")) == 2


def test_parallel_calls_can_be_forbidden() -> None:
    driver = prepared()
    both = "Set a timer for 5 minutes and tell me the weather in Rome"
    ask(driver, both, parallel_tool_calls=False)
    assert [call["name"] for call in calls(driver)] == ["set_timer"]


def test_what_the_script_says_that_was_said_asks_too() -> None:
    driver = prepared(understand={1: ASKED}.get)
    driver.append(quiet(16) + loud(50) + quiet(16))
    driver.pass_time(5)
    assert json.loads(calls(driver)[0]["arguments"]) == {"city": "Paris"}
    driver.append(loud(50) + quiet(16))
    driver.pass_time(20)
    assert not calls(driver)


# -- what the client wants -----------------------------------------------------------------------


def test_a_response_may_have_its_own_tools() -> None:
    driver = prepared()
    ask(driver, tools=[TIMER])
    assert not calls(driver)
    ask(driver, tools=[])
    assert not calls(driver)
    other = Driver()
    ask(other, tools=[WEATHER])
    assert calls(other)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", ["get_weather"]),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "set_timer"}, ["set_timer"]),
    ],
)
def test_a_choice_counts_for_the_session_or_one_response(choice: Any, names: list[str]) -> None:
    driver = prepared()
    ask(driver, tool_choice=choice)
    assert [call["name"] for call in calls(driver)] == names
    driver = prepared()
    driver.update(tool_choice=choice)
    ask(driver)
    assert [call["name"] for call in calls(driver)] == names


def test_a_call_that_is_required_is_made_once_a_turn() -> None:
    driver = prepared()
    driver.update(tool_choice="required")
    ask(driver, "hello")
    [call] = calls(driver)
    assert call["name"] == "get_weather"
    give_output(driver, call["call_id"], "rain")
    answer(driver)
    assert not calls(driver)
    give_output(driver, call["call_id"], "rain")
    answer(driver, tool_choice="required")
    assert calls(driver)


def test_an_unknown_function_is_refused() -> None:
    driver = prepared()
    choice = {"type": "function", "name": "nope"}
    error = error_of(driver.send("response.create", response={"tool_choice": choice}))
    assert error["code"] == "invalid_value"
    assert error["param"].startswith("response.tool_choice")


def test_what_is_to_be_said_exactly_is_said() -> None:
    driver = prepared()
    ask(driver, instructions='Say exactly: "Welcome!"')
    assert not calls(driver)
    assert said(driver).endswith("Welcome!")


def test_servers_of_tools_are_not_reached() -> None:
    driver = Driver()
    server = {"type": "mcp", "server_label": "files", "server_url": "https://example.com"}
    assert types(driver.update(tools=[server, WEATHER]) + driver.pass_time(1)) == [
        "session.updated",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.failed",
    ]
    [started], [failed] = (
        driver.events("mcp_list_tools.in_progress"),
        driver.events("mcp_list_tools.failed"),
    )
    assert started["item_id"] == failed["item_id"]
    assert types(driver.update(tools=[server]) + driver.pass_time(1)) == ["session.updated"]


# -- how calls end -------------------------------------------------------------------------------


def test_a_call_that_is_cancelled_is_closed_and_may_come_again() -> None:
    driver = prepared()
    driver.typed(ASKED)
    driver.pass_time(0.31)
    assert types(driver.send("response.cancel")) == [*CLOSED, "response.done"]
    [call] = calls(driver)
    assert call["status"] == "incomplete"
    assert '{"city": "Paris"}'.startswith(call["arguments"])
    assert 0 < len(call["arguments"]) < len('{"city": "Paris"}')
    answer(driver)
    assert calls(driver)[0]["status"] == "completed"


def test_a_call_ends_at_the_limit_of_tokens() -> None:
    driver = prepared()
    ask(driver, max_output_tokens=7)
    response = driver.events("response.done")[0]["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert 0 < response["usage"]["output_tokens"] <= 7


def test_a_call_that_is_deleted_while_it_comes() -> None:
    driver = prepared()
    driver.typed(ASKED)
    driver.pass_time(0.31)
    item_id = driver.events("response.output_item.added")[0]["item"]["id"]
    assert types(driver.send("conversation.item.delete", item_id=item_id)) == [
        "conversation.item.deleted"
    ]
    driver.pass_time(5)
    assert driver.events("response.done")[-1]["response"]["status"] == "completed"
    call_id = calls(driver)[0]["call_id"]
    assert error_of(give_output(driver, call_id, "x"))["code"] == "invalid_tool_call_id"


# -- models that reason --------------------------------------------------------------------------


def test_a_model_that_reasons_comments_on_its_call() -> None:
    driver = prepared(model="gpt-realtime-2.1")
    events = ask(driver)
    message_closed = [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    # As captured: the call opens before the message is closed.
    assert types(events) == [
        "response.created",
        *OPENED,
        "response.content_part.added",
        "response.deltas",
        *OPENED,
        "response.deltas",
        *message_closed,
        *CLOSED,
        "response.done",
        "rate_limits.updated",
    ]
    message, call = driver.events("response.done")[0]["response"]["output"]
    assert message["phase"] == "commentary"
    assert message["content"][0]["transcript"].endswith("Let me look.")
    assert call["arguments"] == '{"city": "Paris"}'
    give_output(driver, call["call_id"], "sunny")
    answer(driver)
    response = driver.events("response.done")[-1]["response"]
    assert [item["phase"] for item in response["output"]] == ["final_answer"]
    assert said(driver) == "get_weather answered: sunny."
    assert response["usage"]["output_token_details"]["reasoning_tokens"] == 0


def test_both_are_closed_when_it_is_cancelled_between() -> None:
    driver = prepared(model="gpt-realtime-2.1", voice_seconds=0.5)
    driver.typed(ASKED)
    while len(driver.events("response.output_item.added")) < 2:
        driver.pass_time(0.01)
    closed = driver.send("response.cancel")
    assert [e["output_index"] for e in closed if e["type"] == "response.output_item.done"] == [0, 1]
    assert len(driver.events("response.done")[0]["response"]["output"]) == 2
