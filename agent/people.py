"""Who is in the channel, and who of them is listened to."""

from agent.rtc.channel import UserJoined, UserLeft


class People:
    """The people of one channel.

    :param wanted: whom to listen to; None: the first who joins.
    :ivar current: who is listened to.
    :ivar last: who was listened to before everybody left.
    """

    def __init__(self, wanted: int | None) -> None:
        self.current: int | None = None
        self.last: int | None = None
        self._wanted = wanted
        self._here: list[int] = []

    def take(self, event: UserJoined | UserLeft) -> bool:
        """Note an event; whether it changes who is listened to."""
        if isinstance(event, UserJoined):
            self._here.append(event.uid)
        elif event.uid in self._here:
            self._here.remove(event.uid)
        before = self.current
        if self.current not in self._here:
            self.current = self._choose()
        if before is not None and self.current is None:
            self.last = before
        return self.current != before

    def _choose(self) -> int | None:
        if self._wanted is None:
            return self._here[0] if self._here else None
        return self._wanted if self._wanted in self._here else None
