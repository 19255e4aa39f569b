"""Tools that do harm to the agent that has them."""

import ctypes
import os
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


@tool
async def take_memory() -> str:
    """Take ever more memory without ever giving the event loop a turn; this much at most."""
    take_memory_slowly()
    return "never"


@tool(responds=False)
def fork() -> int:
    """Leave a process behind that was only forked."""
    child = os.fork()
    if not child:
        time.sleep(LONG_S)
        os._exit(0)
    return child


def take_memory_slowly() -> None:
    taken = []
    for _ in range(100):
        taken.append(bytearray(b"x") * (4 * 2**20))
        time.sleep(0.04)
    time.sleep(LONG_S)


def sleep_with_the_gil() -> None:
    ctypes.PyDLL(None).sleep(LONG_S)


@tool(responds=False)
def leave_behind() -> int:
    """Launch a process that nobody ends."""
    return subprocess.Popen(["sleep", str(LONG_S)]).pid
