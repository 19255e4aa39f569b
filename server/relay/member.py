"""One member of a local channel: what waits for it, what it may send, and why it was put out."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import trio
from attrs import frozen

from server.relay.outbox import HEADER_BYTES, Outbox

# An Agora data stream takes 60 messages a second. Twice that is allowed here, and bursts of fewer
# than the `TEXTS` that an outbox holds: one member that floods the channel loses its own messages
# and does not make all others too slow for it.
TEXTS_A_SECOND: Final = 120
TEXTS_AT_ONCE: Final = 240


@frozen
class Goodbye(Exception):
    """Why a member may not be in a channel: the WebSocket is closed with these."""

    code: int
    reason: str


class Member:
    """One WebSocket's place in a channel.

    :ivar is_agent: it says that it is an agent; all others count as people. Who has sent a data
        packet only agents are told.
    :ivar ignored: what was dropped of what the member sent, by kind.
    :ivar texts: how much more text the member may send.
    :ivar put_out: set when the relay has put the member out; `goodbye` says why.
    """

    def __init__(
        self, channel_name: str, uid: int, clock: Callable[[], float], *, is_agent: bool = False
    ) -> None:
        self.channel_name = channel_name
        self.uid = uid
        self.is_agent = is_agent
        self.header = uid.to_bytes(HEADER_BYTES, "big")
        self.outbox = Outbox()
        self.ignored: Counter[str] = Counter()
        self.texts = Allowance(clock())
        self.put_out = trio.Event()
        self.goodbye: Goodbye | None = None
        self._clock = clock
        self._wake = trio.Event()

    def __str__(self) -> str:
        return f"uid {self.uid}"

    @property
    def about(self) -> dict[str, str]:
        """For the log, which names the channel."""
        return {"channel_name": self.channel_name}

    def give_audio(self, sender: int, message: bytes) -> None:
        """Let audio wait for this member."""
        self.outbox.put_audio(sender, message, self._clock())
        self._wake.set()

    def give_text(self, text: str) -> None:
        """Let text wait for this member.

        :raises OutboxFull: the member is too slow.
        """
        self.outbox.put_text(text)
        self._wake.set()

    def expel(self, goodbye: Goodbye) -> None:
        """Tell the member's own task to close the WebSocket."""
        self.goodbye = goodbye
        self.put_out.set()

    async def next_message(self) -> str | bytes:
        """Wait for what this member is to be sent next. For one task only."""
        while (message := self.outbox.pop(self._clock())) is None:
            self._wake = trio.Event()
            await self._wake.wait()
        return message


class Allowance:
    """How much text a member may send: a bucket that fills again with time.

    :param now: seconds, of any origin; it is full then.
    """

    def __init__(self, now: float) -> None:
        self._left = float(TEXTS_AT_ONCE)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may be sent now; if so, it is counted."""
        self._left = min(TEXTS_AT_ONCE, self._left + (now - self._at) * TEXTS_A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
