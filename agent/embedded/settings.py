"""The session object: its defaults, how an update changes it, what it says about turns.

It is kept as the JSON that clients see, because an update is a partial one of just that.
"""

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from agent.audio import SAMPLE_RATE
from agent.embedded.refusals import Refusal, missing_parameter, unknown_parameter
from agent.embedded.requests import SESSION, TURN_DETECTION

Json = dict[str, Any]

_PCM: Final = {"type": "audio/pcm", "rate": SAMPLE_RATE}
_REASONING_MODELS: Final = ("gpt-realtime-2", "embedded")
_PATIENT_MODELS: Final = "gpt-realtime-2"
"""Models whose sessions begin with another voice and a longer silence, as captured."""
_SERVER_VAD: Final = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: Final = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_SILENCE_MS: Final = 500
"""How long the embedded model waits under semantic_vad, whose sense for meaning it lacks."""
_DEFAULTS: Final[Json] = {
    "output_modalities": ["audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "include": None,
}
_AUDIO_DEFAULTS: Final[Json] = {
    "input": {
        "format": _PCM,
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": _SERVER_VAD,
    },
    "output": {"format": _PCM, "voice": "alloy", "speed": 1.0},
}
INSTRUCTIONS: Final = (
    "You are the embedded demo model. Say what you are, and for how long you heard the user."
)
_NOT_ECHOED: Final = ("type", "model", "audio", "reasoning", "parallel_tool_calls")


@frozen
class TurnRules:
    """How turns are found, as the session says; times in milliseconds."""

    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    create_response: bool
    interrupt_response: bool


def new_session(session_id: str, model: str, expires_at: int) -> Json:
    """The session before any update; `expires_at` in seconds of Unix time."""
    audio = _AUDIO_DEFAULTS
    if model.startswith(_PATIENT_MODELS):
        detection = _SERVER_VAD | {"silence_duration_ms": 500}
        audio = {
            "input": audio["input"] | {"turn_detection": detection},
            "output": audio["output"] | {"voice": "marin"},
        }
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        **_DEFAULTS,
        "instructions": INSTRUCTIONS,
        "audio": audio,
    }


def updated(session: Json, update: Any, *, has_spoken: bool) -> Json:
    """The session after an update, which is taken as a whole or not at all.

    :param has_spoken: there is assistant audio, so that the voice stays.
    :raises Refusal: something in it is unknown, bad, or not to be changed.
    """
    SESSION(update, "session")
    _check_fixed(session, update)
    plain = {name: value for name, value in update.items() if name not in _NOT_ECHOED}
    changed = session | {
        name: _DEFAULTS[name] if value is None else value for name, value in plain.items()
    }
    audio = update.get("audio", {})
    changed["audio"] = {
        "input": _updated_input(session["audio"]["input"], audio.get("input", {})),
        "output": _updated_output(session["audio"]["output"], audio.get("output", {})),
    }
    voices = session["audio"]["output"]["voice"], changed["audio"]["output"]["voice"]
    if has_spoken and voices[0] != voices[1]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise Refusal("cannot_update_voice", message)
    return changed


def turn_rules(session: Json) -> TurnRules | None:
    """How turns are found; None where the client commits by itself."""
    detection = session["audio"]["input"]["turn_detection"]
    if detection is None:
        return None
    return TurnRules(
        threshold=detection.get("threshold", _SERVER_VAD["threshold"]),
        prefix_padding_ms=detection.get("prefix_padding_ms", _SERVER_VAD["prefix_padding_ms"]),
        silence_duration_ms=detection.get("silence_duration_ms", _SEMANTIC_SILENCE_MS),
        create_response=detection["create_response"],
        interrupt_response=detection["interrupt_response"],
    )


def _check_fixed(session: Json, update: Json) -> None:
    model = update.get("model")
    if model not in (None, session["model"]):
        message = f"Invalid value: '{model}'. The model of a session cannot be changed."
        raise Refusal("invalid_value", message, "session.model")
    if not session["model"].startswith(_REASONING_MODELS):
        for name in ("reasoning", "parallel_tool_calls"):
            if name in update:
                raise unknown_parameter(f"session.{name}")


def _updated_input(current: Json, update: Json) -> Json:
    changed = dict(current)
    for name, value in update.items():
        if name == "turn_detection":
            changed[name] = _updated_detection(current[name], value)
        elif name == "transcription" and value is not None:
            nothing = {"model": None, "language": None, "prompt": None}
            changed[name] = nothing | (current[name] or {}) | value
        else:
            changed[name] = _AUDIO_DEFAULTS["input"][name] if value is None else value
    return changed


def _updated_output(current: Json, update: Json) -> Json:
    return current | {
        name: _AUDIO_DEFAULTS["output"][name] if value is None else value
        for name, value in update.items()
    }


def _updated_detection(current: Json | None, update: Any) -> Json | None:
    path = "session.audio.input.turn_detection"
    if update is None:
        return None
    if isinstance(update, dict) and "type" not in update:
        if current is None:
            raise missing_parameter(f"{path}.type")
        update = {"type": current["type"], **update}
    TURN_DETECTION(update, path)
    defaults: Mapping[str, Any] = _SERVER_VAD if update["type"] == "server_vad" else _SEMANTIC_VAD
    # Settings of one kind of detection mean nothing to the other.
    kept = current if current is not None and current["type"] == update["type"] else {}
    cleared = {name: defaults[name] for name, value in update.items() if value is None}
    return {**defaults, **kept, **update, **cleared}
