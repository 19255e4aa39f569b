"""The bounded hand-over of the person's audio, from whatever thread hears it to the uplink."""

import threading
from collections import deque
from typing import Final

import trio

from agent.audio import ms_to_bytes
from agent.log import QueueWatch

APPEND_MS: Final = 20
"""Frames are put together to this on the source's side, so that Trio wakes once an append.

Twice a frame: half of the wake-ups for 10 ms of delay.
"""
CAPACITY_MS: Final = 500
"""Audio older than this is dropped: sent in a burst it would reach the model as the past."""


class AudioHandover:
    """A queue of the person's audio: producers on any threads, one consumer on Trio.

    When it is full the oldest audio is dropped and counted. `put` waits for nobody.

    :param warn_at: a longer queue is warned of.
    :ivar dropped: appends that were dropped because the consumer was too slow.
    """

    def __init__(
        self, *, warn_at: int = 5, append_ms: int = APPEND_MS, capacity_ms: int = CAPACITY_MS
    ) -> None:
        self.dropped = 0
        self._append_bytes = ms_to_bytes(append_ms)
        self._ready: deque[bytes] = deque(maxlen=max(1, capacity_ms // append_ms))
        self._partial = bytearray()
        # Held for as long as it takes to copy a frame: no thread waits for more than that.
        self._lock = threading.Lock()
        self._arrived = trio.Event()
        self._watch = QueueWatch("audio for the model", warn_at)

    def put(self, pcm: bytes) -> None:
        """Hand over audio (whole samples), from a task of Trio's."""
        if self._store(pcm):
            self._arrived.set()

    def put_from_thread(self, pcm: bytes, token: trio.lowlevel.TrioToken) -> None:
        """Hand over audio (whole samples), from any other thread.

        :raises trio.RunFinishedError: Trio has ended.
        """
        if self._store(pcm):
            token.run_sync_soon(self._wake, idempotent=True)

    @property
    def longest(self) -> int:
        """The most appends that ever waited."""
        return self._watch.longest

    async def receive(self) -> bytes:
        """The oldest audio, of one append's length to two. Cancelled, it loses nothing."""
        # No checkpoint lies between looking and waiting, so that no wake-up is missed.
        while not self._ready:
            self._arrived = trio.Event()
            await self._arrived.wait()
        self._watch.saw(len(self._ready))
        return self._ready.popleft()

    def clear(self) -> None:
        """Drop what waits, when another person is listened to from now on."""
        with self._lock:
            self._ready.clear()
            self._partial = bytearray()

    def _wake(self) -> None:
        self._arrived.set()

    def _store(self, pcm: bytes) -> bool:
        with self._lock:
            return self._add(pcm)

    def _add(self, pcm: bytes) -> bool:
        size = self._append_bytes
        if self._partial or len(pcm) < size:
            self._partial += pcm
            if len(self._partial) < size:
                return False
            pcm = bytes(self._partial)
            self._partial = bytearray()
        # What bounds the queue is its length, so no piece in it may be long.
        while len(pcm) >= 2 * size:
            self._append(pcm[:size])
            pcm = pcm[size:]
        self._append(pcm)
        return True

    def _append(self, pcm: bytes) -> None:
        self.dropped += len(self._ready) == self._ready.maxlen
        self._ready.append(pcm)
