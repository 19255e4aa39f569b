"""Types that a tool may take, and JSON that fits them or nearly does, for Hypothesis."""

import dataclasses
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict, Union

import attrs
from hypothesis import strategies as st


class Colour(str, Enum):  # noqa: UP042 - both ways are in use
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Stop:
    """A place on the way.

    :ivar city: where it is.
    """

    city: str
    minutes: int = 5
    _via: list[str] = attrs.field(factory=list)


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


class Options(TypedDict):
    loud: bool
    name: NotRequired[str]


@attrs.frozen
class Tree:
    """Holds itself."""

    value: int
    children: list["Tree"] = attrs.field(factory=list)
    twin: Optional["Tree"] = None  # a string alone cannot be part of a | b


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.sampled_from("abred"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner),
    max_leaves=5,
)

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=5),
    int: st.integers(-(2**53), 2**53) | st.integers(-9, 9).map(float),
    float: st.floats(-1e6, 1e6) | st.integers(-9, 9),
    bool: st.booleans(),
    None: st.none(),
    Any: JSON,
    Colour: st.sampled_from(["red", "blue"]),
    Level: st.sampled_from([1, 2, 1.0]),
    Literal["a", 1, None]: st.sampled_from(["a", 1, None]),
    Literal[True, 7]: st.sampled_from([True, 7, 7.0]),
}


def _object(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


def _trees(depth: int = 2) -> st.SearchStrategy[Any]:
    optional: dict[str, st.SearchStrategy[Any]] = {}
    if depth:
        inner = _nearly(_trees(depth - 1))
        optional = {"children": st.lists(inner, max_size=2), "twin": st.none() | inner}
    return _object({"value": _nearly(_SIMPLE[int])}, optional)


def _nearly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly these, now and then anything else."""
    return st.one_of(*[values] * 7, JSON)


_CLASSES: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    Stop: lambda: _object(
        {"city": values_of(str)}, {"minutes": values_of(int), "via": values_of(list[str])}
    ),
    Point: lambda: _object({"x": values_of(float)}, {"y": values_of(float)}),
    Options: lambda: _object({"loud": values_of(bool)}, {"name": values_of(str)}),
    Tree: _trees,
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """JSON that fits the type, or nearly does."""
    return _nearly(_values(kind))


def _values(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _SIMPLE or kind in _CLASSES:
        return _SIMPLE[kind] if kind in _SIMPLE else _CLASSES[kind]()
    origin: Any = getattr(kind, "__origin__", None)
    args: Any = getattr(kind, "__args__", ())
    if origin is dict:
        return st.dictionaries(st.text(max_size=3), values_of(args[1]), max_size=2)
    if origin is tuple and ... not in args:
        return st.tuples(*map(values_of, args)).map(list) | st.lists(JSON, max_size=3)
    if origin in (list, set, tuple):
        return st.lists(values_of(args[0]), max_size=3)
    if getattr(kind, "__metadata__", None):
        return values_of(origin)
    return st.one_of(*map(values_of, args))


def _composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda kind: list[kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: tuple[kind, ...]),  # type: ignore[valid-type]
        inner.map(lambda kind: Optional[kind]),  # noqa: UP045
        inner.map(lambda kind: Annotated[kind, "words"]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda pair: Union[pair]),  # noqa: UP007
    )


KINDS = st.recursive(
    st.sampled_from([*_SIMPLE, *_CLASSES, set[int], set[str]]), _composed, max_leaves=4
)
