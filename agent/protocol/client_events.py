"""What a client sends, named as `openai.types.realtime` names it.

`event_id` is the client's own, at most 512 characters; an `error` event names it.
"""

from typing import ClassVar, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model
from agent.protocol.items import ConversationItem
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.session import Session


@frozen(kw_only=True)
class SessionUpdateEvent(Model):
    """Change the session; absent fields stay, null ones are cleared."""

    type: ClassVar[str] = "session.update"
    session: Session
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferAppendEvent(Model):
    """The person's audio, at most 15 MiB an event. The server does not acknowledge it."""

    type: ClassVar[str] = "input_audio_buffer.append"
    audio: bytes
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferCommitEvent(Model):
    """Make an item of what the buffer holds; at least 100 ms."""

    type: ClassVar[str] = "input_audio_buffer.commit"
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class InputAudioBufferClearEvent(Model):
    """Forget what the buffer holds."""

    type: ClassVar[str] = "input_audio_buffer.clear"
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class OutputAudioBufferClearEvent(Model):
    """Drop what the server has yet to play; not on a WebSocket."""

    type: ClassVar[str] = "output_audio_buffer.clear"
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemCreateEvent(Model):
    """Add an item; `previous_item_id` is an item's id or `root`."""

    type: ClassVar[str] = "conversation.item.create"
    item: ConversationItem
    previous_item_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemRetrieveEvent(Model):
    """Ask for an item as the server keeps it, audio and all."""

    type: ClassVar[str] = "conversation.item.retrieve"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemDeleteEvent(Model):
    """Remove an item."""

    type: ClassVar[str] = "conversation.item.delete"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ConversationItemTruncateEvent(Model):
    """Tell how much of an answer was heard: `audio_end_ms` milliseconds of it."""

    type: ClassVar[str] = "conversation.item.truncate"
    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseCreateEvent(Model):
    """Ask for a response."""

    type: ClassVar[str] = "response.create"
    response: Maybe[RealtimeResponseCreateParams] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseCancelEvent(Model):
    """Cancel a response: the named one, or the default conversation's."""

    type: ClassVar[str] = "response.cancel"
    response_id: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


RealtimeClientEvent: TypeAlias = (
    SessionUpdateEvent
    | InputAudioBufferAppendEvent
    | InputAudioBufferCommitEvent
    | InputAudioBufferClearEvent
    | OutputAudioBufferClearEvent
    | ConversationItemCreateEvent
    | ConversationItemRetrieveEvent
    | ConversationItemDeleteEvent
    | ConversationItemTruncateEvent
    | ResponseCreateEvent
    | ResponseCancelEvent
)
