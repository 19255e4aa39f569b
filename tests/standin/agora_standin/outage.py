"""A connection without its network."""

from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import define, field

from .channel import DROPPED, QUIT
from .threads import Job

if TYPE_CHECKING:
    from .connection import NativeConnection

CONNECTED, RECONNECTING = 3, 4
INTERRUPTED: Final = 2
JOIN_FAILED: Final = 4
REJOINED: Final = 15


@define(eq=False)
class Outage:
    """Begins and ends as a test says; in between the SDK tries to come back."""

    connection: "NativeConnection"
    _jobs: list[Job] = field(factory=list)

    def begin(self) -> None:
        connection = self.connection
        with connection.cloud.lock:
            if connection.state != CONNECTED:
                return
            connection.state = RECONNECTING
        plan, after = connection.cloud.plan, connection.thread.after
        fail = partial(connection.finish, JOIN_FAILED, "on_connection_failure")
        self._jobs = [
            after(0, partial(connection.tell_state, "on_reconnecting", INTERRUPTED)),
            after(plan.lost_after_s, partial(connection.tell_state, "on_connection_lost", 0)),
            after(plan.gone_after_s, self._gone),
            after(plan.failed_after_s, fail),
        ]

    def end(self) -> None:
        """The network is there again; who came and who went is told late."""
        connection = self.connection
        with connection.cloud.lock:
            if connection.state != RECONNECTING or connection.channel is None:
                return
            self.stop()
            connection.state = CONNECTED
            connection.thread.after(0, self._tell_recovered)
            if connection not in connection.channel.members:
                connection.channel.join(connection)
            there = {m.uid for m in connection.channel.members if m is not connection}
            for uid in connection.known - there:
                connection.miss(uid, QUIT)
            for uid in there - connection.known:
                connection.meet(uid)

    def stop(self) -> None:
        for job in self._jobs:
            job.call_off()
        self._jobs = []

    def _gone(self) -> None:
        if self.connection.channel is not None:
            self.connection.channel.leave(self.connection, DROPPED)

    def _tell_recovered(self) -> None:
        chosen = self.connection.cloud.plan.reconnected_by
        for callback in ("on_connected", "on_reconnected"):
            if chosen in ("both", callback):
                self.connection.tell_state(callback, REJOINED)
