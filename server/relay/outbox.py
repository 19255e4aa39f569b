"""What waits to be sent to one member of a local channel. No I/O and no clock.

The rules:
- Audio and text leave in the order in which they came.
- Of each sender at most `AUDIO_BYTES` of audio wait; a new message pushes the oldest out.
- Audio that has waited for longer than `AUDIO_AGE_S` is never sent: a member that could not take it
  in time has lost it, and hears what is said now instead of a burst of the past.
- Text is never dropped, since a lost "left" or a lost part of a transcript can't be made up for. A
  member that lets `TEXTS` of them pile up is too slow to be helped (`OutboxFull`).
"""

from collections import OrderedDict, deque
from typing import Final

from attrs import Factory, define, frozen

from agent.audio import BYTES_PER_SECOND

HEADER_BYTES: Final = 4
"""The sender's uid, in front of a message's samples."""
AUDIO_AGE_S: Final = 2.0
AUDIO_BYTES: Final = int(AUDIO_AGE_S * BYTES_PER_SECOND)
# Two seconds in messages of 5 ms. Without it a sender of single samples could make every
# member's outbox hold tens of thousands of objects.
AUDIO_MESSAGES: Final = 400
TEXTS: Final = 256
"""Each of at most 1 KB, or 6 KB for an agent where a packet is all control characters."""


class OutboxFull(Exception):
    """No more text may wait: the member does not read."""


@frozen
class _Audio:
    sender: int
    message: bytes
    came_at: float


@define
class _Held:
    """One sender's audio in the queue: place and bytes of each message, oldest first."""

    messages: deque[tuple[int, int]] = Factory(deque)
    size: int = 0


class Outbox:
    """One member's queue of messages to be sent.

    :ivar dropped: how many audio messages were given up because the member was slow.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._queue: OrderedDict[int, _Audio | str] = OrderedDict()
        self._next_place = 0
        self._held: dict[int, _Held] = {}
        self._texts = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put_audio(self, sender: int, message: bytes, now: float) -> None:
        """Let a message of audio wait, its header included."""
        held = self._held.setdefault(sender, _Held())
        size = len(message) - HEADER_BYTES
        held.messages.append((self._append(_Audio(sender, message, now)), size))
        held.size += size
        while held.size > AUDIO_BYTES or len(held.messages) > AUDIO_MESSAGES:
            self._take_oldest(sender)
            self.dropped += 1

    def put_text(self, text: str) -> None:
        """Let a control message or a data packet wait.

        :raises OutboxFull: as many wait as may.
        """
        if self._texts >= TEXTS:
            raise OutboxFull
        self._append(text)
        self._texts += 1

    def clear(self, sender: int) -> None:
        """Drop all audio of this sender, because the sender wants it unheard."""
        held = self._held.pop(sender, _Held())
        for place, _ in held.messages:
            del self._queue[place]

    def pop(self, now: float) -> bytes | str | None:
        """The message to be sent next, or None if there is nothing to send."""
        while self._queue:
            item = next(iter(self._queue.values()))
            if isinstance(item, str):
                self._queue.popitem(last=False)
                self._texts -= 1
                return item
            self._take_oldest(item.sender)
            if now - item.came_at <= AUDIO_AGE_S:
                return item.message
            self.dropped += 1
        return None

    def _append(self, item: _Audio | str) -> int:
        place = self._next_place
        self._queue[place] = item
        self._next_place += 1
        return place

    def _take_oldest(self, sender: int) -> None:
        held = self._held[sender]
        place, size = held.messages.popleft()
        del self._queue[place]
        held.size -= size
        if not held.messages:
            del self._held[sender]
