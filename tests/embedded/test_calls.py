"""By what rule functions are called: natural sentences, names, choices, several at once."""

import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from agent.embedded.answers.calls import Asked, calls_for
from agent.protocol.tools import Mcp, RealtimeFunctionTool, Tool, ToolChoiceFunction, ToolChoiceMcp

TEXT = {"type": "string"}


def function(name: str, required: tuple[str, ...] = (), **properties: Any) -> RealtimeFunctionTool:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return RealtimeFunctionTool(type="function", name=name, parameters=parameters)


WEATHER = function("get_weather", ("city",), city=TEXT)
FORECAST = function("get_weather_forecast", ("city",), city=TEXT)
TIMER = function("setTimer", ("minutes",), minutes={"type": "integer"})
FLIGHT = function("book_flight", ("from_city", "to_city"), from_city=TEXT, to_city=TEXT)
TIME = function("get_current_time")
TOOLS = (WEATHER, FORECAST, TIMER, FLIGHT, TIME)


def asked(text: str, tools: tuple[Tool, ...] = TOOLS, choice: Any = "auto") -> list[Any]:
    """The calls: name and arguments, one after the other."""
    calls = calls_for(text, tools, choice)
    return [part for call in calls for part in (call.name, json.loads(call.arguments))]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("What is the weather in Paris?", ["get_weather", {"city": "Paris"}]),
        ("In New York, how's the WEATHER's mood?", ["get_weather", {"city": "New York"}]),
        ("the weather forecast for Oslo", ["get_weather_forecast", {"city": "Oslo"}]),
        ("Set two timers, for 5 minutes", ["setTimer", {"minutes": 5}]),
        ("what time is it", ["get_current_time", {}]),
        (
            "Book a flight from Berlin to New York",
            ["book_flight", {"from_city": "Berlin", "to_city": "New York"}],
        ),
        ('call get_weather {"city": "Paris"}', ["get_weather", {"city": "Paris"}]),
        ("please GET_WEATHER for Rome", ["get_weather", {"city": "Rome"}]),
        ('setTimer({"minutes": 3})', ["setTimer", {"minutes": 3}]),
        # No function is asked for.
        ("hello", []),
        ("", []),
        ("I forgot my flight", []),
        ("get_weather2", []),
        ('He said "what is the weather in Paris"', []),
        ('{"weather": "in Paris"}', []),
    ],
)
def test_the_words_ask(text: str, calls: list[Any]) -> None:
    assert asked(text) == calls


def test_several_functions_are_called_in_the_order_of_the_words() -> None:
    assert asked("Set a timer for ten minutes and tell me the weather in Rome, please") == [
        *("setTimer", {"minutes": 10}),
        *("get_weather", {"city": "Rome"}),
    ]
    assert asked("the weather in Rome, then a timer: set it to 4") == [
        *("get_weather", {"city": "Rome"}),
        *("setTimer", {"minutes": 4}),
    ]


def test_a_name_that_comes_again_with_other_arguments_is_another_call() -> None:
    twice = 'get_weather {"city": "Paris"} get_weather {"city": "Rome"}'
    assert asked(twice) == ["get_weather", {"city": "Paris"}, "get_weather", {"city": "Rome"}]
    assert asked("get_weather in Rome. get_weather in Rome.") == ["get_weather", {"city": "Rome"}]
    assert asked("weather in Rome, oh the weather in Paris") == ["get_weather", {"city": "Rome"}]


def test_functions_of_the_same_words_are_one() -> None:
    twin = function("fetch_weather", ("place",), place=TEXT)
    assert asked("weather in Rome", (WEATHER, twin)) == ["get_weather", {"city": "Rome"}]
    assert asked("weather in Rome", (twin, WEATHER)) == ["fetch_weather", {"place": "Rome"}]


def test_a_name_of_common_words_needs_them_all() -> None:
    tool = function("look_up")
    assert asked("look", (tool,)) == []
    assert asked("look it up", (tool,)) == ["look_up", {}]


CHOICES: list[tuple[Any, str, list[Any]]] = [
    ("none", "weather in Paris", []),
    ("required", "weather in Paris", ["get_weather", {"city": "Paris"}]),
    (
        "required",
        "a flight from Rome to Oslo",
        ["book_flight", {"from_city": "Rome", "to_city": "Oslo"}],
    ),
    ("required", "", ["get_weather", {"city": ""}]),
    (ToolChoiceFunction(name="setTimer"), "in 7 days", ["setTimer", {"minutes": 7}]),
    (ToolChoiceFunction(name="setTimer"), "weather in Paris", ["setTimer", {"minutes": 0}]),
    (ToolChoiceFunction(name="nope"), "weather in Paris", []),
    (ToolChoiceMcp(server_label="x"), "weather in Paris", []),
    ({"type": "new"}, "weather in Paris", []),
]


@pytest.mark.parametrize(("choice", "text", "calls"), CHOICES, ids=str)
def test_the_choice_is_obeyed(choice: Any, text: str, calls: list[Any]) -> None:
    assert asked(text, choice=choice) == calls


def test_only_functions_are_called() -> None:
    tools: tuple[Tool, ...] = (
        Mcp(server_label="weather", server_url="https://example.com"),
        {"type": "new", "name": "get_weather"},
        RealtimeFunctionTool(type="function"),
    )
    assert asked("call get_weather", tools) == []
    assert asked("call get_weather", tools, "required") == []


def test_a_function_without_a_schema_is_called_without_arguments() -> None:
    bare = RealtimeFunctionTool(type="function", name="get_weather")
    assert calls_for("weather?", (bare,), "auto") == (Asked("get_weather", "{}"),)


def test_calls_are_bounded() -> None:
    text = " ".join(f"get_weather in City{n}." for n in range(100))
    assert len(calls_for(text, TOOLS, "auto")) == 16
    tools = tuple(function(f"do_{n}") for n in range(129))
    assert asked("do_127", tools) == ["do_127", {}]
    assert asked("do_128", tools) == []
    assert asked("x" * 1_992 + " weather") == ["get_weather", {"city": ""}]
    assert asked("x" * 1_993 + " weather") == []


# -- what would keep other sessions waiting ------------------------------------------------------

MOST_STEPS = 200_000


class TooMuchError(Exception):
    """More was done than a sentence is worth."""


@contextmanager
def few_steps() -> Iterator[None]:
    """Of Python's function calls, the built-in functions' too: no clock, the same everywhere."""
    steps = itertools.count()

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        if event in ("call", "c_call") and next(steps) > MOST_STEPS:
            raise TooMuchError

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


MANY: dict[str, Any] = {f"value {n}": TEXT for n in range(1_000)}
ENUM = {"enum": [f"value {n} " * 100 for n in range(256)]}


@pytest.mark.parametrize(
    "part", ["{", '{"a":', '{"', '"', "in ", "in the ", "5 ", "get_weather ", "get_weather in 5 "]
)
def test_a_long_sentence_is_gone_through_once(part: str) -> None:
    tools = (WEATHER, function("get_in", **MANY), function("get_enum", a=ENUM, b=ENUM, c=ENUM))
    for choice in ("auto", "required"):
        with few_steps():
            calls_for("weather in enum " + part * 4_000, tools, choice)


def test_arrays_in_arrays_are_not_filled() -> None:
    deep: Any = {"type": "integer"}
    for _ in range(6):
        deep = {"type": "array", "items": deep, "minItems": 16}
    with few_steps():
        assert asked("do it", (function("do_it", ("a",), a=deep),)) == ["do_it", {"a": []}]


def test_json_that_is_too_deep_is_none() -> None:
    deep = '{"":' * 300 + "1" + "}" * 300
    assert asked(f"get_weather {deep}") == ["get_weather", json.loads(deep)]
    # Cut off in the middle, it is none.
    deep = '{"":' * 5_000 + "1" + "}" * 5_000
    assert asked(f"get_weather {deep}")[0] == "get_weather"
    assert asked(f"get_current_time {deep}") == ["get_current_time", {}]
