"""What a docstring says of a function or a class, and of its parameters or fields.

Three forms are read: `:param x:` lines, Google's `Args:` and NumPy's `Parameters` with a line of
dashes. Whatever is in another form is not an error, but says nothing.
"""

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from itertools import pairwise, takewhile
from typing import Final

from attrs import field, frozen

_NAMES: Final = r"\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*"
_FIELD: Final = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword|ivar|var|attribute)\s+(?:[^:]*\s)?"
    rf"(?P<names>{_NAMES})\s*:(?P<text>.*)"
)
_ANY_FIELD: Final = re.compile(r":\w+[^:]*:(\s|$)")
_GOOGLE_ITEM: Final = re.compile(rf"(?P<names>{_NAMES})\s*(?:\(.*?\))?\s*:(?P<text>.*)")
_NUMPY_ITEM: Final = re.compile(rf"(?P<names>{_NAMES})\s*(?::.*)?(?P<text>)")
_HEADING: Final = re.compile(
    r"(args|arguments|params|parameters|attributes|keyword arg(ument)?s|other parameters)(:?)",
    re.IGNORECASE,
)
_DASHES: Final = re.compile(r"-{3,}")


@frozen
class Described:
    """What a docstring says.

    :ivar summary: its first paragraph, on one line.
    :ivar parameters: by name; those that nothing is said of are absent.
    """

    summary: str = ""
    parameters: dict[str, str] = field(factory=dict)


def read_docstring(text: str | None) -> Described:
    """What it says; nothing, where there is none."""
    lines = [line.rstrip() for line in cleandoc(text or "").splitlines()]
    found: dict[str, str] = {}
    for names, words in (*_fields(lines), *_google(lines), *_numpy(lines)):
        for name in re.findall(r"\w+", names):
            found.setdefault(name, words)
    return Described(_summary(lines), {name: words for name, words in found.items() if words})


def _summary(lines: list[str]) -> str:
    first = []
    for line, following in pairwise([*lines, ""]):
        starts_section = _ANY_FIELD.match(line) or _HEADING.fullmatch(line)
        if not line or starts_section or _DASHES.fullmatch(following):
            break
        first.append(line)
    return _joined(first)


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    return _items(lines, _FIELD, 0)


def _google(lines: list[str]) -> Iterator[tuple[str, str]]:
    for at, line in enumerate(lines):
        heading = _HEADING.fullmatch(line)
        if heading and heading[3]:
            # If the docstring begins with it, cleandoc has taken away what its items are indented.
            is_bare = at == 0 and _indent(lines[1] if lines[1:] else "") == 0
            block = list(_deeper(lines[at + 1 :], -1 if is_bare else 0))
            base = next((_indent(inner) for inner in block if inner), 0)
            yield from _items(block, _GOOGLE_ITEM, base)


def _numpy(lines: list[str]) -> Iterator[tuple[str, str]]:
    headings = [at for at, pair in enumerate(pairwise(lines)) if _DASHES.fullmatch(pair[1])]
    for at, end in pairwise([*headings, len(lines)]):
        if _HEADING.fullmatch(lines[at]):
            yield from _items(lines[at + 2 : end], _NUMPY_ITEM, 0)


def _items(lines: list[str], pattern: re.Pattern[str], base: int) -> Iterator[tuple[str, str]]:
    """The items that are indented by `base`, each with the deeper lines that follow it."""
    for at, line in enumerate(lines):
        match = pattern.fullmatch(line.strip())
        if match and _indent(line) == base:
            yield match["names"], _joined([match["text"], *_deeper(lines[at + 1 :], base)])


def _deeper(lines: Iterable[str], than: int) -> Iterator[str]:
    return takewhile(lambda line: not line or _indent(line) > than, lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())
