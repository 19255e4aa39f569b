"""Turns that the client ends by itself, and those that bring no answer."""

from tests.embedded.driving import Driver, Event, error_of, loud, quiet, types

COMMITTED = [
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]


def detect(driver: Driver, detection: Event | None) -> None:
    driver.update(audio={"input": {"turn_detection": detection}})


def test_without_detection_the_client_commits_and_asks() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver, None)
    assert driver.append(quiet(20) + loud(20) + quiet(40)) == []
    events = driver.send("input_audio_buffer.commit")
    assert types(events) == COMMITTED
    assert events[0]["item_id"] == events[1]["item"]["id"] == events[2]["item"]["id"]
    assert driver.pass_time(5) == []
    assert types(driver.send("response.create")) == ["response.created"]
    driver.pass_time(5)
    [done] = driver.events("response.done")
    # 80 blocks of 32 ms, at 100 ms a token.
    assert done["response"]["usage"]["input_token_details"]["audio_tokens"] == 25
    # The buffer is empty again.
    error = error_of(driver.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_without_detection_speech_interrupts_nothing() -> None:
    driver = Driver(voice_seconds=5.0)
    detect(driver, None)
    driver.typed("hello")
    driver.append(loud(40))
    driver.pass_time(5)
    assert driver.events("response.done")[0]["response"]["status"] == "completed"


def test_a_commit_in_mid_speech_ends_the_turn_without_its_end_being_heard() -> None:
    driver = Driver()
    [started] = driver.append(quiet(20) + loud(20))
    events = driver.send("input_audio_buffer.commit")
    assert types(events) == COMMITTED
    assert events[0]["item_id"] == started["item_id"]
    driver.append(quiet(60))
    assert not driver.events("input_audio_buffer.speech_stopped")
    assert not driver.events("response.created")


def test_without_create_response_the_client_asks() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver, {"type": "server_vad", "create_response": False})
    events = driver.append(quiet(20) + loud(20) + quiet(20))
    assert types(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        *COMMITTED,
    ]
    driver.pass_time(5)
    assert not driver.events("response.created")
    assert types(driver.send("response.create")) == ["response.created"]


def test_without_create_response_speech_still_interrupts() -> None:
    driver = Driver(voice_seconds=20)
    detect(driver, {"type": "server_vad", "create_response": False})
    driver.typed("hello")
    driver.append(loud(20))
    details = driver.events("response.done")[0]["response"]["status_details"]
    assert details == {"type": "cancelled", "reason": "turn_detected"}


def test_without_interrupt_response_a_turn_after_the_answer_is_answered() -> None:
    driver = Driver(voice_seconds=1.0)
    detect(driver, {"type": "server_vad", "interrupt_response": False})
    driver.typed("hello")
    driver.append(loud(40) + quiet(20))
    driver.pass_time(5)
    assert not driver.events("error")
    statuses = [e["response"]["status"] for e in driver.events("response.done")]
    assert statuses == ["completed", "completed"]


def test_without_interrupt_response_a_turn_in_the_midst_of_an_answer_is_not() -> None:
    driver = Driver(voice_seconds=30)
    detect(driver, {"type": "semantic_vad", "interrupt_response": False})
    driver.typed("hello")
    events = driver.append(loud(10) + quiet(30))
    [response] = driver.events("response.created")
    turn = [
        event for event in events if not event["type"].startswith(("response.", "conversation."))
    ]
    assert types(turn)[-3:] == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "error",
    ]
    error = turn[-1]["error"]
    assert (error["code"], error["event_id"], error["param"]) == (
        "conversation_already_has_active_response",
        None,
        None,
    )
    assert response["response"]["id"] in error["message"]


def test_session_close_closes() -> None:
    driver = Driver()
    assert driver.send("session.close") == []
    assert driver.engine.closing is not None
    assert driver.engine.closing.code == 1000
    assert driver.engine.next_deadline() is None
    assert driver.send("response.create") == []
