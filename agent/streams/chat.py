"""Data messages: JSON cut into chunks that fit an Agora data stream, sent in a sensible order.

A chunk is ASCII text, `msg_id|part|parts|base64`, of at most 1,024 bytes; `part` counts from 1
and the payloads are slices of one padded base64 of the UTF-8 JSON. Clients of Agora's earlier
sample read it.
"""

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

import orjson
import trio
from attrs import define, field

from agent.log import QueueWatch

MAX_CHUNK: Final = 1024
MAX_MESSAGE_ID: Final = 32
MAX_PENDING: Final = 256
"""Messages that wait; a minute of talk has about twenty finals. Then the oldest deltas go first."""
MAX_TEXT: Final = 32_000
"""Characters of a message's text: half an hour of talk in one turn. What is beyond is left out."""
MAX_TURNS: Final = 1024
"""Items whose place in the order is remembered: hours of talk."""
MAX_PARTS: Final = 64
"""Parts of a message from a client: 50 KB of text is more than anybody types."""
MAX_PARTIAL: Final = 16
"""Messages from clients that may be incomplete at a time; the oldest is given up."""

_log = logging.getLogger(__name__)


def to_chunks(message: dict[str, Any], message_id: str) -> list[str]:
    """The chunks of one message.

    :param message_id: unique, ASCII, at most 32 characters, no `|`.
    """
    if len(message_id) > MAX_MESSAGE_ID or "|" in message_id:
        raise ValueError(f"not usable as a message id: {message_id!r}")
    payload = base64.b64encode(orjson.dumps(message)).decode("ascii")
    # The numbers of parts can have five digits each: more than any message here needs.
    size = MAX_CHUNK - len(f"{message_id}|99999|99999|")
    slices = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [f"{message_id}|{part}|{len(slices)}|{piece}" for part, piece in enumerate(slices, 1)]


class Chat:
    """What the agent tells the people in the channel.

    Unsent deltas of one item are joined into one; a final takes the place of the deltas of its
    item that are unsent; finals go first; else the order is that in which turns began.

    :param send: sends one chunk; may wait.
    :param prefix: makes message ids differ from those of other senders.
    """

    def __init__(
        self, send: Callable[[str], Awaitable[None]], prefix: str, *, warn_at: int = 5
    ) -> None:
        self._send = send
        self._ids = (f"{prefix}{number}" for number in count(1))
        self._pending: list[dict[str, Any]] = []
        self._turns: dict[str, int] = {}
        self._order = count()
        self._arrived = trio.Event()
        self._watch = QueueWatch("data messages", warn_at)

    def put(self, message: dict[str, Any]) -> None:
        """Queue one message; does not wait."""
        self._note_turn(_item(message))
        message = _cut(message)
        if "delta" in message:
            self._put_delta(message)
        else:
            self._pending = [
                other for other in self._pending if not ("delta" in other and _same(other, message))
            ]
            self._pending.append(message)
        if len(self._pending) > MAX_PENDING:
            self._drop_one()
        self._watch.saw(len(self._pending))
        self._arrived.set()

    async def run(self) -> None:
        """Send for as long as the call lasts."""
        while True:
            while not self._pending:
                self._arrived = trio.Event()
                await self._arrived.wait()
            message = min(self._pending, key=self._rank)
            self._pending.remove(message)
            for chunk in to_chunks(message, next(self._ids)):
                await self._send(chunk)

    def _put_delta(self, message: dict[str, Any]) -> None:
        for other in self._pending:
            if other["type"] == message["type"] and _same(other, message):
                other["delta"] = (other["delta"] + message["delta"])[:MAX_TEXT]
                return
        self._pending.append(dict(message))

    def _note_turn(self, item: str) -> None:
        if item not in self._turns:
            self._turns[item] = next(self._order)
        if len(self._turns) > MAX_TURNS:
            del self._turns[next(iter(self._turns))]

    def _rank(self, message: dict[str, Any]) -> tuple[bool, int]:
        # A turn that was forgotten is older than all others.
        return ("delta" in message, self._turns.get(_item(message), -1))

    def _drop_one(self) -> None:
        oldest = next((m for m in self._pending if "delta" in m), self._pending[0])
        self._pending.remove(oldest)
        _log.warning("too many data messages wait: a %s was dropped", oldest["type"])


@define
class _Partial:
    parts: int
    slices: dict[int, str] = field(factory=dict)


class Reassembler:
    """Puts the chunks of clients' messages together again, with limits to what it keeps."""

    def __init__(self) -> None:
        self._partial: dict[tuple[int, str], _Partial] = {}

    def feed(self, uid: int, chunk: str) -> dict[str, Any] | None:
        """One chunk from this user.

        :returns: the whole message, when this chunk completes it.
        :raises ValueError: it is not of the format, or too large; nothing of it is kept.
        """
        message_id, part, parts, payload = _fields(chunk)
        key = (uid, message_id)
        partial = self._partial.setdefault(key, _Partial(parts))
        if partial.parts != parts:
            del self._partial[key]
            raise ValueError("the chunks of one message differ in their number of parts")
        partial.slices[part] = payload
        if len(partial.slices) < parts:
            while len(self._partial) > MAX_PARTIAL:
                del self._partial[next(iter(self._partial))]
            return None
        del self._partial[key]
        return _message("".join(partial.slices[number] for number in range(1, parts + 1)))


def _fields(chunk: str) -> tuple[str, int, int, str]:
    pieces = chunk.split("|")
    if len(chunk) > MAX_CHUNK or len(pieces) != 4 or len(pieces[0]) > MAX_MESSAGE_ID:
        raise ValueError("not a chunk of the form msg_id|part|parts|base64")
    message_id, part, parts, payload = pieces
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= MAX_PARTS):
        raise ValueError(f"parts must be numbered from 1 and be at most {MAX_PARTS}")
    return message_id, int(part), int(parts), payload


def _message(payload: str) -> dict[str, Any]:
    try:
        message = orjson.loads(base64.b64decode(payload, validate=True))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise ValueError(f"not base64 of JSON: {error}") from error
    if isinstance(message, dict):
        return message
    raise ValueError("not a JSON object")


def _item(message: dict[str, Any]) -> str:
    return str(message.get("item_id", ""))


def _cut(message: dict[str, Any]) -> dict[str, Any]:
    cut = {name: message[name][:MAX_TEXT] for name in ("delta", "transcript") if name in message}
    return message | cut


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("item_id", "content_index"))
