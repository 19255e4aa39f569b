"""The arguments of a function call, found in a sentence by the function's JSON Schema.

A JSON object in the sentence is taken as it stands. Otherwise each property looks for a value:

- an `enum` for the first of its values that is said; a `const` has only one;
- a number for one that is said and within its limits, best beside the property's own name
  (`5 minutes`);
- a boolean is false where no, not, off or without is said, else true where its name or yes is;
- a string for what follows its name (`city: Paris`) or a preposition in its name (`from_city`);
  if it is required, or is the first where nothing is, then also for a quotation or for what
  follows any preposition (`in Paris`);
- an array for as many items as are said; an object for its own properties.

Strings look last, and no number and no phrase is used twice. What is not said is its `default`,
or is left out, or, if it is required, is something of the right type: false, the smallest number,
the first of the enumeration, what else there is of the sentence.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from agent.embedded.answers.schemas import (
    Schema,
    fits,
    is_text,
    least,
    lengths,
    listed,
    of_length,
    properties_of,
    required_of,
    resolved,
    schema_of,
    type_of,
)
from agent.embedded.answers.sentences import (
    Number,
    json_objects,
    numbers,
    phrase_from,
    phrases,
    quotations,
    split_name,
    words_of,
)

MAX_PROPERTIES: Final = 256
"""Properties of a schema that are looked for in all: one that refers to itself has no end."""
_MAX_DEPTH: Final = 6
_NOTHING: Final = object()
_NO: Final = frozenset({"no", "not", "off", "without", "false", "don"})
_YES: Final = frozenset({"yes", "true"})


def arguments_for(parameters: Any, text: str, own_words: frozenset[str]) -> str:
    """The arguments, as JSON text.

    :param parameters: the function's JSON Schema, or whatever its client declared in its place.
    :param text: the part of the sentence that speaks of this call.
    :param own_words: the words of the function's name, which are no arguments.
    """
    for start, end in json_objects(text):
        return text[start:end]
    schema = resolved(parameters, schema_of(parameters))
    found = _Search(schema_of(parameters), text, own_words).object(schema, 0)
    return json.dumps(found, ensure_ascii=False)


class _Search:
    """One sentence, and what of it is not used yet."""

    def __init__(self, root: Schema, text: str, own_words: frozenset[str]) -> None:
        self._root = root
        self._text = text
        self._own_words = own_words
        self._words = words_of(text)
        self._said = [word.plain for word in self._words]
        self._numbers = numbers(text)
        self._phrases = quotations(text) + phrases(text)
        self._left = MAX_PROPERTIES

    def object(self, schema: Schema, depth: int) -> Schema:
        """The properties that are said, that have a default, or that are required."""
        properties = self._properties(schema)
        required = required_of(schema)
        texts = [name for name, inner in properties.items() if is_text(inner)]
        wanted = required or set(texts[:1])
        found = {}
        for name in [*(name for name in properties if name not in texts), *texts]:
            inner = properties[name]
            value = self._said_for(inner, split_name(name), name in wanted, depth)
            if value is _NOTHING and "default" in inner:
                value = inner["default"]
            elif value is _NOTHING and name in required:
                value = self._made_up(inner, depth)
            if value is not _NOTHING:
                found[name] = value
        return {name: found[name] for name in properties if name in found}

    def _properties(self, schema: Schema) -> dict[str, Schema]:
        names = list(properties_of(schema))[: self._left]
        self._left -= len(names)
        return {name: resolved(properties_of(schema)[name], self._root) for name in names}

    # -- what is said ----------------------------------------------------------------------------

    def _said_for(self, schema: Schema, name: list[str], is_wanted: bool, depth: int) -> Any:
        if "const" in schema:
            return schema["const"]
        if listed(schema, "enum"):
            return next(self._enumerated(schema), _NOTHING)
        return self._of_type(schema, name, is_wanted, depth)

    def _of_type(self, schema: Schema, name: list[str], is_wanted: bool, depth: int) -> Any:
        match type_of(schema):
            case "string":
                return self._string(schema, name, is_wanted)
            case "integer" | "number":
                return self._number(schema, name)
            case "boolean":
                return self._boolean(name)
            case "array" if depth < _MAX_DEPTH:
                return self._array(schema, name, is_wanted, depth + 1) or _NOTHING
            case "object" if depth < _MAX_DEPTH:
                return self.object(schema, depth + 1) or _NOTHING
        return _NOTHING

    def _enumerated(self, schema: Schema) -> Iterator[Any]:
        for value in listed(schema, "enum")[:MAX_PROPERTIES]:
            if self._find(split_name(str(value))) is not None:
                yield value

    def _boolean(self, name: list[str]) -> Any:
        if not _NO.isdisjoint(self._said):
            return False
        is_said = self._find(name) is not None or not _YES.isdisjoint(self._said)
        return True if is_said else _NOTHING

    def _number(self, schema: Schema, name: list[str]) -> Any:
        fitting = [number for number in self._numbers if fits(schema, number.value)]
        if not fitting:
            return _NOTHING
        chosen = min(fitting, key=lambda number: self._distance(name, number))
        self._numbers.remove(chosen)
        said = self._text[chosen.start : chosen.end]
        # What was used as a number is no text as well: "for 5 minutes".
        self._phrases = [phrase for phrase in self._phrases if said not in phrase]
        return int(chosen.value) if chosen.value.is_integer() else chosen.value

    def _distance(self, name: list[str], number: Number) -> int:
        """How many characters a number is away from its property's name, if that is said."""
        named = [word for word in self._words if word.plain in name]
        gaps = [max(word.start - number.end, number.start - word.end) for word in named]
        return min(gaps, default=0)

    def _string(self, schema: Schema, name: list[str], is_wanted: bool) -> Any:
        value = self._named(name)
        if value is None and is_wanted and self._phrases:
            value = self._phrases[0]
        if value is None:
            return _NOTHING
        if value in self._phrases:
            self._phrases.remove(value)
        return of_length(schema, value)

    def _named(self, name: list[str]) -> str | None:
        """What follows the property's name, or a preposition in it."""
        at = self._find(name)
        if at is not None:
            return phrase_from(self._text, self._words, at + len(name)) or None
        for index, said in enumerate(self._said):
            if said in name:
                phrase = phrase_from(self._text, self._words, index + 1)
                if phrase in self._phrases:
                    return phrase
        return None

    def _array(self, schema: Schema, name: list[str], is_wanted: bool, depth: int) -> list[Any]:
        items = resolved(schema.get("items"), self._root)
        fewest, most = lengths(schema)
        found = list(self._enumerated(items))[:most]
        # Only what is used up comes to an end.
        while len(found) < most and self._has_more(items):
            value = self._said_for(items, name, is_wanted, depth)
            if value is _NOTHING:
                break
            found.append(value)
        missing = max(0, fewest - len(found)) if found else 0
        return found + [self._made_up(items, depth) for _ in range(missing)]

    def _has_more(self, items: Schema) -> bool:
        if "enum" in items or "const" in items:
            return False
        match type_of(items):
            case "integer" | "number":
                return bool(self._numbers)
            case "string":
                return bool(self._phrases)
        return False

    def _find(self, name: list[str]) -> int | None:
        """Where these words stand, one behind the other."""
        starts = range(len(self._said) - len(name) + 1) if name else ()
        return next((at for at in starts if self._said[at : at + len(name)] == name), None)

    # -- what is not said ------------------------------------------------------------------------

    def _made_up(self, schema: Schema, depth: int) -> Any:
        """Something of the right type."""
        if listed(schema, "enum"):
            return schema["enum"][0]
        match type_of(schema):
            case "integer" | "number":
                return least(schema)
            case "boolean" | "null" as kind:
                return False if kind == "boolean" else None
            case "object":
                return self.object(schema, depth + 1) if depth < _MAX_DEPTH else {}
            case "array":
                fewest = lengths(schema)[0] if depth < _MAX_DEPTH else 0
                items = resolved(schema.get("items"), self._root)
                return [self._made_up(items, depth + 1) for _ in range(fewest)]
        return of_length(schema, self._remainder())

    def _remainder(self) -> str:
        """The sentence from its first to its last word that is not the function's own."""
        kept = [word for word in self._words if word.plain not in self._own_words]
        return self._text[kept[0].start : kept[-1].end] if kept else ""
