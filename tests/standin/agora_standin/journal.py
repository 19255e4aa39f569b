"""What the SDK was asked, what it told, and what was done against its rules."""

import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from attrs import define, field, frozen

from .threads import LibraryThread


@frozen
class Call:
    """A call of the SDK, or a callback of it.

    :ivar method: with its class, as in ``RTCConnection.connect``; a callback's name alone.
    :ivar arguments: what they were, in short where they are objects.
    :ivar thread: the name of the thread.
    """

    method: str
    arguments: tuple[Any, ...]
    thread: str


def in_short(argument: object) -> object:
    """Values as they are; audio as its length; other objects as their class's name."""
    if argument is None or isinstance(argument, str | int | float | bool):
        return argument
    data = getattr(argument, "data", argument)
    if isinstance(data, bytes | bytearray):
        return f"{len(data)} bytes"
    return f"<{type(argument).__name__}>"


@define
class Journal:
    """Lists that only grow; each is safe to read at any time.

    :ivar errors: what callbacks raised.
    """

    calls: list[Call] = field(factory=list)
    callbacks: list[Call] = field(factory=list)
    violations: list[str] = field(factory=list)
    errors: list[BaseException] = field(factory=list)

    def called(self, method: str, arguments: tuple[object, ...]) -> None:
        thread = threading.current_thread()
        self.calls.append(Call(method, tuple(map(in_short, arguments)), thread.name))
        if isinstance(thread, LibraryThread):
            self.violations.append(f"{method} was called from a callback")

    def told(self, name: str, arguments: tuple[object, ...]) -> None:
        thread = threading.current_thread().name
        self.callbacks.append(Call(name, tuple(map(in_short, arguments)), thread))


@define
class Boundary:
    """Where Python ends: what a callback raises is printed, as ctypes does it, and goes no further.

    :ivar errors: where they are kept.
    """

    errors: list[BaseException]

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        print("Exception ignored on calling ctypes callback function", file=sys.stderr)
        traceback.print_exception(error)
        self.errors.append(error)
        return True
