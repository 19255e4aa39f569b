"""How much memory a process has, as Linux counts it."""

from pathlib import Path
from typing import Final

_KIB_PER_MIB: Final = 1024


def memory_of(pid: int | str) -> dict[str, float]:
    """MiB by name: `Rss`, all that is in memory; `Pss`, with what is shared divided by its sharers.

    Empty where the system does not tell.

    :param pid: a process's id, or `self`.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines)
    return {
        field[0].rstrip(":"): int(field[1]) / _KIB_PER_MIB
        for field in fields
        if field[0] in ("Rss:", "Pss:")
    }
