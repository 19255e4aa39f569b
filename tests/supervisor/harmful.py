"""Tools that do harm to the agent that has them."""

import ctypes
import subprocess
import time

from agent.tools import tool

LONG_S = 600


@tool
async def spin() -> str:
    """Keep the event loop from ever going round again."""
    ends_at = time.monotonic() + LONG_S
    while time.monotonic() < ends_at:
        pass
    return "never"


@tool
async def hold_the_gil() -> str:
    """Sleep in C without giving other threads the interpreter."""
    sleep_with_the_gil()
    return "never"


def sleep_with_the_gil() -> None:
    ctypes.PyDLL(None).sleep(LONG_S)


@tool(responds=False)
def leave_behind() -> int:
    """Launch a process that nobody ends."""
    return subprocess.Popen(["sleep", str(LONG_S)]).pid
