"""The memory that a process takes."""

import resource
from pathlib import Path


def resident_bytes() -> int:
    """Ours now; where the system has no /proc, the most that it ever was."""
    return _resident("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def resident_bytes_of(pid: int) -> int | None:
    """Another process's; None where the system has no /proc, or the process is gone."""
    return _resident(str(pid)) or None


def _resident(pid: str) -> int:
    try:
        pages = int(Path("/proc", pid, "statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):  # it can also go while it is read
        return 0
    return pages * resource.getpagesize()
