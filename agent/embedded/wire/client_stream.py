"""The stream to a client, as the WebSocket library gets it.

It settles what the library leaves open. What comes behind the request waits until the request is
answered. A client that does not read is given up, and after a send that was cut short nothing more
is sent: it would land in the midst of a frame. A client that breaks the WebSocket's rules is told
so in a Close frame, where the library would only hang up.
"""

from contextlib import suppress
from typing import Final

import trio
from trio_websocket import WebSocketConnection
from wsproto.frame_protocol import FrameProtocol, Opcode

SEND_SECONDS: Final = 20.0
"""How long a client may take nothing at all."""
_PIECE: Final = 64 * 1024
"""Bytes that are sent under one deadline: a large message to a slow client may take longer."""
_LINGER_SECONDS: Final = 1.0
_OPCODE: Final = 0x0F


class ClientStream(trio.abc.Stream):
    """A stream of which the request has been read.

    :param head: the request, for the library.
    :param rest: what has been read behind it.
    """

    def __init__(self, stream: trio.abc.Stream, head: bytes, rest: bytes) -> None:
        self._stream, self._head, self._rest = stream, head, rest
        self._connection: WebSocketConnection | None = None
        self._accepted = trio.Event()
        self._is_cut = False
        self._has_said_close = False

    def accepted(self, connection: WebSocketConnection) -> None:
        """The request has been answered: from here on there are frames."""
        self._connection = connection
        self._accepted.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """The request; once it has been answered what was read behind it, then the rest."""
        if self._head:
            await trio.lowlevel.checkpoint()
            data, self._head = self._head[:max_bytes], self._head[max_bytes:] if max_bytes else b""
            return data
        await self._accepted.wait()
        if self._rest:
            data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:] if max_bytes else b""
            return data
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or cut the connection.

        Cancelled after a part of the data, it cuts the connection in that no more will be sent.

        :raises trio.BrokenResourceError: the client has taken nothing for `SEND_SECONDS`, or an
            earlier send was cut short.
        """
        if self._is_cut:
            raise trio.BrokenResourceError("an earlier send was cut short")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._is_cut = True  # for as long as not all is sent
        for at in range(0, len(data), _PIECE):
            await self._send_piece(data[at : at + _PIECE])
        self._is_cut = False
        if self._connection is not None and data and data[0] & _OPCODE == Opcode.CLOSE:
            self._has_said_close = True

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream, after a Close frame if the client broke the rules."""
        try:
            await self._say_close()
        finally:
            await self._stream.aclose()

    async def _send_piece(self, piece: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(SEND_SECONDS) as patience:
            await self._stream.send_all(piece)
        if patience.cancelled_caught:
            await trio.aclose_forcefully(self._stream)
            raise trio.BrokenResourceError(f"nothing was taken for {SEND_SECONDS:g} s")

    async def _say_close(self) -> None:
        """The library ends without a Close frame only where it has found the rules broken."""
        reason = None if self._connection is None else self._connection.closed
        if reason is None or self._has_said_close or self._is_cut:
            return
        frame = FrameProtocol(client=False, extensions=[]).close(reason.code, reason.reason)
        with (
            suppress(trio.BrokenResourceError, trio.ClosedResourceError),
            trio.move_on_after(_LINGER_SECONDS),
        ):
            await self.send_all(frame)
            # Closed on what it still sends, the connection would be reset and the frame lost.
            while await self._stream.receive_some(_PIECE):
                pass
