"""How many agents this machine can have, where the operator does not say."""

import os
from pathlib import Path
from typing import Final

PER_CORE: Final = 8
"""`python -m bench` had sixteen agents on two cores with an uplink p99 of some 10 ms."""
AGENT_BYTES: Final = 64 * 2**20
"""Twice of what an agent takes by itself: there are tools."""


def default_limit() -> int:
    """By the cores that this process may use and the memory that is free."""
    by_cores = PER_CORE * _cores()
    free = _free_bytes()
    return max(1, by_cores if free is None else min(by_cores, free // AGENT_BYTES))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_bytes() -> int | None:
    """None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None
