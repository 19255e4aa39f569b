"""How many clients there may be at a time, on a port that anybody can connect to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

MAX_SESSIONS: Final = 64
"""At once; a client more is told to come back."""
MAX_HANDSHAKES: Final = 256
"""Clients whose request is awaited. They hold no session's place, so that those who say nothing
lock nobody out."""
HANDSHAKE_SECONDS: Final = 10.0
"""From the connection to the end of the request."""


class Gate:
    """The places for requests and for sessions."""

    def __init__(
        self, max_sessions: int = MAX_SESSIONS, max_handshakes: int = MAX_HANDSHAKES
    ) -> None:
        self._free = max_sessions
        self._max_handshakes = max_handshakes
        self._handshakes: list[trio.CancelScope] = []

    @contextmanager
    def handshake(self) -> Iterator[None]:
        """A block in which a request is awaited; cancelled after `HANDSHAKE_SECONDS`.

        Where too many wait, the one that has waited longest is cancelled, so that a new client
        always has its turn.
        """
        with trio.move_on_after(HANDSHAKE_SECONDS) as scope:
            self._handshakes.append(scope)
            if len(self._handshakes) > self._max_handshakes:
                self._handshakes.pop(0).cancel()
            try:
                yield
            finally:
                if scope in self._handshakes:
                    self._handshakes.remove(scope)

    @contextmanager
    def session(self) -> Iterator[bool]:
        """A block in which a session has its place; gives whether there was one."""
        if self._free == 0:
            yield False
            return
        self._free -= 1
        try:
            yield True
        finally:
            self._free += 1
