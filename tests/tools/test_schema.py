"""What the model is told of a function: its schema is valid, and says just what is accepted."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType, TypedDict

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openai.types.realtime import RealtimeFunctionTool
from typing_extensions import TypeAliasType

from agent.tools import RunContext, Tool, ToolError, tool
from agent.tools.arguments import BadArguments
from agent.tools.outputs import to_json
from tests.tools.kinds import JSON, KINDS, Colour, Level, Options, Point, Stop, Tree, values_of

UserId = NewType("UserId", int)
Words = TypeAliasType("Words", list[str])


class LazyAlias:
    """What `type Json = dict[str, Json] | list[Json] | str | None` makes, in Python 3.12."""

    __name__ = "Json"

    @property
    def __value__(self) -> Any:
        return dict[str, self] | list[self] | str | None  # type: ignore[valid-type]


def taking(kind: Any, default: Any = inspect.Parameter.empty) -> Tool[..., Any]:
    """A tool whose parameter x is of this type."""

    def echo(x: Any = None) -> Any:
        return x

    parameter = inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, default=default)
    echo.__annotations__ = {"x": kind}
    echo.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return tool(echo)


def x_of(made: Tool[..., Any]) -> dict[str, Any]:
    schema: dict[str, Any] = made.parameters["properties"]["x"]
    return schema


def accepts(made: Tool[..., Any], arguments: Any) -> bool:
    try:
        made.decode(orjson.dumps(arguments).decode())
    except BadArguments:
        return False
    return True


def check_official(made: Tool[..., Any]) -> None:
    told = made.model_description()
    Draft202012Validator.check_schema(told["parameters"])
    parsed = RealtimeFunctionTool.model_validate(told, strict=True)
    assert parsed.model_extra in (None, {})
    assert parsed.to_dict() == told
    orjson.dumps(told)


@given(st.data())
def test_what_the_schema_allows_is_what_is_accepted(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    made = taking(kind)
    check_official(made)
    validator = Draft202012Validator(made.parameters)
    for _ in range(4):
        arguments = {"x": data.draw(values_of(kind))}
        assert accepts(made, arguments) == validator.is_valid(arguments), (kind, arguments)


@given(KINDS, JSON)
def test_no_json_at_all_raises_anything_but_bad_arguments(kind: Any, value: Any) -> None:
    made = taking(kind)
    assert accepts(made, {"x": value}) == Draft202012Validator(made.parameters).is_valid(
        {"x": value}
    )
    assert not accepts(made, {"y": value})


@given(st.data())
def test_what_was_made_is_the_same_as_json_again(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([Tree, Stop, Point, Options, Colour, Level, set[int]]))
    made = taking(kind)
    arguments = {"x": data.draw(values_of(kind))}
    if accepts(made, arguments):
        made_of = made.decode(orjson.dumps(arguments).decode())
        assert made.decode(orjson.dumps(to_json(made_of)).decode()) == made_of


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (Any, {}),
        (datetime, {"type": "string", "format": "date-time"}),
        (date, {"type": "string", "format": "date"}),
        (UserId, {"type": "integer"}),
        (Words, {"type": "array", "items": {"type": "string"}}),
        (str | None, {"type": ["string", "null"]}),
        (Any | None, {"anyOf": [{}, {"type": "null"}]}),
        (Literal[None] | None, {"anyOf": [{"type": "null", "enum": [None]}, {"type": "null"}]}),
        (
            Annotated[int | None, "words"] | None,
            {"anyOf": [{"type": ["integer", "null"], "description": "words"}, {"type": "null"}]},
        ),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Literal["c", "f"], {"type": "string", "enum": ["c", "f"]}),
        (Literal["c", 1], {"enum": ["c", 1]}),
        (Literal[Colour.RED], {"type": "string", "enum": ["red"]}),
        (Colour, {"type": "string", "enum": ["red", "blue"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
        (Colour | None, {"type": ["string", "null"], "enum": ["red", "blue", None]}),
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[int], {"type": "array", "items": {"type": "integer"}}),
        (tuple, {"type": "array", "items": {}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (
            frozenset[str],
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        ),
        (dict, {"type": "object", "additionalProperties": {}}),
        (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Annotated[int, 5, "how many"], {"type": "integer", "description": "how many"}),
        (
            Stop,
            {
                "type": "object",
                "description": "A place on the way.",
                "properties": {
                    "city": {"type": "string", "description": "where it is."},
                    "minutes": {"type": "integer", "default": 5},
                    "via": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        ),
        (
            Options,
            {
                "type": "object",
                "properties": {"loud": {"type": "boolean"}, "name": {"type": "string"}},
                "required": ["loud"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_the_schema_of_a_type(kind: Any, schema: dict[str, Any]) -> None:
    made = taking(kind)
    check_official(made)
    assert x_of(made) == schema


def test_a_type_that_holds_itself_is_a_definition() -> None:
    made = taking(list[Tree])
    check_official(made)
    assert x_of(made) == {"type": "array", "items": {"$ref": "#/$defs/Tree"}}
    assert list(made.parameters["$defs"]) == ["Tree"]
    found = made.decode('{"x": [{"value": 1, "twin": {"value": 2}}]}')["x"]
    assert found == [Tree(1, twin=Tree(2))]


def test_a_type_statement_that_holds_itself() -> None:
    made = taking(LazyAlias())
    check_official(made)
    assert made.decode('{"x": {"a": ["b", null]}}') == {"x": {"a": ["b", None]}}
    assert not accepts(made, {"x": [1]})


def test_two_classes_of_one_name() -> None:
    def another() -> Any:
        @attrs.frozen
        class Tree:
            inner: Any = None

        Tree.__annotations__["inner"] = Tree | None
        return Tree

    made = taking(tuple[Tree, another()])  # type: ignore[misc]
    check_official(made)
    assert list(made.parameters["$defs"]) == ["Tree", "Tree_2"]
    assert accepts(made, {"x": [{"value": 1}, {"inner": {"inner": None}}]})
    assert not accepts(made, {"x": [{"value": 1}, {"value": 1}]})


@pytest.mark.parametrize(
    ("kind", "default", "told"),
    [
        (int, 5, {"default": 5}),
        (Colour, Colour.RED, {"default": "red"}),
        (date, date(2026, 11, 23), {"default": "2026-11-23"}),
        (set[str], frozenset("cab"), {"default": ["a", "b", "c"]}),
        (Stop, Stop("Paris"), {"default": {"city": "Paris", "minutes": 5, "via": []}}),
        (int | None, None, {"default": None}),
        (float, float("nan"), {}),
        (Any, object(), {}),
        (int, "auto", {}),
    ],
)
def test_a_default_makes_a_parameter_optional(kind: Any, default: Any, told: Any) -> None:
    made = taking(kind, default)
    check_official(made)
    assert made.parameters["required"] == []
    assert {k: v for k, v in x_of(made).items() if k == "default"} == told
    assert made.decode("{}") == {}


def test_a_default_of_none_allows_null() -> None:
    made = taking(int, None)
    assert x_of(made) == {"type": ["integer", "null"], "default": None}
    assert made.decode('{"x": null}') == {"x": None}


class Shade(Enum):
    PALE = 0.5


@dataclass
class Odd:
    x: InitVar[int]


@attrs.frozen
class Priced:
    price: Decimal


class Lost(TypedDict):
    x: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (complex, "complex"),
        (bytes, "bytes"),
        (Decimal, "Decimal"),
        (Callable[[], None], "Callable[[], None]"),
        (dict[int, str], "dict[int, str], keys must be str"),
        (Literal[b"x"], "b'x'"),
        (Shade, "Shade, with a value of 0.5"),
        (list[Priced], "holds a Priced, whose price has a type without a schema: decimal.Decimal"),
        (Odd, "Odd, which has an InitVar"),
        (Lost, "Lost, whose annotations cannot be read: name 'Nowhere' is not defined"),
        (set[list[int]], "a set of what cannot be in one: list[int]"),
        (set[int | dict[str, int]], "a set of what cannot be in one: dict[str, int]"),
        ([int], "[<class 'int'>]"),
        (type, "type"),
    ],
)
def test_a_type_without_a_schema_is_an_error_at_once(kind: Any, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        taking(kind)
    assert "echo: the parameter x h" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def untyped(x) -> None:  # type: ignore[no-untyped-def]
    ...


def starred(*x: int) -> None: ...


def double_starred(**x: int) -> None: ...


def positional(x: int, /) -> None: ...


def lost(x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    ...


def two_contexts(a: RunContext, b: RunContext) -> None: ...


class Thing:
    def method(self, x: int) -> int:
        """Has a method."""
        return x


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (untyped, "untyped: the parameter x has no type"),
        (starred, "starred: the parameter x takes any arguments"),
        (double_starred, "double_starred: the parameter x takes any arguments"),
        (positional, "positional: the parameter x is positional only"),
        (lost, "lost: its annotations cannot be read: name 'Nowhere' is not defined"),
        (two_contexts, "two_contexts: more than one RunContext: a, b"),
        (Thing.method, "self has no type (of a method, declare a bound one"),
    ],
)
def test_a_signature_that_cannot_be_is_an_error_at_once(fn: Any, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        tool(fn)
    assert words in str(caught.value)


def test_a_bound_method_is_a_tool() -> None:
    made = tool(Thing().method)
    assert (made.name, made.description) == ("method", "Has a method.")
    assert made.parameters["required"] == ["x"]
    assert made(5) == 5


def test_a_context_stands_in_no_schema() -> None:
    def f(it: RunContext, x: int, maybe: str = "") -> None: ...

    def g(x: int, it: RunContext | None = None) -> None: ...

    assert list(tool(f).parameters["properties"]) == ["x", "maybe"]
    assert list(tool(g).parameters["properties"]) == ["x"]
    assert (tool(f).context, tool(g).context) == ("it", "it")
