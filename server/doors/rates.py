"""How often somebody may do something: token buckets, one for each who.

A bucket holds `burst` tokens when it is full, and gets `per_minute` of them back in a minute. Each
is kept as one number, the time when it will be full again: that moves on by one token's worth when
one is taken, and none is left while it lies more than a bucketful ahead.
"""

from collections import OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

MOST: Final = 4096
"""Buckets that are kept. Whoever makes up new addresses can push others out, which gives those a
full bucket; without a limit they could fill the memory."""
# Whole nanoseconds: the sums of seconds are rounded, and the last token of a burst can be lost.
_NS: Final = 10**9


class Rates:
    """The buckets of all who do one kind of thing.

    :param per_minute: tokens that come back in a minute; 0 means that there is no limit.
    :param burst: tokens in a full bucket.
    :param most: buckets to keep; the one that was used least recently goes first.
    """

    def __init__(self, per_minute: int, burst: int, most: int = MOST) -> None:
        self._token = 60 * _NS // per_minute if per_minute else 0
        self._ahead = (burst - 1) * self._token
        self._most = most
        self._full_at: OrderedDict[Hashable, int] = OrderedDict()

    def take(self, who: Hashable, now: float) -> float:
        """Take a token, and return 0; or take none, and return the seconds until there is one.

        :param now: in seconds on a clock that does not go back.
        """
        now_ns = round(now * _NS)
        full_at = max(self._full_at.get(who, now_ns), now_ns)
        wait = max(full_at - self._ahead - now_ns, 0)
        self._full_at[who] = full_at if wait else full_at + self._token
        self._full_at.move_to_end(who)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return wait / _NS


def client_of(address: str) -> str:
    """Whom an address stands for: itself; of IPv6 its /64, all of which one client usually has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # no address: a test's, or a socket's of another kind
    if not isinstance(parsed, IPv6Address) or parsed.is_loopback:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))
