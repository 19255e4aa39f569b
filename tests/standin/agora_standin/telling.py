"""Calling the program back."""

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen

from .journal import Boundary

if TYPE_CHECKING:
    from .cloud import Cloud

Listener: TypeAlias = Callable[..., None]
"""Takes a callback's name and its arguments, without the object that it is about."""


@frozen
class ConnectionInfo:
    """What callbacks tell of a connection."""

    id: int
    channel_id: str
    state: int
    local_user_id: str
    internal_uid: int


@define(eq=False)
class Teller:
    """The observers of one connection.

    :ivar listeners: the program's, by what they listen to: connection, local_user, frames.
    """

    cloud: "Cloud"
    listeners: dict[str, Listener] = field(factory=dict)
    _turn: threading.RLock = field(factory=threading.RLock)

    def state(self, callback: str, info: ConnectionInfo, reason: int) -> None:
        """A state of the connection; of a lost one the SDK gives no reason."""
        why = () if callback == "on_connection_lost" else (reason,)
        self.connection(callback, info, *why)

    def connection(self, name: str, *arguments: Any) -> None:
        self.cloud.journal.told(name, arguments)
        self._call("connection", name, arguments)

    def user(self, name: str, *arguments: Any) -> None:
        self.cloud.journal.told(name, arguments)
        self._call("local_user", name, arguments)

    def frame(self, frame: object) -> None:
        self._call("frames", frame)

    def _call(self, kind: str, *arguments: Any) -> None:
        listener = self.listeners.get(kind)
        if listener is None:
            return
        overlaps = self.cloud.plan.callbacks_overlap
        with (
            contextlib.nullcontext() if overlaps else self._turn,
            Boundary(self.cloud.callback_errors),
        ):
            listener(*arguments)
        self.cloud.note()
