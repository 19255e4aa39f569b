"""What a client does to the conversation itself: create, truncate and delete items."""

from base64 import b64decode
from typing import Final, TypeAlias

from attrs import evolve

from agent.audio import SAMPLE_BYTES, SAMPLE_RATE, ms_to_bytes, samples_to_ms
from agent.embedded.history import ROOT, Entry, History
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.refusals import Refusal
from agent.protocol.client_events import (
    ConversationItemCreateEvent,
    ConversationItemDeleteEvent,
    ConversationItemTruncateEvent,
)
from agent.protocol.items import (
    Content,
    ConversationItem,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutput,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
)
from agent.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeletedEvent,
    ConversationItemDone,
    ConversationItemTruncatedEvent,
)

Message: TypeAlias = (
    RealtimeConversationItemUserMessage
    | RealtimeConversationItemAssistantMessage
    | RealtimeConversationItemSystemMessage
)
_MESSAGES: Final = (
    RealtimeConversationItemUserMessage,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemSystemMessage,
)
Call: TypeAlias = RealtimeConversationItemFunctionCall | RealtimeConversationItemFunctionCallOutput
_CALLS: Final = (RealtimeConversationItemFunctionCall, RealtimeConversationItemFunctionCallOutput)


def create_item(
    event: ConversationItemCreateEvent, history: History, outbox: Outbox, new_id: NewId
) -> None:
    """Add the client's item where it wants it.

    :raises Refusal: its id is taken, the item before it is unknown, or it answers no call.
    """
    item_id = event.item.id or new_id("item_")
    if item_id in history:
        message = f"Error adding item: an item with id '{item_id}' already exists."
        raise Refusal("item_create_duplicate_item_id", message, "item.id")
    after = event.previous_item_id or None
    if after is not None and after != ROOT and after not in history:
        message = f"Error adding item: the previous item with id '{after}' does not exist."
        raise Refusal("item_create_invalid_previous_item_id", message, "previous_item_id")
    _check_answered_call(event.item, history)
    item = _as_kept(event.item, item_id)
    previous = history.add(_entry(event.item, item_id), after)
    outbox.send(ConversationItemAdded(item=item, previous_item_id=previous))
    outbox.send(ConversationItemDone(item=item, previous_item_id=previous))


def delete_item(event: ConversationItemDeleteEvent, history: History, outbox: Outbox) -> None:
    """Forget an item.

    :raises Refusal: there is none of this id.
    """
    if event.item_id not in history:
        message = f"Error deleting item: the item with id '{event.item_id}' does not exist."
        raise Refusal("item_delete_invalid_item_id", message)
    history.remove(event.item_id)
    outbox.send(ConversationItemDeletedEvent(item_id=event.item_id))


def truncate_item(event: ConversationItemTruncateEvent, history: History, outbox: Outbox) -> None:
    """Cut an answer to what was heard. Its transcript goes, for nobody knows which words were.

    :raises Refusal: there is no such item, it has no audio yet, or less than it is to keep.
    """
    entry = history.get(event.item_id)
    if entry is None:
        message = f"Error truncating item: the item with id '{event.item_id}' does not exist."
        raise Refusal("item_truncate_invalid_item_id", message)
    if entry.spoken_bytes == 0 and not entry.is_truncated:
        message = "Only model output audio messages can be truncated"
        raise Refusal("unsupported_content_type", message)
    if event.content_index != 0:
        message = f"Invalid value: '{event.content_index}'. The item has one content part."
        raise Refusal("invalid_value", message, "content_index")
    if event.audio_end_ms > entry.spoken_ms:
        message = (
            f"Audio content of {entry.spoken_ms}ms is already shorter than {event.audio_end_ms}ms"
        )
        raise Refusal("invalid_value", message)
    entry.spoken_bytes = ms_to_bytes(event.audio_end_ms)
    entry.is_truncated = True
    entry.text = ""
    truncated = ConversationItemTruncatedEvent(
        item_id=event.item_id,
        content_index=event.content_index,
        audio_end_ms=event.audio_end_ms,
    )
    outbox.send(truncated)


def _check_answered_call(item: ConversationItem, history: History) -> None:
    if not isinstance(item, RealtimeConversationItemFunctionCallOutput):
        return
    if not history.has_call(item.call_id):
        message = f"Tool call ID '{item.call_id}' not found in conversation."
        raise Refusal("invalid_tool_call_id", message)


def _as_kept(item: ConversationItem, item_id: str) -> ConversationItem:
    if isinstance(item, _MESSAGES):
        content = tuple(_without_audio(part) for part in item.content)
        return evolve(item, id=item_id, status="completed", content=content)
    if isinstance(item, _CALLS):
        return evolve(item, id=item_id, status="completed")
    return item


def _without_audio(part: Content) -> Content:
    if part.type != "input_audio":
        return part
    return Content(type=part.type, transcript=part.transcript or None)


def _entry(item: ConversationItem, item_id: str) -> Entry:
    if isinstance(item, _MESSAGES):
        return _message_entry(item, item_id)
    if isinstance(item, RealtimeConversationItemFunctionCall):
        text = f"{item.name} {item.arguments}"
        return Entry(id=item_id, role=item.type, text=text, call_id=item.call_id or None)
    if isinstance(item, RealtimeConversationItemFunctionCallOutput):
        return Entry(id=item_id, role=item.type, text=item.output, call_id=item.call_id)
    return Entry(id=item_id, role=item.type)


def _message_entry(item: Message, item_id: str) -> Entry:
    text = " ".join(part.text for part in item.content if part.text)
    audio = sum(len(b64decode(part.audio)) for part in item.content if part.audio)
    samples = audio // SAMPLE_BYTES
    return Entry(
        id=item_id,
        role=item.role,
        text=text,
        heard_ms=samples_to_ms(samples),
        speech_seconds=samples / SAMPLE_RATE if audio else None,
    )
