"""What a server says of the conversation's items."""

from typing import ClassVar

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.items import ConversationItem


@frozen(kw_only=True)
class Conversation(Model):
    """A conversation, of which a session has one."""

    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationCreatedEvent(Model):
    """The conversation began. Captured GA sessions do not have it."""

    type: ClassVar[str] = "conversation.created"
    conversation: Conversation
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemAdded(Model):
    """An item entered the conversation, perhaps still to be filled."""

    type: ClassVar[str] = "conversation.item.added"
    item: ConversationItem
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemDone(Model):
    """An item is complete."""

    type: ClassVar[str] = "conversation.item.done"
    item: ConversationItem
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemCreatedEvent(Model):
    """What stood for the two above before GA."""

    type: ClassVar[str] = "conversation.item.created"
    item: ConversationItem
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemRetrieved(Model):
    """An item that the client asked for, with its audio."""

    type: ClassVar[str] = "conversation.item.retrieved"
    item: ConversationItem
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemDeletedEvent(Model):
    """An item was removed at the client's wish."""

    type: ClassVar[str] = "conversation.item.deleted"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemTruncatedEvent(Model):
    """An item was cut at the client's wish."""

    type: ClassVar[str] = "conversation.item.truncated"
    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: Maybe[str] = UNSET
