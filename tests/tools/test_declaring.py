"""Declaring: the decorator, its options, and what it makes."""

from functools import partial
from typing import Any

import attrs
import pytest

import agent.tools
from agent.tools import ClientTool, Tool, ToolError, tool


@tool
def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    :param city: where.
    """
    return f"{city} {days}"


@tool(name="get-time", description="", timeout_s=2, on_interruption="report", responds=False)
async def time_of_day() -> str:
    """Tell the time."""
    return "noon"


def test_a_bare_decorator() -> None:
    assert isinstance(weather, Tool)
    assert weather.model_description() == {
        "type": "function",
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "where."},
                "days": {"type": "integer", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    assert (weather.timeout_s, weather.on_interruption, weather.responds) == (10, "cancel", True)


async def test_a_tool_is_still_the_function() -> None:
    assert weather("Paris", days=2) == "Paris 2"
    assert await time_of_day() == "noon"


def test_options() -> None:
    made = time_of_day
    assert (made.name, made.description) == ("get-time", "")
    assert (made.timeout_s, made.on_interruption, made.responds) == (2, "report", False)


def test_a_function_given_together_with_options() -> None:
    def f() -> None: ...

    assert tool(f, name="other").name == "other"


def test_a_tool_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        weather.name = "other"  # type: ignore[misc]
    assert weather in {weather}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "the tool '': a name is 1 to 64 of"),
        ({"name": "a b"}, "the tool 'a b'"),
        ({"name": "x" * 65}, "a name is"),
        ({"name": "naïve"}, "a name is"),
        ({"name": "new\n"}, "a name is"),
        ({"name": 5}, "the tool 5"),
        ({"timeout_s": 0}, "the tool f: timeout_s must be more than 0"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": "5"}, "timeout_s"),
        ({"timeout_s": True}, "timeout_s"),
        ({"on_interruption": "stop"}, "f: on_interruption must be cancel or finish or report"),
    ],
)
def test_bad_options(options: dict[str, Any], words: str) -> None:
    def f() -> None: ...

    with pytest.raises(ToolError) as caught:
        tool(**options)(f)
    assert words in str(caught.value)


def test_a_name_of_64() -> None:
    def f() -> None: ...

    assert tool(f, name="aZ_-9" + "x" * 59).name


def yields() -> Any:
    yield 1


async def yields_async() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (yields, "the tool yields: it yields"),
        (yields_async, "the tool yields_async: it yields"),
        (partial(yields), "neither a function nor a bound method"),
        (print, "neither a function nor a bound method"),
        (int, "neither a function nor a bound method"),
        (weather, "neither a function nor a bound method"),
    ],
)
def test_what_cannot_be_a_tool(fn: Any, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        tool(fn)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "must be the JSON Schema of an object"),
        ({"type": "string"}, "must be the JSON Schema of an object"),
        ([], "must be the JSON Schema of an object"),
        (None, "must be the JSON Schema of an object"),
        ({"type": "object", "properties": {"x": {"default": object()}}}, "must be JSON: it is not"),
        ({"type": "object", "default": float("nan")}, "must be JSON: it is not JSON: it holds nan"),
    ],
)
def test_parameters_of_ones_own(parameters: Any, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        ClientTool(name="page", parameters=parameters)
    assert f"the tool page: parameters {words}" in str(caught.value)


def test_the_face_has_all_its_names() -> None:
    assert all(hasattr(agent.tools, name) for name in agent.tools.__all__)
    assert not hasattr(agent.tools, "nothing")
