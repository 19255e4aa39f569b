"""What tools launch and leave behind ends with the agent: its process group is killed after it."""

import os
import subprocess
from functools import cache
from typing import Final

_WATCH: Final = (
    # Only the end of the pipe can come. The 0 is the group that the shell is in, the agent's.
    "trap '' HUP INT QUIT ALRM TERM USR1 USR2; read -r _; kill -KILL 0"
)
"""In the words that dash, bash and macOS's sh share."""


@cache
def end_group_with_us() -> None:
    """Have all that is in our process group killed when we are gone, however we end.

    A shell waits for the end of a pipe whose other side we alone hold, so that nobody else has to
    be left for it: not the supervisor, which does the same. Once is enough.

    To be called by the leader of a group of its own only. What escapes: a process that makes a
    session or a group of its own.

    :raises OSError: there is no shell, or no process can be launched.
    """
    ours, held = os.pipe()
    # Nothing ever closes the other side but the system, as the very last; nor is it inherited.
    _for_good.append(held)
    try:
        launched = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH],
            stdin=ours,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
        )
    finally:
        os.close(ours)
    _for_good.append(launched)


_for_good: Final[list[object]] = []
