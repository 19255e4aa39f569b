"""What the embedded model says, and what it says was said to it.

It recognises no words, and never pretends to: it tells for how long it heard speech, repeats what
was typed, and says once, with its first words, what it is.
"""

import json
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from attrs import frozen

MAX_QUOTED: Final = 300
"""Characters of a person's own text that are said back."""
MAX_WORDS: Final = 1_000
"""Characters of one answer."""

_SAY = 'Say exactly: "'
_INTRODUCTION = (
    "Hello. I am the demo model that comes with trio voice agent. "
    "I run without a key and I cannot understand words{news} "
    "Set OPENAI_API_KEY to talk to a real model."
)
_HEARD = (
    "I heard you speak for {time}.",
    "That was {time} of speech.",
    "You spoke for {time}. I still cannot understand words.",
    "I listened for {time}.",
)
_NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


@frozen
class Cue:
    """What an answer answers.

    :ivar heard: seconds of speech, where the person spoke.
    :ivar said: what the person is taken to have said, where somebody knows.
    :ivar typed: what the person typed.
    :ivar told: what the client asked to be said.
    """

    heard: float | None = None
    said: str | None = None
    typed: str | None = None
    told: str | None = None


Understanding: TypeAlias = Callable[[int], str | None]
"""What the person is taken to say in the turn of this number (from 1), or None: not known."""

Wording: TypeAlias = Callable[[Cue, int], str]
"""An answer's words: to what, and how many answers were begun before."""


def understand_nothing(_turn: int) -> None:
    """The honest understanding."""


def say_exactly(instructions: str | None) -> str | None:
    """The text of `Say exactly: "TEXT"` in the instructions of a response, where they have it.

    TEXT goes on to the last quotation mark, and may be escaped as in JSON.
    """
    _, found, rest = (instructions or "").partition(_SAY)
    text, end, _ = rest.rpartition('"')
    if not found or not end:
        return None
    try:
        return str(json.loads(f'"{text}"', strict=False))[:MAX_WORDS]
    except ValueError:
        # Not escaped: as it stands, quotation marks and all.
        return text[:MAX_WORDS]


def transcript(seconds: float, said: str | None) -> str:
    """What stands for the person's words in the conversation."""
    if said is not None:
        return said
    return f"(speech, {seconds:.1f} s; the embedded model does not recognise words)"


def spoken_answer(cue: Cue, answers: int) -> str:
    """What it says in a voice of its own."""
    if cue.told is not None:
        return cue.told if answers else f"This is the demo model, without a key. {cue.told}"
    if not answers:
        return _INTRODUCTION.format(news=_news(cue))
    return _short(cue, answers)[:MAX_WORDS]


def echoed_answer(cue: Cue, answers: int) -> str:
    """What stands in the transcript where the only voice is the caller's own, played back."""
    what = "your own words back to you" if cue.heard is not None else "a chime"
    why = "" if answers else " I am the demo model: I run without a key and without a voice."
    words = f"(The embedded model plays {what}.{why})"
    if cue.told is not None:
        words += f" It would have said: {cue.told}"
    return words[:MAX_WORDS]


def pieces(text: str) -> list[str]:
    """The text in deltas of a word each; joined they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+", text) or ([text] if text else [])


def _news(cue: Cue) -> str:
    if cue.said is not None:
        return f", but I was told that you said: {_quoted(cue.said)}"
    if cue.typed is not None:
        return f". You wrote: {_quoted(cue.typed)}"
    if cue.heard is not None:
        return f", but I heard you speak for {cue.heard:.1f} seconds."
    return ", but I can hear that you speak."


def _short(cue: Cue, answers: int) -> str:
    if cue.said is not None:
        return f"You said: {_quoted(cue.said)}"
    if cue.typed is not None:
        return f"You wrote: {_quoted(cue.typed)}"
    if cue.heard is not None:
        return _HEARD[(answers - 1) % len(_HEARD)].format(time=_time(cue.heard))
    return "I am here. Say something, and I will tell you for how long I heard you."


def _quoted(text: str) -> str:
    """The text as the end of a sentence."""
    whole = " ".join(text.split()).rstrip(".")
    if len(whole) > MAX_QUOTED:
        whole = f"{whole[:MAX_QUOTED]}, and so on"
    return whole if whole.endswith(("!", "?")) else f"{whole}."


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole == 0:
        return "less than a second"
    number = _NUMBERS[whole] if whole < len(_NUMBERS) else str(whole)
    return f"{number} second{'' if whole == 1 else 's'}"
