"""JSON messages as chunks that fit an Agora data stream, and back.

A chunk is ASCII text, `msg_id|part|parts|base64`, of at most 1,024 bytes; `part` counts from 1
and the payloads are slices of one padded base64 of the UTF-8 JSON. Clients of Agora's earlier
sample read it.
"""

import base64
import binascii
import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import orjson
from attrs import define, field

MAX_CHUNK: Final = 1024
MAX_MESSAGE_ID: Final = 32
# The numbers of parts can have five digits each: more than any message here needs.
_NUMBERS: Final = "|99999|99999|"
ONE_CHUNK: Final = (MAX_CHUNK - MAX_MESSAGE_ID - len(_NUMBERS)) // 4 * 3
"""Bytes of JSON that fit one chunk, whatever its id."""

MAX_PARTS: Final = 64
"""Parts of a message from a client: 50 KB of text is more than anybody types. An answer of
`MAX_OUTPUT` fits."""
MAX_PARTIAL: Final = 16
"""Messages of one user that may be incomplete at a time."""
MAX_USER_PARTS: Final = 2 * MAX_PARTS
"""Parts of incomplete messages that are kept for one user."""
MAX_KEPT_PARTS: Final = 1024
"""The same for all users together: 1 MB."""
MAX_FINISHED: Final = 256
"""Chunks of one user's finished messages that are remembered."""
PATIENCE_S: Final = 5.0
"""What is incomplete so long after its first chunk is given up: the rest of it was lost. Chunks
that come twice come within that time too."""

_ID: Final = re.compile(r"[ -{}~]{1,32}")
_CHUNK: Final = re.compile(rf"({_ID.pattern})\|([0-9]{{1,3}})\|([0-9]{{1,3}})\|([A-Za-z0-9+/=]+)")

_log = logging.getLogger(__name__)


def to_chunks(message: dict[str, Any], message_id: str) -> list[str]:
    """The chunks of one message.

    :param message_id: unique, ASCII, 1 to 32 characters, no `|`.
    """
    if not _ID.fullmatch(message_id):
        raise ValueError(f"not usable as a message id: {message_id!r}")
    payload = base64.b64encode(orjson.dumps(message)).decode("ascii")
    size = MAX_CHUNK - len(message_id) - len(_NUMBERS)
    slices = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [f"{message_id}|{part}|{len(slices)}|{piece}" for part, piece in enumerate(slices, 1)]


@define
class _Partial:
    parts: int
    since: float
    slices: dict[int, str] = field(factory=dict)


@define
class _User:
    """What is kept of one user.

    :ivar uid: who it is.
    :ivar partial: incomplete messages, the oldest first.
    :ivar finished: when the message was finished of which each of these chunks was, by its hash.
    """

    uid: int
    partial: dict[str, _Partial] = field(factory=dict)
    finished: dict[int, float] = field(factory=dict)

    @property
    def parts(self) -> int:
        return sum(len(partial.slices) for partial in self.partial.values())

    @property
    def too_much(self) -> bool:
        return len(self.partial) > MAX_PARTIAL or self.parts > MAX_USER_PARTS

    def drop_oldest(self) -> None:
        self._drop(next(iter(self.partial)), "there is no room for more that is incomplete")

    def give_up(self, before: float) -> None:
        for message_id in [key for key, it in self.partial.items() if it.since < before]:
            self._drop(message_id, f"it was not complete within {PATIENCE_S:g} s")
        self.finished = {key: at for key, at in self.finished.items() if at >= before}

    def finish(self, message_id: str, now: float) -> str:
        """The whole payload of a message that is complete; its chunks are only remembered."""
        partial = self.partial.pop(message_id)
        for part, payload in partial.slices.items():
            self.finished[hash((message_id, part, partial.parts, payload))] = now
        while len(self.finished) > MAX_FINISHED:
            del self.finished[next(iter(self.finished))]
        return "".join(partial.slices[part] for part in range(1, partial.parts + 1))

    def _drop(self, message_id: str, why: str) -> None:
        partial = self.partial.pop(message_id)
        had = f"{len(partial.slices)} of its {partial.parts} parts"
        _log.warning("a message of uid %d, with %s there, is dropped: %s", self.uid, had, why)


class Reassembler:
    """Puts the chunks of clients' messages together again, in whatever order they come.

    What is kept is bounded for each user, so that nobody's flood costs another's message, and in
    all. Where there is no room, the oldest incomplete message is given up, of the user who keeps
    the most. Each that is given up is a line in the log. A chunk that comes again is ignored,
    though its message be complete by then; an id that comes again with other content is a new
    message, because some clients reuse theirs.

    :param clock: seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._users: dict[int, _User] = {}

    def feed(self, uid: int, chunk: str) -> dict[str, Any] | None:
        """One chunk from this user.

        :returns: the whole message, when this chunk completes it.
        :raises ValueError: it is not of the format, or too large, or completes what is no message;
            nothing else is lost by it. The text says whose it is and what is wrong.
        """
        try:
            return self._feed(uid, chunk)
        except ValueError as error:
            raise ValueError(f"of uid {uid}: {error}") from error

    def forget(self, uid: int) -> None:
        """This user has left."""
        self._users.pop(uid, None)

    def _feed(self, uid: int, chunk: str) -> dict[str, Any] | None:
        fields = _fields(chunk)
        now = self._clock()
        self._give_up(now - PATIENCE_S)
        user = self._users.setdefault(uid, _User(uid))
        if hash(fields) in user.finished:
            return None
        message_id = _keep(user, fields, now)
        partial = user.partial[message_id]
        if len(partial.slices) == partial.parts:
            return _message(user.finish(message_id, now))
        self._make_room(user)
        return None

    def _give_up(self, before: float) -> None:
        for user in self._users.values():
            user.give_up(before)
        self._users = {
            uid: user for uid, user in self._users.items() if user.partial or user.finished
        }

    def _make_room(self, user: _User) -> None:
        while user.too_much:
            user.drop_oldest()
        while sum(user.parts for user in self._users.values()) > MAX_KEPT_PARTS:
            max(self._users.values(), key=lambda user: user.parts).drop_oldest()


_Fields: TypeAlias = tuple[str, int, int, str]


def _fields(chunk: str) -> _Fields:
    # What is not checked here would be found out only when all parts are there, and cost them all.
    found = _CHUNK.fullmatch(chunk) if len(chunk) <= MAX_CHUNK else None
    if found is None:
        raise ValueError("not a chunk of the form msg_id|part|parts|base64")
    message_id, part, parts, payload = found.groups()
    if not 1 <= int(part) <= int(parts) <= MAX_PARTS:
        raise ValueError(f"parts must be numbered from 1 and be at most {MAX_PARTS}")
    return message_id, int(part), int(parts), payload


def _keep(user: _User, fields: _Fields, now: float) -> str:
    message_id, part, parts, payload = fields
    partial = user.partial.setdefault(message_id, _Partial(parts, now))
    if partial.parts != parts:
        raise ValueError("the chunks of one message differ in their number of parts")
    partial.slices.setdefault(part, payload)
    return message_id


def _message(payload: str) -> dict[str, Any]:
    try:
        message = orjson.loads(base64.b64decode(payload, validate=True))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise ValueError(f"not base64 of JSON: {error}") from error
    if isinstance(message, dict):
        return message
    raise ValueError("not a JSON object")
