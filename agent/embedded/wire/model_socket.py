"""What a session of the embedded model needs of a WebSocket, whoever provides it."""

from typing import Protocol


class SocketClosed(Exception):
    """The client is gone, in whatever way."""


class ModelSocket(Protocol):
    """A WebSocket to one client, accepted."""

    async def receive(self) -> str | bytes:
        """The next message.

        :raises SocketClosed: there will be none; also once this side has closed or cut it.
        """

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message; waits while the client does not read.

        :raises SocketClosed: the client is gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close it; does nothing where it is closed."""

    async def cut(self) -> None:
        """End the connection without a close frame, as when a machine fails."""
