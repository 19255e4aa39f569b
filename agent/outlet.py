"""What an agent has to tell its supervisor: its states, and the events of its call.

States are few, and each goes. Events may be many, and whoever takes them may be slow: then the
oldest are dropped, and in their place it is told how many.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import orjson
import trio

MAX_EVENTS: Final = 256
"""Events that wait. A call has some a second; a supervisor that is minutes behind is stuck."""
MAX_BYTES: Final = 16 * 1024
"""Of one event's JSON: a transcript of many minutes."""

Message: TypeAlias = dict[str, Any]


class Outlet:
    """A queue of messages, in order, that takes events without limit and keeps the newest."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._events = self._dropped = 0
        self._line = b""
        self._beat: Message = {}
        self._more = trio.Event()

    def state(self, message: Message) -> None:
        """Tell a state: a JSON object with `state`."""
        self._put(message)

    def beat(self, message: Message) -> None:
        """Tell that the agent is alive; of those that wait only the latest counts."""
        self._beat = message
        self._more.set()

    def event(self, event: Message) -> None:
        """Tell an event: a JSON object with `type`. One that is too large is told of by its size.

        :raises TypeError: it is no JSON.
        """
        size = len(orjson.dumps({"event": event}))  # as it goes: it may be nested just too deep
        if size > MAX_BYTES:
            event = {"type": event.get("type"), "too_large": size}
        if self._events >= MAX_EVENTS:
            self._drop_oldest()
        self._events += 1
        self._put({"event": event})

    async def run(self, send: Callable[[bytes], Awaitable[int]]) -> None:
        """Send what there is, a line of JSON each, for as long as the agent lives.

        Cancelled in the midst of a line, `rest` has what is left of it.

        :param send: sends some of these bytes and returns how many; cancelled, none.
        """
        while True:
            while self._line or self._waiting or self._beat:
                self._line = self._line or self._pop()
                self._line = self._line[await send(self._line) :]
            self._more = trio.Event()
            await self._more.wait()

    def rest(self) -> bytes:
        """What has not been sent; it is taken."""
        self._beat = {}
        lines = [self._pop() for _ in range(len(self._waiting) + bool(self._dropped))]
        line, self._line = self._line, b""
        return line + b"".join(lines)

    def _put(self, message: Message) -> None:
        self._waiting.append(message)
        self._more.set()

    def _pop(self) -> bytes:
        message: Message
        if self._beat:
            message, self._beat = self._beat, {}
        elif self._dropped:
            dropped, self._dropped = self._dropped, 0
            message = {"event": {"type": "events_dropped", "count": dropped}}
        else:
            message = self._waiting.popleft()
            self._events -= "event" in message
        return orjson.dumps(message) + b"\n"

    def _drop_oldest(self) -> None:
        oldest = next(at for at, message in enumerate(self._waiting) if "event" in message)
        del self._waiting[oldest]
        self._events -= 1
        self._dropped += 1
