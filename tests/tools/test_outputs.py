"""Results, as JSON text."""

import dataclasses
from datetime import UTC, date, datetime, time
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import attrs
import numpy as np
import orjson
import pytest
from hypothesis import given

from agent.tools.outputs import MAX_OUTPUT, BadOutput, encode_output
from tests.tools.kinds import JSON


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Pair(NamedTuple):
    a: int
    b: int


@attrs.frozen
class Stop:
    city: str
    _at: date


@dataclasses.dataclass
class Way:
    stops: list[Stop]


@given(JSON)
def test_json_is_as_it_was(value: Any) -> None:
    assert orjson.loads(encode_output(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("words", '"words"'),
        ('{"a": 1}', r'"{\"a\": 1}"'),
        (Colour.RED, '"red"'),
        (Level.LOW, "1"),
        (Pair(1, 2), "[1,2]"),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset({1j}), None),
        ({"a", 1}, ...),
        ({Colour.RED: 1, 2: Level.LOW}, '{"red":1,"2":1}'),
        (time(10, 15), '"10:15:00"'),
        (datetime(2026, 11, 23, tzinfo=UTC), '"2026-11-23T00:00:00+00:00"'),
        (
            Way([Stop("Paris", date(2026, 11, 23))]),
            '{"stops":[{"city":"Paris","at":"2026-11-23"}]}',
        ),
        (np.float64(0.5), "0.5"),
    ],
)
def test_results(value: Any, text: Any) -> None:
    if text is None:
        with pytest.raises(BadOutput):
            encode_output(value)
    elif text is ...:
        assert sorted(orjson.loads(encode_output(value)), key=str) == [1, "a"]
    else:
        assert encode_output(value) == text


def cycle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "holds nan"),
        ([{"a": float("inf")}], "holds inf"),
        (object(), "an object of the type object"),
        ([Stop], "an object of the type type"),
        (b"x", "an object of the type bytes"),
        ({(1, 2): 1}, "a key is of the type tuple"),
        ({True: 1}, "a key is of the type bool"),
        ("\ud800", "not JSON"),
        (2**70, "not JSON"),
        (cycle(), "deep"),
        ("x" * MAX_OUTPUT, f"has {MAX_OUTPUT + 2} bytes; at most {MAX_OUTPUT} are"),
        ("é" * (MAX_OUTPUT // 2), f"has {MAX_OUTPUT + 2} bytes"),
        ([0] * MAX_OUTPUT, f"has more than {MAX_OUTPUT} values"),
    ],
)
def test_what_is_no_result(value: Any, words: str) -> None:
    with pytest.raises(BadOutput) as caught:
        encode_output(value)
    assert words in str(caught.value)


def test_the_largest_result() -> None:
    assert len(encode_output("x" * (MAX_OUTPUT - 2))) == MAX_OUTPUT
