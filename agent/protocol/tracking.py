"""What is known of one response while it is generated and played: its items and their parts."""

from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field

from agent.protocol.actions import Heard, PartKey


@define
class Part:
    """One content part.

    :ivar received: samples of its audio that have come.
    :ivar ended: the server has said that no more audio comes.
    :ivar is_text: it is written, not spoken.
    :ivar words: (samples received when they came, text): transcript deltas against audio.
    :ivar cut: the person did not hear all of it, and what was heard has been published.
    """

    key: PartKey
    received: int = 0
    ended: bool = False
    is_text: bool = False
    words: list[tuple[int, str]] = field(factory=list)
    cut: bool = False

    def transcript_until(self, samples: int) -> str:
        """The words that came before the audio had grown to so many samples."""
        return "".join(text for at, text in self.words if at < samples)


@define
class Item:
    """One output item. Only messages are cut short; a function call has no audio to be heard."""

    id: str
    output_index: int = 0
    is_message: bool = True
    done: bool = False
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
    """

    id: str
    open: bool = False
    interrupted: bool = False
    items: dict[str, Item] = field(factory=dict)

    def part(self, item_id: str, output_index: int, content_index: int) -> Part:
        """That part, made where an event names it for the first time."""
        item = self.items.setdefault(item_id, Item(item_id, output_index))
        key = PartKey(self.id, item_id, content_index)
        return item.parts.setdefault(content_index, Part(key))

    def messages(self) -> Iterator[Item]:
        """Its spoken items."""
        return (item for item in self.items.values() if item.is_message)


def by_key(reports: Iterable[Heard]) -> dict[PartKey, Heard]:
    """The reports by the part that each is of."""
    return {report.key: report for report in reports}
