"""What is known of a receiver from its receipts, against receivers that know nothing of that."""

from collections import deque
from typing import Any, Final

import pytest
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from agent.audio import SAMPLE_RATE
from agent.rtc.receipts import LOST_S, RUN_ON_S, SETTLED_S, Receipts

MS: Final = SAMPLE_RATE // 1000
"""Samples of a millisecond."""
SECOND: Final = SAMPLE_RATE
LAG_S: Final = 0.15
"""How far behind our clock a receiver is that holds back a little, its receipts included."""


def handed(*seconds: float, joined_at: int = 0) -> Receipts:
    """Receipts of one who joined at this position and has given none; a second at each of these."""
    receipts = Receipts()
    for second in seconds:
        receipts.hand_over(SECOND, second)
    receipts.begin(joined_at)
    return receipts


def hear(
    receipts: Receipts, began: float, until: float, *, count: int = 0, lag_s: float = LAG_S
) -> int:
    """The receipts of a run that began then, every 50 ms; the last.

    :param count: the receiver's at the beginning.
    """
    last = count
    for tick in range(1, round((until - began) / 0.05) + 1):
        heard_s = tick * 0.05 - lag_s
        if heard_s > 0:
            last = count + round(heard_s * SECOND)
            receipts.told(last, began + tick * 0.05)
    return last


def near(samples: float) -> Any:
    """The clock is a float."""
    return pytest.approx(samples, abs=2)


def test_without_a_receipt_nothing_is_known() -> None:
    receipts = handed(0, 1)
    assert receipts.handed == 2 * SECOND
    assert [receipts.played(now) for now in (0, 1, 2, 100)] == [None] * 4
    receipts.clear(1.5)
    assert receipts.played(1.5) is None


@pytest.mark.parametrize("count", [0, 5000])
def test_a_receipt_before_any_speech_is_of_none(count: int) -> None:
    """Of another agent that had our uid, or of a clear of nothing."""
    receipts = handed()
    receipts.told(count, 1.0)
    assert receipts.played(1.0) in (None, 0)
    receipts.hand_over(SECOND, 5)
    last = hear(receipts, 5, 5.5, count=count)
    assert receipts.played(5.5) == near(last - count)


@pytest.mark.parametrize("lag_s", [0.05, 0.15, 0.4])
def test_a_receiver_is_as_far_behind_as_its_receipts_say(lag_s: float) -> None:
    receipts = handed(0, 1)
    hear(receipts, 0, 1.0, lag_s=lag_s)
    for now in (1.0, 1.01, 1.049):
        assert receipts.played(now) == near((now - lag_s) * SECOND)


def test_between_receipts_it_plays_on_but_not_for_long() -> None:
    receipts = handed(0, 1, 2)
    told = hear(receipts, 0, 1.0)
    assert receipts.played(1.0 + RUN_ON_S / 2) == near(told + RUN_ON_S / 2 * SECOND)
    assert receipts.played(1.0 + RUN_ON_S) == near(told + RUN_ON_S * SECOND)
    assert receipts.played(0.99 + LOST_S) == near(told + RUN_ON_S * SECOND)


def test_a_receipt_that_was_held_up_tells_of_no_stop() -> None:
    receipts = handed(0, 1)
    told = hear(receipts, 0, 0.5)
    receipts.told(told + 50 * MS, 0.65)
    assert receipts.played(0.65) == near((0.65 - LAG_S) * SECOND)


def test_what_has_stopped_for_long_is_further_behind_than_before() -> None:
    receipts = handed(0, 1, 2)
    hear(receipts, 0, 0.5)
    last = hear(receipts, 0, 1.5, lag_s=0.45)
    assert receipts.played(1.5) == near(last)


def test_it_is_never_more_than_was_handed_over() -> None:
    receipts = handed(0)
    hear(receipts, 0, 1.1)
    assert receipts.played(1.3) == SECOND
    receipts.told(SECOND + 5, 1.4)  # somebody else's, or a lie
    assert receipts.played(1.4) == SECOND
    receipts.clear(1.5)
    receipts.told(SECOND + 10, 1.6)
    assert receipts.played(1.6) == SECOND


def test_a_clear_takes_nothing_back_and_nothing_is_heard_after_it() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 0.5)
    receipts.clear(0.52)
    for now in (0.52, 0.6, 5.0):
        assert receipts.played(now) == near(told + 20 * MS)
    receipts.told(told + 61 * MS, 0.6)  # the receiver's own last word
    for now in (0.6, 0.7, 5.0):
        assert receipts.played(now) == told + 61 * MS


def test_a_second_clear_changes_nothing() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 0.4)
    receipts.clear(0.4)
    receipts.told(told + 33 * MS, 0.45)
    receipts.clear(0.5)
    for now in (0.5, 0.6, 5.0):
        assert receipts.played(now) == told + 33 * MS


def test_what_a_clear_dropped_is_not_counted_against_the_next_run() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 0.4)
    receipts.clear(0.4)
    receipts.told(told, 0.45)
    receipts.hand_over(SECOND, 0.9)
    assert receipts.played(0.9) == SECOND  # all before it is settled, of itself nothing is heard
    assert receipts.played(0.9 + LAG_S) == near(SECOND)
    assert receipts.played(1.0 + LAG_S) == near(SECOND + 100 * MS)  # if it is as it was before
    last = hear(receipts, 0.9, 1.5, count=told)
    assert receipts.played(1.5) == near(SECOND + last - told)
    hear(receipts, 0.9, 2.05, count=told)
    assert receipts.played(2.05) == 2 * SECOND


def test_nor_what_was_dropped_before_the_first_receipt() -> None:
    receipts = handed(0)
    receipts.clear(0.01)  # all of it; the receiver says so
    receipts.told(0, 0.05)
    receipts.hand_over(SECOND, 1)
    last = hear(receipts, 1, 1.4)
    assert receipts.played(1.4) == near(SECOND + last)


def test_nor_where_nothing_has_come_to_the_receiver_that_says_nothing_then() -> None:
    receipts = handed(0)
    receipts.clear(0.01)
    receipts.hand_over(SECOND, 1)
    last = hear(receipts, 1, 1.4)
    assert receipts.played(1.4) == near(SECOND + last)


def test_a_receipt_of_the_run_before_is_not_counted_for_the_next() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 0.5)
    receipts.clear(0.5)
    receipts.hand_over(SECOND, 0.5)  # what was spared goes on at once
    last_of_it = told + 60 * MS
    receipts.told(last_of_it, 0.56)
    assert receipts.played(0.56) == SECOND
    last = hear(receipts, 0.5, 1.2, count=last_of_it)
    assert receipts.played(1.2) == near(SECOND + last - last_of_it)


def test_a_run_that_began_late_is_not_held_against_the_next() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 1.6, lag_s=0.6)  # the page was busy
    receipts.hand_over(SECOND, 5)
    last = hear(receipts, 5, 5.7, count=told)
    assert receipts.played(5.7) == near(SECOND + last - told)


def test_what_was_lost_on_the_way_is_not_counted_against_the_next_run() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 0.9)  # the relay has dropped the rest
    later = 1 + SETTLED_S + 0.01
    receipts.hand_over(SECOND, later)
    last = hear(receipts, later, later + 0.5, count=told)
    assert receipts.played(later + 0.5) == near(SECOND + last - told)


def test_after_a_short_pause_the_run_goes_on() -> None:
    receipts = handed(0)
    told = hear(receipts, 0, 1.15, lag_s=0.2)  # the last 50 ms are still on their way
    later = 1 + SETTLED_S - 0.01
    receipts.hand_over(SECOND, later)
    assert told == SECOND - 50 * MS
    hear(receipts, later, later + 0.5, count=SECOND, lag_s=0.2)
    assert receipts.played(later + 0.5) == near(SECOND + 300 * MS)


def test_after_a_short_pause_nothing_is_heard_before_it_can_be() -> None:
    receipts = handed(0)
    hear(receipts, 0, 1.15)
    receipts.hand_over(SECOND, 1.5)
    assert receipts.played(1.5 + LAG_S) == near(SECOND)


def test_a_receiver_that_begins_to_count_anew() -> None:
    receipts = handed(0)
    hear(receipts, 0, 1.15)
    receipts.hand_over(SECOND, 5)
    for until in (5.3, 5.8):  # its page was loaded again
        last = hear(receipts, 5, until)
        assert receipts.played(until) == near(SECOND + last)


def test_a_count_that_began_with_another_agent_of_our_uid() -> None:
    """How far behind the receiver is cannot be known then; but it is never ahead of the clock."""
    receipts = handed(0)
    last = hear(receipts, 0, 0.5, count=50_000, lag_s=0.16)
    played = receipts.played(0.5)
    assert played is not None
    assert last - 50_000 <= played <= 0.5 * SECOND


def test_one_who_joined_late_counts_from_then() -> None:
    receipts = handed(0, 1, joined_at=30_000)
    receipts.told(100 * MS, 1.45)
    assert receipts.played(1.45) == 30_000 + 100 * MS
    receipts.clear(1.45)
    receipts.told(100 * MS, 1.5)
    receipts.hand_over(SECOND, 2)
    last = hear(receipts, 2, 2.6, count=100 * MS)
    assert receipts.played(2.6) == near(2 * SECOND + last - 100 * MS)


@pytest.mark.parametrize("lag_s", [0.05, 0.4])
def test_another_person_is_not_known_by_the_receipts_of_the_first(lag_s: float) -> None:
    receipts = handed(0)
    hear(receipts, 0, 0.2, lag_s=0.19)
    receipts.begin(SECOND)
    assert receipts.played(1.2) is None
    receipts.hand_over(SECOND, 5)
    last = hear(receipts, 5, 5.5, lag_s=lag_s)  # less than the first had, but not begun anew
    assert receipts.played(5.5) == near(SECOND + last)


def test_receipts_that_stop_are_not_relied_on_until_they_come_again() -> None:
    receipts = handed(0, 1, 2, 3)
    hear(receipts, 0, 0.5)
    assert receipts.played(0.51 + LOST_S) is None
    assert receipts.played(100) == 4 * SECOND  # whatever it says, it can hear no more of it
    receipts.told(3 * SECOND, 3 + LAG_S)
    assert receipts.played(3 + LAG_S) == near(3 * SECOND)


def test_receipts_that_have_stopped_are_not_relied_on_at_a_clear_either() -> None:
    receipts = handed(0, 1, 2, 3)
    hear(receipts, 0, 0.5)
    receipts.clear(0.51 + LOST_S)
    assert receipts.played(0.6 + LOST_S) is None
    receipts.told(SECOND, 3)  # they have come again
    assert receipts.played(3) == SECOND


def test_a_receiver_that_has_heard_all_may_be_silent() -> None:
    receipts = handed(0)
    hear(receipts, 0, 1.15)
    assert receipts.played(1000) == SECOND


def test_a_run_of_which_no_receipt_comes_is_given_up_in_its_own_time() -> None:
    receipts = handed(0)
    hear(receipts, 0, 1.15)
    receipts.hand_over(5 * SECOND, 50)
    assert receipts.played(49.99 + LOST_S) == near((1 + RUN_ON_S) * SECOND)
    assert receipts.played(50.01 + LOST_S) is None


# -- against a receiver of its own -----------------------------------------------------------------

START_UP_MS: Final = 60
TELLS_EVERY_MS: Final = 50
STEP_MS, LEAD_MS = 40, 60


@define
class Receiver:
    """The web page's speaker in its outlines, one millisecond at a time.

    :ivar counted: samples that it has put out.
    :ivar told_of: what it last told.
    """

    counted: int = 0
    told_of: int = 0
    _waiting: int = 0
    _waited: int = 0
    _plays: bool = False
    _since_told: int = 0

    def add(self, samples: int) -> None:
        self._waiting += samples

    def clear(self) -> int:
        self._waiting = self._waited = 0
        self._plays = False
        return self._tell()

    def pass_a_millisecond(self) -> int | None:
        """Play; the receipt, if one is due."""
        self._since_told += 1
        if not self._plays and self._waiting:
            self._waited += 1
            self._plays = self._waiting >= START_UP_MS * MS or self._waited >= START_UP_MS
        if self._plays:
            samples = min(MS, self._waiting)
            self._waiting -= samples
            self.counted += samples
            if not self._waiting:
                self._plays, self._waited = False, 0
                return self._tell()
        due = self._since_told >= TELLS_EVERY_MS and self.counted > self.told_of
        return self._tell() if due else None

    def _tell(self) -> int:
        self._since_told, self.told_of = 0, self.counted
        return self.counted


@frozen
class Run:
    """Speech and the pause after it.

    :ivar clear_ms: when it is cut off, from its first frame; later than its end: never.
    """

    ms: int
    clear_ms: int
    pause_ms: int


@define
class World:
    """A sender that paces itself, a network of constant delays, a receiver.

    :ivar overtakes: whether a clear drops what is on its way, as our own outbox and the relay do.
    :ivar told: whether any receipt has come.
    """

    up_ms: int
    down_ms: int
    overtakes: bool
    told: bool = False
    receipts: Receipts = field(factory=Receipts)
    receiver: Receiver = field(factory=Receiver)
    now_ms: int = 0
    _up: deque[tuple[int, int | None]] = field(factory=deque)
    _down: deque[tuple[int, int]] = field(factory=deque)

    @property
    def now(self) -> float:
        return self.now_ms / 1000

    @property
    def played(self) -> int | None:
        played = self.receipts.played(self.now)
        assert (played is not None) == self.told
        assert played is None or 0 <= played <= self.receipts.handed
        return played

    def hand_over(self, ms: int) -> None:
        self.receipts.hand_over(ms * MS, self.now)
        self._up.append((self.now_ms + self.up_ms, ms * MS))

    def clear(self) -> None:
        self.receipts.clear(self.now)
        if self.overtakes:
            self._up.clear()
        self._up.append((self.now_ms + self.up_ms, None))

    def pass_a_millisecond(self) -> None:
        self.now_ms += 1
        while self._up and self._up[0][0] <= self.now_ms:
            _, samples = self._up.popleft()
            if samples is None:
                self._send_receipt(self.receiver.clear())
            else:
                self.receiver.add(samples)
        self._send_receipt(self.receiver.pass_a_millisecond())
        while self._down and self._down[0][0] <= self.now_ms:
            self.receipts.told(self._down.popleft()[1], self.now)
            self.told = True

    def speak(self, run: Run) -> bool:
        """Hand over a run until it is cut off or has been heard by the clock; whether it was."""
        dry_ms = began_ms = self.now_ms
        left = run.ms
        while left or dry_ms > self.now_ms:
            if self.now_ms - began_ms >= run.clear_ms:
                return True
            room = LEAD_MS - (dry_ms - self.now_ms)
            if left and room >= STEP_MS:
                ms = min(left, room)
                self.hand_over(ms)
                left, dry_ms = left - ms, dry_ms + ms
            self.pass_a_millisecond()
        return False

    def _send_receipt(self, count: int | None) -> None:
        if count is not None:
            self._down.append((self.now_ms + self.down_ms, count))


def runs() -> st.SearchStrategy[list[Run]]:
    ms = st.integers(START_UP_MS, 1500)
    pause_ms = st.integers(300, 3000)  # any receipt has come by then
    run = st.builds(Run, ms=ms, clear_ms=st.integers(1, 2000), pause_ms=pause_ms)
    return st.lists(run, min_size=1, max_size=5)


@given(runs(), st.integers(0, 100), st.integers(0, 100), st.booleans())
def test_what_is_known_at_a_clear_is_near_and_after_it_exact(
    runs: list[Run], up_ms: int, down_ms: int, overtakes: bool
) -> None:
    world = World(up_ms, down_ms, overtakes)
    tolerance = (TELLS_EVERY_MS + START_UP_MS + up_ms + down_ms + 1) * MS
    for run in runs:
        start, counted = world.receipts.handed, world.receiver.counted
        if world.speak(run):
            known, heard = world.played, world.receiver.counted - counted
            assert known is None or abs(known - (start + heard)) <= tolerance
            world.clear()
            assert world.played == known
        for _ in range(run.pause_ms):
            world.pass_a_millisecond()
        if world.told:
            assert world.played == start + world.receiver.counted - counted
