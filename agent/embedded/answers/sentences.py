"""A sentence taken apart: its words, its numbers, its quotations, and what follows a preposition.

It is as plain as that. Nothing here knows what a word means.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

import orjson
from attrs import frozen

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER: Final = re.compile(r"(?<![\w.])-?[0-9]{1,15}(?:\.[0-9]{1,15})?|(?<=-)[0-9]{1,15}")
_QUOTATION: Final = re.compile(r'"([^"]+)"|“([^”]+)”')
_BRACES: Final = re.compile(r'"(?:\\.|[^"\\])*"|[{}]')


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COUNT: Final = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS: Final = {name: float(number) for number, name in enumerate(re.split(" ", _COUNT))}
_PREPOSITIONS: Final = _set(
    "in for to at from on about of with near into by as called named saying"
)
_STOPS: Final = _PREPOSITIONS | _set(
    "and or then but please because if when while now today tonight tomorrow"
)
_FILLERS: Final = _set("the a an my our your some is are equals")
_JOINTS: Final = "-./:@&_"
"""Between two words, without a space, they make one: 5:30, example.com."""


@frozen
class Word:
    """One word, and where it stands in the text."""

    text: str
    start: int
    end: int

    @property
    def plain(self) -> str:
        """The word in small letters, without the `s` of a plural or the `'s` of a genitive."""
        return plain(self.text)


def plain(word: str) -> str:
    """A word as it is compared with others."""
    small = re.split(r"['\u2019]", word.lower())[0]
    return small[:-1] if len(small) > 3 and small.endswith("s") and small[-2] != "s" else small


@frozen
class Number:
    """A number, and where it stands in the text."""

    value: float
    start: int
    end: int


def split_name(name: str) -> list[str]:
    """The words of a name in snake_case, camelCase or plain, as they are compared with others."""
    return [plain(word.text) for word in words_of(_HUMP.sub(" ", name))]


def words_of(text: str) -> list[Word]:
    """The words; `get_weather` is two."""
    return [Word(found.group(), found.start(), found.end()) for found in _WORD.finditer(text)]


def quotations(text: str) -> list[str]:
    """What stands in double quotation marks."""
    return [found.group(1) or found.group(2) for found in _QUOTATION.finditer(text)]


def quoted_spans(text: str) -> list[tuple[int, int]]:
    """Where the quotations stand."""
    return [found.span() for found in _QUOTATION.finditer(text)]


def numbers(text: str) -> list[Number]:
    """The numbers in digits, and those up to twelve in letters."""
    digits = [Number(float(m.group()), m.start(), m.end()) for m in _NUMBER.finditer(text)]
    letters = [
        Number(_NUMBERS[word.plain], word.start, word.end)
        for word in words_of(text)
        if word.plain in _NUMBERS
    ]
    return sorted(digits + letters, key=lambda number: number.start)


def json_objects(text: str) -> Iterator[tuple[int, int]]:
    """Where the JSON objects stand that the text has in it: start and end of each."""
    at = text.find("{")
    while at >= 0:
        end = _closing(text, at)
        if end is not None and _is_json(text[at:end]):
            yield at, end
        at = text.find("{", at + 1 if end is None else end)


def without(text: str, spans: Collection[tuple[int, int]]) -> str:
    """The text with spaces in place of these parts."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def phrases(text: str) -> list[str]:
    """What follows each preposition, up to the next one, a conjunction or a comma."""
    words = words_of(text)
    found = [
        phrase_from(text, words, index + 1)
        for index, word in enumerate(words)
        if word.plain in _PREPOSITIONS and _touches(text, words, index)
    ]
    return [phrase for phrase in found if phrase]


def phrase_from(text: str, words: list[Word], index: int) -> str:
    """The phrase that begins with the word of this index, without an article before it."""
    while index < len(words) and words[index].plain in _FILLERS:
        index += 1
    last = index
    while last < len(words) and words[last].plain not in _STOPS:
        last += 1
        # A part of a longer word stops nothing: Stoke-on-Trent.
        while _is_joined(text, words, last):
            last += 1
        if not _touches(text, words, last - 1):
            break
    return text[words[index].start : words[last - 1].end] if last > index else ""


def _is_joined(text: str, words: list[Word], index: int) -> bool:
    """The word of this index makes one with the word before it."""
    if index >= len(words):
        return False
    gap = text[words[index - 1].end : words[index].start]
    return len(gap) == 1 and gap in _JOINTS


def _touches(text: str, words: list[Word], index: int) -> bool:
    """The word of this index goes on into the next one."""
    if index + 1 >= len(words):
        return False
    gap = text[words[index].end : words[index + 1].start]
    return gap.isspace() or _is_joined(text, words, index + 1)


def _closing(text: str, start: int) -> int | None:
    depth = 0
    for found in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth == 0:
            return found.end()
    return None


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
