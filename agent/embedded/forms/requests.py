"""The form of every event that a client may send.

Named as `openai.types.realtime` names them; what was only in the beta interface is unknown here.
"""

import binascii
from typing import Any, Final

from agent.embedded.formats import invalid_audio
from agent.embedded.forms.checks import (
    Check,
    anything,
    array,
    boolean,
    fields,
    integer,
    mapping,
    modalities,
    nullable,
    one_of,
    tagged,
    text,
)
from agent.embedded.forms.prompt import PROMPT
from agent.embedded.forms.refusals import Refusal
from agent.embedded.forms.session_form import (
    FORMAT,
    OUTPUT_LIMIT,
    REASONING,
    TOOL_CHOICE,
    TOOLS,
    VOICE,
)

MAX_EVENT_ID: Final = 512
MAX_ITEM_ID: Final = 32
MAX_AUDIO_TEXT: Final = 15 * 1024 * 1024
"""Characters of base64 in one event."""
MAX_METADATA: Final = 16


def audio(value: Any, path: str) -> None:
    """Base64. How many bytes a sample has depends on the session."""
    text(MAX_AUDIO_TEXT)(value, path)
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:  # binascii.Error, or a character beyond ASCII
        raise invalid_audio(path) from error


def _metadata(value: Any, path: str) -> None:
    mapping(text(512))(value, path)
    if len(value) > MAX_METADATA:
        message = f"Invalid '{path}': too many properties. Expected at most {MAX_METADATA}."
        raise Refusal("object_above_max_properties", message, path)


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
    {"type": text(), "audio": audio, "transcript": nullable(text())}, required=("audio",)
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
        "mcp_approval_response": fields(
            _ITEM | {"approval_request_id": text(), "approve": boolean, "reason": nullable(text())},
            required=("approval_request_id", "approve"),
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
        "max_output_tokens": nullable(OUTPUT_LIMIT),
        "conversation": nullable(one_of("auto", "none")),
        "input": nullable(array(_input_item)),
        "metadata": nullable(_metadata),
        "audio": nullable(
            fields({"output": fields({"format": nullable(FORMAT), "voice": nullable(VOICE)})})
        ),
        "tools": nullable(TOOLS),
        "tool_choice": nullable(TOOL_CHOICE),
        "prompt": nullable(PROMPT),
        "reasoning": nullable(REASONING),
        "parallel_tool_calls": nullable(boolean),
    }
)


def _event(known: dict[str, Check] | None = None, required: tuple[str, ...] = ()) -> Check:
    common = {"type": text(), "event_id": nullable(text(MAX_EVENT_ID))}
    return fields(common | (known or {}), required)


EVENTS: Final[dict[str, Check]] = {
    # What a session may be depends on its kind: see updates.py.
    "session.update": _event({"session": anything}, ("session",)),
    "input_audio_buffer.append": _event({"audio": audio}, ("audio",)),
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
    "conversation.item.retrieve": _event({"item_id": text()}, ("item_id",)),
    "response.create": _event({"response": nullable(_RESPONSE)}),
    "response.cancel": _event({"response_id": nullable(text())}),
    "session.close": _event(),
}
"""Each event's form, by its type; the types are what the service calls the supported values. Its
own list, as captured, has twelve: these, with `session.close`, which is in no document, and without
`output_audio_buffer.clear`, and one more whose name is not known."""

CLIENT_EVENT: Final = tagged("type", EVENTS)
