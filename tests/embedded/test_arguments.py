"""Arguments out of sentences, by JSON Schemas of all kinds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.embedded.answers.arguments import arguments_for

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}
FLAG = {"type": "boolean"}
UNIT = {"type": "string", "enum": ["celsius", "deep_fried"]}


def found(text: str, *required: str, **properties: Any) -> Any:
    """The arguments for an object of these properties."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return json.loads(arguments_for(schema, text))


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
        ("to in from Rome", "Rome"),
        ("Paris", ""),
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
    assert found("-3", "n", n=INTEGER) == {"n": -3}
    assert found("2-3", "a", "b", a=INTEGER, b=INTEGER) == {"a": 2, "b": 3}
    assert found("3.5", "n", n=INTEGER) == {"n": 0}
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


def test_enumerations() -> None:
    assert found("in Celsius", unit=UNIT) == {"unit": "celsius"}
    assert found("deep fried", unit=UNIT) == {"unit": "deep_fried"}
    assert found("raw", unit=UNIT) == {}
    assert found("raw", "unit", unit=UNIT) == {"unit": "celsius"}
    assert found("level 3", level={"enum": [1, 2, 3]}) == {"level": 3}


def test_defaults() -> None:
    assert found("raw", unit=UNIT | {"default": "celsius"}) == {"unit": "celsius"}
    assert found("", "n", n=INTEGER | {"default": 9}) == {"n": 9}
    assert found("8", "n", n=INTEGER | {"default": 9}) == {"n": 8}


def test_an_array_has_one_item_or_none() -> None:
    numbers = {"type": "array", "items": INTEGER, "minItems": 3}
    assert found("1, 2 and 3", n=numbers) == {"n": [1]}
    assert found("", n=numbers) == {}
    assert found("", "n", n=numbers) == {"n": []}
    assert found("deep fried", "u", u={"type": "array", "items": UNIT}) == {"u": ["deep_fried"]}
    assert found("1", "n", n={"type": "array", "items": numbers}) == {"n": []}


def test_objects_are_looked_into_once() -> None:
    place = {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}
    assert found("in Paris", "place", place=place) == {"place": {"city": "Paris"}}
    deeper = {"type": "object", "properties": {"place": place}, "required": ["place"]}
    assert found("in Paris", "trip", trip=deeper) == {"trip": {"place": {}}}


def test_of_several_types_the_first_counts() -> None:
    assert found("7", n={"type": ["null", "integer"]}) == {"n": 7}
    assert found("7", "n", n={"type": "null"}) == {"n": None}


def test_json_in_the_sentence_is_taken_as_it_stands() -> None:
    schema = {"properties": {"city": TEXT}, "required": ["city"]}
    assert arguments_for(schema, 'x {"a": {"b": "}"}} in Rome') == '{"a": {"b": "}"}}'
    assert arguments_for(schema, 'x {oops} in Rome {"a": 1}') == '{"a": 1}'
    assert arguments_for(schema, "x {oops in Rome") == '{"city": "Rome"}'
    quoted = r'with {"a": "\"}{"} in Rome'
    assert arguments_for(schema, quoted) == r'{"a": "\"}{"}'


ODD: list[Any] = [
    None,
    5,
    [],
    {"properties": 5, "required": 5},
    {"properties": {"a": 5}, "required": ["a", 7]},
    {"properties": {"a": {"type": 5, "enum": 5, "items": 5}}, "required": ["a"]},
    {"properties": {"a": {"type": "array", "items": 5}}, "required": ["a"]},
    {"properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
    {"properties": {"a": {"anyOf": [5]}}, "required": ["a"]},
    {"properties": {"": TEXT, "?": INTEGER, "b": {"enum": ["", None, {}]}}, "required": ["", "?"]},
]


@pytest.mark.parametrize("schema", ODD, ids=str)
def test_a_schema_without_sense_still_gives_an_object(schema: Any) -> None:
    assert isinstance(json.loads(arguments_for(schema, "in Paris 5")), dict)


def test_only_so_much_of_a_schema_is_looked_at() -> None:
    names = [f"p{n}" for n in range(138)]
    schema = {"properties": dict.fromkeys(names, TEXT), "required": names}
    assert list(json.loads(arguments_for(schema, ""))) == names[:128]
    # Enumerations take their values from the same store, those of inner objects too.
    inner = {"type": "object", "properties": {"p": {"enum": names}}}
    assert found("p3", outer=inner) == {"outer": {"p": "p3"}}
    # Two of the parts are the properties themselves.
    assert found("p125", outer=inner) == {"outer": {"p": "p125"}}
    assert found("p126", outer=inner) == {}
    assert found("p3", first=inner, second=inner) == {"first": {"p": "p3"}}


# -- any schema of the common kind ---------------------------------------------------------------

LEAVES = st.sampled_from([INTEGER, NUMBER, FLAG, UNIT, TEXT])
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


ARRAYS = st.builds(lambda items: {"type": "array", "items": items}, LEAVES)
SCHEMAS = objects(LEAVES | ARRAYS | objects(LEAVES | ARRAYS))
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
            for inner in value:
                check(schema["items"], inner)
        case "string":
            assert isinstance(value, str)
        case "boolean":
            assert isinstance(value, bool)
        case kind:
            assert type(value) in ((int,) if kind == "integer" else (int, float))


@given(schema=SCHEMAS, text=SENTENCES)
def test_arguments_are_as_the_schema_wants_them(schema: dict[str, Any], text: str) -> None:
    check(schema, json.loads(arguments_for(schema, text)))
