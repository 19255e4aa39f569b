"""Whether a file was changed, for those that are read again when it was."""

from pathlib import Path

from attrs import frozen


@frozen
class Stamp:
    """What of a file differs when it was changed or replaced."""

    mtime_ns: int
    size: int
    inode: int


def stamp_of(path: Path) -> Stamp | None:
    """A file's stamp; None while there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino)
