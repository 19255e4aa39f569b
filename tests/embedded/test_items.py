"""Items that a client creates, truncates and deletes."""

from base64 import b64encode
from typing import Any

import pytest

from agent.embedded.history import text_tokens
from agent.embedded.session_defaults import INSTRUCTIONS
from tests.embedded.driving import Driver, Event, error_of, types


def message(role: str, *content: Event, **fields: Any) -> Event:
    return {"type": "message", "role": role, "content": list(content), **fields}


def said(text: str) -> Event:
    return {"type": "input_text", "text": text}


def create(driver: Driver, item: Event, **fields: Any) -> list[Event]:
    return driver.send("conversation.item.create", item=item, **fields)


def answered(driver: Driver, seconds: float = 5) -> str:
    """The item id of an answer, after so many seconds of it."""
    driver.typed("hello")
    driver.pass_time(seconds)
    item_id: str = driver.events("response.output_item.added")[-1]["item"]["id"]
    return item_id


def truncate(driver: Driver, item_id: str, ms: int, index: int = 0) -> list[Event]:
    return driver.send(
        "conversation.item.truncate", item_id=item_id, content_index=index, audio_end_ms=ms
    )


def test_items_are_added_and_done_with_the_item_before_them() -> None:
    driver = Driver()
    for index, item in enumerate(
        [
            message("system", said("Be brief."), id="one"),
            message("user", said("Hello."), id="two"),
            message("assistant", {"type": "output_text", "text": "Hi."}, id="three"),
            {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c", "id": "four"},
            {"type": "function_call_output", "call_id": "c", "output": "1", "id": "five"},
        ]
    ):
        added, done = create(driver, item)
        assert (added["type"], done["type"]) == (
            "conversation.item.added",
            "conversation.item.done",
        )
        # As captured: the output of a function has no status.
        status = {} if item["type"] == "function_call_output" else {"status": "completed"}
        assert added["item"] == done["item"] == item | status
        assert added["previous_item_id"] == [None, "one", "two", "three", "four"][index]


def test_an_item_goes_where_the_client_wants_it() -> None:
    driver = Driver()
    create(driver, message("user", said("b"), id="b"))
    create(driver, message("user", said("d"), id="d"))
    root = create(driver, message("user", said("a"), id="a"), previous_item_id="root")
    middle = create(driver, message("user", said("c"), id="c"), previous_item_id="b")
    assert root[0]["previous_item_id"] is None
    assert middle[0]["previous_item_id"] == "b"
    driver.send("conversation.item.delete", item_id="b")
    after = create(driver, message("user", said("x"), id="x"), previous_item_id="a")
    assert after[0]["previous_item_id"] == "a"


def test_audio_is_kept_but_not_sent_back() -> None:
    driver = Driver(voice_seconds=1)
    part = {"type": "input_audio", "audio": b64encode(bytes(48_000)).decode()}
    added, _ = create(driver, message("user", part))
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    driver.send("response.create")
    assert "heard you speak for 1.0 seconds" in driver.requests[0].text


BAD_ITEMS: list[tuple[Event, str, str | None]] = [
    (message("user", said("x"), id="taken"), "item_create_duplicate_item_id", "item.id"),
    (message("user", said("x"), id="x" * 33), "string_above_max_length", "item.id"),
    (message("robot", said("x")), "invalid_value", "item.role"),
    ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
    ({"type": "thought"}, "invalid_value", "item.type"),
    ({"role": "user"}, "missing_required_parameter", "item.type"),
    (
        message("user", {"type": "output_text", "text": "x"}),
        "invalid_value",
        "item.content[0].type",
    ),
    (
        message("assistant", {"type": "output_audio", "audio": "AAAA"}),
        "missing_required_parameter",
        "item.content[0].text",
    ),
    (message("user", {"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
    (
        {"type": "function_call_output", "call_id": "call_x", "output": ""},
        "invalid_tool_call_id",
        None,
    ),
]


@pytest.mark.parametrize(("item", "code", "param"), BAD_ITEMS, ids=lambda x: str(x)[:50])
def test_a_bad_item_is_refused(item: Event, code: str, param: str | None) -> None:
    driver = Driver()
    create(driver, message("user", said("x"), id="taken"))
    error = error_of(create(driver, item))
    assert (error["code"], error["param"]) == (code, param)


def test_an_unknown_previous_item_is_refused() -> None:
    error = error_of(create(Driver(), message("user", said("x")), previous_item_id="nope"))
    assert error["code"] == "item_create_invalid_previous_item_id"


def test_a_call_that_nobody_made_is_not_answered() -> None:
    item = {"type": "function_call_output", "call_id": "call_X", "output": "1"}
    error = error_of(create(Driver(), item))
    assert error["message"] == "Tool call ID 'call_X' not found in conversation."


def test_delete() -> None:
    driver = Driver()
    create(driver, message("user", said("x"), id="one"))
    [deleted] = driver.send("conversation.item.delete", item_id="one")
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", "one")
    error = error_of(driver.send("conversation.item.delete", item_id="one"))
    assert error["code"] == "item_delete_invalid_item_id"
    assert types(create(driver, message("user", said("x"), id="one")))


def test_truncate_echoes_what_was_heard() -> None:
    driver = Driver(voice_seconds=3.7)
    item_id = answered(driver)
    [truncated] = truncate(driver, item_id, 1234)
    assert {**truncated, "event_id": ""} == {
        "type": "conversation.item.truncated",
        "event_id": "",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": 1234,
    }
    error = error_of(truncate(driver, item_id, 1235))
    assert error["message"] == "Audio content of 1234ms is already shorter than 1235ms"
    assert types(truncate(driver, item_id, 0)) == ["conversation.item.truncated"]
    assert types(truncate(driver, item_id, 0)) == ["conversation.item.truncated"]


def test_truncate_cannot_lengthen() -> None:
    driver = Driver(voice_seconds=3.7)
    item_id = answered(driver)
    error = error_of(truncate(driver, item_id, 3760))
    assert error["code"] == "invalid_value"
    assert error["message"] == "Audio content of 3700ms is already shorter than 3760ms"
    assert types(truncate(driver, item_id, 3700)) == ["conversation.item.truncated"]


def test_truncate_while_the_answer_is_generated_goes_up_to_what_there_is() -> None:
    driver = Driver(voice_seconds=20)
    item_id = answered(driver, seconds=0.41)
    error = error_of(truncate(driver, item_id, 751))
    assert error["message"] == "Audio content of 750ms is already shorter than 751ms"
    assert types(truncate(driver, item_id, 750)) == ["conversation.item.truncated"]
    driver.pass_time(1)
    error = error_of(truncate(driver, item_id, 751))
    assert error["message"] == "Audio content of 750ms is already shorter than 751ms"


def test_only_audio_of_the_model_is_truncated() -> None:
    driver = Driver(voice_seconds=20)
    item_id = answered(driver, seconds=0.25)
    create(driver, message("user", said("x"), id="typed"))
    for known in (item_id, "typed"):
        error = error_of(truncate(driver, known, 0))
        assert error["code"] == "unsupported_content_type"
        assert error["message"] == "Only model output audio messages can be truncated"
    assert error_of(truncate(driver, "nope", 0))["code"] == "item_truncate_invalid_item_id"
    driver.pass_time(0.2)
    assert error_of(truncate(driver, item_id, 0, index=1))["param"] == "content_index"
    assert error_of(truncate(driver, item_id, -1))["code"] == "integer_below_min_value"


def test_what_was_cut_is_forgotten() -> None:
    driver = Driver(voice_seconds=3)
    item_id = answered(driver)
    driver.send("response.create")
    driver.pass_time(5)
    truncate(driver, item_id, 0)
    driver.send("response.create")
    driver.pass_time(5)
    whole, cut = (
        e["response"]["usage"]["input_token_details"] for e in driver.events("response.done")[1:]
    )
    second = driver.events("response.done")[1]["response"]["usage"]["output_token_details"]
    assert cut["audio_tokens"] == whole["audio_tokens"] - 60 + second["audio_tokens"]
    assert cut["text_tokens"] < whole["text_tokens"] + second["text_tokens"]


def test_what_was_cut_while_it_was_generated_is_forgotten_too() -> None:
    whole, cut = Driver(voice_seconds=3), Driver(voice_seconds=3)
    for driver in (whole, cut):
        item_id = answered(driver, seconds=0.5)
        if driver is cut:
            truncate(driver, item_id, 0)
        driver.pass_time(5)
        driver.send("response.create")
        driver.pass_time(5)
    remembered = [
        driver.events("response.done")[1]["response"]["usage"]["input_token_details"]
        for driver in (whole, cut)
    ]
    assert remembered[0]["audio_tokens"] == 60
    assert remembered[1]["audio_tokens"] == 0
    assert remembered[1]["text_tokens"] < 30 < remembered[0]["text_tokens"]


def test_the_oldest_items_are_forgotten() -> None:
    driver = Driver(voice_seconds=1)
    for index in range(40):
        create(driver, message("user", said("x" * 4_000), id=f"item{index}"))
    driver.send("response.create")
    driver.pass_time(5)
    usage = driver.events("response.done")[0]["response"]["usage"]
    assert usage["input_tokens"] == 28_000 + text_tokens(INSTRUCTIONS)
    assert error_of(driver.send("conversation.item.delete", item_id="item11"))
    assert types(driver.send("conversation.item.delete", item_id="item12"))
