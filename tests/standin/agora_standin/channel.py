"""A channel: who is in it, and the clock that carries their audio."""

from typing import TYPE_CHECKING, Protocol

from attrs import define, field

from .threads import ClockThread

if TYPE_CHECKING:
    from .cloud import Cloud

FRAME_BYTES = 480
SAME_UID_LOGIN = 19
QUIT, DROPPED = 0, 1


class Member(Protocol):
    """Someone in a channel: a connection of the SDK, or a person of the test's."""

    @property
    def uid(self) -> str: ...

    @property
    def is_announced(self) -> bool:
        """Whether the others are told of it; a live channel keeps quiet about its audience."""

    def next_frame(self, now: float) -> bytes | None:
        """What it says in these 10 ms. Called with the cloud's lock."""

    def hear(self, uid: str, pcm: bytes, now: float) -> None: ...

    def receive(self, uid: str, stream: int, data: bytes) -> None: ...

    def meet(self, uid: str) -> None:
        """Someone is there. This and what follows is called with the cloud's lock."""

    def miss(self, uid: str, reason: int) -> None: ...

    def evict(self, reason: int) -> None: ...


@define(eq=False)
class Channel:
    """Its members, in the order in which they came. It has a thread while it has members."""

    name: str
    cloud: "Cloud"
    members: list[Member] = field(factory=list)
    _clock: ClockThread | None = None

    def join(self, member: Member) -> None:
        with self.cloud.lock:
            if self.cloud.plan.same_uid == "evicts":
                self._evict(member.uid)
            others = list(self.members)
            self.members.append(member)
            for other in others:
                if member.is_announced:
                    other.meet(member.uid)
                if other.is_announced:
                    member.meet(other.uid)
            self._run_clock()
            self.cloud.note()

    def leave(self, member: Member, reason: int) -> None:
        """Nothing happens where it is no member."""
        with self.cloud.lock:
            if member not in self.members:
                return
            self.members.remove(member)
            if member.is_announced:
                for other in self.members:
                    other.miss(member.uid, reason)
            self._run_clock()
            self.cloud.note()

    def carry(self, source: Member, stream: int, data: bytes) -> None:
        """Bring a message to all others."""
        with self.cloud.lock:
            members = list(self.members)
        for member in members:
            if member is not source:
                member.receive(source.uid, stream, data)
        self.cloud.note()

    def end(self) -> None:
        """Whoever is still here stays, and nothing is carried any more."""
        if self._clock is not None:
            self._clock.stop()

    def _evict(self, uid: str) -> None:
        for member in [member for member in self.members if member.uid == uid]:
            self.leave(member, QUIT)
            member.evict(SAME_UID_LOGIN)

    def _run_clock(self) -> None:
        if self.members and self._clock is None:
            self._clock = ClockThread(f"agora-audio-{self.name}", self._tick)
            self.cloud.start(self._clock)
        elif not self.members and self._clock is not None:
            self._clock.stop()
            self._clock = None

    def _tick(self, now: float) -> None:
        with self.cloud.lock:
            members = list(self.members)
            said = [(member, member.next_frame(now)) for member in members]
        for source, pcm in said:
            for member in members:
                if pcm is not None and member is not source:
                    member.hear(source.uid, pcm, now)
        if self.cloud.plan.zero_uid_frames:
            for member in members:
                member.hear("0", bytes(FRAME_BYTES), now)
        self.cloud.note()
