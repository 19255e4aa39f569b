"""Where this server listens."""

import socket
from typing import Final

from agent.listening import Names
from agent.listening import open_listener as open_named_listener

_NAMES: Final = Names(
    host="SERVER_HOST",
    port="SERVER_PORT=... or --port",
    keys="SERVER_API_KEY or SERVER_API_KEYS_FILE",
)


def open_listener(host: str, port: int, *, has_keys: bool) -> socket.socket:
    """Bind and listen, as `agent.listening` does, in the names of this server's settings."""
    return open_named_listener(host, port, has_keys=has_keys, names=_NAMES)
