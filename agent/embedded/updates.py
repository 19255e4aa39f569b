"""How the client changes the session: an update is taken as a whole or not at all.

The form of an update is in session_form.py; here is what depends on the session as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.embedded.formats import PCM, format_name
from agent.embedded.forms.refusals import (
    Refusal,
    missing_parameter,
    out_of_range,
    unknown_parameter,
)
from agent.embedded.forms.session_form import SESSION, TRANSCRIPTION_SESSION, TURN_DETECTION
from agent.embedded.models import limits_of
from agent.embedded.session_defaults import (
    DEFAULTS,
    INPUT_DEFAULTS,
    OUTPUT_DEFAULTS,
    PCM_FORMAT,
    SEMANTIC_VAD,
    SERVER_VAD,
)
from agent.embedded.settings import Json, is_transcription
from agent.embedded.usage import MAX_PROMPT_TOKENS, prompt_tokens
from agent.errors import ConfigError
from agent.g711 import import_libraries

_REASONING_MODELS: Final = ("gpt-realtime-2", "embedded")
_OF_REASONING: Final = ("reasoning", "parallel_tool_calls")
_NOT_ECHOED: Final = ("type", "model", "audio", *_OF_REASONING)


def updated(session: Json, update: Any, *, has_spoken: bool) -> Json:
    """The session after an update, which is taken as a whole or not at all.

    :param has_spoken: there is assistant audio, so that the voice stays.
    :raises Refusal: something in it is unknown, bad, or not to be changed.
    """
    _check_kind(session, update)
    changed = dict(session)
    if is_transcription(session):
        TRANSCRIPTION_SESSION(update, "session")
    else:
        SESSION(update, "session")
        _check_fixed(session, update)
    for name, value in update.items():
        if name not in _NOT_ECHOED:
            changed[name] = DEFAULTS[name] if value is None else value
    changed["audio"] = _updated_audio(session["audio"], update.get("audio", {}))
    if not is_transcription(session):
        _check_tool_choice(changed["tools"], changed["tool_choice"], "session.tool_choice")
        _check_prompt(changed["instructions"], changed["tools"], "session.instructions")
        _check_voice(session, changed, has_spoken)
        _check_tracing(session, changed)
    return changed


def check_response(session: Json, wanted: Any) -> None:
    """What the session has to say of the parameters of one response, as JSON.

    :raises Refusal: the session only transcribes, the model does not reason, or the tool to be
        called is not there.
    """
    if is_transcription(session):
        # Code and words are made up: what the service says is not known.
        raise Refusal("invalid_value", "A transcription session has no responses.", "type")
    wanted = wanted or {}
    _check_reasoning(session, wanted, "response")
    _check_limits(session, wanted, "response")
    output = (wanted.get("audio") or {}).get("output") or {}
    _check_format(output.get("format"), "response.audio.output.format.type")
    tools = session["tools"] if wanted.get("tools") is None else wanted["tools"]
    instructions = wanted.get("instructions") or session["instructions"]
    _check_prompt(instructions, tools, "response.instructions")
    if wanted.get("tool_choice") is not None:
        _check_tool_choice(tools, wanted["tool_choice"], "response.tool_choice")


def _check_kind(session: Json, update: Any) -> None:
    kinds = ["transcription", "realtime"]
    wanted = update.get("type") if isinstance(update, dict) else None
    if wanted in kinds and wanted != session["type"]:
        # The first of the two sentences was captured, with this code; the second is its mirror.
        message = (
            f"Passing a {wanted} session update event to a {session['type']} session is not "
            "allowed."
        )
        raise Refusal("invalid_parameter", message, "session.type")


def _check_fixed(session: Json, update: Json) -> None:
    model = update.get("model")
    if model not in (None, session["model"]):
        message = f"Invalid value: '{model}'. The model of a session cannot be changed."
        raise Refusal("invalid_value", message, "session.model")
    _check_reasoning(session, update, "session")
    _check_limits(session, update, "session")


def _check_reasoning(session: Json, wanted: Json, path: str) -> None:
    if session["model"].startswith(_REASONING_MODELS):
        return
    for name in _OF_REASONING:
        if name in wanted:
            raise unknown_parameter(f"{path}.{name}")


def _check_limits(session: Json, wanted: Json, path: str) -> None:
    limits = limits_of(session["model"])
    _check_most(wanted.get("max_output_tokens"), limits.output, f"{path}.max_output_tokens")
    truncation = wanted.get("truncation")
    if isinstance(truncation, dict):
        remembered = (truncation.get("token_limits") or {}).get("post_instructions")
        name = f"{path}.truncation.token_limits.post_instructions"
        _check_most(remembered, limits.context, name)


def _check_most(value: Any, most: int, path: str) -> None:
    if isinstance(value, int) and value > most:
        raise out_of_range(path, value, kind="integer", limit=most, below=False)


def _check_voice(session: Json, changed: Json, has_spoken: bool) -> None:
    if has_spoken and session["audio"]["output"]["voice"] != changed["audio"]["output"]["voice"]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise Refusal("cannot_update_voice", message)


def _check_tracing(session: Json, changed: Json) -> None:
    if session["tracing"] not in (None, changed["tracing"]):
        # That it stays is documented; code and words are made after those of the voice.
        message = "Cannot update a session's tracing once it is enabled."
        raise Refusal("cannot_update_tracing", message)


def _check_tool_choice(tools: Sequence[Json], choice: Any, path: str) -> None:
    if isinstance(choice, str):
        return
    name = "name" if choice["type"] == "function" else "server_label"
    if not any(t["type"] == choice["type"] and t[name] == choice[name] for t in tools):
        message = f"Invalid value: '{choice[name]}'. There is no such tool."
        raise Refusal("invalid_value", message, f"{path}.{name}")


def _check_prompt(instructions: str, tools: Any, path: str) -> None:
    tokens = prompt_tokens(instructions, tools)
    if tokens > MAX_PROMPT_TOKENS:
        # The limit is documented; the error's code and words are made up.
        message = (
            f"Instructions and tools take {tokens} tokens. Expected at most {MAX_PROMPT_TOKENS}."
        )
        raise Refusal("context_length_exceeded", message, path)


def _check_format(wanted: Json | None, path: str) -> None:
    if wanted is None or format_name(wanted) == PCM:
        return
    try:
        import_libraries()
    except ConfigError as error:
        raise Refusal("invalid_value", str(error), path) from error


# -- audio ---------------------------------------------------------------------------------------


def _updated_audio(current: Json, update: Json) -> Json:
    changed = dict(current)
    changed["input"] = _updated_input(current["input"], update.get("input", {}))
    if "output" in update:
        changed["output"] = _updated_output(current["output"], update["output"])
    return changed


def _updated_input(current: Json, update: Json) -> Json:
    changed = dict(current)
    for name, value in update.items():
        if name == "turn_detection":
            changed[name] = _updated_detection(current[name], value)
        elif value is None:
            changed[name] = INPUT_DEFAULTS[name]
        elif name == "transcription":
            nothing = {"model": None, "language": None, "prompt": None}
            changed[name] = nothing | (current[name] or {}) | value
        elif name == "noise_reduction":
            changed[name] = (current[name] or {}) | value
        else:
            changed[name] = _whole_format(value, "session.audio.input.format.type")
    return changed


def _updated_output(current: Json, update: Json) -> Json:
    changed = dict(current)
    for name, value in update.items():
        if value is None:
            changed[name] = OUTPUT_DEFAULTS[name]
        elif name == "format":
            changed[name] = _whole_format(value, "session.audio.output.format.type")
        else:
            changed[name] = value
    return changed


def _whole_format(wanted: Json, path: str) -> Json:
    _check_format(wanted, path)
    return PCM_FORMAT if format_name(wanted) == PCM else wanted


def _updated_detection(current: Json | None, update: Any) -> Json | None:
    path = "session.audio.input.turn_detection"
    if update is None:
        return None
    if isinstance(update, dict) and "type" not in update:
        if current is None:
            raise missing_parameter(f"{path}.type")
        update = {"type": current["type"], **update}
    TURN_DETECTION(update, path)
    defaults: Mapping[str, Any] = SERVER_VAD if update["type"] == "server_vad" else SEMANTIC_VAD
    # Settings of one kind of detection mean nothing to the other.
    kept = current if current is not None and current["type"] == update["type"] else {}
    cleared = {name: defaults[name] for name, value in update.items() if value is None}
    return {**defaults, **kept, **update, **cleared}
