"""Requests that are sent again: one key, one effect, one answer.

A client whose connection broke does not know whether its request arrived. With a key of its own
making in `Idempotency-Key` it sends the request again and gets the first one's answer. Here is what
is remembered, and no HTTP.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio
from attrs import field, frozen, mutable

KEEP_S: Final = 24 * 3600.0
"""Seconds that an answer is remembered: a client that has not asked again within a day does not."""
MOST: Final = 1000
"""Answers that are remembered of one caller: some hundred KiB. Beyond it the oldest is forgotten,
and its request would have its effect again. Those under way do not count: each of them is a request
that is open."""

_Answer = TypeVar("_Answer")


class KeyReused(Exception):
    """The key was sent before, with another request."""


@frozen
class Key:
    """A key as one caller sent it. Callers do not see each other's.

    :ivar caller: tells callers apart.
    """

    caller: str
    text: str


@mutable
class _Entry(Generic[_Answer]):
    request: bytes
    at: float
    done: trio.Event = field(factory=trio.Event)
    answers: list[_Answer] = field(factory=list)


class Repeats(Generic[_Answer]):
    """What was answered, by key.

    :param is_final: whether an answer is remembered. One that is worth another try is not.
    :param clock: seconds, from any origin.
    """

    def __init__(self, is_final: Callable[[_Answer], bool], clock: Callable[[], float]) -> None:
        self._is_final, self._clock = is_final, clock
        self._entries: dict[Key, _Entry[_Answer]] = {}

    async def once(
        self, key: Key, request: bytes, act: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """Act, unless the key's request is being acted on or was: then its answer.

        A repeat that comes while the first one is under way waits for it, and gets its answer
        whatever that is. If it raised in place of answering, the next in line acts.

        A caller that is cancelled is not: what was begun is finished, shielded, so that the repeat
        finds it done. What acts has to have a bound of its own. Cancelled while it waits for
        another's answer it ends at once.

        :param request: the same for the same request only.
        :raises KeyReused: the key is that of another request.
        """
        self._forget_old()
        while (entry := self._entries.get(key)) is not None:
            if entry.request != request:
                raise KeyReused
            await entry.done.wait()
            if entry.answers:
                return entry.answers[0]
        return await self._first(key, request, act)

    async def _first(
        self, key: Key, request: bytes, act: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        entry = _Entry[_Answer](request, self._clock())
        self._entries[key] = entry
        try:
            with trio.CancelScope(shield=True):
                answer = await act()
            entry.answers.append(answer)
        finally:
            # There is no await from here on: a repeat finds it under way, or answered, or not.
            entry.done.set()
            del self._entries[key]
        if self._is_final(answer):
            entry.at = self._clock()
            self._entries[key] = entry  # as the last: the dictionary is in the order of age
            self._make_room(key.caller)
        return answer

    def _forget_old(self) -> None:
        limit = self._clock() - KEEP_S
        old = [key for key, entry in self._entries.items() if entry.answers and entry.at <= limit]
        for key in old:
            del self._entries[key]

    def _make_room(self, caller: str) -> None:
        kept = [
            key for key, entry in self._entries.items() if key.caller == caller and entry.answers
        ]
        for key in kept[: max(0, len(kept) - MOST)]:
            del self._entries[key]
