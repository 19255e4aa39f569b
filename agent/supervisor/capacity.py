"""How many agents this machine can have, where the operator does not say."""

import math
import os
import re
from pathlib import Path
from typing import Final

PER_CORE: Final = 8
"""`python -m bench` had sixteen agents on two cores with an uplink p99 of some 10 ms."""
AGENT_BYTES: Final = 64 * 2**20
"""Twice of what an agent takes by itself: there are tools."""

_GROUPS: Final = "/sys/fs/cgroup"


def default_limit() -> int:
    """By the cores that this process may use and the memory that is free."""
    by_cores = PER_CORE * _cores()
    free = _free_bytes()
    return max(1, by_cores if free is None else min(by_cores, free // AGENT_BYTES))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    quota, _, period = _of_our_group("cpu.max").partition(" ")
    return min(there, math.ceil(int(quota) / int(period))) if quota.isdecimal() else there


def _free_bytes() -> int | None:
    """None where the system does not tell."""
    lines = _read(Path("/proc/meminfo")).splitlines()
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    frees = [int(line[1]) * 1024 for line in found]
    most, taken = _of_our_group("memory.max"), _of_our_group("memory.current")
    if most.isdecimal() and taken.isdecimal():
        cached = re.search(r"^inactive_file (\d+)$", _of_our_group("memory.stat"), re.MULTILINE)
        frees.append(max(0, int(most) - int(taken) + int(cached[1] if cached else 0)))
    return min(frees, default=None)


def _of_our_group(name: str) -> str:
    """What the control group of a container or a unit says (cgroup v2); empty: nothing."""
    ours = [line[3:] for line in _read(Path("/proc/self/cgroup")).splitlines() if line[:3] == "0::"]
    return _read(Path(f"{_GROUPS}{ours[0]}", name)).strip() if ours else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
