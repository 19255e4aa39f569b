"""Whom a connection hears, and how it comes to that."""

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import define, field

from .audio import RemoteTrack

if TYPE_CHECKING:
    from .connection import NativeConnection

IDLE, NOT_SUBSCRIBED, SUBSCRIBING, SUBSCRIBED = range(4)
DELAY_S: Final = 0.002


@define
class Subscription:
    """To one user.

    :ivar is_coming: their audio has come, which is yet to be told.
    """

    state: int = IDLE
    since: float = field(factory=time.monotonic)
    is_coming: bool = False


@define(eq=False)
class Subscriptions:
    """All of a connection.

    :ivar everyone: it hears whoever comes.
    """

    connection: "NativeConnection"
    everyone: bool = False
    wanted: set[str] = field(factory=set)
    _by_user: dict[str, Subscription] = field(factory=dict)

    def state_of(self, uid: str) -> int:
        subscription = self._by_user.get(uid)
        return IDLE if subscription is None else subscription.state

    def subscribe(self, uid: str) -> None:
        with self.connection.cloud.lock:
            self.wanted.add(uid)
            subscription = self._by_user.setdefault(uid, Subscription())
            if subscription.state < SUBSCRIBING:
                self._soon(uid, SUBSCRIBING)

    def unsubscribe(self, uid: str) -> None:
        with self.connection.cloud.lock:
            self.wanted.discard(uid)
            if uid in self._by_user:
                self._soon(uid, NOT_SUBSCRIBED)

    def met(self, uid: str) -> None:
        """Someone came."""
        if self.everyone or uid in self.wanted:
            self.subscribe(uid)

    def missed(self, uid: str) -> None:
        """Someone went."""
        self._by_user.pop(uid, None)
        if not self.connection.cloud.plan.subscription_survives:
            self.wanted.discard(uid)

    def forget(self) -> None:
        """The channel was left."""
        self._by_user.clear()
        self.wanted.clear()

    def hears(self, uid: str) -> bool:
        """Audio of someone has come: whether it is given to the program."""
        with self.connection.cloud.lock:
            subscription = self._by_user.get(uid)
            if subscription is None or uid not in self.wanted:
                return False
            if subscription.state == SUBSCRIBING and not subscription.is_coming:
                subscription.is_coming = True
                self._soon(uid, SUBSCRIBED)
            return subscription.state == SUBSCRIBED or (
                subscription.is_coming and self.connection.cloud.plan.early_frames
            )

    def _soon(self, uid: str, state: int) -> None:
        self.connection.thread.after(DELAY_S, partial(self._change, uid, state))

    def _change(self, uid: str, state: int) -> None:
        """Tell first, so that frames come after it."""
        subscription = self._by_user.get(uid)
        if subscription is None or subscription.state == state:
            return
        if (uid in self.wanted) != (state > NOT_SUBSCRIBED):
            subscription.is_coming = False  # it is not: the next frame is to ask for it anew
            return
        now = time.monotonic()
        elapsed_ms = round((now - subscription.since) * 1000)
        if state == SUBSCRIBED:
            self.connection.tell.user("on_user_audio_track_subscribed", uid, RemoteTrack(uid))
        states = (subscription.state, state, elapsed_ms)
        channel = self.connection.channel_name
        self.connection.tell.user("on_audio_subscribe_state_changed", channel, uid, *states)
        with self.connection.cloud.lock:
            subscription.state, subscription.since = state, now
            subscription.is_coming = False
            if uid in self.wanted and state == NOT_SUBSCRIBED:
                self._soon(uid, SUBSCRIBING)  # it was wanted again while that was told
        self.connection.cloud.note()
