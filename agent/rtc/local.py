"""The server's own channels, over a WebSocket: for the web page, for tests, for a laptop.

Binary messages are 4 bytes of the sender's uid, big-endian, then pcm16. Text that begins with `{`
is control, any other text a data packet. The relay tells agents who has sent one by putting it into
control; older relays do not.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import orjson
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from agent.audio import BYTES_PER_SECOND, SAMPLE_BYTES
from agent.errors import ChannelError
from agent.rtc.channel import ChannelEvent, ChannelLost, DataReceived, UserJoined, UserLeft
from agent.rtc.handover import AudioHandover
from agent.rtc.receipts import Receipts
from agent.websocket import Terms, open_websocket

JOIN_S: Final = 10.0
"""The relay is on this machine or near: it answers in milliseconds unless it is overloaded."""
LEAVE_S: Final = 1.0
MAX_MESSAGE: Final = 2**20
"""The relay passes on messages of up to 64 KiB."""
OUTBOX_S: Final = 2.0
"""Speech that waits for a slow relay at most; what is older is dropped, it would come too late."""
EVENTS: Final = 256
"""Events that wait for the session, which takes them at once."""
_HEADER: Final = 4

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_local_channel(
    base_url: str, name: str, uid: int, *, key: str | None = None, warn_at: int = 5
) -> AsyncIterator["LocalChannel"]:
    """Join a local channel; it is left when the context exits.

    :param base_url: such as ws://127.0.0.1:8080/channels.
    :param uid: our own; 0 lets the relay choose.
    :param key: the server's key, where it wants one.
    :raises ChannelError: it can't be joined.
    """
    shown = _shown(base_url)
    terms = Terms(
        headers=((b"Authorization", f"Bearer {key}".encode()),) if key else (),
        connect_s=JOIN_S,
        close_s=LEAVE_S,
        max_message=MAX_MESSAGE,
        queue=16,
        goodbye="left",
        unreachable=lambda why: ChannelError(
            f"the local channel at {shown} (LOCAL_CHANNEL_URL) can't be reached: {why}"
        ),
        refused=lambda status, _: ChannelError(f"{shown} refused: HTTP {status}"),
    )
    url = f"{base_url.rstrip('/')}/{quote(name, safe='')}?uid={uid}&agent=1"
    async with open_websocket(url, terms) as websocket:
        # A relay that says nothing of our uid has let us in with the one that we asked for.
        members = {"uid": uid} | await _join(websocket)
        channel = LocalChannel(websocket, members, warn_at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.read)
            nursery.start_soon(channel.write)
            yield channel
            nursery.cancel_scope.cancel()


def _shown(url: str) -> str:
    """The URL without a password that may be in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _join(websocket: WebSocketConnection) -> dict[str, Any]:
    try:
        with trio.fail_after(JOIN_S):
            members = _control(await websocket.get_message())
    except trio.TooSlowError:
        raise ChannelError(f"the local channel did not answer within {JOIN_S:g} s") from None
    except ConnectionClosed as error:
        raise ChannelError(f"the local channel refused: {_why(error)}") from error
    if members is None or members.get("control") != "members":
        raise ChannelError("the local channel did not begin with its members")
    return members


class LocalChannel:
    """A joined local channel; `read` and `write` are run by `open_local_channel`.

    :ivar uid: our own.
    :ivar dropped: pieces of our speech that were dropped because the relay was slow.
    """

    def __init__(
        self, websocket: WebSocketConnection, members: dict[str, Any], warn_at: int
    ) -> None:
        self.audio = AudioHandover(warn_at=warn_at)
        self.dropped = 0
        self.uid = int(members.get("uid", 0))
        self._websocket = websocket
        self._header = self.uid.to_bytes(_HEADER, "big")
        self._listens_to: int | None = None
        self._receipts = Receipts()
        self._joined: dict[int, int] = {}
        self._outbox: deque[bytes | str] = deque()
        self._held = 0
        self._work = trio.Event()
        self._events_in, self.events = trio.open_memory_channel[ChannelEvent](EVENTS)
        agents = members.get("agents", [])
        for uid in members.get("uids", []):
            if uid != self.uid and uid not in agents:
                self._emit(UserJoined(uid))

    def listen_to(self, uid: int) -> None:
        """See `RtcChannel`."""
        self._listens_to = uid
        self.audio.clear()
        self._receipts.begin(self._joined.get(uid, 0))

    def play(self, pcm: bytes) -> None:
        """See `RtcChannel`."""
        self._receipts.hand_over(len(pcm) // SAMPLE_BYTES, trio.current_time())
        self._outbox.append(self._header + pcm)
        self._held += len(pcm)
        while self._held > OUTBOX_S * BYTES_PER_SECOND:
            self._drop_oldest()
        self._work.set()

    def clear(self) -> None:
        """See `RtcChannel`. What the relay and the receivers drop is theirs to know."""
        self._receipts.clear(trio.current_time())
        # A clear that still waits is made again, too: the outbox holds one at most.
        self._outbox.clear()
        self._held = 0
        self._outbox.append(f'{{"control":"clear","uid":{self.uid}}}')
        self._work.set()

    def played(self) -> int | None:
        """See `RtcChannel`."""
        return self._receipts.played(trio.current_time())

    async def send_data(self, packet: str) -> bool:
        """See `RtcChannel`."""
        try:
            await self._websocket.send_message(packet)
        except ConnectionClosed as error:
            raise ChannelError(f"the local channel was lost: {_why(error)}") from error
        return True

    async def write(self) -> None:
        """Send what `play` and `clear` have queued."""
        try:
            while True:
                while not self._outbox:
                    self._work = trio.Event()
                    await self._work.wait()
                message = self._outbox.popleft()
                if isinstance(message, bytes):
                    self._held -= len(message) - _HEADER
                await self._websocket.send_message(message)
        except ConnectionClosed:
            return  # the reader tells the session

    async def read(self) -> None:
        """Take what the relay sends until it ends."""
        try:
            while True:
                message = await self._websocket.get_message()
                if isinstance(message, bytes):
                    self._hear(message)
                else:
                    self._take_text(message)
        except ConnectionClosed as error:
            self._emit(ChannelLost(_why(error)))

    def _hear(self, message: bytes) -> None:
        if len(message) % SAMPLE_BYTES or len(message) <= _HEADER:
            _log.warning("audio of %d bytes is not whole samples: dropped", len(message))
        elif int.from_bytes(message[:_HEADER], "big") == self._listens_to:
            self.audio.put(message[_HEADER:])

    def _take_text(self, message: str) -> None:
        if not message.startswith("{"):
            self._emit(DataReceived(0, message))
            return
        match _control(message):
            case {"control": "joined", "uid": int(uid), **rest}:
                # Two agents that listened to each other would talk for ever.
                if rest.get("agent") is not True:
                    self._joined[uid] = self._receipts.handed
                    self._emit(UserJoined(uid))
            case {"control": "left", "uid": int(uid), **rest}:
                self._joined.pop(uid, None)
                self._emit(UserLeft(uid, str(rest.get("reason", ""))))
            case {"control": "data", "uid": int(uid), "packet": str(packet)}:
                self._emit(DataReceived(uid, packet))
            case {"control": "played", "uid": self.uid, "samples": int(samples), **rest}:
                # A relay that does not say by whom has no other receiver in mind.
                is_ours = rest.get("by", self._listens_to) == self._listens_to
                # JSON's true is an int to Python.
                if is_ours and samples >= 0 and not isinstance(samples, bool):
                    self._receipts.told(samples, trio.current_time())

    def _emit(self, event: ChannelEvent) -> None:
        try:
            self._events_in.send_nowait(event)
        except trio.WouldBlock:
            _log.warning("too many channel events wait: a %s was dropped", type(event).__name__)

    def _drop_oldest(self) -> None:
        oldest = next(message for message in self._outbox if isinstance(message, bytes))
        self._outbox.remove(oldest)
        self._held -= len(oldest) - _HEADER
        self.dropped += 1


def _control(message: str | bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _why(error: ConnectionClosed) -> str:
    if error.reason is None:
        return "the connection broke"
    return str(error.reason.reason or f"closed with {error.reason.code}")
