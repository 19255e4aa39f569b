"""What a receiver's receipts say of how much of our speech was heard.

A receipt is a count: how many of our samples the receiver has put out since it joined. What it had
to drop, because we cleared it or because it came too late, is never counted. So the count alone
does not say which samples those were; but speech comes in runs, each after a clear or a silence,
and of a run's own samples the receiver has put out what the count has grown by since it began.
A receipt that comes sooner after the beginning of a run than any ever came is of the run before.

Between receipts the receiver is taken to play on, as far behind our own clock as its receipts show
it to be. That is too far by the time that a receipt and a clear are on their way: what is heard
meanwhile is not counted, and never too much is.

Time is an argument, in seconds on any clock.
"""

from collections import deque
from typing import Final

from attrs import define, field

from agent.audio import SAMPLE_RATE

SETTLED_S: Final = 1.0
"""A line that has been dry for so long has been heard to its end: receivers hold back some 100 ms,
and a network more only where it fails."""
RUN_ON_S: Final = 0.5
"""For so long without a receipt the receiver is taken to play on. They come every 50 ms while it
plays; networks and busy machines hold some of them up."""
LOST_S: Final = 2.0
"""A receiver of which nothing was heard for so long, with speech of ours unheard, gives no receipts
any more: its page was put to sleep. The relay drops what is older, too."""
AHEAD_S: Final = 0.1
"""A receiver's clock may be so much faster than ours, in the run of an hour."""
MOST_ON_THE_WAY_S: Final = 0.15
"""A receipt of an earlier run is not so long on its way, or it would be of little use anyhow."""
LAGS: Final = 8
"""Receipts out of which the one counts that was held up least: those of some 400 ms."""


@define
class Receipts:
    """The receipts of the one who is listened to.

    :ivar handed: samples that were ever handed over.
    """

    handed: int = 0
    _dry_at: float = float("-inf")
    _run_start: int = 0
    _run_count: int = 0
    _count: int = 0
    _told_at: float | None = None
    _lags: deque[float] = field(factory=lambda: deque(maxlen=LAGS))
    _least_lag: float = float("inf")
    _cleared_at: float | None = None
    _heard_at_clear: int = 0

    def begin(self, position: int) -> None:
        """Another receiver is listened to.

        :param position: `handed` when it joined: what was handed over before is not counted.
        """
        self._run_start, self._run_count, self._count = position, 0, 0
        self._told_at = self._cleared_at = None
        self._lags.clear()
        self._least_lag = float("inf")

    def hand_over(self, samples: int, now: float) -> None:
        """So many more samples are on their way."""
        if self._cleared_at is not None or now > self._dry_at + SETTLED_S:
            self._begin_run(now)
        self._dry_at = max(now, self._dry_at) + samples / SAMPLE_RATE
        self.handed += samples

    def clear(self, now: float) -> None:
        """What was not heard is dropped."""
        if self._cleared_at is not None:
            return
        heard = self.played(now)
        if heard is None:
            self._told_at = None  # what was not relied on before is not relied on now
        else:
            self._heard_at_clear = heard
        self._cleared_at = self._dry_at = now

    def told(self, count: int, now: float) -> None:
        """A receipt came.

        :param count: samples since the receiver joined.
        """
        if count < self._count:
            self._run_count = 0  # it has begun to count anew
        self._count, self._told_at = count, now
        if self._cleared_at is not None or self.handed == self._run_start:
            return
        # A count that is ahead of our clock began before we did: under our uid there was another.
        ahead = self._counted() - int(self._clock(now))
        if ahead > AHEAD_S * SAMPLE_RATE:
            self._run_count += ahead
        if self._least_lag < float("inf") and self._clock(now) - self._run_start < self._least_lag:
            self._run_count = count
        elif self._counted() < self.handed:
            self._lags.append(self._clock(now) - self._counted())
            self._least_lag = min(self._least_lag, self._lags[-1], MOST_ON_THE_WAY_S * SAMPLE_RATE)

    def played(self, now: float) -> int | None:
        """How many of `handed` were heard; None: there is no receipt to go by."""
        if self._told_at is None:
            return None
        if self._cleared_at is not None:
            # The receipt after a clear knows better than what was supposed at the clear.
            is_known = self._told_at > self._cleared_at
            return min(self.handed, self._counted()) if is_known else self._heard_at_clear
        if now > self._dry_at + SETTLED_S:
            return self.handed
        return None if now > self._told_at + LOST_S else self._estimate(now)

    def _begin_run(self, now: float) -> None:
        self._cleared_at = None
        self._run_start, self._run_count = self.handed, self._count
        if self._told_at is not None:
            self._told_at = now

    def _counted(self) -> int:
        """How far the person has come by the last receipt."""
        return self._run_start + self._count - self._run_count

    def _clock(self, now: float) -> float:
        """How far the person would have come without any delay, were there speech enough."""
        return self.handed + (now - self._dry_at) * SAMPLE_RATE

    def _estimate(self, now: float) -> int:
        """How far the person has come by now."""
        known = self._counted()
        if self.handed == self._run_start:
            return known
        by_the_clock = int(self._clock(now) - min(self._lags, default=0.0))
        most = min(self.handed, known + int(RUN_ON_S * SAMPLE_RATE))
        return min(most, max(known, by_the_clock))
