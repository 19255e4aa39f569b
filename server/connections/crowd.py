"""How many connections there may be, so that nobody uses up what all share.

This machine's own are not counted: the server's agents, and a proxy, which has limits of its own.
"""

import resource
from collections import Counter
from typing import Final

from agent.listening import is_loopback
from server.doors.rates import client_of

_SHARE: Final = 0.75
"""Of the files that this process may open. The rest is for agents, and for this machine's own."""


class Crowd:
    """The connections that are open.

    :param most: of all clients.
    :param per_client: of one address, or one network of IPv6.
    """

    def __init__(self, most: int, per_client: int) -> None:
        self._most, self._per_client = most, per_client
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str | None:
        """Count a connection; returns whose it is, for `leave`. None: there are too many."""
        client = client_of(address)
        if is_loopback(client):
            return client
        if self._open[client] >= self._per_client or self._open.total() >= self._most:
            return None
        self._open[client] += 1
        return client

    def leave(self, client: str) -> None:
        """Count one less."""
        if not is_loopback(client):
            self._open[client] -= 1
            self._open += Counter()  # without the names of those who have left


def room() -> int:
    """The most connections that this process has room for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(files * _SHARE) if files != resource.RLIM_INFINITY else 2**16
