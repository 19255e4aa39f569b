"""The files that an operator gives to the embedded model: short texts, read once at the start."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from agent.errors import ConfigError

MAX_BYTES: Final = 2**20

T = TypeVar("T")


def read_file(path: Path, understand: Callable[[str], T]) -> T:
    """What a UTF-8 text file says.

    :param understand: makes it of the text; may raise ConfigError.
    :raises ConfigError: it cannot be read or understood; the text names the file.
    """
    try:
        return understand(_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"is longer than {MAX_BYTES} bytes")
    return data.decode("utf-8-sig")
