"""What tools launch and leave behind ends with the agent: its process group is killed after it."""

import os
import subprocess
from functools import cache, partial
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
    be left for it: not the supervisor, which does the same. Once is enough. Whoever does not lead
    a group has none to end, and nothing is done.

    What escapes: a process that makes a session or a group of its own.

    :raises OSError: there is no shell, or no process can be launched.
    """
    if os.getpgrp() != os.getpid():
        return
    ours, held = os.pipe()
    try:
        launched = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH],
            stdin=ours,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
        )
    except OSError:
        os.close(held)
        raise
    finally:
        os.close(ours)
    # Nothing closes our side but the system, as the very last. No program that is launched has it;
    # what is only forked would.
    os.register_at_fork(after_in_child=partial(os.close, held))
    _for_good.append(launched)


_for_good: Final[list[subprocess.Popen[bytes]]] = []
