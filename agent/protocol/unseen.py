"""Items of ours that the server has not told of yet: what a response that begins has not in view.

The server takes our events in order and tells of each item that it has taken in. So what it has
told of before a response begins, that response answers, whoever asked for it.
"""

from typing import Final

from attrs import define, field

from agent.protocol.client_events import ConversationItemCreateEvent
from agent.protocol.items import (
    ConversationItem,
    RealtimeConversationItemFunctionCallOutput,
    RealtimeConversationItemUserMessage,
    RealtimeMcpApprovalResponse,
)
from agent.protocol.responses import keep_newest

MAX_ITEMS: Final = 64
"""Of a server that never tells; then it is as if it had told of the oldest."""


@define
class Unseen:
    """Events that were sent, by their ids, and what their items are told by."""

    _items: dict[str, tuple[str, str]] = field(factory=dict)

    def __contains__(self, event_id: object) -> bool:
        return event_id in self._items

    def sent(self, create: ConversationItemCreateEvent) -> None:
        """An item has been sent."""
        mark = _mark(create.item)
        if mark is not None:
            self._items[str(create.event_id)] = mark
            keep_newest(self._items, MAX_ITEMS)

    def told(self, item: ConversationItem) -> None:
        """The server has this item in its conversation now."""
        mark = _mark(item)
        found = next((name for name, of in self._items.items() if of == mark), None)
        if found is not None:
            del self._items[found]

    def refused(self, event_id: str) -> None:
        """The server did not take it: it will never be seen, and is waited for no more."""
        self._items.pop(event_id, None)


def _mark(item: ConversationItem) -> tuple[str, str] | None:
    """What an item is known by when it comes back; the server gives it its id."""
    match item:
        case RealtimeConversationItemFunctionCallOutput():
            return "output", str(item.call_id)
        case RealtimeMcpApprovalResponse():
            return "approval", str(item.approval_request_id)
        case RealtimeConversationItemUserMessage() if any(
            part.type == "input_text" for part in item.content
        ):
            return "text", ""  # they come back in order
    return None
