"""Tickets: what a browser gets in place of a key. Each is for one channel, and for some minutes.

    ticket.PAYLOAD.SIGNATURE

PAYLOAD is `[expires_at, channel_name, profile]` in JSON, SIGNATURE its HMAC-SHA256, both in
unpadded base64url. It is signed by a secret of this process together with the key that asked for
it, so that a ticket ends with its key when that is taken out of the keys file. Not by the key
alone: whoever holds a ticket could then try keys on it, out of anybody's sight.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final

import orjson
from attrs import field, frozen

from server.doors.auth import Keys

PREFIX: Final = "ticket."
"""So that tickets are known for what they are, by people and by programs that look for secrets."""
TICKET_OPTIONS: Final = frozenset(
    {"channel_name", "uid", "rtc", "language", "voice", "subscribe_uid"}
)
"""What whoever holds one may say of an agent. All else would be at the operator's cost."""


class TicketInvalid(Exception):
    """It was not made here, was changed, or its key does not count any more."""


class TicketExpired(Exception):
    """It was good once."""


@frozen
class Ticket:
    """A ticket that was read.

    :ivar profile: of the agents that it starts; None: of no profile.
    :ivar key: the one that it was minted with.
    """

    channel_name: str
    profile: str | None
    key: str = field(repr=False)


class Tickets:
    """Mints and reads tickets; it remembers none.

    :param secret: random, of this process alone.
    :param clock: seconds since 1970.
    """

    def __init__(self, keys: Keys, secret: bytes, clock: Callable[[], float]) -> None:
        self._keys, self._secret, self._clock = keys, secret, clock

    def mint(
        self, key: str, channel_name: str, ttl_s: int, *, profile: str | None = None
    ) -> tuple[str, int]:
        """A ticket, and the time when it expires in seconds since 1970."""
        expires_at = int(self._clock()) + ttl_s
        payload = orjson.dumps([expires_at, channel_name, profile])
        signed = PREFIX + urlsafe_b64encode(payload).decode().rstrip("=")
        return f"{signed}.{self._signature(key, signed)}", expires_at

    def read(self, text: str) -> Ticket:
        """Check a ticket.

        :raises TicketInvalid: it is none of ours, or its key is gone.
        :raises TicketExpired: its time is over.
        """
        signed, _, signature = text.rpartition(".")
        given = signature.encode("utf-8", "replace")
        # The text itself is what is signed: nothing of it is decoded before it is known to be ours.
        signers = [
            key
            for key in self._keys.known()
            if hmac.compare_digest(given, self._signature(key, signed).encode())
        ]
        if not signers or not signed.startswith(PREFIX):
            raise TicketInvalid
        payload = signed.removeprefix(PREFIX)
        padded = payload + "=" * (-len(payload) % 4)
        expires_at, channel_name, profile = orjson.loads(urlsafe_b64decode(padded))
        if self._clock() >= expires_at:
            raise TicketExpired
        return Ticket(channel_name, profile, signers[0])

    def _signature(self, key: str, signed: str) -> str:
        own = hmac.digest(self._secret, key.encode(), "sha256")
        digest = hmac.digest(own, signed.encode("utf-8", "replace"), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")
