"""The latest events of one agent, for as many readers as there are.

Readers have no queues of their own: each remembers how far it is, and one that is too slow misses
the oldest and is told how many. So no reader costs the agent, or another one, anything.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import trio

KEPT: Final = 256
"""Events that are kept: the last minutes of a talk, for a reader that lost its connection."""

Event: TypeAlias = dict[str, Any]


class EventLog:
    """Events in order, each with an id that no other event has, in whatever log.

    :param run: differs from one log to the next; begins the ids.
    :param clock: seconds since 1970.
    """

    def __init__(self, run: str, clock: Callable[[], float] = time.time) -> None:
        self._run, self._clock = run, clock
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._count = 0
        self._ended = False
        self._more = trio.Event()

    def add(self, event: Event) -> None:
        """Keep an event; it is given the time, as `at`."""
        self._kept.append({"at": round(self._clock(), 3), **event})
        self._count += 1
        self._wake()

    def end(self) -> None:
        """No more events come: readers end when they have read all."""
        self._ended = True
        self._wake()

    def is_read(self, last_id: str | None) -> bool:
        """Whether nothing is left, nor will come, for a reader that has had this event."""
        return self._ended and self._place(last_id) >= self._count

    def reader(self, last_id: str | None = None) -> "Reader":
        """A reader of what is kept, and then of what comes.

        :param last_id: of the last event that it has had; what follows that is read. One of
            another log counts for none.
        """
        return Reader(self, self._place(last_id))

    async def next(self, place: int) -> tuple[int, str, Event] | None:
        """The event at a place, or the first one after it that is kept; see `Reader.next`.

        :returns: the place behind it, its id and it; None: it is the end.
        """
        while place >= self._count:
            if self._ended:
                return None
            await self._more.wait()
        oldest = self._count - len(self._kept)
        if place < oldest:
            missed = {"type": "events_missed", "count": oldest - place}
            return oldest, self._id(oldest), missed
        return place + 1, self._id(place + 1), self._kept[place - oldest]

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()

    def _id(self, place: int) -> str:
        return f"{self._run}-{place}"

    def _place(self, last_id: str | None) -> int:
        run, _, place = (last_id or "").rpartition("-")
        is_ours = run == self._run and place.isascii() and place.isdigit() and len(place) < 19
        return min(int(place), self._count) if is_ours else 0


class Reader:
    """One reader's place in a log."""

    def __init__(self, log: EventLog, place: int) -> None:
        self._log, self._place = log, place

    async def next(self) -> tuple[str, Event] | None:
        """Wait for the next event and its id. Cancelled, nothing is lost.

        :returns: None when the agent is gone and all was read. In the place of events that were
            not read while they were kept: `{"type": "events_missed", "count": n}`.
        """
        found = await self._log.next(self._place)
        if found is None:
            return None
        self._place, event_id, event = found
        return event_id, event
