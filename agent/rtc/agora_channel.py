"""A call's life in an Agora channel: joining, people, outages, tokens, data, leaving.

This knows the SDK only as a `Member`, which agora_sdk.py makes of it. What the SDK calls back on
its threads comes here as `told`, in Trio, in the order in which it happened.

Speech is handed to the SDK, and its buffer cleared, without an await: silence is there before
anything else can happen; see agora_speaker.py. Everything else has a deadline.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import trio

from agent.audio import FRAME_SAMPLES
from agent.errors import AgentError, ChannelError, one_line
from agent.rtc.agora_member import Member, SdkFailed
from agent.rtc.agora_reasons import FINAL, GONE, REFUSALS, TOO_LONG, not_joined, words
from agent.rtc.channel import ChannelEvent, ChannelLost, DataReceived, UserJoined, UserLeft
from agent.rtc.handover import AudioHandover

JOIN_S: Final = 10.0
"""The SDK itself takes a first join for lost after 10 seconds; a good one takes 0.2."""
OUTAGE_S: Final = 60.0
"""The SDK would go on trying for 20 minutes; nobody stays on a dead line for so long, and the model
is paid for meanwhile."""
SETTLE_S: Final = 5.0
"""So long after an outage who seemed to have left in it has to have been told of again."""
HEARD_WITHIN_S: Final = 5.0
"""After a subscription audio comes within a second, where there is any."""
LEAVE_S: Final = 3.0
"""Leaving takes one round trip; a supervisor gives an agent 8 seconds in all."""
RENEW_BEFORE_S: Final = 120.0
"""So long before a token ends it is renewed. Agora's own warning comes 30 s before."""
RETRY_S: Final = 2.0
"""After the SDK refused something that it should take later."""
DATA_RETRY_S: Final = 0.1
"""After a refused data message: the limits are counted by the second."""
DATA_TRIES: Final = 50
"""Then a data message that is refused in a whole channel is given up, after five seconds: what
comes after it may fare better."""
EVENTS: Final = 256
"""Events that wait for the session, which takes them at once. Data may fill one half of them."""

_SILENT: Final = "Agora's SDK does not answer"

_log = logging.getLogger(__name__)


class AgoraChannel:
    """A joined Agora channel, see `RtcChannel`; `agora.open_agora_channel` runs `keep`.

    :param uid: the one asked for; 0 lets Agora choose.
    :param make_token: makes a fresh token; "" where the project has none.
    :param token_ttl_s: its seconds; None where there is none.
    :param audio: fed by the SDK's thread.
    :ivar listens_to: who is heard, as the SDK writes ids.
    """

    def __init__(
        self,
        member: Member,
        uid: int,
        *,
        make_token: Callable[[], str],
        token_ttl_s: float | None,
        audio: AudioHandover,
    ) -> None:
        self.uid = uid
        self.audio = audio
        self.listens_to: str | None = None
        self._member = member
        self._make_token, self._token_ttl_s = make_token, token_ttl_s
        self._events_in, self.events = trio.open_memory_channel[ChannelEvent](EVENTS)
        self._people: set[int] = set()
        self._missing: dict[int, int] = {}
        self._hears = ""
        self._joined, self._settled, self._left = trio.Event(), trio.Event(), trio.Event()
        self._refusal: AgentError | None = None
        self._lost: str | None = None
        self._began = self._leaving = False
        self._outage: float | None = None
        self._back_at = 0.0
        self._listening, self._line_changed = trio.Event(), trio.Event()
        self._expiring = trio.Event()

    # -- what the session calls ------------------------------------------------------------------

    def listen_to(self, uid: int) -> None:
        """See `RtcChannel`."""
        self.listens_to = str(uid)
        self.audio.clear()
        self._listening.set()

    def play(self, pcm: bytes) -> None:
        """See `RtcChannel`."""
        if not self._leaving and not self._member.push(pcm):
            self._lose("Agora's SDK takes no speech")

    def clear(self) -> int | None:
        """See `RtcChannel`. What has left the SDK's buffer is on its way and will be heard."""
        frames = None if self._leaving else self._member.clear()
        # Documented as the count of frames, but 0 is also how this SDK says "done": then the
        # playout clock knows better.
        return frames * FRAME_SAMPLES if frames is not None and frames > 0 else None

    def played(self) -> None:
        """See `RtcChannel`. Clients of Agora's give no receipts."""

    async def send_data(self, packet: str) -> bool:
        """See `RtcChannel`. Refused, it is tried again; in an outage for as long as that lasts."""
        tries = 0
        while (code := await self._send(packet)) < 0:
            if self._lost is not None:
                raise ChannelError(f"the channel was lost: {self._lost}")
            tries += self._outage is None
            if code == TOO_LONG or tries == DATA_TRIES:
                _log.warning("a data message was dropped: Agora says %s", _refusal(code))
                return False
            await trio.sleep(DATA_RETRY_S)
        return True

    async def _send(self, packet: str) -> int:
        try:
            return await self._member.send(packet)
        except trio.TooSlowError:
            raise ChannelError(_SILENT) from None

    # -- its life, for agora.py ------------------------------------------------------------------

    async def join(self) -> None:
        """Join the channel.

        :raises ConfigError: Agora knows the project not, or refuses its token.
        :raises ChannelError: it refused for another reason, or did not answer in time.
        """
        self._began = True  # whatever becomes of the call itself
        try:
            code = await self._member.connect(self._make_token())
        except trio.TooSlowError:
            raise ChannelError(_SILENT) from None
        if code < 0:
            self._began = False
            raise ChannelError(f"Agora's SDK refused to connect (its error {code})")
        with trio.move_on_after(JOIN_S):
            await self._settled.wait()
        if self._refusal is not None:
            raise self._refusal
        if not self._joined.is_set():
            raise ChannelError(
                f"Agora did not let us into the channel within {JOIN_S:g} s: is its network "
                "reachable from here (UDP, see the README), and the project the right one?"
            )

    async def keep(self) -> None:
        """See to subscriptions, tokens and outages for as long as the call lasts."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_subscribed)
                nursery.start_soon(self._keep_token)
                nursery.start_soon(self._watch_line)
        except* trio.TooSlowError:
            self._lose(_SILENT)

    async def leave(self) -> None:
        """Leave the channel and give everything back; ends in `LEAVE_S`, whatever the SDK does."""
        self._leaving = True
        why = _SILENT
        with trio.move_on_after(LEAVE_S, shield=True):
            try:
                await self._part()
            except trio.TooSlowError:
                pass
            except SdkFailed as error:
                why = str(error)
            else:
                return
        _log.warning("%s: the channel is left without its word", why)
        self._member.abandon()

    async def _part(self) -> None:
        await self._member.withdraw()
        if self._began and await self._member.disconnect() >= 0:
            # Without the answer the release comes late rather than never.
            with trio.move_on_after(LEAVE_S / 2):
                await self._left.wait()
        await self._member.release()

    # -- what the SDK tells ----------------------------------------------------------------------

    def told(self, what: str, *details: Any) -> None:
        """One callback of the SDK's, by its name, without the object that it is about."""
        match what, details:
            case "on_connected" | "on_reconnected", (info, _):
                self._connected(_uid(info.local_user_id) or self.uid)
            case "on_reconnecting", (_, reason):
                self._interrupted(reason)
            case "on_connection_lost", _:
                self._interrupted(16)
            case "on_disconnected", (_, reason):
                self._disconnected(reason)
            case "on_connection_failure", (_, reason):
                self._left.set()
                self._refused(reason)
            case "on_connecting", (_, reason) if reason in FINAL:
                self._refused(reason)
            case (("on_token_privilege_will_expire" | "on_token_privilege_did_expire"), _):
                self._expiring.set()
            case "on_connection_license_validation_failure", _:
                self._refused(21)
            case "on_error", (code, text):
                _log.warning("Agora's SDK says error %s: %s", code, one_line(str(text)))
            case _:
                self._told_of_others(what, details)

    def _told_of_others(self, what: str, details: tuple[Any, ...]) -> None:
        match what, details:
            case "on_user_joined", (uid,):
                self._user_joined(uid)
            case "on_user_left", (uid, reason):
                self._user_left(uid, reason)
            case "on_stream_message", (uid, _, data, _):
                self._data(uid, data)
            case "on_stream_message_error", (uid, _, code, missed, _):
                _log.warning("%d data messages of %s were lost (error %d)", missed, uid, code)
            case "on_audio_subscribe_state_changed", (_, uid, _, 3, _):
                _log.info("hearing %s", uid)
                self._hears = uid
            case "on_audio_track_publication_failure", (_, code):
                self._lose(f"Agora does not take our audio (its error {code})")

    def wrong_format(self, rate: int, channels: int) -> None:
        """The SDK gives audio in a format that was not asked for: at the wrong pitch."""
        self._lose(f"the SDK gives audio of {rate} Hz with {channels} channels")

    def speech_failed(self, why: str) -> None:
        """What hands over speech has failed."""
        self._lose(f"Agora's SDK failed at our speech: {one_line(why)}")

    def _connected(self, uid: int) -> None:
        self.uid = uid
        self._joined.set()
        self._settled.set()
        if self._outage is not None:
            _log.info("back in the channel after %.1f s", trio.current_time() - self._outage)
            self._outage, self._back_at = None, trio.current_time()
            self._line_changed.set()
            self._hear_again()

    def _interrupted(self, reason: int) -> None:
        if reason in FINAL:
            self._refused(reason)
        elif self._joined.is_set() and self._outage is None:
            _log.warning("the connection is interrupted; the SDK tries to come back")
            self._outage = trio.current_time()
            self._line_changed.set()

    def _disconnected(self, reason: int) -> None:
        self._left.set()
        if not self._leaving:
            self._refused(reason)

    def _refused(self, reason: int) -> None:
        if not self._joined.is_set():
            self._refusal = self._refusal or not_joined(reason)
            self._settled.set()
        else:
            self._lose(words(reason))

    def _lose(self, why: str) -> None:
        if self._lost is None and not self._leaving:
            self._lost = why
            self._events_in.send_nowait(ChannelLost(why))

    # -- people ----------------------------------------------------------------------------------

    def _user_joined(self, text: str) -> None:
        uid = _uid(text)
        if uid is None or uid == self.uid:
            return
        if uid not in self._people:
            self._people.add(uid)
            self._emit(UserJoined(uid))
        else:
            # Told again, after an outage: they have never been away.
            self._missing.pop(uid, None)
            if str(uid) == self.listens_to:
                self._hear_again()

    def _user_left(self, text: str, reason: int) -> None:
        uid = _uid(text)
        if uid is None or uid not in self._people:
            return
        if self._outage is not None:
            # To one who is out of reach everybody else seems to be.
            self._missing[uid] = reason
        else:
            self._goes(uid, reason)

    def _goes(self, uid: int, reason: int) -> None:
        self._people.remove(uid)
        self._missing.pop(uid, None)
        self._emit(UserLeft(uid, GONE.get(reason, str(reason))))

    def _hear_again(self) -> None:
        """What was subscribed to may have been lost."""
        if self.listens_to is not None:
            self._listening.set()

    def _data(self, text: str, data: str | bytes) -> None:
        uid = _uid(text)
        if isinstance(data, bytes):
            data = data.decode(errors="replace")
        if uid is not None:
            self._emit(DataReceived(uid, data))

    def _emit(self, event: ChannelEvent) -> None:
        waiting = self._events_in.statistics().current_buffer_used
        # One place is kept for the end of the channel.
        limit = EVENTS // 2 if isinstance(event, DataReceived) else EVENTS - 1
        if waiting < limit:
            self._events_in.send_nowait(event)
        else:
            _log.warning("too many channel events wait: a %s was dropped", type(event).__name__)

    # -- tasks -----------------------------------------------------------------------------------

    async def _keep_subscribed(self) -> None:
        heard: int | None = None
        while True:
            await self._listening.wait()
            self._listening = trio.Event()
            assert self.listens_to is not None
            if heard is not None:
                await self._member.unsubscribe(heard)
            heard = int(self.listens_to)
            await self._subscribe(heard)

    async def _subscribe(self, uid: int) -> None:
        """Subscribe to a user, again and again where that is refused, until another is wanted."""
        self._hears = ""
        while (code := await self._member.subscribe(uid)) < 0:
            _log.warning("Agora's SDK refused to subscribe to %d (its error %d)", uid, code)
            with trio.move_on_after(RETRY_S):
                await self._listening.wait()
                return
        with trio.move_on_after(HEARD_WITHIN_S) as waiting:
            await self._listening.wait()
        if waiting.cancelled_caught and self._hears != str(uid):
            _log.info("nothing is heard of %d yet: muted, or without a microphone", uid)

    async def _keep_token(self) -> None:
        if self._token_ttl_s is None:
            return
        until_due_s = max(self._token_ttl_s - RENEW_BEFORE_S, self._token_ttl_s / 2)
        while True:
            with trio.move_on_after(until_due_s):
                await self._expiring.wait()
            self._expiring = trio.Event()
            while (code := await self._member.renew_token(self._make_token())) < 0:
                _log.warning("Agora's SDK refused a new token (its error %d)", code)
                await trio.sleep(RETRY_S)
            _log.info("the channel's token was renewed")

    async def _watch_line(self) -> None:
        while self._lost is None:
            with trio.move_on_at(self._line_due()) as waiting:
                await self._line_changed.wait()
                self._line_changed = trio.Event()
            if waiting.cancelled_caught:
                self._line_is_due()

    def _line_due(self) -> float:
        if self._outage is not None:
            return self._outage + OUTAGE_S
        return self._back_at + SETTLE_S if self._missing else float("inf")

    def _line_is_due(self) -> None:
        if self._outage is not None:
            self._lose(f"Agora was out of reach for {OUTAGE_S:g} s")
        else:
            for uid, reason in list(self._missing.items()):
                self._goes(uid, reason)


def _uid(text: str | None) -> int | None:
    """A user's id; None for what is no user of ours (string accounts, frames of uid 0)."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


def _refusal(code: int) -> str:
    return f"{REFUSALS.get(code, 'no')} ({code})"
