"""An MCP server as a child process: JSON, a line each, on its standard input and output.

The official package has a client for this, too. This one is for what that leaves open: a server's
death is noticed by its exit, also where a grandchild holds its pipes; what it writes to standard
error goes to the log, line by line; and neither a long line nor a flood of them takes what memory
or log there is.
"""

import signal
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Self

import trio
from attrs import define, field

from agent.errors import one_line
from agent.signals import signal_name
from agent.tools.mcp_config import McpServer
from agent.tools.mcp_group import Group, open_group
from agent.tools.run_context import Log

EXIT_S: Final = 1.0
"""From the end of its input, at which a server has to exit, to SIGTERM."""
TERMINATE_S: Final = 1.0
"""From SIGTERM to SIGKILL."""
LAST_WORDS_S: Final = 0.2
"""From a server's exit to the end of its output, which lies in the pipe already; and back."""
MAX_MESSAGE: Final = 4 * 2**20
"""Bytes of one message. It is parsed in the agent's loop, and all of a call waits meanwhile."""
MAX_LINE: Final = 2**12
"""Bytes of one line of its standard error; a longer one is cut in pieces."""
LINES: Final = 50
"""Lines of one server that are logged within `LINES_S`; the rest are counted."""
LINES_S: Final = 5.0
WAITING: Final = 16
"""Messages that may wait for a server to read: who cancels a call must not wait for that."""


@define(eq=False)
class Ending:
    """The end of a connection: that it has come, and why.

    :ivar why: what became of the server, to be put after its name.
    :ivar forgotten: whether it is a session over HTTP that the server knows nothing of (any more).
    """

    why: str = ""
    forgotten: bool = False
    came: trio.Event = field(factory=trio.Event)

    def come(self, why: str) -> None:
        """The connection is over; who is the first to know why is right."""
        self.why = self.why or why
        self.came.set()


@asynccontextmanager
async def open_process(
    server: McpServer, ending: Ending, log: Log, prepare: Callable[[], Awaitable[None]]
) -> AsyncIterator[tuple[Any, Any]]:
    """Launch a server in a process group that ends with the agent; see `open_group`.

    When the context exits the server and what it launched are gone: its input is closed, and what
    then does not exit is sent SIGTERM, and SIGKILL. Cancellation begins with the SIGTERM.

    :param ending: told when the server ends, before its streams do.
    :param prepare: awaited while the server starts; from then on the package can be imported.
    :returns: the messages from the server, and a way to send it some, as the package wants them.
    :raises OSError: it cannot be launched.
    """
    assert server.command is not None
    # What the server leaves behind goes with the group.
    async with open_group() as group, trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                [server.command, *server.args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=server.env,
                cwd=server.cwd,
                process_group=group.id,
                check=False,
                deliver_cancel=lambda _: _end(group),
            )
        )
        try:
            await group.watch(process.pid)
            await prepare()
            with _Child(process, server, ending, log) as child:
                for task in (child.write, child.read, child.relay, child.watch):
                    nursery.start_soon(task)
                yield child.streams
        finally:
            await _close(process)
            nursery.cancel_scope.cancel()


async def _close(process: trio.Process) -> None:
    assert process.stdin is not None
    await process.stdin.aclose()
    with trio.move_on_after(EXIT_S):
        await process.wait()


async def _end(group: Group) -> None:
    group.signal(signal.SIGTERM)
    await trio.sleep(TERMINATE_S)
    group.signal(signal.SIGKILL)


class _Child:
    """The pipes of one server.

    :ivar streams: those of the package's session.
    """

    def __init__(self, process: trio.Process, server: McpServer, ending: Ending, log: Log) -> None:
        import anyio  # the dialect that the package speaks

        self._process, self._ending = process, ending
        self._lines = _Lines(server, log)
        self._output_ended, self._errors_ended = trio.Event(), trio.Event()
        self._incoming, incoming = anyio.create_memory_object_stream[Any](0)
        outgoing, self._outgoing = anyio.create_memory_object_stream[Any](WAITING)
        self.streams: tuple[Any, Any] = incoming, outgoing
        self._gone = (anyio.ClosedResourceError, anyio.BrokenResourceError)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (*self.streams, self._incoming, self._outgoing):
            stream.close()

    async def write(self) -> None:
        """Write what the session sends, until either side has gone."""
        assert self._process.stdin is not None
        broken = (trio.BrokenResourceError, trio.ClosedResourceError, *self._gone)
        with suppress(*broken):
            async with self._outgoing:
                async for sent in self._outgoing:
                    text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                    await self._process.stdin.send_all(text.encode() + b"\n")

    async def read(self) -> None:
        """Pass on what the server writes, until either side has gone."""
        assert self._process.stdout is not None
        try:
            async with (
                self._process.stdout as output,
                aclosing(_lines(output, MAX_MESSAGE)) as lines,
            ):
                async for line in lines:
                    if len(line) >= MAX_MESSAGE:
                        self._ending.come(f"sent a message of more than {MAX_MESSAGE} bytes")
                        return
                    await self._pass_on(line)
        except self._gone:
            return  # the session is closed
        finally:
            self._output_ended.set()

    async def _pass_on(self, line: bytes) -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        if not line.strip():
            return
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:  # a server that prints
            self._lines.put(line)
            return
        await self._incoming.send(SessionMessage(message))

    async def relay(self) -> None:
        """Put what it writes to standard error into the log."""
        assert self._process.stderr is not None
        async with self._process.stderr as errors, aclosing(_lines(errors, MAX_LINE)) as lines:
            async for line in lines:
                self._lines.put(line)
        self._errors_ended.set()

    async def watch(self) -> None:
        """Tell of the server's end, by itself or of its output, whichever comes first."""
        async with trio.open_nursery() as nursery:

            async def first(waiting: Callable[[], Awaitable[object]]) -> None:
                await waiting()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, self._process.wait)
            nursery.start_soon(first, self._output_ended.wait)
        with trio.move_on_after(LAST_WORDS_S):
            await self._process.wait()
            await self._output_ended.wait()
            await self._errors_ended.wait()
        self._ending.come(self._how())
        # Now the calls that wait for it learn that there will be no answer.
        self._incoming.close()

    def _how(self) -> str:
        status = self._process.returncode
        last = f": {self._lines.last}" if self._lines.last else ""
        if status is None:
            return f"closed its output{last}"
        if status < 0:
            return f"was killed by {signal_name(-status)}"
        return f"exited with status {status}{last}"


class _Lines:
    """What a server writes, in the log.

    :ivar last: the last line, for the reason of a crash.
    """

    def __init__(self, server: McpServer, log: Log) -> None:
        self._server, self._log = server, log
        self._since, self._count = -LINES_S, 0
        self.last = ""

    def put(self, line: bytes) -> None:
        """Log a line, unless there were too many of late."""
        words = one_line(self._server.conceal(line.decode(errors="replace")))
        if not words:
            return
        self.last = words
        now = trio.current_time()
        if now - self._since >= LINES_S:
            if self._count > LINES:
                dropped = self._count - LINES
                self._log.warning("MCP server %s: %d more lines", self._name, dropped)
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= LINES:
            self._log.info("MCP server %s: %s", self._name, words)

    @property
    def _name(self) -> str:
        return one_line(self._server.name)


async def _lines(stream: trio.abc.ReceiveStream, limit: int) -> AsyncGenerator[bytes, None]:
    """The lines of a pipe until it ends; those of more bytes than the limit come in pieces."""
    rest = bytearray()
    try:
        async for data in stream:
            # What is in `rest` has been searched: a long line is not searched again and again.
            *lines, tail = data.split(b"\n")
            for line in lines:
                yield bytes(rest + line)
                rest.clear()
            rest += tail
            while len(rest) >= limit:
                yield bytes(rest[:limit])
                del rest[:limit]
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
    if rest:
        yield bytes(rest)
