"""Who may call: keys, and where there are none, only this machine's own programs and page.

Without keys the server listens on loopback only. That does not keep out a web page of another site:
a browser lets any page open a WebSocket to 127.0.0.1 and send a simple POST, and one whose name was
pointed at 127.0.0.1 even reads the answers (DNS rebinding). `is_own_host` and `is_own_page` do.
"""

import hmac
import logging
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.config import Settings
from agent.errors import ConfigError
from agent.listening import is_loopback
from server.stamp import Stamp, stamp_of

_SHORT: Final = 16
"""Characters: of random hexadecimal digits these are 64 bits."""
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}

_log = logging.getLogger(__name__)


class Keys:
    """The keys that clients must send; none configured means that none is needed.

    The keys file has one a line; empty lines and those that begin with `#` are no keys. While it
    cannot be read its keys do not count: whoever takes it away means to lock out.

    :ivar needed: whether clients must send one.
    :param own: a key of this process' own for the agents that it starts, so that no change of the
        file can lock those out.
    :raises ConfigError: the file cannot be read, or there is no key in it nor elsewhere.
    """

    def __init__(self, settings: Settings, own: str) -> None:
        self.own = own
        self._fixed = [own]
        if settings.server_api_key is not None:
            self._fixed.append(settings.server_api_key)
        self._file = _path(settings.server_api_keys_file)
        self._stamp: Stamp | None = None
        self._in_file: list[str] = []
        self.needed = settings.server_api_key is not None or self._file is not None
        if self._file is not None:
            self._stamp = stamp_of(self._file)
            self._in_file = _read_first(self._file)
            if not self._in_file and settings.server_api_key is None:
                raise ConfigError(f"SERVER_API_KEYS_FILE: there is no key in {self._file}")
        self._warn_of_short_ones()

    def known(self) -> list[str]:
        """The keys that count now."""
        self._look_again()
        return self._fixed + self._in_file

    def find(self, given: str) -> str | None:
        """The key that this text is, or None."""
        data = given.encode("latin-1", "replace")  # back to the bytes that came
        # All of them, whichever fits: the time taken tells nothing.
        fits = [key for key in self.known() if hmac.compare_digest(data, key.encode())]
        return fits[0] if fits else None

    def _look_again(self) -> None:
        if self._file is None:
            return
        stamp = stamp_of(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._in_file = _read(self._file)
        except (OSError, UnicodeDecodeError) as error:
            self._in_file = []
            _log.error("SERVER_API_KEYS_FILE: its keys do not count, it cannot be read: %s", error)
        else:
            if self._in_file:
                _log.info("SERVER_API_KEYS_FILE: read again, %d keys", len(self._in_file))
            else:
                _log.error("SERVER_API_KEYS_FILE: there is no key in it any more")
            self._warn_of_short_ones()

    def _warn_of_short_ones(self) -> None:
        given = self._fixed[1:] + self._in_file
        if short := sum(len(key) < _SHORT for key in given):
            words = "%d of the keys: shorter than %d characters, which can be guessed"
            _log.warning(words, short, _SHORT)


def is_own_host(host: str | None) -> bool:
    """Whether a Host header names this machine's loopback."""
    name, _ = _split(f"http://{host}")
    return name is not None and is_loopback(name)


def is_own_page(origin: str | None, host: str | None) -> bool:
    """Whether an Origin header is this server's own, or there is none (not a browser's page)."""
    if origin is None:
        return True
    page = _split(origin)
    # Behind a proxy the scheme here may not be the page's.
    return page[0] is not None and page == _split(f"{urlsplit(origin).scheme}://{host}")


def _split(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None, None


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _read_first(path: Path) -> list[str]:
    try:
        return _read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"SERVER_API_KEYS_FILE: cannot be read: {error}") from error


def _read(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
