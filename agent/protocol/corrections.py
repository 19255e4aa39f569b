"""What the server is told after an interruption, so that it remembers what was heard and no more.

For each spoken item of an interrupted response, once: `conversation.item.truncate` with the
milliseconds played; `conversation.item.delete` when nothing was heard; nothing when all was. A
server refuses to truncate an item without audio, and an item that it still writes can't be
deleted: a delete waits until the item is done.
"""

from collections.abc import Callable, Mapping

from agent.audio import samples_to_ms
from agent.protocol.actions import Action, Heard, PartKey, Send
from agent.protocol.client_events import (
    ConversationItemDeleteEvent,
    ConversationItemTruncateEvent,
)
from agent.protocol.tracking import Item
from agent.protocol.transcripts import cut_short


class Corrections:
    """The corrections of one conversation.

    :param new_id: makes ids for the events that are sent.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def interrupted(self, item: Item, heard: Mapping[PartKey, Heard]) -> list[Action]:
        """The response of this item has been interrupted.

        :param heard: for each part that playout held, how far it came.
        """
        cut = item.cut_at(heard)
        if cut is None:
            return []
        content_index, samples = cut
        milliseconds = samples_to_ms(samples)
        words: list[Action] = []
        for part in item.parts.values():
            report = heard.get(part.key)
            if report is None or not report.whole:
                part.cut = True
                words.append(cut_short(part, item, report.played if report else 0))
        if milliseconds == 0:
            return [*words, *self.unheard(item)]
        truncate = ConversationItemTruncateEvent(
            item_id=item.id,
            content_index=content_index,
            audio_end_ms=milliseconds,
            event_id=self._new_id(),
        )
        return [Send(truncate), *words]

    def unheard(self, item: Item) -> list[Action]:
        """Nothing of this item was heard, or will be."""
        item.to_delete = True
        return self.item_done(item) if item.done else []

    def item_done(self, item: Item) -> list[Action]:
        """The server has finished this item; `item.done` is set."""
        if not item.to_delete:
            return []
        item.to_delete = False
        if any(part.is_text for part in item.parts.values()):
            return []  # it was read
        return [Send(ConversationItemDeleteEvent(item_id=item.id, event_id=self._new_id()))]
