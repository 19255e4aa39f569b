"""One agent process: launch it, speak with it, end it.

The child gets one end of a socket pair. Settings and options, secrets among them, go down it and
never stand in argv; its states and events come up it. Standard output is nobody's protocol, a
native library may print: it goes to the log, line by line.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeAlias

import trio

from agent.config import environment
from agent.log import relay_line
from agent.memory import resident_bytes_of
from agent.supervisor.lines import receive_lines, send_line, text_lines

TERMINATE_S: Final = 8.0
"""From SIGTERM to SIGKILL: an agent leaves its channel and closes its socket within 5 seconds."""
LAST_WORDS_S: Final = 1.0
"""From a child's exit to the end of its output, which lies in the pipe already."""
DUMP_S: Final = 0.5
"""For a child that is stuck to write its stacks, which takes milliseconds."""
LOG_LINE: Final = 2**16
"""Bytes of one line of its output; a longer one is cut in pieces."""
LAST_LINES: Final = 40
"""Of its output that are kept: a traceback, or the stacks of a few threads."""

_OURS: Final = (
    "SERVER_API_KEY",
    "SERVER_API_KEYS_FILE",
    "TLS_KEY_FILE",
    "WEBHOOK_SECRET",
    "WEBHOOK_URL",
)
"""Variables that are the server's own: neither an agent nor what its tools launch needs them."""

Message: TypeAlias = dict[str, Any]

_log = logging.getLogger(__name__)


class AgentProcess:
    """A running agent process; see `run_agent_process`.

    :ivar warm: it has imported all that it needs, and waits for its options.
    :ivar taken: it has been kept warm, and is an agent's now.
    :ivar closed: it has closed its socket: it is ending, or dead.
    :ivar gone: nothing is left of it.
    :ivar on_message: is given what it tells; may be set anew at any time.
    :ivar last_lines: what it wrote last, for the reason of a crash.
    :ivar heard_at: when it last told something, by Trio's clock.
    :ivar memory_bytes: resident, when it was last looked at, or as it told.
    :ivar was_killed: it was sent SIGKILL, because it did not end when it was asked to.
    """

    def __init__(self, process: trio.Process, stream: trio.SocketStream) -> None:
        self.warm, self.closed, self.gone = trio.Event(), trio.Event(), trio.Event()
        self.taken = trio.Event()
        self.on_message: Callable[[Message], None] = _ignore
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.heard_at = trio.current_time()
        self.memory_bytes = 0
        self.was_killed = False
        self.channel_name = self.call_id = ""
        self.scope = trio.CancelScope()
        self._process, self._stream = process, stream

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Negative for the signal that killed it; None while it lives."""
        return self._process.returncode

    async def tell(self, message: Message) -> None:
        """Tell it something. Whether it is still there to hear it, `closed` tells."""
        with suppress(trio.BrokenResourceError):
            await send_line(self._stream, message)

    def look_at_memory(self) -> None:
        """Take note of the memory that it takes, also of one that is stuck and tells nothing."""
        self.memory_bytes = resident_bytes_of(self.pid) or self.memory_bytes

    def end(self) -> None:
        """Have it end: SIGTERM, and SIGKILL after a deadline; `gone` tells when it has."""
        self.scope.cancel()

    async def dump_and_kill(self) -> None:
        """Have the stacks of one that is stuck written to its output, and kill it.

        Neither needs its help: the one is done by a handler in C, the other by the kernel.
        """
        if self.exit_status is None:
            os.kill(self.pid, signal.SIGUSR2)
        await trio.sleep(DUMP_S)
        self.kill()

    def kill(self) -> None:
        """Kill it and what is in its process group."""
        if self.exit_status is None:
            self.was_killed = True
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def listen(self) -> None:
        """Take what it tells and what it writes, to the end of both."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take_messages)
            nursery.start_soon(self._take_output)

    async def _take_messages(self) -> None:
        async with aclosing(receive_lines(self._stream)) as messages:
            async for message in messages:
                self.heard_at = trio.current_time()
                self._take_message(message)
        self.closed.set()

    def _take_message(self, message: Message) -> None:
        if message.get("state") == "warm":
            self.warm.set()
        elif "memory_bytes" in message:
            self.memory_bytes = int(message["memory_bytes"])
        else:
            self.on_message(message)

    async def _take_output(self) -> None:
        assert self._process.stdout is not None
        # Trio leaves it to the garbage collector, which has no haste.
        async with self._process.stdout as output, aclosing(text_lines(output, LOG_LINE)) as lines:
            async for line in lines:
                if line.strip():
                    self.last_lines.append(relay_line(line, self.channel_name, self.call_id))


async def run_agent_process(first: Message, *, task_status: trio.TaskStatus[AgentProcess]) -> None:
    """Launch an agent, in a session (and so a process group) of its own, and see it to its end.

    The terminal's Ctrl-C does not reach it. Cancelled, or told by `AgentProcess.end`, the child is
    sent SIGTERM, and SIGKILL after a deadline; when this returns it is gone.

    :param first: what it is told at once; see `agent.supervised`.
    :raises OSError: no process or no pipe can be made on this machine.
    """
    with _sole_os_error():
        await _run(first, task_status)


@contextmanager
def _sole_os_error() -> Iterator[None]:
    """Around nurseries: what the system refuses is raised by itself, and not in a group."""
    try:
        yield
    except* OSError as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _run(first: Message, task_status: trio.TaskStatus[AgentProcess]) -> None:
    ours, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    ending = partial(_end, killed := trio.Event())
    agent: AgentProcess | None = None
    try:
        # The stream is the outer one: closed inside a nursery that is being cancelled, it would
        # raise Cancelled in the place of an error that is on its way.
        async with stream, trio.open_nursery() as nursery:
            with theirs:
                process = await nursery.start(partial(_launch, theirs.fileno(), ending))
            agent = AgentProcess(process, stream)
            nursery.start_soon(_listen, agent, process)
            try:
                with agent.scope:
                    await agent.tell(first)
                    task_status.started(agent)
                    await process.wait()
            finally:
                nursery.cancel_scope.cancel()
    finally:
        if agent is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(agent.pid, signal.SIGKILL)  # what it launched, and left behind
            agent.was_killed |= killed.is_set()
            agent.closed.set()
            agent.gone.set()


async def _launch(
    control: int,
    ending: Callable[[trio.Process], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[trio.Process],
) -> None:
    try:
        await trio.run_process(
            [sys.executable, "-m", "agent.supervised", str(control)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(control,),
            start_new_session=True,
            env={name: value for name, value in environment().items() if name not in _OURS},
            check=False,
            deliver_cancel=ending,
            task_status=task_status,
        )
    except* RuntimeError as group:
        # Trio launches on a thread, and Python says so where the system refuses one.
        raise OSError(f"no thread for its launch: {group.exceptions[0]}") from None


async def _listen(agent: AgentProcess, process: trio.Process) -> None:
    """Listen also while it is being ended, and a little beyond its end, but no longer.

    What it said last lies in the pipes already; but a grandchild may hold them open.
    """
    try:
        with trio.CancelScope(shield=True) as listening:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(agent.listen)
                await process.wait()
                listening.deadline = trio.current_time() + LAST_WORDS_S
    # What it says may be anybody's; a bug in taking it must not end all others.
    except* Exception as errors:  # noqa: BLE001
        _log.exception("a bug in listening to agent process %d", agent.pid, exc_info=errors)
        agent.closed.set()
        agent.end()


async def _end(killed: trio.Event, process: trio.Process) -> None:
    process.terminate()
    await trio.sleep(TERMINATE_S)
    _log.warning("agent process %d does not end: it is killed", process.pid)
    killed.set()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ignore(_: Message) -> None:
    pass
