"""What a model sends, made into arguments, or told to it in words that it can use."""

from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.calls import MAX_ARGUMENTS
from agent.tools import BadArguments, tool
from agent.tools.arguments import MAX_DEPTH, MAX_TOLD, decode_arguments
from tests.tools.kinds import Colour, Level, Options, Point, Stop


@attrs.frozen
class Trip:
    stops: list[Stop]
    at_most: int = attrs.field(default=5, validator=attrs.validators.le(9))


@tool
def plan(
    *,
    trip: Trip,
    colour: Colour = Colour.RED,
    level: Level | None = None,
    options: Options | None = None,
    shape: Point | list[Point] | None = None,
    weights: dict[str, float] | None = None,
    pair: tuple[int, str] | None = None,
    unique: set[int] | None = None,
    when: datetime | None = None,
    day: date | None = None,
) -> None: ...


def plan_with(**arguments: Any) -> dict[str, Any]:
    given = {"trip": {"stops": []}, **arguments}
    return plan.decode(orjson.dumps(given).decode())


def faults_of(**arguments: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadArguments) as caught:
        plan_with(**arguments)
    return list(caught.value.faults)


def test_python_values_are_made_of_json() -> None:
    found = plan_with(
        trip={"stops": [{"city": "Paris", "via": ["Lyon"]}], "at_most": 3.0},
        colour="blue",
        level=2,
        options={"loud": True},
        shape=[{"x": 1}],
        weights={"a": 1, "b": 0.5},
        pair=[1, "a"],
        unique=[1, 2],
        when="2026-11-23T10:15:00+01:00",
        day="2026-11-23",
    )
    assert found == {
        "trip": Trip([Stop("Paris", via=["Lyon"])], 3),
        "colour": Colour.BLUE,
        "level": Level.HIGH,
        "options": {"loud": True},
        "shape": [Point(1.0)],
        "weights": {"a": 1.0, "b": 0.5},
        "pair": (1, "a"),
        "unique": {1, 2},
        "when": datetime(2026, 11, 23, 10, 15, tzinfo=timezone(timedelta(hours=1))),
        "day": date(2026, 11, 23),
    }
    assert type(found["trip"].at_most) is int
    assert type(found["colour"]) is Colour
    assert type(found["level"]) is Level
    assert type(found["weights"]["a"]) is float


def test_what_is_not_sent_is_left_to_the_function() -> None:
    assert plan_with() == {"trip": Trip([])}


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ({"trip": {}}, [("trip.stops", "missing")]),
        ({"trip": [1]}, [("trip", "expected an object, not a list")]),
        ({"trip": {"stops": "Paris"}}, [("trip.stops", "expected a list, not text")]),
        (
            {"trip": {"stops": [{"city": "Paris"}, {"city": 5, "minutes": "5", "town": ""}]}},
            [
                ("trip.stops[1].city", "expected text, not a whole number"),
                ("trip.stops[1].minutes", "expected a whole number, not text"),
                ("trip.stops[1].town", "unknown field"),
            ],
        ),
        ({"trip": {"stops": [], "at_most": 10}}, [("trip", "'at_most' must be <= 9: 10")]),
        ({"trip": {"stops": [], "at_most": 1.5}}, ...),
        ({"weights": {"a": True}}, [("weights['a']", "expected a number")]),
        ({"trip": {"stops": [], "at_most": True}}, ...),
        ({"colour": "green"}, [("colour", 'expected one of "red", "blue"')]),
        ({"level": True}, [("level", "expected one of 1, 2, or expected null")]),
        ({"options": {"name": ""}}, [("options.loud", "missing")]),
        ({"shape": {"x": "1"}}, [("shape.x", "expected a number")]),
        ({"shape": [{"x": 1}, {"y": 1}]}, [("shape[1].x", "missing")]),
        ({"shape": 5}, ...),
        ({"weights": {"a": None}}, [("weights['a']", "expected a number")]),
        ({"pair": [1]}, [("pair", "expected 2 items, not 1, or expected null")]),
        ({"pair": ["a", 1]}, ...),
        ({"unique": [1, 1.0]}, [("unique", "expected items that all differ, or expected null")]),
        ({"when": "2026-11-23"}, ...),
        ({"when": "tomorrow, at noon"}, ...),
        ({"when": 1763892900}, ...),
        ({"day": "23.11.2026"}, [("day", "expected a date such as 2026-11-23, or expected null")]),
        ({"day": "2026-11-23T10:00"}, ...),
        ({"unknown": 1, "other": 2}, [("other", "unknown field"), ("unknown", "unknown field")]),
    ],
)
def test_faults_have_their_paths(arguments: dict[str, Any], faults: Any) -> None:
    found = faults_of(**arguments)
    if faults is ...:
        assert all(path.startswith(next(iter(arguments))) for path, _ in found)
    else:
        assert sorted(found) == sorted(faults)


def test_whole_numbers_that_a_fraction_no_longer_tells_apart() -> None:
    @tool
    def f(x: int) -> None: ...

    assert f.decode('{"x": 9007199254740992.0}') == {"x": 2**53}
    assert f.decode('{"x": 18446744073709551615}') == {"x": 2**64 - 1}
    for text in ('{"x": 9007199254740994.0}', '{"x": 18446744073709551616}'):
        with pytest.raises(BadArguments):
            f.decode(text)


def test_a_union_whose_arms_all_nearly_fit_tells_of_each() -> None:
    @tool
    def f(x: Point | Stop) -> None: ...

    with pytest.raises(BadArguments) as caught:
        f.decode('{"x": {"z": 1}}')
    [(path, words)] = caught.value.faults
    assert path == "x"
    assert words == "x: missing and z: unknown field, or city: missing and z: unknown field"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("{'x': 1}", "not JSON"),
        ('{"x": NaN}', "not JSON"),
        ('{"x": "\ud800"}', "not JSON"),
        ("[1]", "expected an object, not a list"),
        ("null", "expected an object, not null"),
        ('"{}"', "expected an object, not text"),
        ("[" * 2000 + "]" * 2000, "not JSON"),
        ('{"x": "' + "é" * (MAX_ARGUMENTS // 2) + '"}', f"more than the {MAX_ARGUMENTS} bytes"),
        ('{"x":' * 33 + "1" + "}" * 33, f"nested more than {MAX_DEPTH} deep"),
        ('{"x":' + "[" * 32 + "]" * 32 + "}", f"nested more than {MAX_DEPTH} deep"),
    ],
)
def test_what_is_no_object(text: str, words: str) -> None:
    with pytest.raises(BadArguments) as caught:
        decode_arguments(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_no_arguments(text: str) -> None:
    assert decode_arguments(text) == {}


@pytest.mark.parametrize(
    "text", ['{"x":' * 32 + "1" + "}" * 32, '{"x":' + "[" * 31 + "]" * 31 + "}"]
)
def test_what_is_just_not_too_deep(text: str) -> None:
    assert decode_arguments(text) == orjson.loads(text)


def test_the_text_tells_so_many_faults_and_counts_the_rest() -> None:
    with pytest.raises(BadArguments) as caught:
        plan_with(trip={"stops": [{"city": n} for n in range(50)]})
    assert len(caught.value.faults) == 50
    assert str(caught.value).count("expected text") == MAX_TOLD
    assert str(caught.value).endswith(f"; and {50 - MAX_TOLD} more")


def test_a_name_of_the_models_cannot_break_the_line() -> None:
    with pytest.raises(BadArguments) as caught:
        plan_with(**{"a\nb\x1b[31m" + "c" * 5000: 1})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1100


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_decoded_or_bad(text: str) -> None:
    with suppress(BadArguments):
        assert isinstance(plan.decode(text), dict)
