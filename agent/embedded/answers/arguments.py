"""The arguments of a function call, found in a sentence by the function's JSON Schema.

A JSON object in the sentence is taken as it stands. Otherwise each property of the schema, and of
the objects right in it, looks for what is said:

- an `enum`, for the first of its values;
- a number, for the one nearest to the property's name (`5 minutes`);
- a boolean is false where no, not, off or without is said, else true where its name or yes is;
- a text, for what follows its name (`city: Paris`) or a preposition in its name (`from_city`); if
  it is required, or is the first where nothing is, then also for a quotation or for what follows
  any preposition (`in Paris`);
- an array, for one item.

Texts look last, and no number and no phrase is used twice. What is not said is its `default`, or
is left out, or, if it is required, is the least of its type: the first of an enumeration, false, 0
or what is empty. References, alternatives, limits and lengths are not heeded.
"""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from agent.embedded.answers.sentences import (
    json_objects,
    numbers,
    phrase_after,
    phrases,
    split_name,
    words_of,
)

Schema = dict[str, Any]

MAX_PARTS: Final = 128
"""Properties and enumerated values of one schema that are looked at; the rest are left out."""
_MAX_NAME: Final = 100
"""Characters of a name or an enumerated value that are looked at."""
_NOTHING: Final = object()
_LEAST: Final[Schema] = {"string": "", "boolean": False, "null": None, "array": (), "object": {}}
_NO: Final = frozenset({"no", "not", "off", "without", "false", "don"})
_YES: Final = frozenset({"yes", "true"})


def arguments_for(parameters: Any, text: str) -> str:
    """The arguments, as JSON text.

    :param parameters: the function's JSON Schema, or whatever its client declared in its place.
    :param text: the part of the sentence that speaks of this call.
    """
    for start, end in json_objects(text):
        return text[start:end]
    found = _Search(text).object(_dict(parameters), is_top=True)
    return json.dumps(found, ensure_ascii=False)


class _Search:
    """One sentence, and what of it is not used yet."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = words_of(text)
        self._plain = f" {' '.join(word.plain for word in self._words)} "
        self._said = {word.plain for word in self._words}
        self._numbers = numbers(text)
        self._phrases = phrases(text)
        self._left = MAX_PARTS

    def object(self, schema: Schema, *, is_top: bool) -> Schema:
        """The properties that are said, that have a default, or that are required."""
        named = self._some(_dict(schema.get("properties")).items())
        properties = {name: _dict(inner) for name, inner in named}
        required = {name for name in _list(schema.get("required")) if isinstance(name, str)}
        texts = [name for name, inner in properties.items() if _is_text(inner)]
        wanted = required or set(texts[:1])
        found = {}
        for name in sorted(properties, key=texts.__contains__):
            inner = properties[name]
            if is_top and _type(inner) == "object":
                value = self.object(inner, is_top=False) or _NOTHING
            else:
                value = self._said_for(inner, _words(name), is_wanted=name in wanted)
            if value is _NOTHING:
                value = inner.get("default", _least(inner) if name in required else _NOTHING)
            found[name] = value
        return {name: found[name] for name in properties if found[name] is not _NOTHING}

    def _some(self, parts: Iterable[Any]) -> list[Any]:
        """As many of them as may still be looked at."""
        some = list(islice(parts, self._left))
        self._left -= len(some)
        return some

    def _said_for(self, schema: Schema, name: list[str], *, is_wanted: bool) -> Any:
        if _list(schema.get("enum")):
            values = self._some(schema["enum"])
            return next((value for value in values if self._find(_words(value))), _NOTHING)
        match _type(schema):
            case "integer" | "number":
                return self._number(schema, name)
            case "boolean" if not self._said.isdisjoint(_NO | _YES) or self._find(name):
                return self._said.isdisjoint(_NO)
            case "string":
                return self._string(name, is_wanted=is_wanted)
            case "array" if _type(items := _dict(schema.get("items"))) != "array":
                item = self._said_for(items, name, is_wanted=is_wanted)
                return _NOTHING if item is _NOTHING else [item]
        return _NOTHING

    def _number(self, schema: Schema, name: list[str]) -> Any:
        is_whole = _type(schema) == "integer"
        fitting = [n for n in self._numbers if n.value.is_integer() or not is_whole]
        if not fitting:
            return _NOTHING
        start, end = self._find(name) or (0, 0)
        chosen = min(fitting, key=lambda number: max(start - number.end, number.start - end))
        self._numbers.remove(chosen)
        # What was used as a number is no text as well: "for 5 minutes".
        said = self._text[chosen.start : chosen.end]
        self._phrases = [phrase for phrase in self._phrases if said not in phrase[1]]
        return int(chosen.value) if chosen.value.is_integer() else chosen.value

    def _string(self, name: list[str], *, is_wanted: bool) -> Any:
        span = self._find(name)
        if span is not None and (named := phrase_after(self._text, span[1])):
            self._phrases = [phrase for phrase in self._phrases if phrase[1] != named]
            return named
        behind = [phrase for phrase in self._phrases if phrase[0] in name]
        for phrase in behind or (self._phrases if is_wanted else ()):
            self._phrases.remove(phrase)
            return phrase[1]
        return _NOTHING

    def _find(self, name: list[str]) -> tuple[int, int] | None:
        """Where in the text these words stand, one behind the other."""
        at = self._plain.find(f" {' '.join(name)} ") if name else -1
        if at < 0:
            return None
        first = self._plain.count(" ", 0, at)
        return self._words[first].start, self._words[first + len(name) - 1].end


def _least(schema: Schema) -> Any:
    """The first of an enumeration, or what is empty; of numbers 0."""
    return (_list(schema.get("enum")) or [_LEAST.get(_type(schema), 0)])[0]


def _type(schema: Schema) -> str:
    """The type; of several the first that is not null; a text where none is told."""
    told = _list(schema.get("type")) or [schema.get("type")]
    names = [name for name in told if isinstance(name, str)]
    names.sort(key="null".__eq__)
    return names[0] if names else ("object" if "properties" in schema else "string")


def _is_text(schema: Schema) -> bool:
    return _type(schema) == "string" and not _list(schema.get("enum"))


def _words(value: Any) -> list[str]:
    return split_name(str(value)[:_MAX_NAME])


def _dict(value: Any) -> Schema:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
