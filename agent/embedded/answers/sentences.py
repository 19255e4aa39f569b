"""A sentence taken apart: its words, its numbers, and what is quoted or follows a preposition.

It is as plain as that. Nothing here knows what a word means. Whatever is looked for, the text is
gone through once: none of these patterns goes back.
"""

import re
from collections.abc import Iterator
from typing import Final

import orjson
from attrs import frozen

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_QUOTATION: Final = re.compile(r'"([^"]+)"|“([^“”]+)”')
# A string that is not closed goes on to the end: otherwise each of its marks would be tried.
_BRACES: Final = re.compile(r'"(?:\\.|[^"\\])*"?|[{}]', re.DOTALL)
_COUNT: Final = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_NUMBER: Final = re.compile(
    rf"(?<![\w.])-?[0-9]{{1,15}}(?:\.[0-9]{{1,15}})?|(?<=-)[0-9]{{1,15}}|\b(?:{_COUNT})\b",
    re.IGNORECASE,
)
_PREPOSITIONS: Final = "in|for|to|at|from|on|about|of|with|near|into|by|as|called|named|saying"
_STOPS: Final = (
    f"{_PREPOSITIONS}|and|or|then|but|please|because|if|when|while|now|today|tonight|tomorrow"
)
_ARTICLES: Final = r"(?:\s+(?:the|an?|my|our|your|some|is|are|equals)(?=\s))*"
_PREPOSITION: Final = re.compile(rf"(?<!\S)({_PREPOSITIONS})(?=\s){_ARTICLES}\s+", re.IGNORECASE)
_AFTER_NAME: Final = re.compile(rf"[:=]?{_ARTICLES}\s*", re.IGNORECASE)
_PHRASE_END: Final = re.compile(
    rf'[.,;:!?](?=\s|$)|[()"“”]|\s(?:{_STOPS})(?=[\s.,;:!?]|$)', re.IGNORECASE
)


@frozen
class Word:
    """One word, and where it stands in the text.

    :ivar plain: as it is compared: in small letters, without `'s` or the `s` of a plural.
    """

    plain: str
    start: int
    end: int


@frozen
class Number:
    """A number, and where it stands in the text."""

    value: float
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """The words; `get_weather` is two."""
    return [Word(_plain(m.group()), m.start(), m.end()) for m in _WORD.finditer(text)]


def split_name(name: str) -> list[str]:
    """The words of a name in snake_case, camelCase or plain, as they are compared with others."""
    return [word.plain for word in words_of(_HUMP.sub(" ", name))]


def numbers(text: str) -> list[Number]:
    """The numbers in digits, and those up to twelve in letters."""
    return [Number(_value(m.group()), m.start(), m.end()) for m in _NUMBER.finditer(text)]


def phrases(text: str) -> list[tuple[str, str]]:
    """Each quotation, behind no preposition, and then what follows each preposition."""
    quoted = [("", m.group(1) or m.group(2)) for m in _QUOTATION.finditer(text)]
    found = [(m.group(1).lower(), _phrase(text, m.end())) for m in _PREPOSITION.finditer(text)]
    return quoted + [(preposition, phrase) for preposition, phrase in found if phrase]


def phrase_after(text: str, name_end: int) -> str:
    """What follows a name that ends there: up to a comma, a conjunction or a preposition."""
    gap = _AFTER_NAME.match(text, name_end)
    return _phrase(text, name_end if gap is None else gap.end())


def json_objects(text: str) -> Iterator[tuple[int, int]]:
    """Where the JSON objects stand in the text; a brace that is never closed hides what follows."""
    depth, start = 0, text.find("{")
    while start >= 0:
        for brace in _BRACES.finditer(text, start):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if depth == 0:
                break
        else:
            return
        if _is_json(text[start : brace.end()]):
            yield start, brace.end()
        start = text.find("{", brace.end())


def bare(text: str) -> str:
    """The text with spaces in place of its JSON objects and quotations."""
    parts, at = [], 0
    for start, end in json_objects(text):
        parts += [text[at:start], " " * (end - start)]
        at = end
    return _QUOTATION.sub(lambda m: " " * len(m.group()), "".join(parts) + text[at:])


def _plain(word: str) -> str:
    small = re.split(r"['\u2019]", word.lower())[0]
    return small[:-1] if len(small) > 3 and small.endswith("s") and small[-2] != "s" else small


def _value(number: str) -> float:
    count = _COUNT.split("|")
    small = number.lower()
    return float(count.index(small) if small in count else small)


def _phrase(text: str, start: int) -> str:
    # From the space ahead of it on: the phrase may be empty.
    end = _PHRASE_END.search(text, start - 1)
    return text[start : len(text) if end is None else end.start()].strip(" \t\r\n.,;:!?")


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
