"""What is known of one response while it is generated and played: its items and their parts.

All of it is bounded: a server that names ever new items costs no more than one that does not.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import define, field

from agent.protocol.actions import Heard, PartKey

SAMPLE_BYTES: Final = 2
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
        """The words that came before the audio had grown to so many samples."""
        return "".join(text for at, text in self.words if at < samples)


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

    def cut_at(self, heard: Mapping[PartKey, Heard]) -> tuple[int, int] | None:
        """(content index, samples) up to which this item was heard; None if nothing of it was cut.

        A part that playout no longer holds has been played to its end.
        """
        spoken = [index for index, part in sorted(self.parts.items()) if not part.is_text]
        if not spoken and (self.parts or self.done):
            return None
        last, whole = (0, 0), True
        for index in spoken:
            part = self.parts[index]
            report = heard.get(part.key)
            played = part.received if report is None else report.played
            whole = whole and report is None and played > 0
            if played:
                last = (index, played)
        ended = self.done or all(self.parts[index].ended for index in spoken)
        return None if spoken and whole and ended else last


@define
class Response:
    """One response.

    :ivar open: the server may still send parts of it.
    :ivar interrupted: the person spoke over it: no sample of it is played again.
    :ivar announced: `response.created` has told of it.
    :ivar beside: it is not part of the conversation, which remembers nothing of it.
    """

    id: str
    open: bool = False
    announced: bool = False
    interrupted: bool = False
    beside: bool = False
    items: dict[str, Item] = field(factory=dict)

    @property
    def is_heard(self) -> bool:
        """It has audio."""
        parts = (part for item in self.items.values() for part in item.parts.values())
        return any(part.received for part in parts)

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
            known = Part(PartKey(self.id, item_id, content_index))
            item.parts[content_index] = known
        return known

    def messages(self) -> Iterator[Item]:
        """Its spoken items."""
        return (item for item in self.items.values() if item.is_message)


def by_key(reports: Iterable[Heard]) -> dict[PartKey, Heard]:
    """The reports by the part that each is of."""
    return {report.key: report for report in reports}
