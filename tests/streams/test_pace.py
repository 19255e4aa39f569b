"""No second sees more packets or bytes than the limits, whenever it begins."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.streams.pace import Pace

LIMITS = [(60, 30_000), (30, 6000), (2, 2048), (1000, 1_000_000), (7, 2049)]
SLACK = 1e-9
"""Of the clock's rounding."""


def busiest(packets: list[tuple[float, float, int]]) -> tuple[int, int]:
    """The most packets and bytes that a second may have seen.

    :param packets: when each was handed over, when it was known to be taken, its size. It was
        taken at any time between these.
    """
    most_packets = most_bytes = 0
    for at, (_, taken, _) in enumerate(packets):
        sizes = [size for handed, _, size in packets[at:] if handed < taken + 1 - SLACK]
        most_packets = max(most_packets, len(sizes))
        most_bytes = max(most_bytes, sum(sizes))
    return most_packets, most_bytes


def as_fast_as_it_lets(pace: Pace, began: float, seconds: float, size: int = 1024) -> list[float]:
    """When packets of one size are sent, if there is always one to send."""
    sent: list[float] = []
    while (now := max(began, pace.free_at())) < began + seconds:
        pace.sent(size, now, now)
        sent.append(now)
    return sent


@given(
    st.sampled_from(LIMITS),
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3, 5.0]),  # a pause before it
            st.sampled_from([0.0, 0.0, 0.001, 0.04, 0.9, 3.0]),  # how long it takes
            st.integers(1, 1024),
        ),
        max_size=150,
    ),
    st.integers(0, 2**32),
)
def test_no_second_is_over_the_limits(
    limits: tuple[int, int], packets: list[tuple[float, float, int]], seed: int
) -> None:
    pace = Pace(*limits)
    now = Random(seed).uniform(0, 1e6)
    sent = []
    for pause, takes, size in packets:
        began = max(now + pause, pace.free_at())
        now = began + takes
        pace.sent(size, began, now)
        sent.append((began, now, size))
    most_packets, most_bytes = busiest(sent)
    assert most_packets <= limits[0]
    assert most_bytes <= limits[1]


@pytest.mark.parametrize(
    ("limits", "size", "at_once", "rate"),
    [
        ((60, 30_000), 1024, 4, 24.4),
        ((60, 30_000), 100, 10, 50),
        ((30, 6000), 1024, 1, 4.8),
        ((30, 6000), 150, 1, 25),
        ((2, 2048), 1024, 1, 1),
        ((1000, 1_000_000), 1024, 162, 813),
    ],
)
def test_the_limits_are_made_use_of(
    limits: tuple[int, int], size: int, at_once: int, rate: float
) -> None:
    """Some packets go at once, and others at a lasting rate; after a pause it is the same."""
    pace = Pace(*limits)
    for began in (100.0, 200.0):
        sent = as_fast_as_it_lets(pace, began, 60, size)
        assert sum(at <= began + SLACK for at in sent) == at_once
        assert len(sent) == pytest.approx(at_once + 60 * rate, rel=0.02)


def test_room_is_for_the_largest_packet() -> None:
    pace = Pace(1000, 2048)
    pace.sent(1, 0, 0)
    assert pace.free_at() == pytest.approx(1 / 1024)
    pace.sent(1024, 1, 1)
    assert pace.free_at() == pytest.approx(2)


def test_the_time_that_a_packet_takes_counts_for_nothing() -> None:
    pace = Pace(1000, 2048)
    pace.sent(1024, 0, 5)
    assert pace.free_at() == pytest.approx(6)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seconds", [0.0, 0.5, 4.0])
def test_so_many_packets_are_sent_in_time(limits: tuple[int, int], seconds: float) -> None:
    pace = Pace(*limits)
    as_fast_as_it_lets(pace, 100, 2)  # nothing is left of its burst
    promised = pace.packets_within(seconds)
    began = pace.free_at()
    for _ in range(promised):
        now = pace.free_at()
        pace.sent(1024, now, now)
    assert promised >= 1
    assert now - began <= seconds + SLACK
