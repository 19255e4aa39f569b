"""Transcripts: beside a conversation, and in sessions that have nothing else."""

from typing import Any

import pytest
from openai.types.realtime.realtime_transcription_session_create_response import (
    RealtimeTranscriptionSessionCreateResponse,
)

from tests.embedded.driving import Driver, Event, error_of, loud, quiet, types

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
LOGPROBS = ["item.input_audio_transcription.logprobs"]


def told(turn: int) -> str:
    return f"turn {turn} it is"


def transcriber() -> Driver:
    """A session that only transcribes, as a client without a model gets it."""
    return Driver(model="", transcribe_only=True, understand=told)


def update(driver: Driver, **session: Any) -> list[Event]:
    return driver.send("session.update", session={"type": "transcription", **session})


def test_it_begins_as_a_transcription_session() -> None:
    [(_, created)] = transcriber().log
    session = created["session"]
    RealtimeTranscriptionSessionCreateResponse.model_validate(session, strict=True)
    assert session.pop("id").startswith("sess_")
    assert session == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "expires_at": 1_800_003_600,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            }
        },
    }


def test_it_turns_speech_into_transcripts_and_nothing_else() -> None:
    driver = transcriber()
    update(driver, audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
    events = driver.append(quiet(20) + loud(20) + quiet(20)) + driver.pass_time(60)
    assert [event["type"] for event in events] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        DELTA,
        COMPLETED,
    ]
    assert events[-1]["transcript"] == events[-2]["delta"] == "turn 1 it is"
    assert not driver.requests


def test_its_audio_can_be_committed_by_hand() -> None:
    driver = transcriber()
    update(
        driver,
        audio={"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
    )
    driver.append(loud(20))
    assert types(driver.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    assert types(driver.pass_time(60)) == [COMPLETED]


def test_it_has_no_responses() -> None:
    driver = transcriber()
    error = error_of(driver.send("response.create", event_id="mine"))
    assert (error["type"], error["event_id"]) == ("invalid_request_error", "mine")
    assert error["message"] == "A transcription session has no responses."
    assert error_of(driver.send("response.cancel"))["code"] == "response_cancel_not_active"


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"instructions": "x"}, "unknown_parameter", "session.instructions"),
        ({"audio": {"output": {}}}, "unknown_parameter", "session.audio.output"),
        ({"include": ["x"]}, "invalid_value", "session.include[0]"),
        ({"type": "realtime"}, "invalid_parameter", "session.type"),
        ({"type": None}, "invalid_type", "session.type"),
    ],
    ids=str,
)
def test_it_refuses_what_belongs_to_conversations(session: Event, code: str, param: str) -> None:
    driver = transcriber()
    error = error_of(update(driver, **session))
    assert (error["code"], error["param"]) == (code, param)
    [updated] = update(driver)
    assert updated["session"] == driver.events("session.created")[0]["session"]


def test_its_settings_are_taken_and_cleared() -> None:
    driver = transcriber()
    before = driver.events("session.created")[0]["session"]
    listening = {"format": {"type": "audio/pcmu"}, "noise_reduction": {"type": "near_field"}}
    [updated] = update(driver, include=LOGPROBS, audio={"input": listening})
    assert updated["session"]["include"] == LOGPROBS
    assert updated["session"]["audio"]["input"] == before["audio"]["input"] | listening
    [updated] = update(driver, include=None, audio={"input": dict.fromkeys(listening)})
    assert updated["session"] == before


def test_it_expires_too() -> None:
    driver = Driver(transcribe_only=True, session_seconds=90)
    assert driver.log[0][1]["session"]["expires_at"] == 1_800_000_090
    error = error_of(driver.pass_time(90))
    assert error["message"] == "Your session hit the maximum duration of 90 seconds."


# -- beside a conversation -----------------------------------------------------------------------


def transcribed(driver: Driver, model: str | None, include: list[str] | None) -> list[Event]:
    """The transcription's events of one spoken turn."""
    driver.update(include=include, audio={"input": {"transcription": {"model": model}}})
    events = driver.append(quiet(20) + loud(20) + quiet(20))
    return [event for event in events if event["type"] in (DELTA, COMPLETED)]


@pytest.mark.parametrize("model", [None, "gpt-4o-mini-transcribe"])
def test_logprobs_come_where_they_were_asked_for(model: str | None) -> None:
    driver = Driver(understand=told)
    for event in transcribed(driver, model, LOGPROBS):
        tokens = event["logprobs"]
        assert [token["token"] for token in tokens] == ["turn", " 1", " it", " is"]
        assert bytes(tokens[1]["bytes"]) == b" 1"
        assert all(token["logprob"] == 0.0 for token in tokens)
    assert len(driver.events(COMPLETED)) == 1


@pytest.mark.parametrize(
    ("model", "include"), [("whisper-1", LOGPROBS), ("gpt-4o-transcribe", None), (None, [])]
)
def test_and_nowhere_else(model: str | None, include: list[str] | None) -> None:
    driver = Driver(understand=told)
    events = transcribed(driver, model, include)
    assert events
    assert all("logprobs" not in event for event in events)


def test_whisper_counts_seconds_and_has_no_deltas() -> None:
    driver = Driver(understand=told)
    [completed] = transcribed(driver, "whisper-1", None)
    # 300 ms, 20 blocks of 32 ms, 200 ms.
    assert completed["usage"] == {"type": "duration", "seconds": 1.14}


def test_without_a_transcription_there_is_none() -> None:
    driver = Driver(understand=told)
    driver.append(quiet(20) + loud(20) + quiet(20))
    driver.pass_time(5)
    assert not driver.events(COMPLETED)


def test_silence_has_an_empty_transcript() -> None:
    driver = Driver(voice_seconds=1.0, understand=told)
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    driver.update(
        audio={
            "input": {"turn_detection": detection, "transcription": {"model": "gpt-4o-transcribe"}}
        }
    )
    driver.typed("hello")
    driver.pass_time(8)
    [completed] = driver.events(COMPLETED)
    assert completed["transcript"] == ""
    assert not driver.events(DELTA)
