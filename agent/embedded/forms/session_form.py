"""The form of a session as clients give it: every field of the official types, and no other.

Checks that need to know the session as it is (may this still be changed?) are in updates.py.
"""

from typing import Any, Final

from agent.embedded.formats import PCM, PCMA, PCMU
from agent.embedded.forms.checks import (
    Check,
    anything,
    array,
    boolean,
    decimal,
    either,
    fields,
    integer,
    mapping,
    modalities,
    named,
    nullable,
    one_of,
    tagged,
    text,
)
from agent.embedded.forms.prompt import PROMPT
from agent.embedded.forms.refusals import Refusal

MAX_TOOL_NAME: Final = 64

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

# -- audio ---------------------------------------------------------------------------------------

FORMAT: Final = tagged(
    "type",
    {
        PCM: fields({"type": text(), "rate": nullable(integer(24_000, 24_000))}),
        PCMU: fields({"type": text()}),
        PCMA: fields({"type": text()}),
    },
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
        "delay": nullable(one_of("minimal", "low", "medium", "high", "xhigh")),
        "keywords": nullable(array(text())),
        "languages": nullable(array(text())),
    }
)
_NOISE_REDUCTION: Final = fields(
    {
        "type": nullable(one_of("near_field", "far_field")),
        "strength": nullable(decimal(0, 1)),
    }
)
_AUDIO_INPUT: Final = fields(
    {
        "format": nullable(FORMAT),
        "noise_reduction": nullable(_NOISE_REDUCTION),
        "transcription": nullable(_TRANSCRIPTION),
        # Checked when it has been merged with what there is.
        "turn_detection": anything,
    }
)
_CUSTOM_VOICE: Final = fields({"id": text()}, required=("id",))
VOICE: Final = either(dict, _CUSTOM_VOICE, one_of(*_VOICES))
_AUDIO_OUTPUT: Final = fields(
    {
        "format": nullable(FORMAT),
        "speed": nullable(decimal(0.25, 1.5)),
        "voice": nullable(VOICE),
    }
)

# -- tools ---------------------------------------------------------------------------------------

_NAMES: Final = array(text())
_TOOL_FILTER: Final = fields({"read_only": nullable(boolean), "tool_names": nullable(_NAMES)})
_APPROVAL_FILTER: Final = fields(
    {"always": nullable(_TOOL_FILTER), "never": nullable(_TOOL_FILTER)}
)
_FUNCTION: Final = fields(
    {
        "type": text(),
        "name": named(MAX_TOOL_NAME),
        "description": nullable(text()),
        "parameters": nullable(mapping(anything)),
    },
    required=("name",),
)
_MCP: Final = fields(
    {
        "type": text(),
        "server_label": text(),
        "server_url": nullable(text()),
        "connector_id": nullable(text()),
        "tunnel_id": nullable(text()),
        "server_description": nullable(text()),
        "authorization": nullable(text()),
        "headers": nullable(mapping(text())),
        "allowed_callers": nullable(array(one_of("direct", "programmatic"))),
        "allowed_tools": nullable(either(dict, _TOOL_FILTER, _NAMES)),
        "defer_loading": nullable(boolean),
        "require_approval": nullable(either(dict, _APPROVAL_FILTER, one_of("always", "never"))),
    },
    required=("server_label",),
)


def _mcp(value: Any, path: str) -> None:
    _MCP(value, path)
    if not any(value.get(name) for name in ("server_url", "connector_id", "tunnel_id")):
        message = (
            f"Invalid '{path}': one of 'server_url', 'connector_id' or 'tunnel_id' must be given."
        )
        raise Refusal("invalid_value", message, path)


TOOLS: Final = array(tagged("type", {"function": _FUNCTION, "mcp": _mcp}))
TOOL_CHOICE: Final = either(
    dict,
    tagged(
        "type",
        {
            "function": fields({"type": text(), "name": text()}, required=("name",)),
            "mcp": fields(
                {"type": text(), "server_label": text(), "name": nullable(text())},
                required=("server_label",),
            ),
        },
    ),
    one_of("none", "auto", "required"),
)

# -- the model -----------------------------------------------------------------------------------

# The most of this, and of what comes after the instructions, is the model's: see updates.py.
OUTPUT_LIMIT: Final = either(str, one_of("inf"), integer(1))
REASONING: Final = fields({"effort": nullable(one_of("minimal", "low", "medium", "high", "xhigh"))})
_TRACING: Final = fields(
    {
        "workflow_name": nullable(text()),
        "group_id": nullable(text()),
        "metadata": nullable(mapping(anything)),
    }
)
_TRUNCATION: Final = tagged(
    "type",
    {
        "retention_ratio": fields(
            {
                "type": text(),
                "retention_ratio": decimal(0, 1),
                "token_limits": nullable(fields({"post_instructions": nullable(integer(0))})),
            },
            required=("retention_ratio",),
        )
    },
)
_INCLUDE: Final = array(one_of("item.input_audio_transcription.logprobs"))

SESSION: Final[Check] = fields(
    {
        "type": one_of("realtime"),
        "model": nullable(text()),
        "output_modalities": nullable(modalities),
        "instructions": nullable(text()),
        "tools": nullable(TOOLS),
        "tool_choice": nullable(TOOL_CHOICE),
        "parallel_tool_calls": nullable(boolean),
        "max_output_tokens": nullable(OUTPUT_LIMIT),
        "include": nullable(_INCLUDE),
        "prompt": nullable(PROMPT),
        "reasoning": nullable(REASONING),
        "tracing": nullable(either(str, one_of("auto"), _TRACING)),
        "truncation": nullable(either(str, one_of("auto", "disabled"), _TRUNCATION)),
        "audio": fields({"input": _AUDIO_INPUT, "output": _AUDIO_OUTPUT}),
    },
    required=("type",),
)
"""A session that converses."""

TRANSCRIPTION_SESSION: Final[Check] = fields(
    {
        "type": one_of("transcription"),
        "include": nullable(_INCLUDE),
        "audio": fields({"input": _AUDIO_INPUT}),
    },
    required=("type",),
)
"""A session that only transcribes."""
