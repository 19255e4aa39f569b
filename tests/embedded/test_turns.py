"""The order and the time of a turn's events, against what was captured of the real service."""

import itertools

import pytest

from tests.embedded.driving import Driver, Event, error_of, loud, quiet, types

SPOKEN_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.deltas",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]
WRITTEN_TURN = [
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.deltas",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]
CLOSED_AUDIO = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def speak(driver: Driver, blocks: int = 50) -> list[Event]:
    """One turn of the person's: half a second of silence, speech, half a second of silence."""
    return driver.append(quiet(16) + loud(blocks) + quiet(16))


def test_first_comes_the_whole_session() -> None:
    driver = Driver(model="gpt-realtime")
    [(_, created)] = driver.log
    assert created["type"] == "session.created"
    session = created["session"]
    assert session.pop("id").startswith("sess_")
    assert session.pop("instructions")
    pcm = {"type": "audio/pcm", "rate": 24000}
    detection = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    assert session == {
        "type": "realtime",
        "object": "realtime.session",
        "model": "gpt-realtime",
        "expires_at": 1_800_003_600,
        "output_modalities": ["audio"],
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": pcm,
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": detection,
            },
            "output": {"format": pcm, "voice": "alloy", "speed": 1.0},
        },
    }


def test_newer_models_begin_with_their_own_voice_and_silence() -> None:
    audio = Driver(model="gpt-realtime-2.1").log[0][1]["session"]["audio"]
    assert audio["output"]["voice"] == "marin"
    assert audio["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert audio["input"]["turn_detection"]["threshold"] == 0.5


def test_a_spoken_turn_has_its_events_in_order() -> None:
    driver = Driver()
    events = speak(driver) + driver.pass_time(5)
    assert types(events) == SPOKEN_TURN


def test_a_spoken_turn_is_told_in_positions_of_the_audio() -> None:
    driver = Driver()
    started, stopped, committed, added, done, *_ = speak(driver)
    assert started["audio_start_ms"] == 16 * 32 - 300
    assert stopped["audio_end_ms"] == (16 + 50) * 32 + 200
    assert committed["item_id"] == started["item_id"] == stopped["item_id"] == added["item"]["id"]
    assert committed["previous_item_id"] is None
    content = [{"type": "input_audio", "transcript": None}]
    assert done["item"] == added["item"]
    assert {**added["item"], "id": ""} == {
        "type": "message",
        "role": "user",
        "id": "",
        "status": "completed",
        "content": content,
    }


def test_the_second_turn_follows_the_first_answer() -> None:
    driver = Driver()
    first = speak(driver) + driver.pass_time(5)
    second = speak(driver) + driver.pass_time(5)
    answer = first[6]["item"]["id"]
    assert first[2]["item_id"] != second[2]["item_id"]
    assert second[2]["previous_item_id"] == answer
    # As captured: right in `added`, but null in the `done` of a session's first answer.
    done = [e for e in first + second if e["type"] == "conversation.item.done"]
    assert [e["previous_item_id"] for e in done] == [
        None,
        None,
        answer,
        second[2]["item_id"],
    ]
    added = [e for e in first + second if e["type"] == "conversation.item.added"]
    assert [e["previous_item_id"] for e in added] == [
        None,
        first[2]["item_id"],
        answer,
        second[2]["item_id"],
    ]


def test_speech_is_noticed_soon_and_its_end_at_once() -> None:
    driver = Driver()
    driver.append(quiet(16) + loud(50) + quiet(16))
    began = driver.time_of("input_audio_buffer.speech_started") - 100.0
    ended = driver.time_of("input_audio_buffer.speech_stopped") - 100.0
    start_ms, end_ms = (
        driver.events("input_audio_buffer.speech_started")[0]["audio_start_ms"],
        driver.events("input_audio_buffer.speech_stopped")[0]["audio_end_ms"],
    )
    assert 0.3 <= began - start_ms / 1000 < 0.45
    assert 0.0 <= ended - end_ms / 1000 < 0.1


def test_an_answer_takes_its_time() -> None:
    driver = Driver(voice_seconds=2.1)
    driver.typed("hello")
    created = driver.time_of("response.created")
    driver.pass_time(5)
    audio = [(t, e) for t, e in driver.log if e["type"] == "response.output_audio.delta"]
    times = [time - created for time, _ in audio]
    assert driver.time_of("response.output_item.added") - created == pytest.approx(0.2)
    assert times == pytest.approx([0.3 + 0.05 * n for n in range(9)])
    # Base64 of 250 ms is 16,000 characters; the last of the nine deltas holds 100 ms.
    assert [len(event["delta"]) for _, event in audio] == [16_000] * 8 + [6_400]
    assert driver.time_of("response.done") - created == pytest.approx(0.75)
    assert driver.time_of("rate_limits.updated") - created == pytest.approx(0.793)


def test_the_words_run_ahead_of_the_audio() -> None:
    driver = Driver(voice_seconds=5)
    driver.typed("hello")
    driver.pass_time(5)
    words, heard = "", 0.0
    [done] = driver.events("response.output_audio_transcript.done")
    for _, event in driver.log:
        if event["type"] == "response.output_audio_transcript.delta":
            words += event["delta"]
            assert event["obfuscation"]
        if event["type"] == "response.output_audio.delta":
            heard += 0.25
            assert len(words) / len(done["transcript"]) >= min(1.0, heard / 5)
            assert "obfuscation" not in event
    assert words == done["transcript"]
    assert (
        words
        == driver.events("response.done")[0]["response"]["output"][0]["content"][0]["transcript"]
    )


def test_a_late_voice_delays_the_audio_only() -> None:
    driver = Driver(voice_seconds=None)
    driver.typed("hello")
    assert types(driver.pass_time(3))[-1] == "response.content_part.added"
    assert driver.engine.awaiting_speech() == {driver.requests[0].response_id}
    driver.engine.speech_ready(driver.requests[0].response_id, bytes(24_000), driver.now)
    assert types(driver.pass_time(1)) == ["response.deltas", *CLOSED_AUDIO, "rate_limits.updated"]
    assert driver.engine.awaiting_speech() == frozenset()


def test_a_written_turn_has_its_events_in_order() -> None:
    driver = Driver()
    driver.update(output_modalities=["text"])
    events = driver.typed("hello") + driver.pass_time(5)
    assert types(events) == WRITTEN_TURN
    assert not driver.requests
    text = driver.events("response.output_text.done")[0]["text"]
    assert "".join(e["delta"] for e in driver.events("response.output_text.delta")) == text
    assert "hello" in text


def test_usage_counts_tokens_as_the_service_does() -> None:
    driver = Driver(voice_seconds=2.0)
    speak(driver, blocks=50)
    driver.pass_time(5)
    usage = driver.events("response.done")[0]["response"]["usage"]
    said = driver.events("response.output_audio_transcript.done")[0]["transcript"]
    # The turn: 2.1 s of it in the buffer (300 ms, 1.6 s, 200 ms), at 100 ms a token.
    assert usage["input_token_details"]["audio_tokens"] == 21
    assert usage["output_token_details"] == {
        "text_tokens": -(-len(said) // 4),
        "audio_tokens": 40,
    }
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_token_details"]["cached_tokens_details"] == {
        "text_tokens": 0,
        "audio_tokens": 0,
        "image_tokens": 0,
    }


# -- interruption --------------------------------------------------------------------------------


def interrupted(driver: Driver, after: float) -> list[Event]:
    """The events from the moment at which the person speaks over an answer."""
    driver.typed("hello")
    driver.pass_time(after)
    count = len(driver.log)
    driver.append(loud(5), step_bytes=512)
    return [event for _, event in driver.log[count:]]


def test_speech_cancels_an_answer_under_way() -> None:
    driver = Driver(voice_seconds=60)
    events = interrupted(driver, after=0.5)
    from_start = types(events)[types(events).index("input_audio_buffer.speech_started") :]
    assert from_start[:7] == ["input_audio_buffer.speech_started", *CLOSED_AUDIO]
    response = driver.events("response.done")[0]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    assert driver.events("conversation.item.done")[-1]["item"] == response["output"][0]
    assert response["usage"]["output_token_details"]["audio_tokens"] > 0
    count = len(driver.events("response.output_audio.delta"))
    driver.append(loud(20) + quiet(5))
    assert len(driver.events("response.output_audio.delta")) == count


def test_speech_cancels_an_answer_before_its_item() -> None:
    driver = Driver(voice_seconds=None)
    events = interrupted(driver, after=0.01)
    assert types(events) == [
        "input_audio_buffer.speech_started",
        "response.done",
        "rate_limits.updated",
    ]
    response = driver.events("response.done")[0]["response"]
    assert response["output"] == []
    assert response["usage"]["total_tokens"] == 0
    assert driver.engine.awaiting_speech() == frozenset()


def test_speech_after_the_answer_was_generated_cancels_nothing() -> None:
    driver = Driver(voice_seconds=2)
    driver.typed("hello")
    driver.pass_time(5)
    assert types(driver.append(loud(5))) == ["input_audio_buffer.speech_started"]
    assert driver.events("response.done")[0]["response"]["status"] == "completed"


def test_without_interrupt_response_the_answer_runs_on() -> None:
    driver = Driver(voice_seconds=20)
    detection = {"type": "server_vad", "interrupt_response": False}
    driver.update(audio={"input": {"turn_detection": detection}})
    driver.typed("hello")
    active = driver.events("response.created")[0]["response"]["id"]
    driver.append(loud(10) + quiet(10))
    [error] = driver.events("error")
    assert error["error"]["code"] == "conversation_already_has_active_response"
    assert active in error["error"]["message"]
    assert error["error"]["event_id"] is None
    driver.pass_time(10)
    assert [e["response"]["status"] for e in driver.events("response.done")] == ["completed"]


def test_without_create_response_a_turn_is_only_committed() -> None:
    driver = Driver()
    detection = {"type": "server_vad", "create_response": False}
    driver.update(audio={"input": {"turn_detection": detection}})
    events = speak(driver) + driver.pass_time(2)
    assert types(events) == SPOKEN_TURN[:5]


def test_cancel_ends_an_answer() -> None:
    driver = Driver(voice_seconds=20)
    driver.typed("hello")
    driver.pass_time(0.5)
    assert types(driver.send("response.cancel")) == CLOSED_AUDIO
    response = driver.events("response.done")[0]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert types(driver.pass_time(5)) == ["rate_limits.updated"]
    error = error_of(driver.send("response.cancel", event_id="mine"))
    assert error["code"] == "response_cancel_not_active"
    assert error["message"] == "Cancellation failed: no active response found"
    assert error["event_id"] == "mine"


def test_cancel_takes_the_response_that_it_names() -> None:
    driver = Driver(voice_seconds=20)
    driver.typed("hello")
    response_id = driver.events("response.created")[0]["response"]["id"]
    wrong = driver.send("response.cancel", response_id="resp_other")
    assert error_of(wrong)["code"] == "response_cancel_not_active"
    assert types(driver.send("response.cancel", response_id=response_id)) == ["response.done"]


def test_a_second_answer_has_to_wait() -> None:
    driver = Driver(voice_seconds=20)
    driver.typed("hello")
    response_id = driver.events("response.created")[0]["response"]["id"]
    error = error_of(driver.send("response.create", event_id="again"))
    assert error == {
        "type": "invalid_request_error",
        "code": "conversation_already_has_active_response",
        "message": (
            f"Conversation already has an active response in progress: {response_id}. "
            "Wait until the response is finished before creating a new one."
        ),
        "param": None,
        "event_id": "again",
    }
    driver.send("response.cancel")
    assert types(driver.send("response.create")) == ["response.created"]


# -- other ways to end and to begin --------------------------------------------------------------


def test_a_voice_that_fails_fails_the_response() -> None:
    driver = Driver(voice_seconds=None)
    driver.typed("hello")
    driver.pass_time(1)
    driver.engine.speech_failed(driver.requests[0].response_id, "hoarse", driver.now)
    assert types(driver.pass_time(1)) == [*CLOSED_AUDIO, "rate_limits.updated"]
    details = driver.events("response.done")[0]["response"]["status_details"]
    assert details["type"] == "failed"
    assert details["error"]["type"] == "server_error"
    assert "hoarse" in details["error"]["message"]
    assert types(driver.send("response.create")) == ["response.created"]


def test_an_answer_ends_at_its_limit_of_tokens() -> None:
    driver = Driver(voice_seconds=20)
    driver.update(max_output_tokens=100)
    driver.typed("hello")
    driver.pass_time(5)
    response = driver.events("response.done")[0]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert 90 < response["usage"]["output_tokens"] <= 100


def test_a_written_answer_ends_at_its_limit_of_tokens() -> None:
    driver = Driver()
    driver.update(output_modalities=["text"], max_output_tokens=10)
    driver.typed("hello")
    driver.pass_time(5)
    response = driver.events("response.done")[0]["response"]
    assert response["status"] == "incomplete"
    assert 5 < response["usage"]["output_tokens"] <= 10


def test_a_response_beside_the_conversation() -> None:
    driver = Driver(voice_seconds=20)
    driver.typed("hello")
    count = len(driver.log)
    driver.send("response.create", response={"conversation": "none", "metadata": {"topic": "x"}})
    driver.pass_time(10)
    beside = driver.events("response.created")[1]["response"]
    assert beside["conversation_id"] is None
    assert beside["metadata"] == {"topic": "x"}
    done = driver.events("response.done")
    assert [e["response"]["metadata"] for e in done] == [None, {"topic": "x"}]
    added = [e for _, e in driver.log[count:] if e["type"] == "conversation.item.added"]
    assert len(added) == 1


def test_responses_beside_the_conversation_are_bounded() -> None:
    driver = Driver(voice_seconds=20)
    for _ in range(4):
        driver.send("response.create", response={"conversation": "none"})
    error = error_of(driver.send("response.create", response={"conversation": "none"}))
    assert error["code"] == "rate_limit_exceeded"


def test_a_late_clock_brings_no_burst() -> None:
    driver = Driver(voice_seconds=20)
    driver.typed("hello")
    driver.pass_time(0.5)
    late = [event["type"] for event in driver.oversleep(10)]
    assert late.count("response.output_audio.delta") == 1


def test_after_a_pause_the_audio_keeps_its_pace() -> None:
    driver = Driver(voice_seconds=20)
    driver.typed("hello")
    driver.pass_time(0.5)
    driver.oversleep(10)
    times = []
    for _ in range(5):
        due = driver.engine.next_deadline()
        assert due is not None
        driver.oversleep(due - driver.now)
        times.append(driver.now)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.05] * 4)


def test_an_early_voice_waits_for_its_time() -> None:
    driver = Driver(voice_seconds=None)
    driver.typed("hello")
    driver.pass_time(0.21)
    driver.engine.speech_ready(driver.requests[0].response_id, bytes(24_000), driver.now)
    driver.pass_time(0.08)
    assert not driver.events("response.output_audio.delta")
    driver.pass_time(0.02)
    assert len(driver.events("response.output_audio.delta")) == 1


def test_the_session_expires_after_an_hour() -> None:
    driver = Driver()
    assert driver.pass_time(3599) == []
    error = error_of(driver.pass_time(1))
    assert error["code"] == "session_expired"
    assert error["message"] == "Your session hit the maximum duration of 60 minutes."
    closing = driver.engine.closing
    assert closing is not None
    assert (closing.code, closing.reason) == (1001, error["message"])
    assert driver.engine.next_deadline() is None
    assert driver.send("response.create") == []


def test_every_event_is_one_of_the_services_own() -> None:
    from openai.types.realtime import RealtimeServerEvent
    from pydantic import TypeAdapter

    driver = Driver(voice_seconds=3)
    driver.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    speak(driver)
    driver.pass_time(0.5)
    interrupted(driver, after=0.0)
    driver.send("response.cancel")
    driver.send("response.create", response={"output_modalities": ["text"]})
    driver.pass_time(5)
    adapter: TypeAdapter[RealtimeServerEvent] = TypeAdapter(RealtimeServerEvent)
    for _, event in driver.log:
        assert adapter.validate_python(event).type == event["type"]
    assert len({event["type"] for _, event in driver.log}) > 20


# -- the session's own rules for turns -----------------------------------------------------------


@pytest.mark.parametrize(
    ("detection", "padding_ms", "silence_ms"),
    [
        ({"type": "server_vad", "silence_duration_ms": 640}, 300, 640),
        ({"type": "server_vad", "prefix_padding_ms": 64}, 64, 200),
        ({"type": "semantic_vad"}, 300, 500),
        ({"type": "semantic_vad", "eagerness": "low"}, 300, 1_000),
        ({"type": "semantic_vad", "eagerness": "medium"}, 300, 500),
        ({"type": "semantic_vad", "eagerness": "high"}, 300, 250),
        ({"type": "semantic_vad", "eagerness": None}, 300, 500),
    ],
)
def test_the_session_says_where_a_turn_begins_and_ends(
    detection: Event, padding_ms: int, silence_ms: int
) -> None:
    driver = Driver()
    driver.update(audio={"input": {"turn_detection": detection}})
    started, stopped, *_ = driver.append(quiet(16) + loud(10) + quiet(40))
    assert started["audio_start_ms"] == 16 * 32 - padding_ms
    assert stopped["audio_end_ms"] == 26 * 32 + silence_ms


def test_a_threshold_out_of_reach_finds_no_turn() -> None:
    driver = Driver()
    detection = {"type": "server_vad", "threshold": 1}
    driver.update(audio={"input": {"turn_detection": detection}})
    assert speak(driver) == []


def test_a_commit_by_hand_takes_the_turn_that_has_begun() -> None:
    driver = Driver()
    [started] = driver.append(quiet(16) + loud(10))
    committed, added, done = driver.send("input_audio_buffer.commit")
    assert committed["item_id"] == added["item"]["id"] == started["item_id"]
    assert done["type"] == "conversation.item.done"
    # No response, and no end of a speech that is no longer under way.
    assert driver.append(quiet(30)) == []
    assert types(driver.send("response.create")) == ["response.created"]


def test_a_cleared_turn_never_was() -> None:
    driver = Driver()
    [started] = driver.append(quiet(16) + loud(10))
    assert types(driver.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert driver.append(quiet(30)) == []
    again = speak(driver)
    assert again[0]["item_id"] != started["item_id"]
    assert again[2]["previous_item_id"] is None
