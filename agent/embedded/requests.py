"""The form of every event that a client may send.

Named as `openai.types.realtime` names them; what was only in the beta interface is unknown here.
"""

import binascii
from typing import Any, Final

from agent.embedded.checks import (
    Check,
    anything,
    array,
    boolean,
    decimal,
    either,
    fields,
    integer,
    modalities,
    nullable,
    one_of,
    tagged,
    text,
)
from agent.embedded.refusals import Refusal

MAX_EVENT_ID: Final = 512
MAX_ITEM_ID: Final = 32
MAX_OUTPUT_TOKENS: Final = 4096
MAX_METADATA: Final = 16

_VOICES: Final = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)


def pcm16(value: Any, path: str) -> None:
    """Base64 of whole samples."""
    text()(value, path)
    try:
        audio = binascii.a2b_base64(value, strict_mode=True)
    except ValueError:  # binascii.Error, or a character beyond ASCII
        audio = None
    if audio is None or len(audio) % 2:
        message = (
            f"Invalid '{path}'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) "
            "but got an invalid value."
        )
        raise Refusal("invalid_value", message, path)


def _metadata(value: Any, path: str) -> None:
    fields(dict.fromkeys(value, text(512)) if isinstance(value, dict) else {})(value, path)
    if len(value) > MAX_METADATA:
        message = f"Invalid '{path}': too many properties. Expected at most {MAX_METADATA}."
        raise Refusal("object_above_max_properties", message, path)


# -- the session ---------------------------------------------------------------------------------

# The embedded model hears and speaks pcm16 only.
_FORMAT: Final = tagged(
    "type",
    {"audio/pcm": fields({"type": text(), "rate": integer(24_000, 24_000)})},
)
_ANSWERING: Final = {
    "type": text(),
    "create_response": nullable(boolean),
    "interrupt_response": nullable(boolean),
}
_SERVER_VAD: Final = fields(
    _ANSWERING
    | {
        "threshold": nullable(decimal(0, 1)),
        "prefix_padding_ms": nullable(integer(0)),
        "silence_duration_ms": nullable(integer(0)),
        "idle_timeout_ms": nullable(integer(5_000, 30_000)),
    }
)
_SEMANTIC_VAD: Final = fields(
    _ANSWERING | {"eagerness": nullable(one_of("low", "medium", "high", "auto"))}
)
TURN_DETECTION: Final = tagged("type", {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD})
_TRANSCRIPTION: Final = fields(
    {
        "model": nullable(text()),
        "language": nullable(text()),
        "prompt": nullable(text()),
        "delay": nullable(text()),
        "keywords": nullable(array(text())),
        "languages": nullable(array(text())),
    }
)
_CUSTOM_VOICE: Final = fields({"id": text()}, required=("id",))
VOICE: Final = either(dict, _CUSTOM_VOICE, one_of(*_VOICES))
_TOOL: Final = tagged("type", {"function": anything, "mcp": anything})
_TOOL_CHOICE: Final = either(dict, anything, one_of("none", "auto", "required"))
_OUTPUT_LIMIT: Final = either(str, one_of("inf"), integer(1, MAX_OUTPUT_TOKENS))

SESSION: Final = fields(
    {
        "type": one_of("realtime"),
        "model": nullable(text()),
        "output_modalities": nullable(modalities),
        "instructions": nullable(text()),
        "tools": nullable(array(_TOOL)),
        "tool_choice": nullable(_TOOL_CHOICE),
        "max_output_tokens": nullable(_OUTPUT_LIMIT),
        "include": nullable(array(one_of("item.input_audio_transcription.logprobs"))),
        "prompt": nullable(fields({"id": text(), "version": anything, "variables": anything})),
        "tracing": nullable(either(str, one_of("auto"), anything)),
        "truncation": nullable(either(str, one_of("auto", "disabled"), anything)),
        "reasoning": nullable(
            fields({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})
        ),
        "parallel_tool_calls": nullable(boolean),
        "audio": fields(
            {
                "input": fields(
                    {
                        "format": nullable(_FORMAT),
                        "noise_reduction": nullable(
                            fields({"type": one_of("near_field", "far_field")})
                        ),
                        "transcription": nullable(_TRANSCRIPTION),
                        # Checked when it has been merged with what there is.
                        "turn_detection": anything,
                    }
                ),
                "output": fields(
                    {
                        "format": nullable(_FORMAT),
                        "speed": nullable(decimal(0.25, 1.5)),
                        "voice": nullable(VOICE),
                    }
                ),
            }
        ),
    },
    required=("type",),
)

# -- items ---------------------------------------------------------------------------------------

_ITEM: Final[dict[str, Check]] = {
    "type": text(),
    "id": nullable(text(MAX_ITEM_ID)),
    "object": nullable(text()),
    "status": nullable(one_of("completed", "incomplete", "in_progress")),
}


def _content(kinds: dict[str, Check]) -> Check:
    return array(tagged("type", kinds))


def _message(kinds: dict[str, Check]) -> Check:
    known = _ITEM | {"role": text(), "content": _content(kinds), "phase": nullable(text())}
    return fields(known, required=("content",))


_TYPED: Final = fields({"type": text(), "text": text()}, required=("text",))
_AUDIO: Final = fields(
    {"type": text(), "audio": pcm16, "transcript": nullable(text())}, required=("audio",)
)
_IMAGE: Final = fields(
    {"type": text(), "image_url": text(), "detail": nullable(text())}, required=("image_url",)
)
# The service knows output_audio here, and asks for its text all the same.
_SAID: Final = fields(
    {"type": text(), "text": text(), "transcript": nullable(text()), "audio": nullable(text())},
    required=("text",),
)
ITEM: Final = tagged(
    "type",
    {
        "message": tagged(
            "role",
            {
                "user": _message(
                    {"input_text": _TYPED, "input_audio": _AUDIO, "input_image": _IMAGE}
                ),
                "assistant": _message({"output_text": _SAID, "output_audio": _SAID}),
                "system": _message({"input_text": _TYPED}),
            },
        ),
        "function_call": fields(
            _ITEM | {"call_id": nullable(text()), "name": text(), "arguments": text()},
            required=("name", "arguments"),
        ),
        "function_call_output": fields(
            _ITEM | {"call_id": text(), "output": text()}, required=("call_id", "output")
        ),
    },
)
_REFERENCE: Final = fields({"type": text(), "id": text()}, required=("id",))


def _input_item(value: Any, path: str) -> None:
    is_reference = isinstance(value, dict) and value.get("type") == "item_reference"
    (_REFERENCE if is_reference else ITEM)(value, path)


# -- events --------------------------------------------------------------------------------------

_RESPONSE: Final = fields(
    {
        "instructions": nullable(text()),
        "output_modalities": nullable(modalities),
        "max_output_tokens": nullable(_OUTPUT_LIMIT),
        "conversation": nullable(one_of("auto", "none")),
        "input": nullable(array(_input_item)),
        "metadata": nullable(_metadata),
        "audio": nullable(
            fields({"output": fields({"format": nullable(_FORMAT), "voice": nullable(VOICE)})})
        ),
        "tools": nullable(array(_TOOL)),
        "tool_choice": nullable(_TOOL_CHOICE),
        "prompt": nullable(anything),
        "reasoning": nullable(anything),
        "parallel_tool_calls": nullable(boolean),
    }
)


def _event(known: dict[str, Check] | None = None, required: tuple[str, ...] = ()) -> Check:
    common = {"type": text(), "event_id": nullable(text(MAX_EVENT_ID))}
    return fields(common | (known or {}), required)


EVENTS: Final[dict[str, Check]] = {
    "session.update": _event({"session": SESSION}, ("session",)),
    "input_audio_buffer.append": _event({"audio": pcm16}, ("audio",)),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event(
        {"item": ITEM, "previous_item_id": nullable(text())}, ("item",)
    ),
    "conversation.item.truncate": _event(
        {"item_id": text(), "content_index": integer(0), "audio_end_ms": integer(0)},
        ("item_id", "content_index", "audio_end_ms"),
    ),
    "conversation.item.delete": _event({"item_id": text()}, ("item_id",)),
    "response.create": _event({"response": nullable(_RESPONSE)}),
    "response.cancel": _event({"response_id": nullable(text())}),
}
"""Each event's form, by its type; the types are what the service calls the supported values."""

CLIENT_EVENT: Final = tagged("type", EVENTS)
