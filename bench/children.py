"""Processes of the bench's own: JSON lines in and out; gone when their context exits."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from agent.supervisor.lines import send_line, text_lines


class ChildEnded(Exception):
    """A process ended before it had told all that it was to tell."""


class Child:
    """A running process.

    :param name: for errors.
    """

    def __init__(self, process: trio.Process, name: str) -> None:
        self._process, self._name = process, name
        self._lines_in, self._lines = trio.open_memory_channel[str](1000)

    async def tell(self, value: dict[str, Any]) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        await send_line(self._process.stdin, value)

    async def hear(self) -> str:
        """The next line that it wrote.

        :raises ChildEnded: there is none.
        """
        try:
            return await self._lines.receive()
        except trio.EndOfChannel:
            raise ChildEnded(f"{self._name} ended early; see above") from None

    async def read(self) -> None:
        """Take what it writes as it comes: it never waits for us."""
        assert self._process.stdout is not None
        with self._lines_in:
            async for line in text_lines(self._process.stdout, sys.maxsize):
                self._lines_in.send_nowait(line)


@asynccontextmanager
async def open_child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """Run a module in a process of its own."""
    run = partial(
        trio.run_process,
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process = await nursery.start(run)
        child = Child(process, " ".join((module, *arguments)))
        nursery.start_soon(child.read)
        try:
            yield child
        finally:
            nursery.cancel_scope.cancel()
