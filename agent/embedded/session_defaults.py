"""The session object before any update, as clients see it: captured defaults."""

from typing import Final

from agent.audio import SAMPLE_RATE
from agent.embedded.formats import PCM
from agent.embedded.settings import Json

PCM_FORMAT: Final = {"type": PCM, "rate": SAMPLE_RATE}
SERVER_VAD: Final[Json] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
SEMANTIC_VAD: Final[Json] = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
INSTRUCTIONS: Final = (
    "You are the embedded demo model. Say what you are, and for how long you heard the user."
)
DEFAULTS: Final[Json] = {
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
"""What a field becomes that is cleared with null."""
INPUT_DEFAULTS: Final[Json] = {
    "format": PCM_FORMAT,
    "transcription": None,
    "noise_reduction": None,
    "turn_detection": SERVER_VAD,
}
OUTPUT_DEFAULTS: Final[Json] = {"format": PCM_FORMAT, "voice": "alloy", "speed": 1.0}
_PATIENT_MODELS: Final = "gpt-realtime-2"
"""Models whose sessions begin with another voice and a longer silence, as captured."""


def new_session(session_id: str, model: str, expires_at: int) -> Json:
    """A session that converses; `expires_at` in seconds of Unix time."""
    listening, speaking = INPUT_DEFAULTS, OUTPUT_DEFAULTS
    if model.startswith(_PATIENT_MODELS):
        listening = listening | {"turn_detection": SERVER_VAD | {"silence_duration_ms": 500}}
        speaking = speaking | {"voice": "marin"}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        **DEFAULTS,
        "instructions": INSTRUCTIONS,
        "audio": {"input": listening, "output": speaking},
    }


def new_transcription_session(session_id: str, _model: str, expires_at: int) -> Json:
    """A session that only transcribes, and has no model; `expires_at` in seconds of Unix time."""
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": session_id,
        "expires_at": expires_at,
        "include": DEFAULTS["include"],
        "audio": {"input": INPUT_DEFAULTS},
    }
