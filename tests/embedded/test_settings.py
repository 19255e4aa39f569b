"""Every field of a session: what is taken and told, what is refused, and what it does."""

import json
from typing import Any, get_args

import pytest
from openai.types.realtime import (
    RealtimeAudioConfigInput,
    RealtimeAudioConfigOutput,
    RealtimeSessionCreateRequest,
)

from agent.embedded.forms.requests import EVENTS
from agent.embedded.history import text_tokens
from agent.embedded.session_defaults import INSTRUCTIONS
from tests.embedded.driving import Driver, Event, error_of, loud, quiet, types

FUNCTION = {
    "type": "function",
    "name": "f",
    "description": "does f",
    "parameters": {"type": "object"},
}
MCP = {"type": "mcp", "server_label": "m", "server_url": "https://example.org/mcp"}
WHOLE_MCP = MCP | {
    "server_description": "a server",
    "authorization": "secret",
    "headers": {"X-A": "b"},
    "allowed_tools": ["a"],
    "allowed_callers": ["direct"],
    "defer_loading": True,
    "require_approval": {"always": {"read_only": False}, "never": {"tool_names": ["a"]}},
}
RATIO = {"type": "retention_ratio", "retention_ratio": 0.8}
PROMPT = {"id": "pmpt_1", "version": "2", "variables": {"name": "value"}}
TRACING = {"workflow_name": "w", "group_id": "g", "metadata": {"a": "b"}}


def nested(path: str, value: Any) -> Event:
    """`{"a": {"b": value}}` of `a.b`."""
    name, _, rest = path.partition(".")
    return {name: nested(rest, value) if rest else value}


def at(session: Event, path: str) -> Any:
    """The value at `a.b`."""
    value: Any = session
    for name in path.split("."):
        value = value[name]
    return value


# Each field, a value of it, and what stands in its place when it is cleared with null.
TAKEN: list[tuple[str, Any, Any]] = [
    ("instructions", "Be brief.", ""),
    ("output_modalities", ["text"], ["audio"]),
    ("max_output_tokens", 100, "inf"),
    ("tools", [FUNCTION, MCP], []),
    ("tools", [WHOLE_MCP], []),
    ("tool_choice", "required", "auto"),
    ("tool_choice", "none", "auto"),
    ("include", ["item.input_audio_transcription.logprobs"], None),
    ("include", [], None),
    ("prompt", PROMPT, None),
    ("prompt", {"id": "pmpt_1"}, None),
    ("truncation", "disabled", "auto"),
    ("truncation", RATIO, "auto"),
    ("truncation", RATIO | {"token_limits": {"post_instructions": 5_000}}, "auto"),
    ("audio.input.noise_reduction", {"type": "near_field"}, None),
    ("audio.input.noise_reduction", {"type": "far_field", "strength": 0.5}, None),
    (
        "audio.input.transcription",
        {
            "model": "gpt-4o-mini-transcribe",
            "language": "en",
            "prompt": "names",
            "delay": "low",
            "keywords": ["trio"],
            "languages": ["en", "de"],
        },
        None,
    ),
    ("audio.input.format", {"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 24_000}),
    ("audio.output.format", {"type": "audio/pcma"}, {"type": "audio/pcm", "rate": 24_000}),
    ("audio.output.speed", 0.25, 1.0),
    ("audio.output.speed", 1.5, 1.0),
    ("audio.output.voice", "cedar", "alloy"),
    ("audio.output.voice", {"id": "voice_1"}, "alloy"),
]


@pytest.mark.parametrize(("path", "value", "cleared"), TAKEN, ids=str)
def test_a_field_is_taken_and_told_and_cleared(path: str, value: Any, cleared: Any) -> None:
    driver = Driver()
    before = driver.events("session.created")[0]["session"]
    [updated] = driver.update(**nested(path, value))
    assert at(updated["session"], path) == value
    [updated] = driver.update(**nested(path, None))
    assert at(updated["session"], path) == cleared
    if path != "instructions":  # a session begins with some
        assert updated["session"] == before


@pytest.mark.parametrize("value", ["auto", TRACING], ids=str)
def test_tracing_once_on_stays(value: Any) -> None:
    driver = Driver()
    assert types(driver.update(tracing=None)) == ["session.updated"]
    [updated] = driver.update(tracing=value)
    assert updated["session"]["tracing"] == value
    assert types(driver.update(tracing=value)) == ["session.updated"]
    for other in (None, {"group_id": "other"}):
        error = error_of(driver.update(instructions="not to be taken", tracing=other))
        assert error["code"] == "cannot_update_tracing"
    [updated] = driver.update()
    assert updated["session"]["tracing"] == value
    assert updated["session"]["instructions"] != "not to be taken"


@pytest.mark.parametrize(
    "fields", [{"reasoning": {"effort": "minimal"}}, {"parallel_tool_calls": False}]
)
def test_what_only_models_that_reason_take(fields: Event) -> None:
    plain, reasoning = Driver(model="gpt-realtime"), Driver(model="gpt-realtime-2.1")
    [name] = fields
    assert error_of(plain.update(**fields))["param"] == f"session.{name}"
    error = error_of(plain.send("response.create", response=fields))
    assert (error["code"], error["param"]) == ("unknown_parameter", f"response.{name}")
    [updated] = reasoning.update(**fields)
    assert name not in updated["session"]
    assert types(reasoning.send("response.create", response=fields)) == ["response.created"]


def test_speed_is_that_of_the_next_answer() -> None:
    driver = Driver(voice_seconds=2.0)
    driver.typed("hello")
    [updated] = driver.update(audio={"output": {"speed": 1.5}})
    assert updated["session"]["audio"]["output"]["speed"] == 1.5
    driver.pass_time(5)
    driver.typed("hello")
    assert [request.speed for request in driver.requests] == [1.0, 1.5]


def bad(path: str, value: Any, code: str, param: str = "") -> Any:
    return pytest.param(path, value, code, param or path, id=f"{path} {value}")


REFUSED = [
    bad("instructions", ["x"], "invalid_type"),
    bad("output_modalities", [], "invalid_value"),
    bad("max_output_tokens", 1.5, "invalid_type"),
    bad("max_output_tokens", 4_097, "integer_above_max_value"),
    bad("parallel_tool_calls", "yes", "invalid_type"),
    bad("reasoning", {"effort": "none"}, "invalid_value", "reasoning.effort"),
    bad("reasoning", {"summary": "auto"}, "unknown_parameter", "reasoning.summary"),
    bad("tools", {}, "invalid_type"),
    bad("tools", ["f"], "invalid_type", "tools[0]"),
    bad("tools", [{"type": "web_search"}], "invalid_value", "tools[0].type"),
    bad("tools", [{"type": "function"}], "missing_required_parameter", "tools[0].name"),
    bad("tools", [FUNCTION | {"name": "a b"}], "invalid_value", "tools[0].name"),
    bad("tools", [FUNCTION | {"name": ""}], "invalid_value", "tools[0].name"),
    bad("tools", [FUNCTION | {"name": "x" * 65}], "string_above_max_length", "tools[0].name"),
    bad("tools", [FUNCTION | {"parameters": []}], "invalid_type", "tools[0].parameters"),
    bad("tools", [FUNCTION | {"description": 1}], "invalid_type", "tools[0].description"),
    bad("tools", [FUNCTION | {"strict": True}], "unknown_parameter", "tools[0].strict"),
    bad("tools", [{"type": "mcp"}], "missing_required_parameter", "tools[0].server_label"),
    bad("tools", [{"type": "mcp", "server_label": "m"}], "invalid_value", "tools[0]"),
    bad("tools", [MCP | {"headers": {"a": 1}}], "invalid_type", "tools[0].headers.a"),
    bad(
        "tools", [MCP | {"require_approval": "once"}], "invalid_value", "tools[0].require_approval"
    ),
    bad("tools", [MCP | {"allowed_tools": "a"}], "invalid_type", "tools[0].allowed_tools"),
    bad("tool_choice", "any", "invalid_value"),
    bad("tool_choice", {"type": "function"}, "missing_required_parameter", "tool_choice.name"),
    bad("tool_choice", {"type": "function", "name": "g"}, "invalid_value", "tool_choice.name"),
    bad("tool_choice", {"type": "custom"}, "invalid_value", "tool_choice.type"),
    bad(
        "tool_choice",
        {"type": "mcp", "server_label": "g"},
        "invalid_value",
        "tool_choice.server_label",
    ),
    bad("include", ["usage"], "invalid_value", "include[0]"),
    bad("include", "item.input_audio_transcription.logprobs", "invalid_type"),
    bad("prompt", {}, "missing_required_parameter", "prompt.id"),
    bad("prompt", {"id": "p", "variables": []}, "invalid_type", "prompt.variables"),
    bad("tracing", "on", "invalid_value"),
    bad("tracing", {"name": "x"}, "unknown_parameter", "tracing.name"),
    bad("truncation", "always", "invalid_value"),
    bad(
        "truncation",
        {"type": "retention_ratio"},
        "missing_required_parameter",
        "truncation.retention_ratio",
    ),
    bad(
        "truncation",
        RATIO | {"retention_ratio": 1.1},
        "decimal_above_max_value",
        "truncation.retention_ratio",
    ),
    bad(
        "truncation",
        RATIO | {"token_limits": {"post_instructions": 28_673}},
        "integer_above_max_value",
        "truncation.token_limits.post_instructions",
    ),
    bad("audio", "pcm16", "invalid_type"),
    bad("audio.middle", {}, "unknown_parameter"),
    bad("audio.input.format", "pcm16", "invalid_type"),
    bad("audio.input.format", {}, "missing_required_parameter", "audio.input.format.type"),
    bad("audio.input.format", {"type": "audio/opus"}, "invalid_value", "audio.input.format.type"),
    bad(
        "audio.output.format",
        {"type": "audio/pcm", "rate": 8_000},
        "integer_below_min_value",
        "audio.output.format.rate",
    ),
    bad(
        "audio.output.format",
        {"type": "audio/pcm", "rate": 48_000},
        "integer_above_max_value",
        "audio.output.format.rate",
    ),
    bad(
        "audio.input.format",
        {"type": "audio/pcmu", "rate": 8_000},
        "unknown_parameter",
        "audio.input.format.rate",
    ),
    bad("audio.input.transcription", "whisper-1", "invalid_type"),
    bad(
        "audio.input.transcription",
        {"delay": "none"},
        "invalid_value",
        "audio.input.transcription.delay",
    ),
    bad(
        "audio.input.noise_reduction",
        {"type": "near_field", "strength": 2},
        "decimal_above_max_value",
        "audio.input.noise_reduction.strength",
    ),
    bad("audio.input.turn_detection", "server_vad", "invalid_type"),
    bad(
        "audio.input.turn_detection",
        {"type": "semantic_vad", "eagerness": "eager"},
        "invalid_value",
        "audio.input.turn_detection.eagerness",
    ),
    bad(
        "audio.input.turn_detection",
        {"idle_timeout_ms": 30_001},
        "integer_above_max_value",
        "audio.input.turn_detection.idle_timeout_ms",
    ),
    bad("audio.output.speed", 0.2, "decimal_below_min_value"),
    bad("audio.output.speed", "fast", "invalid_type"),
    bad("audio.output.voice", {"name": "x"}, "missing_required_parameter", "audio.output.voice.id"),
    bad("audio.output.voice", 5, "invalid_type"),
]


@pytest.mark.parametrize(("path", "value", "code", "param"), REFUSED)
def test_a_bad_value_refuses_the_whole_update(path: str, value: Any, code: str, param: str) -> None:
    driver = Driver()
    [before] = driver.update(tools=[FUNCTION], instructions="as before")
    error = error_of(driver.update(**({"instructions": "not to be taken"} | nested(path, value))))
    assert (error["code"], error["param"]) == (code, f"session.{param}")
    [after] = driver.update()
    assert after["session"] == before["session"]


def test_every_field_of_the_official_session_is_known() -> None:
    names = {*RealtimeSessionCreateRequest.model_fields} - {"type", "audio"}
    names |= {f"audio.input.{name}" for name in RealtimeAudioConfigInput.model_fields}
    names |= {f"audio.output.{name}" for name in RealtimeAudioConfigOutput.model_fields}
    driver = Driver()
    for name in names:
        assert types(driver.update(**nested(name, None))) == ["session.updated"], name


# -- parts that are merged -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "first", "then", "merged"),
    [
        (
            "audio.input.transcription",
            {"model": "whisper-1", "language": "en"},
            {"language": None, "prompt": "x"},
            {"model": "whisper-1", "language": None, "prompt": "x"},
        ),
        (
            "audio.input.noise_reduction",
            {"type": "near_field", "strength": 0.5},
            {"type": "far_field"},
            {"type": "far_field", "strength": 0.5},
        ),
        (
            "audio.input.turn_detection",
            {"type": "semantic_vad", "eagerness": "low"},
            {"create_response": False},
            {
                "type": "semantic_vad",
                "eagerness": "low",
                "create_response": False,
                "interrupt_response": True,
            },
        ),
    ],
)
def test_a_part_of_a_part_is_changed(path: str, first: Any, then: Any, merged: Any) -> None:
    driver = Driver()
    driver.update(**nested(path, first))
    [updated] = driver.update(**nested(path, then))
    assert at(updated["session"], path) == merged


# -- tools ---------------------------------------------------------------------------------------


def test_a_tool_is_chosen_among_those_that_there_are() -> None:
    driver = Driver()
    choice = {"type": "function", "name": "f"}
    assert types(driver.update(tools=[FUNCTION, MCP], tool_choice=choice)) == ["session.updated"]
    assert types(driver.update(tool_choice={"type": "mcp", "server_label": "m"})) == [
        "session.updated"
    ]
    driver.update(tool_choice=choice)
    error = error_of(driver.update(tools=[]))
    assert (error["code"], error["param"]) == ("invalid_value", "session.tool_choice.name")
    wanted = {"tool_choice": {"type": "function", "name": "g"}}
    error = error_of(driver.send("response.create", response=wanted))
    assert (error["code"], error["param"]) == ("invalid_value", "response.tool_choice.name")
    wanted["tools"] = [FUNCTION | {"name": "g"}]  # type: ignore[assignment]  # any JSON
    assert types(driver.send("response.create", response=wanted)) == ["response.created"]


# -- truncation ----------------------------------------------------------------------------------


def fill(driver: Driver, count: int, tokens: int = 1_000) -> list[Event]:
    """Create so many items of so many tokens, and tell what came of the last."""
    for _ in range(count):
        content = [{"type": "input_text", "text": "x" * (4 * tokens)}]
        item = {"type": "message", "role": "user", "content": content}
        events = driver.send("conversation.item.create", item=item)
    return events


def remembered(driver: Driver) -> int:
    """The input tokens of an answer, without the instructions'."""
    driver.update(output_modalities=["text"])
    driver.send("response.create")
    driver.pass_time(20)
    tokens: int = driver.events("response.done")[-1]["response"]["usage"]["input_tokens"]
    return tokens - text_tokens(INSTRUCTIONS)


@pytest.mark.parametrize(("items", "tokens"), [(10, 10_000), (11, 5_000), (12, 6_000)])
def test_by_ratio_more_is_dropped_at_a_time(items: int, tokens: int) -> None:
    driver = Driver()
    limits = {"post_instructions": 10_000}
    driver.update(
        truncation={"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": limits}
    )
    fill(driver, items)
    assert remembered(driver) == tokens


def test_without_limits_the_ratio_is_of_the_models_own() -> None:
    driver = Driver()
    driver.update(truncation=RATIO)
    fill(driver, 29)
    assert remembered(driver) == 22_000


def test_what_is_remembered_is_the_models() -> None:
    driver = Driver(model="gpt-realtime-2.1")
    fill(driver, 97)
    # 96,000 with the instructions, which take a few.
    assert remembered(driver) == 95_000


@pytest.mark.parametrize(
    ("model", "output", "remembered"),
    [("gpt-realtime", 4_096, 28_672), ("gpt-realtime-2.1", 32_000, 96_000)],
)
def test_the_limits_are_the_models(model: str, output: int, remembered: int) -> None:
    driver = Driver(model=model)
    assert types(driver.update(max_output_tokens=output)) == ["session.updated"]
    wanted = {"max_output_tokens": output}
    assert "response.created" in types(driver.send("response.create", response=wanted))
    limits = RATIO | {"token_limits": {"post_instructions": remembered}}
    assert types(driver.update(truncation=limits)) == ["session.updated"]
    over = RATIO | {"token_limits": {"post_instructions": remembered + 1}}
    for events, path in (
        (driver.update(max_output_tokens=output + 1), "session.max_output_tokens"),
        (
            driver.send("response.create", response={"max_output_tokens": output + 1}),
            "response.max_output_tokens",
        ),
        (
            driver.update(truncation=over),
            "session.truncation.token_limits.post_instructions",
        ),
    ):
        error = error_of(events)
        assert (error["code"], error["param"]) == ("integer_above_max_value", path)


def test_disabled_truncation_ends_in_an_error() -> None:
    driver = Driver()
    driver.update(truncation="disabled")
    assert types(fill(driver, 29)) == ["conversation.item.added", "conversation.item.done"]
    for events in (fill(driver, 1), driver.send("response.create")):
        assert error_of(events)["code"] == "context_length_exceeded"
    # The first item is still there; without it there is room again.
    added = driver.events("conversation.item.added")
    driver.send("conversation.item.delete", item_id=added[0]["item"]["id"])
    assert types(driver.send("response.create")) == ["response.created"]


def full() -> Driver:
    """A session whose conversation has no room, and may not make any."""
    driver = Driver(voice_seconds=1.0)
    driver.update(truncation="disabled")
    fill(driver, 29)
    return driver


def codes(driver: Driver) -> list[Any]:
    """What was refused, and that no item came of it."""
    assert len(driver.events("conversation.item.added")) == 29
    return [(e["error"]["code"], e["error"]["event_id"]) for e in driver.events("error")]


def test_disabled_truncation_has_no_room_for_a_spoken_turn_either() -> None:
    driver = full()
    for _ in range(2):
        told = types(driver.append(quiet(10) + loud(10) + quiet(10)))
        assert told == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "error",
        ]
    assert codes(driver) == [("context_length_exceeded", None)] * 2
    first, second = (e["item_id"] for e in driver.events("input_audio_buffer.speech_started"))
    assert first != second
    driver.send("conversation.item.delete", item_id=all_items(driver)[0])
    driver.append(quiet(10) + loud(10) + quiet(10))
    assert len(driver.events("input_audio_buffer.committed")) == 1


def all_items(driver: Driver) -> list[str]:
    return [event["item"]["id"] for event in driver.events("conversation.item.added")]


def test_what_is_committed_in_vain_stays_in_the_buffer() -> None:
    driver = full()
    driver.update(audio={"input": {"turn_detection": None}})
    driver.append(loud(10))
    driver.send("input_audio_buffer.commit", event_id="mine")
    assert codes(driver) == [("context_length_exceeded", "mine")]
    driver.send("conversation.item.delete", item_id=all_items(driver)[0])
    driver.send("input_audio_buffer.commit")
    assert driver.events("conversation.item.added")[-1]["item"]["role"] == "user"
    assert len(driver.events("conversation.item.added")) == 30


def test_silence_becomes_no_item_where_there_is_no_room() -> None:
    driver = Driver(voice_seconds=1.0)
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    driver.update(truncation="disabled", audio={"input": {"turn_detection": detection}})
    driver.typed("hello")
    fill(driver, 27)
    driver.pass_time(2)
    fill(driver, 2)
    driver.pass_time(60)
    assert len(driver.events("input_audio_buffer.timeout_triggered")) == 1
    assert [e["error"]["code"] for e in driver.events("error")] == ["context_length_exceeded"]
    assert not driver.events("input_audio_buffer.committed")


def test_truncation_that_is_no_longer_disabled_makes_room() -> None:
    driver = Driver()
    driver.update(truncation="disabled")
    fill(driver, 29)
    driver.update(truncation=None)
    fill(driver, 1)
    assert remembered(driver) == 28_000


# -- the whole -----------------------------------------------------------------------------------


def test_the_forms_are_those_of_the_official_client_events() -> None:
    from openai.types.realtime import RealtimeClientEvent

    known = {
        get_args(model.model_fields["type"].annotation)[0]
        for model in get_args(get_args(RealtimeClientEvent)[0])
    }
    assert set(EVENTS) == known - {"output_audio_buffer.clear"} | {"session.close"}


def test_a_schema_that_is_too_deep_is_refused() -> None:
    driver = Driver()
    deep: Any = {}
    for _ in range(300):
        deep = {"properties": deep}
    event = {"session": {"type": "realtime", "tools": [FUNCTION | {"parameters": deep}]}}
    error = error_of(driver.send_raw(json.dumps({"type": "session.update", **event})))
    assert error["code"] == "invalid_value"
    assert types(driver.update()) == ["session.updated"]
