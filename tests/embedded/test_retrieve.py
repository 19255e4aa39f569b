"""Items that a client has back: as they are kept, audio and all."""

import weakref
from base64 import b64decode, b64encode
from typing import Any

import pytest

from agent.embedded.history import History
from agent.embedded.items import entry_of
from agent.embedded.kept import KEPT_BYTES, KeptItems
from agent.protocol.items import Content, RealtimeConversationItemUserMessage
from agent.protocol.server_events import ConversationItemAdded
from tests.embedded.driving import Driver, Event, error_of, hum, loud, quiet

FUNCTION = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}


def retrieved(driver: Driver, item_id: str) -> Event:
    """The item, as the one event that comes tells it."""
    [event] = driver.send("conversation.item.retrieve", item_id=item_id)
    assert event["type"] == "conversation.item.retrieved"
    item: Event = event["item"]
    assert item["id"] == item_id
    return item


def created(driver: Driver, item: Event) -> str:
    """The id of an item that the client creates."""
    added, _ = driver.send("conversation.item.create", item=item)
    item_id: str = added["item"]["id"]
    return item_id


def message(role: str, *content: Event) -> Event:
    return {"type": "message", "role": role, "content": list(content)}


def answered(driver: Driver, seconds: float = 5.0) -> str:
    """The id of an answer, after so many seconds of it."""
    driver.typed("hello")
    driver.pass_time(seconds)
    item_id: str = driver.events("response.output_item.added")[-1]["item"]["id"]
    return item_id


def audio_of(item: Event) -> Any:
    return item["content"][0].get("audio")


@pytest.mark.parametrize(
    "item",
    [
        message("user", {"type": "input_text", "text": "Hello."}),
        message("system", {"type": "input_text", "text": "Be brief."}),
        message("assistant", {"type": "output_text", "text": "Hi."}),
        message("user", {"type": "input_image", "image_url": "data:image/png;base64,AA=="}),
        message(
            "user",
            {"type": "input_text", "text": "This:"},
            {"type": "input_audio", "audio": "AAAA", "transcript": "it"},
            {"type": "input_audio", "audio": "AQAB"},
        ),
        FUNCTION,
    ],
    ids=["typed", "system", "assistant", "image", "audio", "function"],
)
def test_what_a_client_created_comes_back_whole(item: Event) -> None:
    driver = Driver()
    if "AAAA" in str(item):
        driver.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
    item_id = created(driver, item)
    assert retrieved(driver, item_id) == {**item, "id": item_id, "status": "completed"}


def test_the_output_of_a_function_comes_back() -> None:
    driver = Driver()
    created(driver, FUNCTION)
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    item_id = created(driver, output)
    assert retrieved(driver, item_id) == {**output, "id": item_id}  # no status, as captured


def test_a_spoken_turn_comes_back_with_its_audio_and_its_transcript() -> None:
    driver = Driver(understand=lambda turn: f"turn {turn}")
    driver.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    driver.append(quiet(20) + loud(10) + quiet(9))
    [committed] = driver.events("input_audio_buffer.committed")
    [part] = retrieved(driver, committed["item_id"])["content"]
    # 300 ms before, the speech, 200 ms after.
    assert b64decode(part["audio"]) == bytes(300 * 48) + loud(10) + bytes(200 * 48)
    assert part["transcript"] is None
    driver.pass_time(0.3)
    item = retrieved(driver, committed["item_id"])
    assert item["content"] == [{**part, "transcript": "turn 1"}]
    assert (item["role"], item["status"]) == ("user", "completed")
    added = driver.events("conversation.item.added")[0]["item"]
    assert added["content"] == [{"type": "input_audio", "transcript": None}]


def test_an_answer_comes_back_with_the_audio_that_was_sent() -> None:
    driver = Driver(voice_seconds=2.1)
    item_id = answered(driver)
    [part] = retrieved(driver, item_id)["content"]
    assert part["type"] == "output_audio"
    assert b64decode(part["audio"]) == hum(2.1)
    assert (
        part["transcript"]
        == driver.events("response.output_audio_transcript.done")[0]["transcript"]
    )


def test_an_answer_under_way_comes_back_as_far_as_it_got() -> None:
    driver = Driver(voice_seconds=20)
    item = retrieved(driver, answered(driver, seconds=0.21))
    assert (item["status"], item["content"]) == ("in_progress", [])
    driver.pass_time(0.2)
    [part] = retrieved(driver, item["id"])["content"]
    assert part["type"] == "output_audio"
    assert b64decode(part["audio"]) == hum(0.75)


@pytest.mark.parametrize("seconds", [0.5, 5], ids=["under way", "done"])
@pytest.mark.parametrize("heard_ms", [0, 300])
def test_of_a_truncated_answer_only_what_was_heard(seconds: float, heard_ms: int) -> None:
    driver = Driver(voice_seconds=3)
    item_id = answered(driver, seconds)
    driver.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=heard_ms
    )
    driver.pass_time(5)
    audio = b64encode(hum(heard_ms / 1000)).decode()
    expected = {"type": "output_audio"} | ({"audio": audio} if audio else {})
    assert retrieved(driver, item_id)["content"] == [expected]


def test_a_truncated_answer_is_measured_in_its_format() -> None:
    driver = Driver(voice_seconds=3)
    driver.update(audio={"output": {"format": {"type": "audio/pcmu"}}})
    item_id = answered(driver)
    whole = b64decode(audio_of(retrieved(driver, item_id)))
    assert len(whole) == 24_000
    driver.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
    assert b64decode(audio_of(retrieved(driver, item_id))) == whole[:2_400]


def test_a_written_answer_comes_back() -> None:
    driver = Driver()
    driver.update(output_modalities=["text"])
    item_id = answered(driver)
    [done] = driver.events("response.output_text.done")
    assert retrieved(driver, item_id)["content"] == [{"type": "output_text", "text": done["text"]}]


def test_an_answer_beside_the_conversation_is_no_item() -> None:
    driver = Driver(voice_seconds=1)
    driver.send("response.create", response={"conversation": "none"})
    driver.pass_time(5)
    item_id = driver.events("response.output_item.added")[0]["item"]["id"]
    error = error_of(driver.send("conversation.item.retrieve", item_id=item_id))
    assert error["code"] == "item_retrieve_invalid_item_id"


def test_what_is_not_remembered_does_not_come_back() -> None:
    driver = Driver()
    item_id = created(driver, message("user", {"type": "input_text", "text": "Hello."}))
    driver.send("conversation.item.delete", item_id=item_id)
    error = error_of(driver.send("conversation.item.retrieve", item_id=item_id, event_id="mine"))
    assert error == {
        "type": "invalid_request_error",
        "code": "item_retrieve_invalid_item_id",
        "message": f"Error retrieving item: the item with id '{item_id}' does not exist.",
        "param": None,
        "event_id": "mine",
    }


def test_what_the_model_forgot_does_not_come_back() -> None:
    driver = Driver()
    text = {"type": "input_text", "text": "x" * 4_000}
    first = created(driver, message("user", text))
    for _ in range(29):
        last = created(driver, message("user", text))
    assert error_of(driver.send("conversation.item.retrieve", item_id=first))
    assert retrieved(driver, last)


def test_what_was_forgotten_as_it_came_does_not_come_back() -> None:
    driver = Driver()
    item = message("user", {"type": "input_text", "text": "x" * 4_000})
    for _ in range(28):
        created(driver, item)
    added, _ = driver.send("conversation.item.create", item=item, previous_item_id="root")
    item_id = added["item"]["id"]
    assert error_of(driver.send("conversation.item.retrieve", item_id=item_id))


def test_of_an_item_whose_id_is_used_again_nothing_is_left() -> None:
    driver = Driver(voice_seconds=1)
    item_id = answered(driver)
    driver.send("conversation.item.delete", item_id=item_id)
    item = message("assistant", {"type": "output_audio", "text": "Hi."}) | {"id": item_id}
    created(driver, item)
    assert retrieved(driver, item_id)["content"] == item["content"]


def test_of_an_item_that_was_forgotten_nothing_is_left_for_its_id() -> None:
    driver = Driver(voice_seconds=1)
    item_id = answered(driver)
    text = {"type": "input_text", "text": "x" * 4_000}
    for _ in range(30):
        created(driver, message("user", text))
    item = message("assistant", {"type": "output_audio", "text": "Hi."}) | {"id": item_id}
    created(driver, item)
    assert retrieved(driver, item_id)["content"] == item["content"]


def test_what_was_forgotten_takes_no_room() -> None:
    history = History()
    kept = KeptItems(history)
    parts = [Content(type="input_text", text="x" * 40_000) for _ in range(4)]
    for number, part in enumerate(parts):
        item = RealtimeConversationItemUserMessage(id=f"item{number}", content=(part,))
        history.add(entry_of(item, f"item{number}", "audio/pcm"))
        kept.note(ConversationItemAdded(item=item, previous_item_id=None), 0.0)
    held = [weakref.ref(part) for part in parts]
    del parts, part, item
    assert [part() is not None for part in held] == [False, False, True, True]


def test_of_much_audio_the_oldest_goes_first() -> None:
    driver = Driver()
    part = {"type": "input_audio", "audio": b64encode(bytes(KEPT_BYTES // 10 * 2)).decode()}
    ids = [created(driver, message("user", part)) for _ in range(4)]
    assert [audio_of(retrieved(driver, i)) == part["audio"] for i in ids] == [
        False,
        True,
        True,
        True,
    ]
    assert retrieved(driver, ids[0])["content"] == [{"type": "input_audio"}]
    # What was deleted takes no room.
    driver.send("conversation.item.delete", item_id=ids[1])
    ids.append(created(driver, message("user", part)))
    assert [audio_of(retrieved(driver, i)) is not None for i in ids if i != ids[1]] == [
        False,
        True,
        True,
        True,
    ]


def test_of_a_long_answer_the_newest_audio_is_let_go_and_not_mixed_up() -> None:
    driver = Driver(voice_seconds=KEPT_BYTES / 48_000 + 10)
    item_id = answered(driver, seconds=200)
    [part] = retrieved(driver, item_id)["content"]
    assert "audio" not in part
    assert part["transcript"]
