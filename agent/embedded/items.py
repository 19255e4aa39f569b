"""What a client does to the conversation itself: create, retrieve, truncate, delete items."""

from base64 import b64decode
from typing import Final, TypeAlias

from attrs import evolve, frozen

from agent.audio import ms_to_bytes
from agent.embedded.formats import bytes_a_second, check_samples
from agent.embedded.forms.refusals import Refusal
from agent.embedded.history import ROOT, Entry, History, call_entry
from agent.embedded.kept import KeptItems
from agent.embedded.outbox import NewId, Outbox
from agent.protocol.client_events import (
    ConversationItemCreateEvent,
    ConversationItemDeleteEvent,
    ConversationItemRetrieveEvent,
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
    RealtimeMcpApprovalResponse,
)
from agent.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeletedEvent,
    ConversationItemDone,
    ConversationItemRetrieved,
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


@frozen
class Conversation:
    """Where items go.

    :ivar history: what the model remembers of them.
    :ivar kept: what a client can have back of them.
    """

    history: History
    kept: KeptItems
    outbox: Outbox
    new_id: NewId


ItemEvent: TypeAlias = (
    ConversationItemCreateEvent
    | ConversationItemRetrieveEvent
    | ConversationItemDeleteEvent
    | ConversationItemTruncateEvent
)


def obey_item(event: ItemEvent, conversation: Conversation, format_name: str) -> None:
    """Do what the client asks.

    :param format_name: the format of the person's audio.
    :raises Refusal: it cannot be done.
    """
    match event:
        case ConversationItemCreateEvent():
            create_item(event, conversation, format_name)
        case ConversationItemRetrieveEvent():
            retrieve_item(event, conversation)
        case ConversationItemDeleteEvent():
            delete_item(event, conversation)
        case ConversationItemTruncateEvent():
            truncate_item(event, conversation)


def create_item(
    event: ConversationItemCreateEvent, conversation: Conversation, format_name: str
) -> None:
    """Add the client's item where it wants it.

    :param format_name: the format of the person's audio.
    :raises Refusal: its id is taken, the item before it is unknown, it answers nothing that was
        asked, it has half a sample of audio, or the conversation is full.
    """
    history, outbox = conversation.history, conversation.outbox
    item_id = event.item.id or conversation.new_id("item_")
    if item_id in history:
        message = f"Error adding item: an item with id '{item_id}' already exists."
        raise Refusal("item_create_duplicate_item_id", message, "item.id")
    after = event.previous_item_id or None
    if after is not None and after != ROOT and after not in history:
        message = f"Error adding item: the previous item with id '{after}' does not exist."
        raise Refusal("item_create_invalid_previous_item_id", message, "previous_item_id")
    _check_answered(event.item, history)
    _check_audio(event.item, format_name)
    check_room(history)
    item = _as_told(event.item, item_id)
    previous = history.add(entry_of(event.item, item_id, format_name), after)
    outbox.send(ConversationItemAdded(item=item, previous_item_id=previous))
    outbox.send(ConversationItemDone(item=item, previous_item_id=previous))
    if isinstance(event.item, RealtimeConversationItemUserMessage):
        conversation.kept.keep(evolve(event.item, id=item_id, status="completed"))


def retrieve_item(event: ConversationItemRetrieveEvent, conversation: Conversation) -> None:
    """Give an item back, audio and all.

    :raises Refusal: there is none of this id.
    """
    item = conversation.kept.get(event.item_id)
    if item is None:
        message = f"Error retrieving item: the item with id '{event.item_id}' does not exist."
        raise Refusal("item_retrieve_invalid_item_id", message)
    conversation.outbox.send(ConversationItemRetrieved(item=item))


def delete_item(event: ConversationItemDeleteEvent, conversation: Conversation) -> None:
    """Forget an item.

    :raises Refusal: there is none of this id.
    """
    if event.item_id not in conversation.history:
        message = f"Error deleting item: the item with id '{event.item_id}' does not exist."
        raise Refusal("item_delete_invalid_item_id", message)
    conversation.history.remove(event.item_id)
    conversation.outbox.send(ConversationItemDeletedEvent(item_id=event.item_id))


def truncate_item(event: ConversationItemTruncateEvent, conversation: Conversation) -> None:
    """Cut an answer to what was heard. Its transcript goes, for nobody knows which words were.

    :raises Refusal: there is no such item, it has no audio yet, or less than it is to keep.
    """
    entry = conversation.history.get(event.item_id)
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
    conversation.outbox.send(truncated)


def check_room(history: History) -> None:
    """There is room in the conversation; by default there always is, for the oldest items go.

    :raises Refusal: with `truncation: disabled` it has as much as the model remembers.
    """
    if history.is_full:
        # That an error comes is documented; its code and words are made up.
        message = (
            "The conversation has as many tokens as the model takes, and truncation is disabled."
        )
        raise Refusal("context_length_exceeded", message)


def _check_answered(item: ConversationItem, history: History) -> None:
    if isinstance(item, RealtimeConversationItemFunctionCallOutput):
        if not history.has_call(item.call_id):
            message = f"Tool call ID '{item.call_id}' not found in conversation."
            raise Refusal("invalid_tool_call_id", message)
    elif isinstance(item, RealtimeMcpApprovalResponse):
        # The embedded model runs no MCP tools, so it never asks.
        message = f"Approval request ID '{item.approval_request_id}' not found in conversation."
        raise Refusal("invalid_approval_request_id", message)


def _check_audio(item: ConversationItem, format_name: str) -> None:
    for index, part in enumerate(item.content if isinstance(item, _MESSAGES) else ()):
        check_samples(_audio_bytes(part), format_name, f"item.content[{index}].audio")


def _audio_bytes(part: Content) -> int:
    return len(b64decode(part.audio)) if part.type == "input_audio" and part.audio else 0


def _as_told(item: ConversationItem, item_id: str) -> ConversationItem:
    if isinstance(item, _MESSAGES):
        content = tuple(_without_audio(part) for part in item.content)
        return evolve(item, id=item_id, status="completed", content=content)
    if isinstance(item, RealtimeConversationItemFunctionCall):
        return evolve(item, id=item_id, status="completed")
    # As captured: the output of a function call has no status.
    return evolve(item, id=item_id) if isinstance(item, _CALLS) else item


def _without_audio(part: Content) -> Content:
    if part.type != "input_audio":
        return part
    return Content(type=part.type, transcript=part.transcript or None)


def entry_of(item: ConversationItem, item_id: str, format_name: str) -> Entry:
    """What the model remembers of a client's item.

    :param format_name: the format of the person's audio.
    """
    if isinstance(item, _MESSAGES):
        return _message_entry(item, item_id, format_name)
    if isinstance(item, RealtimeConversationItemFunctionCall):
        return call_entry(item_id, item.call_id or None, item.name, item.arguments)
    if isinstance(item, RealtimeConversationItemFunctionCallOutput):
        return Entry(id=item_id, role=item.type, text=item.output, call_id=item.call_id)
    return Entry(id=item_id, role=item.type)


def _message_entry(item: Message, item_id: str, format_name: str) -> Entry:
    text = " ".join(part.text for part in item.content if part.text)
    audio = sum(map(_audio_bytes, item.content))
    seconds = audio / bytes_a_second(format_name)
    return Entry(
        id=item_id,
        role=item.role,
        text=text,
        heard_ms=int(seconds * 1000),
        speech_seconds=seconds if audio else None,
    )
