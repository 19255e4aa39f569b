"""What is known of one response while it is generated and played: its items and their parts.

All of it is bounded: a server that names ever new items costs no more than one that does not.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import define, field

from agent.audio import SAMPLE_BYTES, samples_to_ms
from agent.protocol.actions import Heard, PartKey
from agent.protocol.alignment import words_until

MAX_ITEMS: Final = 64
"""Items of one response that are kept track of; captured ones have up to three."""
MAX_PARTS: Final = 4
"""Content parts of one item; captured ones have one."""
MAX_WORDS: Final = 10_000
"""Transcript deltas of one part: more than an hour of speech."""
MAX_CHARACTERS: Final = 32_000
"""Characters of one part's transcript that are kept: half an hour of speech."""


@define
class Part:
    """One content part.

    :ivar received: samples of its audio that have come.
    :ivar ended: the server has said that no more audio comes.
    :ivar is_text: it is written, not spoken.
    :ivar odd: half a sample, whose other half comes with the next delta.
    :ivar words: (samples received when they came, text): transcript deltas against audio.
    :ivar cut: the person did not hear all of it, and what was heard has been published.
    """

    key: PartKey
    received: int = 0
    ended: bool = False
    is_text: bool = False
    odd: bytes = b""
    words: list[tuple[int, str]] = field(factory=list)
    cut: bool = False
    _room: int = MAX_CHARACTERS

    @property
    def is_spoken(self) -> bool:
        """It has audio, or may yet have some."""
        return not self.is_text and (self.received > 0 or not self.ended)

    def add_audio(self, data: bytes) -> bytes:
        """More of its audio; the whole samples that there are of it."""
        data = self.odd + data
        size = len(data) // SAMPLE_BYTES * SAMPLE_BYTES
        self.odd = data[size:]
        self.received += size // SAMPLE_BYTES
        return data[:size]

    def add_words(self, text: str) -> None:
        """More of its transcript."""
        if self._room and len(self.words) < MAX_WORDS:
            self.words.append((self.received, text[: self._room]))
            self._room -= len(self.words[-1][1])

    def transcript_until(self, samples: int) -> str:
        """The words that were begun within so many samples of the audio."""
        return words_until(samples, self.words, self.received, is_all=self.ended)


@define
class Item:
    """One output item. Only messages are cut short; a function call has no audio to be heard.

    :ivar to_delete: nothing of it was heard: the server is to forget it once it is done.
    """

    id: str
    output_index: int = 0
    is_message: bool = True
    done: bool = False
    to_delete: bool = False
    parts: dict[int, Part] = field(factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing of it has come, neither audio nor text."""
        return not any(part.received or part.is_text for part in self.parts.values())

    def end_parts(self) -> list[Part]:
        """No more audio comes for any of its parts; those of which that was not known yet."""
        ended = [part for part in self.parts.values() if not part.ended]
        for part in ended:
            part.ended = True
        return ended

    def cut_at(self, heard: Mapping[PartKey, Heard]) -> tuple[int, int] | None:
        """(content index, samples) up to which this item was heard; None if nothing of it was cut.

        :param heard: how far each part came; one that is not in it was not heard at all.
        """
        spoken = [index for index, part in sorted(self.parts.items()) if part.is_spoken]
        if not spoken and (self.parts or self.done):
            return None
        last, whole = (0, 0), bool(spoken)
        for index in spoken:
            report = heard.get(self.parts[index].key)
            whole = whole and report is not None and report.whole
            if report is not None and samples_to_ms(report.played):
                last = (index, report.played)
        # While it is not done, the server may add to it what nobody will hear.
        return None if whole and self.done else last


@define
class Response:
    """One response.

    :ivar number: responses are numbered as they are heard of.
    :ivar open: the server may still send parts of it.
    :ivar done: `response.done` has come.
    :ivar was_cancelled: and it said that it ended before its time.
    :ivar finished: playout has been told that no more of it comes.
    :ivar over: all of it was heard.
    :ivar protected: no speech interrupts it.
    :ivar interrupted: the person spoke over it: no sample of it is played again.
    :ivar announced: `response.created` has told of it.
    :ivar beside: it is not part of the conversation, which remembers nothing of it.
    """

    id: str
    number: int = 0
    open: bool = False
    done: bool = False
    was_cancelled: bool = False
    finished: bool = False
    over: bool = False
    protected: bool = False
    announced: bool = False
    interrupted: bool = False
    beside: bool = False
    items: dict[str, Item] = field(factory=dict)

    @property
    def is_heard(self) -> bool:
        """It has audio."""
        parts = (part for item in self.items.values() for part in item.parts.values())
        return any(part.received for part in parts)

    @property
    def is_past(self) -> bool:
        """It has ended, and nothing of it can be heard any more."""
        is_silent = self.over or self.interrupted or not self.is_heard
        return is_silent and not (self.open or self.protected)

    def item(self, item_id: str, output_index: int) -> Item | None:
        """That item, made where an event names it for the first time; None: there are too many."""
        known = self.items.get(item_id)
        if known is None and len(self.items) < MAX_ITEMS:
            known = self.items[item_id] = Item(item_id, output_index)
        return known

    def part(self, item_id: str, output_index: int, content_index: int) -> Part | None:
        """That part, made where an event names it for the first time; None: there are too many."""
        item = self.item(item_id, output_index)
        if item is None:
            return None
        known = item.parts.get(content_index)
        if known is None and len(item.parts) < MAX_PARTS:
            known = Part(PartKey(self.id, item_id, content_index), ended=item.done)
            item.parts[content_index] = known
        return known

    def messages(self) -> Iterator[Item]:
        """Its spoken items."""
        return (item for item in self.items.values() if item.is_message)


def by_key(reports: Iterable[Heard]) -> dict[PartKey, Heard]:
    """The reports by the part that each is of."""
    return {report.key: report for report in reports}
