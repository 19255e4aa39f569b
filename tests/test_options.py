"""The options of one agent: defaults, strictness, the paths of faults, the way to JSON and back."""

import re
from typing import Any

import orjson
import pytest
from attrs import asdict, fields
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Settings
from agent.errors import ConfigError
from agent.options import AgentOptions, OptionsError, options_from_json, to_plain
from agent.protocol.session import TurnDetection

DEFAULTS: dict[str, Any] = {
    "uid": 0,
    "rtc": None,
    "language": "en",
    "system_instruction": None,
    "model": None,
    "voice": "alloy",
    "speed": None,
    "reasoning_effort": None,
    "output_modalities": None,
    "max_output_tokens": None,
    "tool_choice": None,
    "noise_reduction": None,
    "prompt": None,
    "tracing": None,
    "truncation": None,
    "include": None,
    "temperature": None,
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
    },
    "transcription_model": "gpt-4o-mini-transcribe",
    "audio_format": "audio/pcm",
    "greeting": None,
    "subscribe_uid": None,
    "wait_for_user_s": 30.0,
    "user_rejoin_grace_s": 5.0,
    "idle_timeout_s": None,
    "max_duration_s": None,
    "tools": None,
    "metadata": {},
    "profile": None,
    # Beyond the specification's table: how speech is handed to the channel.
    "playout_lead_ms": 60,
    "playout_step_ms": 40,
    # And what interrupts.
    "greeting_allow_interruptions": True,
    "min_interruption_ms": 0,
    "min_interruption_words": 0,
    "local_barge_in": False,
    "false_interruption_timeout_ms": 500,
    # And how fast data messages may be sent.
    "data_packets_per_s": 60,
    "data_bytes_per_s": 30_000,
}
LEGAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&()+-:;<=.>?@[]^_{}|~,"


def structured(**given_: Any) -> AgentOptions:
    return options_from_json({"channel_name": "c", **given_})


def faults(value: Any) -> list[tuple[str, str]]:
    with pytest.raises(OptionsError) as caught:
        options_from_json(value)
    assert isinstance(caught.value, ConfigError)
    for path, message in caught.value.faults:
        assert message
        assert "\n" not in message
        assert f"{path or 'options'}: {message}" in str(caught.value)
    return caught.value.faults


def paths(**given_: Any) -> list[str]:
    return [path for path, _ in faults({"channel_name": "c", **given_})]


def test_every_option_has_the_default_of_the_specification() -> None:
    assert to_plain(structured()) == {"channel_name": "c", **DEFAULTS}
    assert AgentOptions(channel_name="c") == structured()


def test_the_channel_name_is_required() -> None:
    assert faults({}) == [("channel_name", "missing")]


@pytest.mark.parametrize("value", [None, [], "channel", 5, True])
def test_what_is_no_object_is_refused(value: Any) -> None:
    assert faults(value) == [("", "expected an object")]


def test_empty_means_unset() -> None:
    empty = options_from_json({"channel_name": "c", **dict.fromkeys(DEFAULTS, "")})
    assert empty == AgentOptions(channel_name="c")
    assert faults({"channel_name": ""}) == [("channel_name", "missing")]


def test_unknown_fields_are_named_one_by_one() -> None:
    assert faults({"channel_name": "c", "system_prompt": "x", "Voice": "y"}) == [
        ("Voice", "unknown field"),
        ("system_prompt", "unknown field"),
    ]


def test_all_faults_are_told_at_once() -> None:
    assert sorted(paths(uid="1", speed=True, nope=1)) == ["nope", "speed", "uid"]


TEXTS = ["language", "voice", "audio_format"]
MAYBE_TEXTS = [
    "rtc",
    "system_instruction",
    "model",
    "reasoning_effort",
    "noise_reduction",
    "transcription_model",
    "greeting",
    "profile",
]
WHOLE = [
    "uid",
    "subscribe_uid",
    "playout_lead_ms",
    "playout_step_ms",
    "data_packets_per_s",
    "data_bytes_per_s",
]
NUMBERS = [
    "speed",
    "temperature",
    "wait_for_user_s",
    "user_rejoin_grace_s",
    "idle_timeout_s",
    "max_duration_s",
]
LISTS = ["output_modalities", "include", "tools"]


BAD_TYPES: list[tuple[list[str], list[Any]]] = [
    ([*TEXTS, *MAYBE_TEXTS], [5, True, ["x"], {}]),
    ([*WHOLE, *NUMBERS], ["5", True, [5], {}]),
    (WHOLE, [5.0]),
    (LISTS, ["audio", [5], {"audio": 1}, 5]),
    ([*TEXTS, "uid", "wait_for_user_s", "metadata"], [None]),
    (["metadata"], [{"a": 1}, {"a": None}, [], "a"]),
    (["turn_detection"], ["server_vad", 5, True, []]),
    (["max_output_tokens"], ["5", True, 5.0, []]),
    (["tool_choice", "tracing", "truncation"], [5, True, ["auto"]]),
    (["prompt"], [5, True, "pmpt_1", []]),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for names, values in BAD_TYPES for name in names for value in values],
)
def test_nothing_is_converted_on_the_quiet(name: str, value: Any) -> None:
    assert paths(**{name: value}) == [name]


def test_a_whole_number_serves_as_a_number() -> None:
    assert structured(speed=1).speed == 1.0
    assert type(structured(speed=1).speed) is float


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uid", [0, 1, 2**32 - 1], [-1, 2**32]),
        ("subscribe_uid", [1, 2**32 - 1, None], [0, -1, 2**32]),
        ("rtc", ["auto", "agora", "local", None], ["Local", "rtc"]),
        ("speed", [0.25, 1.5, None], [0.24, 1.51, -1]),
        ("temperature", [0, 0.8, None], [-0.1]),
        ("noise_reduction", ["near_field", "far_field", "of_the_future", None], []),
        ("reasoning_effort", ["minimal", "xhigh", "of_the_future", None], []),
        ("audio_format", ["audio/pcm", "audio/pcmu", "audio/pcma"], ["pcm16", "audio/opus"]),
        ("output_modalities", [["audio"], ["text"], None], [[], ["audio", "text"], ["video"]]),
        ("max_output_tokens", [1, 4096, "inf", None], [0, -1, "all"]),
        ("wait_for_user_s", [0, 0.2], [-0.1]),
        ("user_rejoin_grace_s", [0], [-1]),
        ("idle_timeout_s", [1, None], [0.9]),
        ("max_duration_s", [1, None], [0]),
        ("metadata", [{}, {str(n): "" for n in range(16)}], [{str(n): "" for n in range(17)}]),
        ("tools", [[], ["get_weather"], None], ["get_weather"]),
        ("profile", [None, "default"], []),
        ("playout_lead_ms", [40, 1000], [9, 1001]),
        ("playout_step_ms", [10, 60], [0, 15, 70, -10]),
        ("data_packets_per_s", [2, 30, 1000], [1, 0, -1, 1001]),
        ("data_bytes_per_s", [2048, 6000, 1_000_000], [2047, 0, -1, 1_000_001, 10**400]),
        ("transcription_model", ["whisper-1", None], []),
    ],
)
def test_ranges(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert to_plain(structured(**{name: value}))[name] == value
    for value in bad:
        assert paths(**{name: value}) == [name], value


def test_a_step_is_not_above_the_lead() -> None:
    assert structured(playout_lead_ms=10, playout_step_ms=10).playout_step_ms == 10
    assert paths(playout_lead_ms=20) == ["playout_step_ms"]


def test_turn_detection() -> None:
    assert structured(turn_detection=None).turn_detection is None
    semantic = structured(turn_detection={"type": "semantic_vad", "eagerness": "high"})
    assert semantic.turn_detection == TurnDetection(type="semantic_vad", eagerness="high")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({}, "turn_detection.type"),
        ({"type": 5}, "turn_detection.type"),
        ({"type": "none"}, "turn_detection.type"),
        ({"type": None}, "turn_detection.type"),
        ({"type": "server_vad", "threshold": "0.5"}, "turn_detection.threshold"),
        ({"type": "server_vad", "silence_duration_ms": 0.5}, "turn_detection.silence_duration_ms"),
        ({"type": "server_vad", "create_response": 1}, "turn_detection.create_response"),
    ],
)
def test_the_path_of_a_fault_leads_inside(value: Any, path: str) -> None:
    assert paths(turn_detection=value) == [path]


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("tool_choice", {"type": "function"}, "tool_choice.name"),
        ("prompt", {"version": "1"}, "prompt.id"),
        ("tracing", {"workflow_name": 5}, "tracing.workflow_name"),
        ("truncation", {"type": "retention_ratio"}, "truncation.retention_ratio"),
    ],
)
def test_what_is_within_is_checked_too(name: str, value: Any, path: str) -> None:
    assert paths(**{name: value}) == [path]


def test_every_character_of_a_channel_name() -> None:
    for code in range(256):
        name = chr(code)
        if name in LEGAL:
            assert structured(channel_name=name).channel_name == name
        else:
            assert paths(channel_name=name) == ["channel_name"], repr(name)


def test_the_length_of_a_channel_name() -> None:
    assert structured(channel_name="c" * 64).channel_name == "c" * 64
    for bad in ("", "c" * 65, "c\n", "channel/../x", "\u00e9", "\U0001f600"):
        assert paths(channel_name=bad) == ["channel_name"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DETECTION = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad"])},
    optional={
        "threshold": st.floats(0, 1),
        "silence_duration_ms": st.integers(0, 5000),
        "idle_timeout_ms": st.none() | st.integers(5000, 30000),
        "create_response": st.booleans(),
        "eagerness": st.text(),
        "of_the_future": JSON,
    },
)
KIND = (
    st.none()
    | st.text()
    | st.fixed_dictionaries({"type": st.just("of_the_future")}, optional={"of_it": JSON})
)


def _with_id(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"id": "pmpt_1"}


SECONDS = st.floats(1, 1e9) | st.integers(1, 10**6)
OPTIONS = st.fixed_dictionaries(
    {"channel_name": st.text(LEGAL, min_size=1, max_size=64)},
    optional={
        "uid": st.integers(0, 2**32 - 1),
        "rtc": st.sampled_from([None, "auto", "local"]),
        "language": st.text(),
        "system_instruction": st.none() | st.text(),
        "speed": st.none() | st.floats(0.25, 1.5),
        "output_modalities": st.sampled_from([None, ["audio"], ["text"]]),
        "max_output_tokens": st.sampled_from([None, "inf", 1, 4096]),
        "tool_choice": KIND,
        "prompt": st.none() | st.dictionaries(st.just("of_the_future"), JSON).map(_with_id),
        "tracing": st.none() | st.text() | st.dictionaries(st.just("of_the_future"), JSON),
        "truncation": KIND,
        "include": st.none() | st.lists(st.text(), max_size=3),
        "turn_detection": DETECTION,
        "transcription_model": st.none() | st.text(),
        "wait_for_user_s": SECONDS,
        "idle_timeout_s": st.none() | SECONDS,
        "metadata": st.dictionaries(st.text(), st.text(), max_size=16),
    },
)


@given(OPTIONS)
def test_options_survive_the_way_to_a_process(value: dict[str, Any]) -> None:
    options = options_from_json(value)
    plain = to_plain(options)
    assert {name: plain[name] for name in value} == {
        name: DEFAULTS[name] if item == "" else item for name, item in value.items()
    }
    assert options_from_json(orjson.loads(orjson.dumps(plain))) == options


SETTINGS = st.builds(
    Settings,
    rtc=st.sampled_from(["auto", "agora", "local"]),
    agora_app_cert=st.none() | st.text(),
    openai_api_key=st.none() | st.from_regex(re.compile(r"\A[!-~]+\Z")),
    openai_model=st.text(),
    server_port=st.integers(0, 65535),
    write_agent_pcm=st.booleans(),
    log_level=st.sampled_from(["debug", "critical"]),
    queue_warn=st.integers(1, 10**6),
)


@given(SETTINGS)
def test_settings_survive_the_way_to_a_process(settings: Settings) -> None:
    plain = orjson.loads(orjson.dumps(to_plain(settings)))
    assert Settings(**plain) == settings
    assert set(plain) == set(asdict(settings)) == {a.name for a in fields(Settings)}


@pytest.mark.parametrize(
    ("name", "value"),
    [("system_instruction", "a\udcffb"), ("metadata", {"a": "\ud800"}), ("tool_choice", "\udfff")],
)
def test_bytes_that_are_no_text_are_one_clear_fault(name: str, value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        options_from_json({"channel_name": "demo", name: value})
    assert caught.value.faults == [(name, "must be UTF-8 text")]
