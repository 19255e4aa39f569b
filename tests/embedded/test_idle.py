"""`idle_timeout_ms`: when nobody has spoken for so long, the model speaks by itself."""

from typing import Any

import pytest

from tests.embedded.driving import Driver, Event, loud, quiet, types

TIMED_OUT = [
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]


def detect(driver: Driver, **fields: Any) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 6_000, **fields}
    driver.update(audio={"input": {"turn_detection": detection}})


def answered(driver: Driver) -> None:
    """Have an answer, up to its `response.done`."""
    driver.typed("hello")
    count = len(driver.events("response.done"))
    while len(driver.events("response.done")) == count:
        driver.pass_time(0.01)


def timeouts(driver: Driver) -> list[Event]:
    return driver.events("input_audio_buffer.timeout_triggered")


def test_the_model_speaks_when_nobody_does() -> None:
    driver = Driver(voice_seconds=2.1)
    detect(driver)
    answered(driver)
    done = driver.time_of("response.done")
    events = driver.pass_time(8.2)
    assert [*TIMED_OUT, "response.created"] == types(events)[1:6]
    # 2.1 s to play the answer, 6 s of silence.
    assert driver.time_of(TIMED_OUT[0]) - done == pytest.approx(8.1)
    triggered, committed, added, item_done = events[1:5]
    assert triggered["item_id"] == committed["item_id"] == added["item"]["id"]
    assert item_done["item"] == added["item"]
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    answer = driver.events("response.output_item.done")[0]["item"]["id"]
    assert committed["previous_item_id"] == answer


def test_it_tells_where_in_the_audio_the_silence_was() -> None:
    driver = Driver(voice_seconds=2.0)
    detect(driver)
    driver.append(quiet(100))
    answered(driver)
    began_ms = 3200 + round((2.0) * 1000)
    driver.append(quiet(300))
    [triggered] = timeouts(driver)
    assert triggered["audio_start_ms"] == pytest.approx(began_ms, abs=50)
    assert triggered["audio_end_ms"] - triggered["audio_start_ms"] == pytest.approx(6_000, abs=50)


def test_the_playing_time_is_right_for_g711_too() -> None:
    driver = Driver(voice_seconds=2.0)
    driver.update(audio={"output": {"format": {"type": "audio/pcma"}}})
    detect(driver)
    answered(driver)
    done = driver.time_of("response.done")
    driver.pass_time(10)
    assert driver.time_of(TIMED_OUT[0]) - done == pytest.approx(8.0, abs=0.01)


def test_it_applies_again_after_that_answer() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver)
    answered(driver)
    driver.pass_time(40)
    dones = [time for time, e in driver.log if e["type"] == "response.done"]
    times = [time for time, e in driver.log if e["type"] == TIMED_OUT[0]]
    assert len(times) >= 3
    assert [b - a for a, b in zip(dones, times, strict=False)] == pytest.approx([7.0] * len(times))


def test_speech_ends_the_waiting() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver, create_response=False)
    answered(driver)
    driver.pass_time(3)
    driver.append(loud(20) + quiet(20))
    driver.pass_time(60)
    assert not timeouts(driver)
    driver.send("response.create")
    driver.pass_time(20)
    assert len(timeouts(driver)) == 1


def test_while_the_person_speaks_nothing_times_out() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver, interrupt_response=False)
    driver.typed("hello")
    driver.append(loud(60))
    assert driver.events("response.done")
    driver.pass_time(60)
    assert not timeouts(driver)


def test_a_turn_that_is_forgotten_ends_no_waiting() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver)
    driver.append(quiet(10) + loud(10))
    assert driver.events("input_audio_buffer.speech_started")
    driver.update(audio={"input": {"turn_detection": None}})
    detect(driver)
    answered(driver)
    driver.pass_time(10)
    assert len(timeouts(driver)) == 1


def test_a_turn_for_which_there_was_no_room_ends_no_waiting() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver)
    driver.update(truncation="disabled")
    content = [{"type": "input_text", "text": "x" * 120_000}]
    item = {"type": "message", "role": "user", "content": content, "id": "long"}
    driver.send("conversation.item.create", item=item)
    driver.append(quiet(10) + loud(10) + quiet(10))
    assert not driver.events("input_audio_buffer.committed")
    driver.send("conversation.item.delete", item_id="long")
    answered(driver)
    driver.pass_time(10)
    assert len(timeouts(driver)) == 1


def test_without_create_response_only_the_turn_is_told() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver, create_response=False)
    answered(driver)
    assert types(driver.pass_time(60)) == ["rate_limits.updated", *TIMED_OUT]


def test_before_any_answer_nothing_times_out() -> None:
    driver = Driver()
    detect(driver)
    assert driver.pass_time(60) == []


@pytest.mark.parametrize(
    "detection",
    [None, {"type": "semantic_vad"}, {"type": "server_vad", "idle_timeout_ms": None}],
    ids=str,
)
def test_without_a_timeout_the_model_waits(detection: Event | None) -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver)
    answered(driver)
    driver.update(audio={"input": {"turn_detection": detection}})
    driver.pass_time(60)
    assert not timeouts(driver)


def test_an_answer_beside_the_conversation_is_not_waited_for() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver)
    driver.send("response.create", response={"conversation": "none"})
    driver.pass_time(60)
    assert not timeouts(driver)


def test_the_answer_to_silence_does_not_claim_to_have_heard_speech() -> None:
    driver = Driver(voice_seconds=1.0, understand=lambda turn: f"turn {turn}")
    detect(driver)
    driver.append(loud(20) + quiet(20))
    driver.pass_time(12)
    assert len(driver.requests) == 2
    assert "turn 1" in driver.requests[0].text
    assert "turn" not in driver.requests[1].text
    assert "I am here." in driver.requests[1].text
