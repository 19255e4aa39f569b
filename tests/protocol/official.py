"""Random JSON that the official package's types allow, made from these types themselves."""

import base64
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from openai.types.realtime import InputAudioBufferAppendEvent, ResponseAudioDeltaEvent
from pydantic import BaseModel

Values = st.SearchStrategy[Any]

TEXTS = st.text(max_size=5)
ANYTHING: Values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BASE64 = st.binary(max_size=6).map(lambda data: base64.b64encode(data).decode())
NEW_NAMES = TEXTS.map("new_".__add__)
# Names that are something to Python or to our classes, and nothing to the API.
_NEW_FIELDS = NEW_NAMES | st.sampled_from(["extra", "__class__", "self", "unset", ""])
_SIMPLE: Mapping[Any, Values] = {
    str: TEXTS,
    int: st.integers(0, 2**40),
    float: st.floats(-1e6, 1e6),
    bool: st.booleans(),
    type(None): st.none(),
    object: ANYTHING,
    Any: ANYTHING,
}
# The types say `str`; the words beside them say base64.
_BASE64_FIELDS = ((InputAudioBufferAppendEvent, "audio"), (ResponseAudioDeltaEvent, "delta"))


def models(union: Any) -> list[type[BaseModel]]:
    """The classes of one of the package's unions of events."""
    if isinstance(union, type):
        return [union]
    inner = get_args(union)[:1] if get_origin(union) is Annotated else get_args(union)
    return [model for part in inner for model in models(part)]


def type_of(model: type[BaseModel]) -> str:
    """An event's `type`, which its class names."""
    [name] = get_args(model.model_fields["type"].annotation)
    return str(name)


def instances(wanted: Any) -> Values:
    """JSON values that an official type, or a union of such, allows.

    :raises NotImplementedError: an annotation is of a kind that is not known here yet.
    """
    return _TODAY.values(wanted)


def newer_instances(wanted: Any) -> Values:
    """The same with what a newer release may add: fields in any object, values of enumerations."""
    return _LATER.values(wanted)


def whole_instances(wanted: Any) -> list[Any]:
    """JSON values, not random, in which everything that may be there is there in its turn.

    Each object has all of its fields, and among the values each kind of each field.
    """
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        return _whole_objects(wanted)
    if wanted in _SAMPLES:
        return _SAMPLES[wanted]
    return _WHOLE[get_origin(wanted)](get_args(wanted))


def _whole_objects(model: type[BaseModel]) -> list[Any]:
    fields = {
        field.alias or name: ["AQI="]
        if (model, name) in _BASE64_FIELDS
        else whole_instances(field.annotation)
        for name, field in model.model_fields.items()
    }
    count = max(map(len, fields.values()))
    return [
        {name: values[at % len(values)] for name, values in fields.items()} for at in range(count)
    ]


_SAMPLES: Mapping[Any, list[Any]] = {
    str: ["text"],
    int: [5],
    float: [0.5],
    bool: [True, False],
    type(None): [None],
    object: [{"any": [1, None]}],
    Any: [{"any": [1, None]}],
}


def _whole_union(inner: tuple[Any, ...]) -> list[Any]:
    return [value for arm in inner for value in whole_instances(arm)]


_WHOLE: Mapping[Any, Callable[[tuple[Any, ...]], list[Any]]] = {
    Annotated: lambda inner: whole_instances(inner[0]),
    Literal: list,
    Union: _whole_union,
    types.UnionType: _whole_union,
    list: lambda inner: [whole_instances(inner[0])],
    dict: lambda inner: [{str(at): value for at, value in enumerate(whole_instances(inner[1]))}],
}


class _Maker:
    def __init__(self, *, newer: bool) -> None:
        self._newer = newer
        self._made: dict[type[BaseModel], Values] = {}
        self._generic: dict[Any, Callable[[tuple[Any, ...]], Values]] = {
            Annotated: lambda inner: self.values(inner[0]),
            Literal: self._choice,
            Union: self._one_of,
            types.UnionType: self._one_of,
            list: lambda inner: st.lists(self.values(inner[0]), max_size=2),
            dict: lambda inner: st.dictionaries(*map(self.values, inner), max_size=2),
        }

    def values(self, wanted: Any) -> Values:
        if wanted in _SIMPLE:
            return _SIMPLE[wanted]
        if isinstance(wanted, type) and issubclass(wanted, BaseModel):
            if wanted not in self._made:
                self._made[wanted] = st.deferred(lambda: self._objects(wanted))
            return self._made[wanted]
        origin, inner = get_origin(wanted), get_args(wanted)
        if origin not in self._generic:
            raise NotImplementedError(str(wanted))
        return self._generic[origin](inner)

    def _choice(self, values: tuple[Any, ...]) -> Values:
        known: Values = st.sampled_from(values)
        if not self._newer:
            return known
        return known | (st.integers(0, 2**40) if isinstance(values[0], int) else NEW_NAMES)

    def _one_of(self, inner: tuple[Any, ...]) -> Values:
        return st.one_of(*map(self.values, inner))

    def _objects(self, model: type[BaseModel]) -> Values:
        required: dict[Any, Values] = {}
        optional: dict[Any, Values] = {}
        for name, field in model.model_fields.items():
            values = self.values(field.annotation)
            if (model, name) in _BASE64_FIELDS:
                values = BASE64
            (required if field.is_required() else optional)[field.alias or name] = values
        known = st.fixed_dictionaries(required, optional=optional)
        if not self._newer:
            return known
        added = st.dictionaries(_NEW_FIELDS, ANYTHING, max_size=1)
        return st.builds(lambda added, known: added | known, added, known)


_TODAY = _Maker(newer=False)
_LATER = _Maker(newer=True)
