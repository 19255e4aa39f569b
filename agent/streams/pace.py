"""How fast data messages may be sent: a channel refuses what is faster. No clock and no I/O."""

from typing import Final

from attrs import define

from agent.streams.chunks import MAX_CHUNK

_BURST: Final = 6
"""This fraction of a limit may be sent at once: the finals of a turn, without waiting."""


@define
class _Bucket:
    """A token bucket as the time at which it will be full, which no rounding can wear out.

    :ivar rate: what flows in, a second.
    :ivar burst: what it holds.
    """

    rate: float
    burst: float
    _full_at: float = float("-inf")

    def has(self, size: float) -> float:
        """From when on it holds so much."""
        return self._full_at - (self.burst - size) / self.rate

    def take(self, size: float, began: float, ended: float) -> None:
        """Take so much; nothing flows in between these two times."""
        self._full_at = max(self._full_at, began) + (ended - began) + size / self.rate


class Pace:
    """Keeps packets within what a channel takes in any second, in number and in bytes.

    :param packets_per_s: at least 2.
    :param bytes_per_s: at least two packets' worth.
    """

    def __init__(self, packets_per_s: int, bytes_per_s: int) -> None:
        self._packets = _bucket(packets_per_s, 1)
        self._bytes = _bucket(bytes_per_s, MAX_CHUNK)

    def free_at(self) -> float:
        """From when on there is room for a packet, as large as any."""
        return max(self._packets.has(1), self._bytes.has(MAX_CHUNK))

    def sent(self, size: int, began: float, ended: float) -> None:
        """Note that a packet was sent.

        The channel took it at some time between these two, nobody knows when. So the time between
        them counts for nothing: a second that begins when it was taken sees no more than others.
        """
        self._packets.take(1, began, ended)
        self._bytes.take(size, began, ended)

    def packets_within(self, seconds: float) -> int:
        """How many packets, as large as any, can be sent in a row in this time at the least."""
        rate = min(self._packets.rate, self._bytes.rate / MAX_CHUNK)
        return 1 + int(seconds * rate)


def _bucket(limit: int, largest: int) -> _Bucket:
    # A second that begins with a full bucket sees all that it holds and all that flows in: the sum
    # of the two has to be the limit.
    burst = max(largest, limit // _BURST)
    return _Bucket(rate=limit - burst, burst=burst)
