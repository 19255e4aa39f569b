"""The local channels: who is in them, and what one member's message means to the others.

Nothing here waits or touches a socket. A member's messages come in through `Relay.receive`; what
the others shall get goes to their outboxes, from which their own tasks send it. So no member ever
waits for another.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from agent.checks import BadField
from agent.options import MAX_UID, AgentOptions
from server.relay.member import TEXTS_A_SECOND, Goodbye, Member
from server.relay.outbox import HEADER_BYTES, OutboxFull

# Everyone's audio goes to everyone else: at 64 that is 400,000 messages a second in one channel,
# far beyond what one process can do. A conversation has a handful.
MEMBERS: Final = 64
# Any client can make one by joining it. A thousand conversations are beyond one process as well.
CHANNELS: Final = 1_000
DATA_BYTES: Final = 1_024
"""The longest data packet."""
MESSAGE_BYTES: Final = 64 * 1024
"""The longest message of any kind: more than a second of audio."""

# Close codes. 4000 and above are for applications; a browser can't see a refused handshake, so a
# member that may not join is let in and put out with one of these.
GOING_AWAY: Final = 1001
TOO_SLOW: Final = 1008
TRY_LATER: Final = 1013
BAD_REQUEST: Final = 4400
UID_TAKEN: Final = 4409

_log = logging.getLogger(__name__)


class Relay:
    """All channels of this server. A channel is there for as long as someone is in it.

    :param pick_uid: a random uid, 1 or more, for members that leave theirs to the relay.
    :param clock: seconds, of any origin.
    """

    def __init__(self, pick_uid: Callable[[], int], clock: Callable[[], float]) -> None:
        self._pick_uid, self._clock = pick_uid, clock
        self._channels: dict[str, dict[int, Member]] = {}
        self._closed = False
        self._dropped = 0

    def members(self, channel_name: str) -> list[int]:
        """The uids in a channel, in the order in which they joined."""
        return list(self._channels.get(channel_name, ()))

    def join(self, channel_name: str, uid_text: str | None, *, is_agent: bool = False) -> Member:
        """Put a new member in a channel.

        :param uid_text: the uid as the client wrote it; None, empty or "0" for any that is free.
        :param is_agent: it says that it is an agent, which the others are told.
        :raises Goodbye: it may not join.
        """
        self._check_room(channel_name)
        wanted = _parse_uid(uid_text)
        channel = self._channels.get(channel_name, {})
        if wanted in channel:
            raise Goodbye(UID_TAKEN, f"uid {wanted} is taken in this channel")
        uid = wanted or self._free_uid(channel)
        member = Member(channel_name, uid, self._clock, is_agent=is_agent)
        agents = [other.uid for other in channel.values() if other.is_agent]
        member.give_text(_control("members", uid=uid, uids=list(channel), agents=agents))
        self._channels.setdefault(channel_name, {})[uid] = member
        mark = {"agent": True} if is_agent else {}
        self._to_others(member, _control("joined", uid=uid, **mark))
        _log.info("%s joined", member, extra=member.about)
        return member

    @property
    def dropped(self) -> int:
        """Messages of audio that members were too slow for, of all that there ever were."""
        there = (member for channel in self._channels.values() for member in channel.values())
        return self._dropped + sum(member.outbox.dropped for member in there)

    def leave(self, member: Member, reason: str) -> None:
        """Take a member out, if it is still in.

        :param reason: "quit", "lost" or "slow".
        """
        channel = self._channels.get(member.channel_name, {})
        if channel.get(member.uid) is not member:
            return
        del channel[member.uid]
        self._dropped += member.outbox.dropped
        _log.info("%s left: %s%s", member, reason, _summary(member), extra=member.about)
        if channel:
            self._to_others(member, _control("left", uid=member.uid, reason=reason))
        else:
            del self._channels[member.channel_name]

    def receive(self, member: Member, message: str | bytes) -> None:
        """Pass on what a member sent; what makes no sense is dropped."""
        if isinstance(message, bytes):
            self._receive_audio(member, message)
        elif not member.texts.take(self._clock()):
            _ignore(member, "text too soon after others", f"more than {TEXTS_A_SECOND} a second")
        elif message.startswith("{"):
            self._receive_control(member, message)
        elif 0 < len(message.encode()) <= DATA_BYTES:
            self._receive_data(member, message)
        else:
            _ignore(member, "a data packet of a wrong length", f"{len(message)} characters")

    def close(self) -> None:
        """Put everyone out and let nobody in any more: the server stops."""
        self._closed = True
        for channel in self._channels.values():
            for member in channel.values():
                member.expel(Goodbye(GOING_AWAY, "the server is shutting down"))

    def _check_room(self, channel_name: str) -> None:
        if self._closed:
            raise Goodbye(GOING_AWAY, "the server is shutting down")
        try:
            AgentOptions(channel_name=channel_name)
        except BadField as error:
            raise Goodbye(BAD_REQUEST, f"the channel's name {error}") from None
        if channel_name not in self._channels and len(self._channels) >= CHANNELS:
            raise Goodbye(TRY_LATER, f"all {CHANNELS} channels are in use")
        if len(self._channels.get(channel_name, ())) >= MEMBERS:
            raise Goodbye(TRY_LATER, f"the channel has {MEMBERS} members, which is the most")

    def _free_uid(self, taken: Iterable[int]) -> int:
        while (uid := self._pick_uid()) in taken:
            pass
        return uid

    def _receive_audio(self, member: Member, message: bytes) -> None:
        size = len(message) - HEADER_BYTES
        if size < 2 or size % 2:
            _ignore(member, "audio of a wrong length", f"{len(message)} bytes")
            return
        if not message.startswith(member.header):
            message = member.header + message[HEADER_BYTES:]
        for other in self._others(member):
            other.give_audio(member.uid, message)

    def _receive_data(self, member: Member, packet: str) -> None:
        """Pass on a data packet: people get it as it is, agents are told who has sent it, too."""
        told = _control("data", uid=member.uid, packet=packet)
        others = self._others(member)
        self._give([(other, told if other.is_agent else packet) for other in others])

    def _receive_control(self, member: Member, text: str) -> None:
        match _parse_control(text):
            case {"control": "clear"}:
                for other in self._others(member):
                    other.outbox.clear(member.uid)
                self._to_others(member, _control("clear", uid=member.uid))
            case {"control": "played", "uid": uid, "samples": samples} if (
                # JSON's true is an int to Python.
                type(uid) is type(samples) is int and samples >= 0
            ):
                told = _control("played", uid=uid, samples=samples, by=member.uid)
                self._give([(one, told) for one in self._others(member) if one.uid == uid])
            case _:
                _ignore(member, "a control message that is not understood", repr(text[:128]))

    def _to_others(self, member: Member, text: str) -> None:
        self._give([(other, text) for other in self._others(member)])

    def _others(self, member: Member) -> list[Member]:
        channel = self._channels.get(member.channel_name, {})
        return [other for other in channel.values() if other is not member]

    def _give(self, texts: list[tuple[Member, str]]) -> None:
        slow = []
        for member, text in texts:
            try:
                member.give_text(text)
            except OutboxFull:
                slow.append(member)
        # Only now: that one is put out is text for the others too.
        for member in slow:
            self.leave(member, "slow")
            member.expel(Goodbye(TOO_SLOW, "too slow: too many messages are waiting"))


def _parse_uid(text: str | None) -> int:
    """The uid asked for; 0 if none was."""
    if not text:
        return 0
    # int() would also take signs, spaces, underscores and the digits of other scripts.
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_UID:
        return int(text)
    raise Goodbye(BAD_REQUEST, f"uid must be a whole number from 0 to {MAX_UID}")


def _parse_control(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _control(control: str, **fields: Any) -> str:
    return orjson.dumps({"control": control} | fields).decode()


def _ignore(member: Member, what: str, detail: str) -> None:
    """Count what is dropped, and say it the first time: a client that errs once errs always."""
    member.ignored[what] += 1
    if member.ignored[what] == 1:
        words = "%s: dropped: %s (%s); more are only counted"
        _log.warning(words, member, what, detail, extra=member.about)


def _summary(member: Member) -> str:
    counts = Counter(member.ignored)
    if member.outbox.dropped:
        counts["audio it was too slow for"] = member.outbox.dropped
    return "".join(f"; dropped {count} x {what}" for what, count in counts.items())
