"""What the embedded model says, and what it says was said to it.

It recognises no words, and never pretends to: it tells for how long it heard speech, repeats what
was typed, tells what functions answered, and says once, with its first words, what it is.

What the instructions of a response ask it to say, it says: `Say exactly: "TEXT"`. Where they go on
with `Then say exactly: "MORE"`, each text is an item of the response, with audio of its own.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

import orjson
from attrs import frozen

MAX_QUOTED: Final = 300
"""Characters of a person's own text that are said back."""
MAX_WORDS: Final = 1_000
"""Characters of one utterance."""
MAX_UTTERANCES: Final = 4
"""Utterances in one answer."""

LOOKING: Final = "Let me look."
"""What is said ahead of a function call."""

_SAY = 'Say exactly: "'
_THEN = re.compile(r'"\s+Then say exactly: "')
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
class Answered:
    """A function's answer, as text."""

    name: str
    output: str


@frozen
class Cue:
    """What an answer answers.

    :ivar heard: seconds of speech, where the person spoke.
    :ivar said: what the person is taken to have said, where somebody knows.
    :ivar typed: what the person typed.
    :ivar answered: what the functions answered that were called for this.
    :ivar awaited: the names of those that were called and have yet to answer.
    :ivar told: what the client asked to be said, one utterance after the other.
    """

    heard: float | None = None
    said: str | None = None
    typed: str | None = None
    answered: tuple[Answered, ...] = ()
    awaited: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


Understanding: TypeAlias = Callable[[int], str | None]
"""What the person is taken to say in the turn of this number (from 1), or None: not known."""

Wording: TypeAlias = Callable[[Cue, int], tuple[str, ...]]
"""An answer's utterances, mostly one: to what, and how many answers were begun before."""


def understand_nothing(_turn: int) -> None:
    """The honest understanding."""


def say_exactly(instructions: str | None) -> tuple[str, ...]:
    """The texts of `Say exactly: "TEXT"` in the instructions of a response, where they have it.

    TEXT goes on to the last quotation mark, or to one ahead of `Then say exactly: "`, and may be
    escaped as in JSON.
    """
    _, found, rest = (instructions or "").partition(_SAY)
    texts, end, _ = rest.rpartition('"')
    if not found or not end:
        return ()
    return tuple(_unescaped(text) for text in _THEN.split(texts)[:MAX_UTTERANCES])


def transcript(seconds: float, said: str | None) -> str:
    """What stands for the person's words in the conversation."""
    if said is not None:
        return said
    return f"(speech, {seconds:.1f} s; the embedded model does not recognise words)"


def spoken_answer(cue: Cue, answers: int) -> tuple[str, ...]:
    """What it says in a voice of its own."""
    if cue.told:
        first, *more = cue.told
        first = first if answers else f"This is the demo model, without a key. {first}"
        return (first, *more)
    if not answers:
        return (_INTRODUCTION.format(news=_news(cue))[:MAX_WORDS],)
    return (_short(cue, answers)[:MAX_WORDS],)


def echoed_answer(cue: Cue, answers: int) -> tuple[str, ...]:
    """What stands in the transcript where the only voice is the caller's own, played back."""
    what = "your own words back to you" if cue.heard is not None else "a chime"
    why = "" if answers else " I am the demo model: I run without a key and without a voice."
    words = f"(The embedded model plays {what}.{why})"
    first, *more = cue.told or (_of_functions(cue) or "",)
    if first:
        words += f" It would have said: {first}"
    return (words[:MAX_WORDS], *more)


def pieces(text: str) -> list[str]:
    """The text in deltas of a word each; joined they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+", text) or ([text] if text else [])


def _unescaped(text: str) -> str:
    try:
        return str(orjson.loads(f'"{text}"'))[:MAX_WORDS]
    except orjson.JSONDecodeError:
        # Not escaped, or half a character: as it stands, quotation marks and all.
        return text[:MAX_WORDS]


def _of_functions(cue: Cue) -> str | None:
    if cue.answered:
        return " ".join(f"{one.name} answered: {_quoted(one.output)}" for one in cue.answered)
    if cue.awaited:
        return f"I still wait for an answer of {' and '.join(cue.awaited)}."
    return None


def _news(cue: Cue) -> str:
    of_functions = _of_functions(cue)
    if of_functions is not None:
        return f". {of_functions}"
    if cue.said is not None:
        return f", but I was told that you said: {_quoted(cue.said)}"
    if cue.typed is not None:
        return f". You wrote: {_quoted(cue.typed)}"
    if cue.heard is not None:
        return f", but I heard you speak for {cue.heard:.1f} seconds."
    return ", but I can hear that you speak."


def _short(cue: Cue, answers: int) -> str:
    of_functions = _of_functions(cue)
    if of_functions is not None:
        return of_functions
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
