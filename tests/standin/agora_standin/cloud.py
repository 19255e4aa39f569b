"""Agora's cloud, and the native library of this process, as far as they show."""

import itertools
import threading
import time
from collections.abc import Callable

from .audio import NativeSender, NativeTrack
from .channel import Channel
from .connection import NativeConnection
from .journal import Call, Journal
from .person import Person
from .plan import Plan
from .send_buffer import SendBuffer
from .threads import LibraryThread

BANNED = 3


class Cloud:
    """What a test holds on to; all of it may be used from any thread.

    :ivar plan: the switches, which may be changed at any time.
    :ivar lock: for whatever changes; never held while the program is called.
    :ivar connections: all that were made, in order.
    :ivar tracks: likewise.
    :ivar services: how many live.
    :ivar uses_names: whether users may have names instead of numbers.
    :ivar watchers: are called after every change, from whatever thread.
    :ivar at_connect: are called with the channel's name when a connection is to join.
    :ivar at_release: are called when a connection was released.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.journal = Journal()
        self.lock = threading.RLock()
        self.connections: list[NativeConnection] = []
        self.tracks: list[NativeTrack] = []
        self.people: list[Person] = []
        self.threads: list[threading.Thread] = []
        self.services = 0
        self.uses_names = False
        self.watchers: list[Callable[[], object]] = []
        self.at_connect: list[Callable[[str], object]] = []
        self.at_release: list[Callable[[], object]] = []
        self.closing = threading.Event()
        self._changed = threading.Condition(self.lock)
        self._channels: dict[str, Channel] = {}
        self._uids = itertools.count(1001)

    # -- for tests -----------------------------------------------------------------------------

    @property
    def calls(self) -> list[Call]:
        return self.journal.calls

    @property
    def callbacks(self) -> list[Call]:
        return self.journal.callbacks

    @property
    def violations(self) -> list[str]:
        return self.journal.violations

    @property
    def callback_errors(self) -> list[BaseException]:
        return self.journal.errors

    def person(self) -> Person:
        """Someone who is in no channel yet."""
        person = Person(self)
        self.people.append(person)
        return person

    def members(self, channel: str) -> list[str]:
        """The uids in a channel, in the order in which they came."""
        with self.lock:
            known = self._channels.get(channel)
            return [member.uid for member in known.members] if known else []

    def connection(self, uid: int | str) -> NativeConnection:
        """The newest connection of this user."""
        return next(c for c in reversed(self.connections) if c.uid == str(uid))

    def lose(self, uid: int | str) -> None:
        """Cut the network of a connection."""
        self.connection(uid).outage.begin()

    def recover(self, uid: int | str) -> None:
        """Give it back."""
        self.connection(uid).outage.end()

    def kick(self, uid: int | str, reason: int = BANNED, callback: str | None = None) -> None:
        """Put a connection out; it is told by a callback, or by the plan's `refused_by`."""
        connection = self.connection(uid)
        connection.thread.after(0, lambda: connection.finish(reason, callback))

    def until(self, wanted: Callable[[], object], limit_s: float = 5.0) -> None:
        """Wait until something is so.

        :raises TimeoutError: it took too long.
        """
        with self._changed:
            if not self._changed.wait_for(wanted, limit_s):
                raise TimeoutError(f"it was not so within {limit_s} s")

    def close(self) -> None:
        """End all threads, and wait for them."""
        self.closing.set()
        self.note()
        with self.lock:
            for channel in self._channels.values():
                channel.end()
            threads = list(self.threads)
        for thread in threads:
            if isinstance(thread, LibraryThread):
                thread.end()
            elif thread.is_alive():
                thread.join()

    # -- for what is in it ---------------------------------------------------------------------

    def enter(self, method: str, arguments: tuple[object, ...], *, is_released: bool) -> None:
        """A call of the SDK begins."""
        self.journal.called(method, arguments)
        if is_released:
            self.violate(f"{method} was called on what was released")
        self.note()
        if self.plan.blocks_s.get(method, 0) > 0:
            time.sleep(self.plan.blocks_s[method])

    def violate(self, text: str) -> None:
        self.journal.violations.append(text)

    def note(self) -> None:
        """Something changed."""
        with self._changed:
            self._changed.notify_all()
        for watcher in list(self.watchers):
            watcher()

    def start(self, thread: threading.Thread) -> None:
        self.threads.append(thread)
        thread.start()

    def channel(self, name: str) -> Channel:
        with self.lock:
            return self._channels.setdefault(name, Channel(name, self))

    def free_uid(self) -> str:
        """A uid for who brings none."""
        return str(next(self._uids))

    def create_connection(self, app_id: str, *, is_announced: bool) -> NativeConnection:
        number = len(self.connections) + 1
        connection = NativeConnection(self, number, app_id, is_announced=is_announced)
        self.connections.append(connection)
        return connection

    def create_track(self, sender: NativeSender) -> NativeTrack:
        sender.track = NativeTrack(self, SendBuffer(self.plan))
        self.tracks.append(sender.track)
        return sender.track

    def agent_connects(self, channel: str) -> None:
        for tell in list(self.at_connect):
            tell(channel)

    def agent_left(self) -> None:
        for tell in list(self.at_release):
            tell()
