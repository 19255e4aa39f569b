"""One agent process: launch it, speak with it, end it.

The child gets one end of a socket pair. Settings and options, secrets among them, go down it and
never stand in argv; its states come up it. Standard output is nobody's protocol, a native
library may print: it goes to the log, line by line.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import trio

from agent.config import Settings
from agent.log import relay_line
from agent.options import AgentOptions, to_plain
from agent.supervisor.lines import receive_lines, send_line, text_lines

TERMINATE_S: Final = 8.0
"""From SIGTERM to SIGKILL: an agent leaves its channel and closes its socket within 5 seconds."""
EXIT_S: Final = 5.0
"""From the end of a child's socket to its exit: only the interpreter's own end lies between."""
LAST_WORDS_S: Final = 1.0
"""From a child's exit to the end of its output, which lies in the pipe already."""
LOG_LINE: Final = 2**16
"""Bytes of one line of its output; a longer one is cut in pieces."""

_log = logging.getLogger(__name__)


class AgentProcess:
    """A running agent process.

    :ivar last_output: the last line that it wrote, for the reason of a crash.
    """

    def __init__(self, process: trio.Process, stream: trio.SocketStream) -> None:
        self.last_output = ""
        self._process, self._stream = process, stream
        self._output_ended = trio.Event()
        self._relaying = trio.CancelScope()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def states(self) -> AsyncIterator[dict[str, Any]]:
        """What it tells, until it has closed its socket."""
        return receive_lines(self._stream)

    async def exit(self) -> int | None:
        """Wait for the exit of a process that has closed its socket, and for the end of its log.

        :returns: the exit status, negative for the signal that killed it; None if it does not
            exit in time.
        """
        with trio.move_on_after(EXIT_S):
            status = await self._process.wait()
            await self._output_ended.wait()
            return status
        return self._process.returncode

    async def relay_output(self, channel_name: str) -> None:
        """Put what it writes into the log until it ends, also while it is being ended."""
        assert self._process.stdout is not None
        with trio.CancelScope(shield=True) as self._relaying:
            async for line in text_lines(self._process.stdout, LOG_LINE):
                if line.strip():
                    self.last_output = line
                    relay_line(line, channel_name)
        self._output_ended.set()

    async def bound_output(self) -> None:
        """End the relaying soon after the process: a grandchild may hold the pipe open."""
        with trio.CancelScope(shield=True):
            await self._process.wait()
        self._relaying.deadline = trio.current_time() + LAST_WORDS_S


@asynccontextmanager
async def open_agent_process(
    settings: Settings, options: AgentOptions, **more: Any
) -> AsyncIterator[AgentProcess]:
    """Launch an agent, in a session (and so a process group) of its own.

    :param more: what else it is to be told, as JSON has it; see `agent.supervised`.

    When the context exits the process is gone: a child that is still there is sent SIGTERM, and
    SIGKILL after a deadline. The terminal's Ctrl-C does not reach it.
    """
    ours, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    # The stream is the outer one: closed inside a nursery that is being cancelled, it would raise
    # Cancelled in the place of an error that is on its way.
    async with stream, trio.open_nursery() as nursery:
        with theirs:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    [sys.executable, "-m", "agent.supervised", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    check=False,
                    deliver_cancel=_end,
                )
            )
        agent = AgentProcess(process, stream)
        nursery.start_soon(agent.relay_output, options.channel_name)
        nursery.start_soon(agent.bound_output)
        try:
            with suppress(trio.BrokenResourceError):  # it died: the exit status will tell
                first = {"settings": to_plain(settings), "options": to_plain(options)}
                await send_line(stream, first | more)
            yield agent
        finally:
            nursery.cancel_scope.cancel()


async def _end(process: trio.Process) -> None:
    process.terminate()
    await trio.sleep(TERMINATE_S)
    _log.warning("agent process %d does not end: it is killed", process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
