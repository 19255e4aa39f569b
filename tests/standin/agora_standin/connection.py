"""The life of one connection, from its making to its release."""

from functools import partial
from typing import TYPE_CHECKING, Final

from .admission import Refused, admit, is_uid
from .audio import Format, Frame, NativeTrack, converted
from .channel import QUIT, Channel
from .data_stream import DataStreams, SendError
from .outage import Outage
from .subscriptions import Subscriptions
from .telling import ConnectionInfo, Teller
from .threads import CallbackThread, Job
from .token_watch import TokenWatch

if TYPE_CHECKING:
    from .cloud import Cloud

DISCONNECTED, CONNECTING, CONNECTED, RECONNECTING, FAILED = range(1, 6)
JOINED, LEAVE = 1, 5
BAD_ARGUMENT: Final = -2
WRONG_STATE: Final = -8
NOT_PUBLISHED, PUBLISHING, PUBLISHED = 0, 2, 3


class NativeConnection:
    """A member of a channel, once it is connected.

    :ivar frames_given: how many frames the program was given, by user.
    :ivar known: the users that the program was told of.
    """

    def __init__(self, cloud: "Cloud", number: int, app_id: str, *, is_announced: bool) -> None:
        self.cloud, self.number, self.app_id = cloud, number, app_id
        self.is_announced = is_announced
        self.state = DISCONNECTED
        self.uid = self.channel_name = self.token = ""
        self.channel: Channel | None = None
        self.tracks: list[NativeTrack] = []
        self.frames_given: dict[str, int] = {}
        self.known: set[str] = set()
        self.format = Format()
        self.released = self.is_leaving = False
        self.thread = CallbackThread(f"agora-connection-{number}")
        self.tell = Teller(cloud)
        self.streams = DataStreams(cloud.plan)
        self.subscriptions = Subscriptions(self)
        self.token_watch, self.outage = TokenWatch(self), Outage(self)
        self._joining: list[Job] = []
        cloud.threads.append(self.thread)

    # -- what the program does -----------------------------------------------------------------

    def connect(self, token: str, channel: str, uid: str) -> int:
        if not channel or not (is_uid(uid) or self.cloud.uses_names):
            return BAD_ARGUMENT
        with self.cloud.lock:
            if self.state != DISCONNECTED:
                return WRONG_STATE
            self.state, self.is_leaving = CONNECTING, False
            self.token, self.channel_name, self.uid = token, channel, uid
            self._joining = [self.thread.after(0, self._connecting)]
        self.cloud.agent_connects(channel)
        return 0

    def disconnect(self) -> int:
        with self.cloud.lock:
            if self.state == DISCONNECTED or self.is_leaving:
                return 0
            answers = self.cloud.plan.disconnect_answers
            if self.state == FAILED:
                answers = self.cloud.plan.disconnect_after_failure_answers
                self.state = DISCONNECTED
            else:
                self.is_leaving = True
            self._leave()
        if answers:
            self.thread.after(self.cloud.plan.disconnect_delay_s, self._disconnected)
        return 0

    def send_message(self, stream: int, data: bytes, now: float) -> int:
        with self.cloud.lock:
            channel = self.channel
            if channel is None or self.state != CONNECTED:
                self.streams.refuse(SendError.NOT_IN_CHANNEL)
                return SendError.NOT_IN_CHANNEL.value
            answer, arriving = self.streams.send(stream, data, now)
        for message in arriving:
            channel.carry(self, stream, message)
        return answer

    def release(self) -> None:
        """Who was not disconnected stays in the channel, as nothing tells the others."""
        expected = self.is_leaving and not self.cloud.plan.disconnect_answers
        if self.state not in (DISCONNECTED, FAILED) and not expected:
            self.cloud.violate("a connection was released before it was disconnected")
        for name in self.tell.listeners:
            self.cloud.violate(f"at its release the connection had an observer of {name}")
        self.released = True
        self.thread.end()
        self.cloud.agent_left()

    # -- what becomes of it --------------------------------------------------------------------

    def admit(self, token: str) -> float | None:
        """How long this token lets it stay.

        :raises Refused: not at all.
        """
        plan, channel, uid = self.cloud.plan, self.channel_name, self.uid
        return admit(plan, app_id=self.app_id, token=token, channel=channel, uid=uid)

    def finish(self, reason: int, callback: str | None = None) -> None:
        """It is put out, or never let in. What was under way of its own leaving goes on."""
        callback = callback or self.cloud.plan.refused_by
        with self.cloud.lock:
            if self.is_leaving or self.state in (DISCONNECTED, FAILED):
                return
            self._leave()
            self.state = DISCONNECTED if callback == "on_disconnected" else FAILED
        self.tell_state(callback, reason)

    def tell_state(self, callback: str, reason: int) -> None:
        uid = int(self.uid) if is_uid(self.uid) else 0
        info = ConnectionInfo(self.number, self.channel_name, self.state, self.uid, uid)
        self.tell.state(callback, info, reason)

    # -- as a member ---------------------------------------------------------------------------

    def next_frame(self, now: float) -> bytes | None:
        said = [track.take(now) for track in self.tracks] if not self.released else []
        return said[0] if said and self.state == CONNECTED else None

    def hear(self, uid: str, pcm: bytes, now: float) -> None:
        if self.state != CONNECTED or self.released or "frames" not in self.tell.listeners:
            return
        if uid != "0" and not self.subscriptions.hears(uid):
            return
        plan = self.cloud.plan
        rate = plan.frame_rate or self.format.rate
        channels = plan.frame_channels or self.format.channels
        channel = self.channel_name if plan.frame_channel_id else ""
        self.frames_given[uid] = self.frames_given.get(uid, 0) + 1
        self.tell.frame(Frame(uid, channel, rate, channels, converted(pcm, rate, channels), now))

    def receive(self, uid: str, stream: int, data: bytes) -> None:
        if self.state == CONNECTED:
            arguments = ("on_stream_message", uid, stream, data, len(data))
            self.thread.after(0, partial(self.tell.user, *arguments))

    def meet(self, uid: str) -> None:
        if self.state == CONNECTED and uid not in self.known:
            self.known.add(uid)
            self.thread.after(0, partial(self.tell.connection, "on_user_joined", uid))
            self.subscriptions.met(uid)

    def miss(self, uid: str, reason: int) -> None:
        if self.state == CONNECTED and uid in self.known:
            self.known.discard(uid)
            self.subscriptions.missed(uid)
            self.thread.after(0, partial(self.tell.connection, "on_user_left", uid, reason))

    def evict(self, reason: int) -> None:
        self.thread.after(0, partial(self.finish, reason))

    # -- on its own thread ---------------------------------------------------------------------

    def _connecting(self) -> None:
        self.tell_state("on_connecting", 0)
        self._tell_published(NOT_PUBLISHED, PUBLISHING)
        plan, at = self.cloud.plan, 0.0
        with self.cloud.lock:
            if self.state != CONNECTING:
                return
            if plan.outcome is None:
                self._joining = [self.thread.after(plan.join_delay_s, self._join)]
                return
            for callback, state, reason, delay_s in (
                [] if plan.outcome == "silent" else plan.outcome
            ):
                at += delay_s
                act = partial(self._act, callback, state, reason)
                self._joining.append(self.thread.after(at, act))

    def _join(self) -> None:
        try:
            life_s = self.admit(self.token)
        except Refused as refused:
            self.finish(refused.reason)
            return
        self._enter()
        self.tell_state("on_connected", JOINED)
        self._tell_published(PUBLISHING, PUBLISHED)
        self.token_watch.start(life_s)

    def _act(self, callback: str, state: int, reason: int) -> None:
        """One step of a planned outcome."""
        if state == CONNECTED and self.channel is None:
            self._enter()
        if state in (DISCONNECTED, FAILED):
            self._leave_channel()
        self.state = state
        self.tell_state(callback, reason)

    def _enter(self) -> None:
        with self.cloud.lock:
            if self.state in (DISCONNECTED, FAILED) or self.is_leaving:
                return
            self.uid = self.cloud.free_uid() if self.uid == "0" else self.uid
            self.state = CONNECTED
            self.channel = self.cloud.channel(self.channel_name)
            self.channel.join(self)

    def _disconnected(self) -> None:
        self.state, self.is_leaving = DISCONNECTED, False
        self.tell_state("on_disconnected", LEAVE)

    def _tell_published(self, old: int, new: int) -> None:
        elapsed_ms = round(self.cloud.plan.join_delay_s * 1000) if new == PUBLISHED else 0
        for track in self.tracks:
            arguments = (self.channel_name, old, new, elapsed_ms)
            self.tell.user("on_audio_publish_state_changed", *arguments)
            if new == PUBLISHED:
                self.tell.user("on_audio_track_publish_success", track)

    def _leave(self) -> None:
        """Out of the channel, and nothing more of what was planned."""
        with self.cloud.lock:
            for job in self._joining:
                job.call_off()
            self._leave_channel()

    def _leave_channel(self) -> None:
        with self.cloud.lock:
            self.token_watch.stop()
            self.outage.stop()
            self.subscriptions.forget()
            self.known.clear()
            channel, self.channel = self.channel, None
            if channel is not None:
                channel.leave(self, QUIT)
