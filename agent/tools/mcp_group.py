"""A process group that ends with the agent, however the agent ends."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio
from attrs import define

_WATCH: Final = (
    # What the group is sent is for the server, and a server may signal its group, too.
    "trap '' HUP INT QUIT ALRM TERM USR1 USR2; "
    # All that is ever written is the server's number. Then only the end can come.
    "read -r server; read -r _; kill -KILL ${server:+-$server $server} 0"
)
"""In the words that dash, bash and macOS's sh share; the 0 is the group of the shell itself."""


@define(eq=False)
class Group:
    """A process group of one server and of what that launches.

    :ivar id: for a server to be launched in it.
    """

    _watcher: trio.Process
    _server: int | None = None

    @property
    def id(self) -> int:
        return self._watcher.pid

    async def watch(self, server: int) -> None:
        """Have an eye on a server that is in the group now, also if it makes one of its own.

        :param server: its process id.
        :raises trio.BrokenResourceError: the watcher is gone.
        """
        assert self._watcher.stdin is not None
        self._server = server
        await self._watcher.stdin.send_all(b"%d\n" % server)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that are in it, and in the server's own group if it made one."""
        for group in (self._server, self.id):
            if group is not None:
                # macOS refuses where all that is left of a group are zombies.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)


@asynccontextmanager
async def open_group() -> AsyncIterator[Group]:
    """Have a process group of which nothing is left when the context exits, or the agent does.

    Its leader is a shell that waits for the end of a pipe. The agent alone holds the other side,
    which no child inherits; so the end comes with the agent's own, also by SIGKILL, and nobody else
    has to be left for it. Then the shell kills the group, and itself. The server is a child
    of the agent's as any other: launched by it, not by the shell, and no child of its own is added.

    What escapes: a process that a server launches and puts in a session or group of its own.

    :raises OSError: there is no shell, or no process can be launched.
    """
    watcher = await trio.lowlevel.open_process(
        ["/bin/sh", "-c", _WATCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        process_group=0,
    )
    group = Group(watcher)
    try:
        yield group
    finally:
        group.signal(signal.SIGKILL)
        with trio.CancelScope(shield=True):
            assert watcher.stdin is not None
            await watcher.stdin.aclose()
            await watcher.wait()
