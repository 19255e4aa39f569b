"""Data messages to the people in a channel, in a sensible order and no faster than it takes them.

What they look like on the way: `agent.streams.chunks`. How fast: `agent.streams.pace`.
"""

import logging
from bisect import bisect
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final, TypeAlias

import orjson
import trio
from attrs import define

from agent.log import QueueWatch
from agent.streams.chunks import MAX_PARTS, ONE_CHUNK, to_chunks
from agent.streams.pace import Pace

MAX_PENDING: Final = 256
"""Messages that wait; a minute of talk has about twenty finals. Then the oldest deltas go first."""
MAX_TEXT: Final = 32_000
"""Characters of a message's text: half an hour of talk in one turn. What is beyond is left out."""
MAX_TURNS: Final = 1024
"""Items whose place in the order is remembered: hours of talk."""
MAX_OVER: Final = 8
"""Parts of one item whose finals are remembered."""
READ_WITHIN_S: Final = 4.0
"""The time in which a message is sent. Clients give up what is incomplete after 5 seconds."""
MAX_SENT_PARTS: Final = 250
"""Parts of a message, however fast they may be sent. The web page takes 256."""
MAX_WHOLE: Final = ONE_CHUNK * MAX_PARTS
"""Bytes of a message that has no text to be cut: as much as we take from a client."""
_LEAST_PIECE: Final = 200
"""Bytes of text in a piece of a delta, where the ids around it fill a packet."""
_TEXTS: Final = ("delta", "transcript")
"""The fields that may be cut."""

Message: TypeAlias = dict[str, Any]

_log = logging.getLogger(__name__)


@define
class _Turn:
    """An item's place in the order, and which of its parts have had their final."""

    place: int
    over: tuple[Any, ...] = ()


class Chat:
    """What the agent tells the people in the channel.

    A message is chosen when there is room for it and not before: until then unsent deltas of one
    item are joined into one, and a final takes the place of the deltas of its item that are
    unsent. Finals go first; else the order is that in which turns began. A delta that is longer
    than a packet is sent in pieces, each chosen anew, so a final waits for one of them at most.
    After the final of a part there is no delta of it.

    :param send: sends one chunk, or tells that it was not taken; may wait, and only the next chunk
        waits with it.
    :param prefix: makes message ids differ from those of other senders.
    :ivar dropped: messages that people did not get, or not to their end.
    """

    def __init__(
        self,
        send: Callable[[str], Awaitable[bool]],
        prefix: str,
        *,
        pace: Pace,
        warn_at: int = 5,
    ) -> None:
        self.dropped = 0
        self._send = send
        self._ids = (f"{prefix}{number}" for number in count(1))
        self._pace = pace
        self._max_size = ONE_CHUNK * min(MAX_SENT_PARTS, pace.packets_within(READ_WITHIN_S))
        self._pending: list[Message] = []
        self._turns: dict[str, _Turn] = {}
        self._places = count()
        self._arrived = trio.Event()
        self._watch = QueueWatch("data messages", warn_at)

    def put(self, message: Message) -> str | None:
        """Queue one message; does not wait.

        :returns: None, or why it is dropped: what is in it beside its text is too long.
        """
        size, most = _size(_beginning(message, 0)), self._most(message)
        if size > most:
            _log.warning("a %.100s is too long for a data message: dropped", message["type"])
            self.dropped += 1
            return f"{size} bytes of JSON; at most {most} can be sent"
        turn = self._turn(_item(message))
        if "delta" not in message:
            self._put_final(message, turn)
        elif message.get("content_index") not in turn.over:
            self._put_delta(message)
        if len(self._pending) > MAX_PENDING:
            self._drop_one()
        self._watch.saw(len(self._pending))
        self._arrived.set()
        return None

    @property
    def longest(self) -> int:
        """The most messages that ever waited."""
        return self._watch.longest

    def withdraw(self, name: str, value: str) -> bool:
        """Take back what has not been sent yet and has this field; whether there was anything."""
        kept = [message for message in self._pending if message.get(name) != value]
        is_found = len(kept) < len(self._pending)
        self._pending = kept
        return is_found

    async def run(self) -> None:
        """Send for as long as the call lasts."""
        while True:
            while not self._pending:
                self._arrived = trio.Event()
                await self._arrived.wait()
            for chunk in to_chunks(self._choose(), next(self._ids)):
                if not await self._send_one(chunk):
                    self.dropped += 1
                    break  # nobody can read the rest without it

    async def _send_one(self, chunk: str) -> bool:
        """Send a chunk, and wait until there is room for another; whether it was taken."""
        began = trio.current_time()
        is_taken = await self._send(chunk)
        self._pace.sent(len(chunk), began, trio.current_time())
        await trio.sleep_until(self._pace.free_at())
        return is_taken

    def _most(self, message: Message) -> int:
        """Bytes of JSON that may be in it beside its text."""
        has_text = any(name in message for name in _TEXTS)
        return self._max_size - _LEAST_PIECE if has_text else min(self._max_size, MAX_WHOLE)

    def _put_final(self, message: Message, turn: _Turn) -> None:
        self._pending = [
            other for other in self._pending if not ("delta" in other and _same(other, message))
        ]
        self._pending.append(_fitting(message, self._max_size))
        if "transcript" in message:
            turn.over = (*turn.over, message.get("content_index"))[-MAX_OVER:]

    def _put_delta(self, message: Message) -> None:
        for other in self._pending:
            if other["type"] == message["type"] and _same(other, message):
                other["delta"] = (other["delta"] + message["delta"])[:MAX_TEXT]
                return
        self._pending.append(_beginning(message, MAX_TEXT))

    def _choose(self) -> Message:
        message = min(self._pending, key=self._rank)
        if "delta" not in message:
            self._pending.remove(message)
            return message
        # Ids as long as that come from no server that we know, but their text must not stand still.
        head = _fitting(message, max(ONE_CHUNK, _size(_beginning(message, 0)) + _LEAST_PIECE))
        message["delta"] = message["delta"][len(head["delta"]) :]
        if not message["delta"]:
            self._pending.remove(message)
        return head

    def _turn(self, item: str) -> _Turn:
        if item not in self._turns:
            self._turns[item] = _Turn(next(self._places))
        if len(self._turns) > MAX_TURNS:
            del self._turns[next(iter(self._turns))]
        return self._turns[item]

    def _rank(self, message: Message) -> tuple[bool, int]:
        turn = self._turns.get(_item(message))
        # A turn that was forgotten is older than all others.
        return ("delta" in message, turn.place if turn else -1)

    def _drop_one(self) -> None:
        oldest = next((m for m in self._pending if "delta" in m), self._pending[0])
        self._pending.remove(oldest)
        self.dropped += 1
        _log.warning("too many data messages wait: a %s was dropped", oldest["type"])


def _item(message: Message) -> str:
    return str(message.get("item_id", ""))


def _same(one: Message, other: Message) -> bool:
    return all(one.get(name) == other.get(name) for name in ("item_id", "content_index"))


def _size(message: Message) -> int:
    return len(orjson.dumps(message))


def _beginning(message: Message, characters: int) -> Message:
    """The message with so much of its text, if it has any."""
    texts = {name: message[name][:characters] for name in _TEXTS if name in message}
    return message | texts


def _fitting(message: Message, size: int) -> Message:
    """The message with as much of its text as makes it at most so many bytes of JSON.

    It is cut between two characters, and each piece is text of its own.
    """
    message = _beginning(message, MAX_TEXT)
    if _size(message) <= size:
        return message
    # A character has at least a byte.
    lengths = range(1, min(size, MAX_TEXT) + 1)
    fits = bisect(lengths, size, key=lambda length: _size(_beginning(message, length)))
    return _beginning(message, fits)
