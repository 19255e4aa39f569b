"""Which words belong to how much of their audio.

A transcript comes in pieces, between pieces of audio and mostly ahead of them. Words belong to the
audio that came between them and the next words, evenly. Two things are known beyond that: words
which ran far ahead, and whose audio is still to come, will be spoken as fast as speech usually is;
and words that come when all audio has come belong to what was before.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from agent.audio import SAMPLE_RATE

USUAL_SPEED: Final = 16.0
"""Characters a second: 160 words a minute."""
# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without spaces.
UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_TOKEN: Final = re.compile(rf"[{UNSPACED}]\s*|[^\s{UNSPACED}]+\s*|\s+")


def count_words(text: str) -> int:
    """How many words there are; in scripts that have no spaces between them each sign is one."""
    return len(_WORD.findall(text))


def words_until(
    samples: int, words: Sequence[tuple[int, str]], received: int, *, is_all: bool
) -> str:
    """The words that were begun within so many samples of the audio.

    :param words: (samples received when they came, text), in their order.
    :param received: samples of the audio that have come.
    :param is_all: no more of it comes.
    """
    spans = list(_spans(words, received, is_all=is_all))
    reached = sum(len(text) * _part_of(samples, start, end) for start, end, text in spans)
    heard = ""
    for token in _TOKEN.findall("".join(text for _, _, text in spans)):
        if len(heard) >= reached:
            break
        heard += token
    return heard


def _spans(
    words: Sequence[tuple[int, str]], received: int, *, is_all: bool
) -> Iterator[tuple[float, float, str]]:
    """(start, end, text): the audio that each piece of the transcript belongs to, in samples."""
    pieces = [
        (start, "".join(text for _, text in together))
        for start, together in groupby(filter(itemgetter(1), words), key=itemgetter(0))
    ]
    if pieces and pieces[-1][0] >= received:
        before = pieces[-2] if len(pieces) > 1 else (0, "")
        pieces[-2:] = [(before[0], before[1] + pieces[-1][1])]
    ends = [*(start for start, _ in pieces), received][1:]
    for (start, text), end in zip(pieces, ends, strict=True):
        is_open = end == received and not is_all
        least = start + len(text) * SAMPLE_RATE / USUAL_SPEED if is_open else end
        yield start, max(end, least), text


def _part_of(samples: int, start: float, end: float) -> float:
    """How much of this span so many samples cover, 0 to 1."""
    if end <= start:
        return float(samples >= end > 0)
    return min(1.0, max(0.0, (samples - start) / (end - start)))
