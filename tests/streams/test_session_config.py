"""Every option as the session that is asked for, held against the official types."""

import logging
from typing import Any

import orjson
import pytest
from openai.types.realtime import SessionUpdateEvent as OfficialUpdate
from pydantic import TypeAdapter

from agent.options import AgentOptions, options_from_json
from agent.protocol import encode
from agent.protocol.beta import encode_client_event
from agent.protocol.client_events import SessionUpdateEvent
from agent.streams.session_config import session_of

PCM = {"type": "audio/pcm", "rate": 24000}
DEFAULT_DETECTION = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}


def asked(**options: Any) -> dict[str, Any]:
    """The session of these options as it is sent in GA, after the official type has taken it."""
    given = options_from_json({"channel_name": "a", **options})
    update = orjson.loads(encode(SessionUpdateEvent(session=session_of(given))))
    official = TypeAdapter(OfficialUpdate).validate_python(update)
    assert official.to_dict(exclude_unset=True) == update
    session = update["session"]
    assert isinstance(session, dict)
    return session


def test_what_is_unset_is_not_sent() -> None:
    session = asked()
    assert "warm" in session.pop("instructions")
    assert session == {
        "type": "realtime",
        "audio": {
            "input": {
                "format": PCM,
                "transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
                "turn_detection": DEFAULT_DETECTION,
            },
            "output": {"format": PCM, "voice": "alloy"},
        },
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("output_modalities", ["audio"]),
        ("output_modalities", ["text"]),
        ("max_output_tokens", 100),
        ("max_output_tokens", "inf"),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "name": "f"}),
        ("tool_choice", {"type": "mcp", "server_label": "s"}),
        ("prompt", {"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}}),
        ("tracing", "auto"),
        ("tracing", {"workflow_name": "w", "group_id": "g", "metadata": {"a": [1]}}),
        ("truncation", "disabled"),
        ("truncation", {"type": "retention_ratio", "retention_ratio": 0.8}),
        (
            "truncation",
            {
                "type": "retention_ratio",
                "retention_ratio": 0.5,
                "token_limits": {"post_instructions": 1000},
            },
        ),
        ("include", ["item.input_audio_transcription.logprobs"]),
    ],
)
def test_options_that_have_the_same_name_in_the_session(option: str, value: Any) -> None:
    assert asked(**{option: value})[option] == value


def test_options_that_have_another_name() -> None:
    assert asked(system_instruction="be kind")["instructions"] == "be kind"
    assert "'de'" in asked(language="de")["instructions"]
    assert asked(reasoning_effort="xhigh")["reasoning"] == {"effort": "xhigh"}


@pytest.mark.parametrize(
    "detection",
    [
        DEFAULT_DETECTION | {"create_response": False, "interrupt_response": False},
        {"type": "server_vad", "idle_timeout_ms": 6000},
        {"type": "semantic_vad", "eagerness": "high"},
        None,
    ],
)
def test_turn_detection(detection: dict[str, Any] | None) -> None:
    assert asked(turn_detection=detection)["audio"]["input"]["turn_detection"] == detection


def test_the_persons_audio() -> None:
    heard = asked(
        noise_reduction="far_field", transcription_model="gpt-4o-transcribe", language="de"
    )["audio"]["input"]
    assert heard["noise_reduction"] == {"type": "far_field"}
    assert heard["transcription"] == {"model": "gpt-4o-transcribe", "language": "de"}
    assert asked(transcription_model=None)["audio"]["input"]["transcription"] is None


def test_the_models_voice() -> None:
    spoken = asked(voice="marin", speed=1.25)["audio"]["output"]
    assert spoken == {"format": PCM, "voice": "marin", "speed": 1.25}
    assert asked(voice="voice_123")["audio"]["output"]["voice"] == {"id": "voice_123"}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("audio/pcm", PCM),
        ("audio/pcmu", {"type": "audio/pcmu"}),
        ("audio/pcma", {"type": "audio/pcma"}),
    ],
)
def test_the_format_is_that_of_both_directions(name: str, form: dict[str, Any]) -> None:
    audio = asked(audio_format=name)["audio"]
    assert audio["input"]["format"] == audio["output"]["format"] == form


def test_what_is_newer_goes_to_the_server() -> None:
    """The official types of today know none of it, the server of tomorrow may."""
    newer = {
        "reasoning_effort": "galactic",
        "noise_reduction": "mid_field",
        "tool_choice": {"type": "oracle", "depth": 3},
        "truncation": {"type": "by_importance", "keep": 0.5},
        "tracing": {"colour": "blue"},
        "include": ["everything"],
        "turn_detection": {"type": "semantic_vad", "eagerness": "keen", "range_m": 3},
        "prompt": {"id": "p", "mood": "sunny"},
    }
    session = session_of(options_from_json({"channel_name": "a", **newer}))
    sent = orjson.loads(encode(SessionUpdateEvent(session=session)))["session"]
    assert sent["reasoning"] == {"effort": "galactic"}
    assert sent["audio"]["input"]["noise_reduction"] == {"type": "mid_field"}
    assert sent["audio"]["input"]["turn_detection"] == newer["turn_detection"]
    for name in ("tool_choice", "truncation", "tracing", "include", "prompt"):
        assert sent[name] == newer[name]


def test_temperature_is_left_out_of_ga_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert "temperature" not in asked(temperature=0.7)
    [words] = caplog.messages
    assert "temperature" in words
    caplog.clear()
    asked()
    assert not caplog.messages


@pytest.mark.parametrize(("given", "sent"), [(None, 0.8), (0.0, 0.0), (0.7, 0.7)])
def test_temperature_is_sent_in_beta(
    given: float | None, sent: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert in_beta(temperature=given)["temperature"] == sent
    assert not caplog.messages


def in_beta(**options: Any) -> dict[str, Any]:
    given = AgentOptions(channel_name="a", **options)
    update = SessionUpdateEvent(session=session_of(given, dialect="beta"))
    session = orjson.loads(encode_client_event(update))["session"]
    assert isinstance(session, dict)
    return session


def test_beta_has_names_only_for_voices_and_formats() -> None:
    session = in_beta(voice="voice_123", audio_format="audio/pcma")
    assert session["voice"] == "voice_123"
    assert session["input_audio_format"] == session["output_audio_format"] == "g711_alaw"
