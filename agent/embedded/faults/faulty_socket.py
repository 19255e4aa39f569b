"""A socket on whose way a fault plan lies."""

import math
from typing import assert_never

import trio

from agent.embedded.faults.effects import CloseSocket, Drop
from agent.embedded.faults.line import FaultLine, Frame
from agent.embedded.wire.model_socket import ModelSocket, SocketClosed


class FaultySocket:
    """A `ModelSocket` between a session and another one; `run` must run beside the session.

    What is not held back is sent before `send` returns, so that a client that does not read stops
    the session as ever. What is held back waits in the line, which is bounded.
    """

    def __init__(self, socket: ModelSocket, line: FaultLine) -> None:
        self._socket = socket
        self._line = line
        self._sending = trio.Lock()
        self._changed = trio.Event()
        self._gone = trio.Event()

    async def run(self) -> None:
        """Do what is due while nobody sends."""
        try:
            while not self._line.over:
                await self._flush()
                self._changed = trio.Event()
                with trio.move_on_at(self._line.next_deadline()):
                    await self._changed.wait()
        except SocketClosed:
            self._gone.set()

    async def receive(self) -> str | bytes:
        """The next message that is not lost."""
        try:
            while True:
                message = await self._socket.receive()
                kept = self._line.received(message, trio.current_time())
                await self._flush()
                if kept:
                    return message
        except SocketClosed:
            self._gone.set()
            raise

    async def send(self, message: str | bytes) -> None:
        """Send a message, now or when the plan says."""
        assert isinstance(message, str), "only a plan itself makes binary messages"
        self._line.sent(message, trio.current_time())
        await self._flush()

    async def close(self, code: int, reason: str) -> None:
        """Close it behind what is held back; a stall without end ends with a cut."""
        until = self._line.drained_at()
        if until < math.inf:
            with trio.move_on_at(until):
                await self._gone.wait()
            await self._flush()
            await self._socket.close(code, reason)
        else:
            await self._socket.cut()

    async def cut(self) -> None:
        """Cut it."""
        await self._socket.cut()

    async def _flush(self) -> None:
        async with self._sending:
            for frame in self._line.advance(trio.current_time()):
                await self._do(frame)
        self._changed.set()

    async def _do(self, frame: Frame) -> None:
        match frame:
            case str() | bytes():
                await self._socket.send(frame)
            case CloseSocket(code, reason):
                await self._socket.close(code, reason)
            case Drop():
                await self._socket.cut()
            case _:
                assert_never(frame)
