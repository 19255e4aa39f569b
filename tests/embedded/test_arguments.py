"""Arguments out of sentences, by JSON Schemas of all kinds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.embedded.answers.arguments import MAX_PROPERTIES, arguments_for

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}
FLAG = {"type": "boolean"}
UNIT = {"type": "string", "enum": ["celsius", "deep_fried"]}
NOBODYS: frozenset[str] = frozenset()


def found(text: str, *required: str, **properties: Any) -> Any:
    """The arguments for an object of these properties."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return json.loads(arguments_for(schema, text, NOBODYS))


@pytest.mark.parametrize(
    ("text", "city"),
    [
        ("in Paris", "Paris"),
        ("in the Hague, please", "Hague"),
        ("for New York and for Rome", "New York"),
        ("to Stoke-on-Trent.", "Stoke-on-Trent"),
        ("city: Paris", "Paris"),
        ("the city is Rio in summer", "Rio"),
        ('say "in Paris" in Rome', "in Paris"),
        ("send it to bob@example.com at once", "bob@example.com"),
        ("at 5:30 tomorrow", "5:30"),
        ("Paris", "Paris"),
        ("Wie ist das Wetter für Köln?", "Wie ist das Wetter für Köln"),
        ("", ""),
    ],
)
def test_text_follows_its_name_or_a_preposition(text: str, city: str) -> None:
    assert found(text, "city", city=TEXT) == {"city": city}


def test_text_that_is_not_required_needs_its_name() -> None:
    assert found("in Paris to Rome", "city", city=TEXT, label=TEXT) == {"city": "Paris"}
    label = found("in Paris, label home", "city", city=TEXT, label=TEXT)
    assert label == {"city": "Paris", "label": "home"}
    # Where nothing is required, the first text is wanted all the same.
    assert found("in Paris to Rome", city=TEXT, label=TEXT) == {"city": "Paris"}


def test_numbers() -> None:
    both = {"hours": INTEGER, "minutes": INTEGER}
    assert found("5 minutes", **both) == {"hours": 5}
    assert found("5 minutes and 2 hours", **both) == {"hours": 2, "minutes": 5}
    assert found("two", "n", n=INTEGER) == {"n": 2}
    assert found("3.5 or 4", "n", n=INTEGER) == {"n": 4}
    assert found("3.5 or 4", "n", n=NUMBER) == {"n": 3.5}
    assert found("-3 in 2025", "n", n=INTEGER | {"minimum": 0}) == {"n": 2025}
    assert found("7", "n", n=INTEGER | {"maximum": 5, "minimum": 2}) == {"n": 2}
    assert found("7", "n", n=INTEGER | {"exclusiveMinimum": 7}) == {"n": 8}
    assert found("none", "n", n=NUMBER | {"maximum": -1}) == {"n": -1}
    assert found("for 5 people in Rome", "n", "where", n=INTEGER, where=TEXT) == {
        "n": 5,
        "where": "Rome",
    }


@pytest.mark.parametrize(
    ("text", "flag"),
    [("make it loud", True), ("not loud", False), ("yes", True), ("don't", False), ("", None)],
)
def test_booleans(text: str, flag: bool | None) -> None:
    assert found(text, loud=FLAG) == ({} if flag is None else {"loud": flag})
    assert found(text, "loud", loud=FLAG) == {"loud": bool(flag)}


def test_enumerations_and_constants() -> None:
    assert found("in Celsius", unit=UNIT) == {"unit": "celsius"}
    assert found("deep fried", unit=UNIT) == {"unit": "deep_fried"}
    assert found("raw", unit=UNIT) == {}
    assert found("raw", "unit", unit=UNIT) == {"unit": "celsius"}
    assert found("level 3", level={"enum": [1, 2, 3]}) == {"level": 3}
    assert found("", kind={"const": "x"}) == {"kind": "x"}


def test_defaults() -> None:
    assert found("raw", unit=UNIT | {"default": "celsius"}) == {"unit": "celsius"}
    assert found("", "n", n=INTEGER | {"default": 9}) == {"n": 9}
    assert found("8", "n", n=INTEGER | {"default": 9}) == {"n": 8}


def test_arrays_and_objects() -> None:
    assert found("1, 2 and 3", n={"type": "array", "items": INTEGER}) == {"n": [1, 2, 3]}
    most = {"type": "array", "items": INTEGER, "maxItems": 2}
    assert found("1, 2 and 3", n=most) == {"n": [1, 2]}
    units = {"type": "array", "items": UNIT}
    assert found("deep fried, celsius", "u", u=units) == {"u": ["celsius", "deep_fried"]}
    least = {"type": "array", "items": INTEGER, "minItems": 2}
    assert found("", "n", n=least) == {"n": [0, 0]}
    place = {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}
    assert found("in Paris", "place", place=place) == {"place": {"city": "Paris"}}


def test_alternatives_and_references() -> None:
    assert found("7", n={"anyOf": [{"type": "null"}, INTEGER]}) == {"n": 7}
    assert found("7", n={"type": ["null", "integer"]}) == {"n": 7}
    schema = {
        "type": "object",
        "properties": {"unit": {"$ref": "#/$defs/Unit"}},
        "$defs": {"Unit": UNIT},
    }
    assert arguments_for(schema, "celsius", NOBODYS) == '{"unit": "celsius"}'


def test_lengths_of_text() -> None:
    assert found("in Paris", "c", c=TEXT | {"maxLength": 3}) == {"c": "Par"}
    assert found("", "c", c=TEXT | {"minLength": 3}) == {"c": "???"}


def test_json_in_the_sentence_is_taken_as_it_stands() -> None:
    schema = {"properties": {"city": TEXT}, "required": ["city"]}
    assert arguments_for(schema, 'x {"a": {"b": "}"}} in Rome', NOBODYS) == '{"a": {"b": "}"}}'
    assert arguments_for(schema, 'x {oops} in Rome {"a": 1}', NOBODYS) == '{"a": 1}'
    assert arguments_for(schema, "x {oops in Rome", NOBODYS) == '{"city": "Rome"}'


ODD: list[Any] = [
    None,
    5,
    [],
    {"properties": 5, "required": 5},
    {"properties": {"a": 5}, "required": ["a", 7]},
    {"properties": {"a": {"type": 5, "enum": 5, "items": 5}}, "required": ["a"]},
    {"properties": {"a": {"type": "array", "maxItems": -1}}, "required": ["a"]},
    {"properties": {"a": {"type": "string", "minLength": 10**9}}, "required": ["a"]},
    {"properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
    {"properties": {"a": {"$ref": "elsewhere"}}, "required": ["a"]},
    {"properties": {"a": {"anyOf": [5]}}, "required": ["a"]},
    {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
]


@pytest.mark.parametrize("schema", ODD, ids=str)
def test_a_schema_without_sense_still_gives_an_object(schema: Any) -> None:
    assert isinstance(json.loads(arguments_for(schema, "in Paris 5", NOBODYS)), dict)


def test_a_schema_that_refers_to_itself_ends() -> None:
    names = [f"p{n}" for n in range(100)]
    schema = {"properties": {name: {"$ref": "#"} for name in names}, "required": names}
    assert arguments_for(schema, "", NOBODYS).count("p") <= MAX_PROPERTIES


# -- any schema of the common kind ---------------------------------------------------------------

LIMITS = st.fixed_dictionaries(
    {}, optional={"minimum": st.integers(-20, 0), "maximum": st.integers(1, 20)}
)
LEAVES = st.one_of(
    LIMITS.map(lambda limits: {"type": "integer", **limits}),
    LIMITS.map(lambda limits: {"type": "number", **limits}),
    st.just(FLAG),
    st.just(UNIT),
    st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 20)),
)
NAMES = st.sampled_from(["city", "from_city", "n", "loud", "itemCount", "unit"])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(NAMES, inner, max_size=4)
    return properties.flatmap(
        lambda declared: st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.just(declared),
                "required": st.lists(st.sampled_from(sorted(declared)), unique=True)
                if declared
                else st.just([]),
            }
        )
    )


SCHEMAS = objects(
    st.recursive(
        LEAVES,
        lambda inner: (
            objects(inner)
            | st.builds(
                lambda items, least: {"type": "array", "items": items, "minItems": least},
                inner,
                st.integers(0, 2),
            )
        ),
        max_leaves=6,
    )
)
SENTENCES = st.lists(
    st.sampled_from(
        ["in", "Paris", "city", "is", "5", "-3", "2.5", "loud", "not", "celsius", ",", '"x y"']
    ),
    max_size=12,
).map(" ".join)


def check(schema: dict[str, Any], value: Any) -> None:
    """The value is what the schema asks for."""
    if "enum" in schema:
        assert value in schema["enum"]
        return
    match schema["type"]:
        case "object":
            assert set(schema["required"]) <= value.keys() <= schema["properties"].keys()
            for name, inner in value.items():
                check(schema["properties"][name], inner)
        case "array":
            assert len(value) >= schema["minItems"]
            for inner in value:
                check(schema["items"], inner)
        case "string":
            assert isinstance(value, str)
            assert len(value) <= schema["maxLength"]
        case "boolean":
            assert isinstance(value, bool)
        case kind:
            assert type(value) in ((int,) if kind == "integer" else (int, float))
            assert schema.get("minimum", value) <= value <= schema.get("maximum", value)


@given(schema=SCHEMAS, text=SENTENCES)
def test_arguments_are_as_the_schema_wants_them(schema: dict[str, Any], text: str) -> None:
    check(schema, json.loads(arguments_for(schema, text, NOBODYS)))
