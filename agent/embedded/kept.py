"""Items as a client can have them back, audio and all.

What was told of an item is what is kept of it, so this reads along what is sent. The person's own
audio never is: it comes by `keep`. An item is kept for as long as the conversation remembers it.
Its audio may go earlier: of audio, images and the client's own transcripts `KEPT_BYTES` are kept
in all, and the oldest go first.
"""

from base64 import b64encode
from typing import Any, Final

from attrs import define, evolve, field

from agent.audio import BYTES_PER_SECOND
from agent.embedded.formats import PCM, bytes_a_second, format_name
from agent.embedded.history import History
from agent.protocol.base import UNSET
from agent.protocol.codec import to_json
from agent.protocol.items import (
    Content,
    ConversationItem,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
)
from agent.protocol.response import RealtimeResponse
from agent.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeletedEvent,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemTruncatedEvent,
    RealtimeServerEvent,
    ResponseAudioDeltaEvent,
    ResponseCreatedEvent,
)

KEPT_BYTES: Final = 16 * 1024 * 1024
"""As much as the longest message that a client can send, so that the newest item always fits."""


_MESSAGES: Final = (
    RealtimeConversationItemUserMessage,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemSystemMessage,
)


@define
class _Kept:
    """One item.

    :ivar rate: bytes a second of the assistant's audio.
    :ivar spoken: that audio, as it was sent.
    :ivar is_cut: it is no longer what was sent: truncated, or let go.
    :ivar is_truncated: the client has told how much was heard.
    """

    item: ConversationItem
    rate: int
    spoken: bytearray = field(factory=bytearray)
    is_cut: bool = False
    is_truncated: bool = False

    @property
    def size(self) -> int:
        return len(self.spoken) + sum(_size(part) for part in _content(self.item))


class KeptItems:
    """Reads along (`note`), and gives items back.

    :param history: says which items are still remembered.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._items: dict[str, _Kept] = {}
        self._size = 0
        self._rate = BYTES_PER_SECOND

    def get(self, item_id: str) -> ConversationItem | None:
        """The item of this id; None where there is none, or no more."""
        kept = self._items.get(item_id) if item_id in self._history else None
        return None if kept is None else _retrieved(kept)

    def keep(self, item: ConversationItem) -> None:
        """Keep this in place of what was told of the item."""
        assert isinstance(item.id, str)
        known = self._items.get(item.id)
        if known is None:
            self._items[item.id] = known = _Kept(item, self._rate)
        else:
            self._size -= known.size
            known.item = item
        self._size += known.size
        self._shed()

    def note(self, event: RealtimeServerEvent, _now: float) -> None:
        """Something was told."""
        match event:
            case ConversationItemAdded(item=item):
                self._forget()
                self.keep(item)
            case ConversationItemDone(item=item):
                self.keep(item)
            case ConversationItemDeletedEvent(item_id=item_id):
                self._remove(item_id)
            case ConversationItemTruncatedEvent(item_id=item_id, audio_end_ms=end):
                self._cut(item_id, end)
            case ConversationItemInputAudioTranscriptionCompletedEvent():
                self._transcribe(event.item_id, event.content_index or 0, event.transcript or "")
            case ResponseCreatedEvent(response=response) if response.conversation_id:
                self._rate = bytes_a_second(output_format(response))
            case ResponseAudioDeltaEvent(item_id=item_id, delta=delta):
                self._speak(item_id, delta)
            case _:
                pass

    def _speak(self, item_id: str, delta: bytes) -> None:
        # Of a response beside the conversation no item was added.
        kept = self._items.get(item_id)
        if kept is not None and not kept.is_cut:
            kept.spoken += delta
            self._size += len(delta)
            self._shed()

    def _cut(self, item_id: str, end_ms: int) -> None:
        kept = self._items.get(item_id)
        if kept is not None:
            self._size -= kept.size
            del kept.spoken[end_ms * kept.rate // 1000 :]
            kept.is_cut = kept.is_truncated = True
            self._size += kept.size

    def _transcribe(self, item_id: str, index: int, transcript: str) -> None:
        kept = self._items.get(item_id)
        if kept is not None and isinstance(kept.item, RealtimeConversationItemUserMessage):
            content = list(kept.item.content)
            content[index] = evolve(content[index], transcript=transcript)
            self.keep(evolve(kept.item, content=tuple(content)))

    def _remove(self, item_id: str) -> None:
        kept = self._items.pop(item_id, None)
        self._size -= 0 if kept is None else kept.size

    def _forget(self) -> None:
        for item_id in [known for known in self._items if known not in self._history]:
            self._remove(item_id)

    def _shed(self) -> None:
        for kept in self._items.values():
            if self._size <= KEPT_BYTES:
                return
            self._size -= kept.size
            kept.spoken.clear()
            kept.is_cut = True
            kept.item = _lightened(kept.item)
            self._size += kept.size


def output_format(response: RealtimeResponse) -> str:
    """The name of the format of a response's audio."""
    audio: Any = to_json(response.audio) if response.audio else {}
    wanted = audio.get("output", {}).get("format")
    return format_name(wanted) if wanted else PCM


def _retrieved(kept: _Kept) -> ConversationItem:
    item = kept.item
    if not isinstance(item, RealtimeConversationItemAssistantMessage):
        return item
    content = item.content
    if kept.spoken and not content:
        # It is under way: what it is of is told when it is done.
        content = (Content(type="output_audio"),)
    return evolve(item, content=tuple(_spoken(part, kept) for part in content))


def _spoken(part: Content, kept: _Kept) -> Content:
    if part.type != "output_audio":
        return part
    if kept.is_truncated:
        part = evolve(part, transcript=UNSET)
    audio = b64encode(kept.spoken).decode() if kept.spoken else UNSET
    return evolve(part, audio=audio)


def _content(item: ConversationItem) -> tuple[Content, ...]:
    return item.content if isinstance(item, _MESSAGES) else ()


def _size(part: Content) -> int:
    return sum(len(value) for value in (part.audio, part.image_url, part.transcript) if value)


def _lightened(item: ConversationItem) -> ConversationItem:
    if not isinstance(item, RealtimeConversationItemUserMessage):
        return item
    light = tuple(
        evolve(part, audio=UNSET, image_url=UNSET, transcript=UNSET) for part in item.content
    )
    return evolve(item, content=light)
