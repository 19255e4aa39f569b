"""When the embedded model calls a function. It understands no sentence: it goes by a rule.

The rule reads the words that are being answered: what was typed, or what the script says that the
person said. A function of the session's `tools`, or of the response's own, is called

1. where its name stands in them: `call get_weather {"city": "Paris"}`; twice, if it is there twice
   with different arguments;
2. or where all the telling words of its name do: `What is the weather in Paris?` asks for
   `get_weather`, `Set a timer for 5 minutes` for `setTimer`. Every word tells but get, fetch, find,
   look, lookup, up, show, tell, give, read, check and current (all tell where there are no others).
   Capital letters do not count, nor does the `s` of a plural.

Where the telling words of one function are all among those of another that is called too, only
the other is: a question for the `weather forecast` calls `get_weather_forecast` and not
`get_weather`. What stands in quotation marks or in a JSON object asks for nothing. `don't` is not
understood.

Several functions in one sentence are several calls of one response, unless its own
`parallel_tool_calls` is false; the arguments of each are looked for from the words of its name to
those of the next one's (the first also looks before them), as arguments.py says.

`tool_choice` is obeyed: with `none` nothing is called; with `required` the function with most of
its words in the sentence is, or else the first, if none was asked for; a named function is called
whatever was said. Tools of MCP servers are never called.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen

from agent.embedded.answers.arguments import arguments_for
from agent.embedded.answers.sentences import bare, split_name, words_of
from agent.protocol.tools import RealtimeFunctionTool, Tool, ToolChoice, ToolChoiceFunction

MAX_CALLS: Final = 16
"""Calls in one response; the same one twice counts twice."""
MAX_READ: Final = 2_000
"""Characters of the words that are looked at."""
MAX_TOOLS: Final = 128
"""Tools that are looked at."""
_TOKEN: Final = re.compile(r"[\w-]+")
_NOT_TELLING: Final = frozenset(
    split_name("get fetch find look lookup up show tell give read check current")
)


@frozen
class Asked:
    """A function to be called.

    :ivar arguments: JSON text.
    """

    name: str
    arguments: str


@frozen
class _Mention:
    """Where the words ask for a function.

    :ivar at: the position in the text of the last word that it took.
    """

    function: "_Function"
    at: int


class _Function:
    def __init__(self, tool: RealtimeFunctionTool) -> None:
        self.name = tool.name or ""
        self.parameters = tool.parameters
        self.words = frozenset(split_name(self.name))
        self.telling = self.words - _NOT_TELLING or self.words

    def call(self, text: str) -> Asked:
        return Asked(self.name, arguments_for(self.parameters, text))


def calls_for(text: str, tools: Sequence[Tool], choice: ToolChoice) -> tuple[Asked, ...]:
    """The calls that the words ask for, in the order of the words.

    :param text: what was typed or said; may be empty.
    :param choice: one that names a function which is not among the tools calls nothing.
    """
    text, functions = text[:MAX_READ], _functions(tools)
    if isinstance(choice, ToolChoiceFunction):
        named = [function for function in functions if function.name == choice.name]
        return tuple(function.call(text) for function in named[:1])
    if choice not in ("auto", "required") or not functions:
        return ()
    asked = tuple(dict.fromkeys(_asked(text, functions)))
    if choice == "required" and not asked:
        said = {word.plain for word in words_of(text)}
        return (max(functions, key=lambda f: len(f.telling & said)).call(text),)
    return asked


def _functions(tools: Sequence[Tool]) -> list[_Function]:
    declared = [t for t in tools[:MAX_TOOLS] if isinstance(t, RealtimeFunctionTool) and t.name]
    return [_Function(tool) for tool in declared]


def _asked(text: str, functions: list[_Function]) -> Iterator[Asked]:
    mentions = _mentions(text, functions)[:MAX_CALLS]
    bounds = [0, *(mention.at for mention in mentions[1:]), len(text)]
    for mention, (start, end) in zip(mentions, pairwise(bounds), strict=False):
        yield mention.function.call(text[start:end])


def _mentions(text: str, functions: list[_Function]) -> list[_Mention]:
    # A name of one word is its own telling word.
    by_name = {f.name.lower(): f for f in reversed(functions) if len(f.words) > 1}
    named = []
    first: dict[str, int] = {}
    for token in _TOKEN.finditer(bare(text)):
        function = by_name.get(token.group().lower())
        if function is not None:
            named.append(_Mention(function, token.start()))
            continue
        for word in words_of(token.group()):
            first.setdefault(word.plain, token.start() + word.start)
    told = [
        _Mention(function, max(first[word] for word in function.telling))
        for function in functions
        if function.telling and function.telling <= first.keys()
    ]
    return sorted(named + _most_telling(told), key=lambda mention: mention.at)


def _most_telling(mentions: list[_Mention]) -> list[_Mention]:
    """Without those whose words are all among another's; of equals the first declared stays."""
    kept = []
    for index, mention in enumerate(mentions):
        telling = mention.function.telling
        others = [other.function.telling for other in mentions]
        if not any(telling < other for other in others) and telling not in others[:index]:
            kept.append(mention)
    return kept
