"""A listening socket, and the addresses that follow from where it is bound."""

import errno
import socket
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from attrs import frozen

from agent.errors import ConfigError

_BACKLOG: Final = 100
_Address: TypeAlias = tuple[socket.AddressFamily, Any]


@frozen(kw_only=True)
class Names:
    """What the operator sets these by, for the words of errors."""

    host: str
    port: str
    keys: str


def open_listener(host: str, port: int, *, has_keys: bool, names: Names) -> socket.socket:
    """Bind and listen; the caller closes it.

    :param port: 0 for any that is free.
    :param has_keys: whether clients must send a key.
    :raises ConfigError: it can't be bound, or must not be without keys.
    """
    family, address = _resolve(host, port, names)
    if not has_keys and not is_loopback(address[0]):
        raise ConfigError(
            f"{names.host}: {host} can be reached from other machines, so {names.keys} must be set"
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # So that a server that has just stopped can be started again.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(_why(error, host, port, names)) from error
    return listener


def authority(listener: socket.socket) -> str:
    """`host:port` under which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return _joined(host, port)


def is_loopback(host: str) -> bool:
    """Whether an address, or a host's name, is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _resolve(host: str, port: int, names: Names) -> _Address:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{names.host}: {host!r} is no address of this machine") from error
    # "localhost" is both; the 127.0.0.1 that people type has to work.
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    return found[0][0], found[0][4]


def _why(error: OSError, host: str, port: int, names: Names) -> str:
    where = _joined(host, port)
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program: choose another port with {names.port}"
    if error.errno == errno.EACCES:
        return f"{where} may not be listened on by this user: choose another port with {names.port}"
    return f"{where} cannot be listened on: {error.strerror}; see {names.host} and {names.port}"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
