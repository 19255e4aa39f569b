"""The ledger: what became of every sample, whatever is done to it in whatever order."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.audio import FRAME_BYTES
from agent.protocol.actions import PartKey
from agent.streams.ledger import KEPT_SAMPLES, MAX_ENTRIES, Entry, Ledger, Totals
from tests.fakes.far_end import numbered

KEY = PartKey("resp_1", "item_1", 0)


def key(item: int, response: int = 1) -> PartKey:
    return PartKey(f"resp_{response}", f"item_{item}", 0)


def entry_of(samples: int, *, complete: bool = False) -> Entry:
    entry = Entry(KEY)
    entry.add(numbered(1, 0, samples))
    entry.complete = complete
    return entry


def opened(ledger: Ledger, key: PartKey, order: tuple[int, int] = (0, 0)) -> Entry:
    entry = ledger.open(key, order)
    assert entry is not None
    return entry


# -- one part --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "complete", "ready"),
    [(0, False, 0), (0, True, 0), (1, True, 1), (239, False, 0), (239, True, 1), (240, False, 1)],
)
def test_what_is_ready_is_a_whole_frame_or_the_last(
    samples: int, complete: bool, ready: bool
) -> None:
    entry = entry_of(samples, complete=complete)
    assert entry.ready == ready
    if ready:
        assert entry.take(9, 0) == numbered(1, 0, samples) + bytes(2 * (240 - samples))
        assert not entry.ready


def test_only_the_end_of_a_part_is_filled_with_silence() -> None:
    entry = entry_of(1000)
    assert entry.take(9, 0) == numbered(1, 0, 960)
    entry.add(numbered(1, 1000, 5))
    entry.complete = True
    assert entry.take(9, 960) == numbered(1, 960, 45) + bytes(2 * 195)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.integers(1, 9))
def test_the_samples_of_a_part_come_out_once_and_in_order(sizes: list[int], frames: int) -> None:
    entry, received = Entry(KEY), 0
    for size in sizes:
        entry.add(numbered(1, received, size))
        received += size
    entry.complete = True
    out, line = b"", 77
    while entry.ready:
        out += entry.take(frames, line + len(out) // 2)
    assert out == numbered(1, 0, received) + bytes(-2 * received % FRAME_BYTES)
    assert entry.handed == entry.received == received
    assert entry.played(line) == 0
    assert entry.played(line + 240) == min(240, received)
    assert entry.played(line + received) == received
    assert not entry.over(line + received - 1)
    assert entry.over(line + received)


def test_a_part_that_more_may_come_of_is_not_over_though_all_was_heard() -> None:
    entry = entry_of(240)
    entry.take(1, 0)
    assert not entry.over(240)
    assert not entry.heard(240).whole
    entry.complete = True
    assert entry.over(240)
    assert entry.heard(240).whole


def test_the_silence_that_fills_the_last_frame_is_not_counted() -> None:
    entry = entry_of(100, complete=True)
    assert len(entry.take(1, 0)) == FRAME_BYTES
    assert entry.handed == entry.played(240) == 100


def test_what_another_part_is_handed_in_between_is_not_counted() -> None:
    entry = entry_of(480)
    entry.take(1, 1000)
    entry.take(1, 2000)
    played = [entry.played(position) for position in (999, 1100, 1240, 1999, 2100, 3000)]
    assert played == [0, 100, 240, 240, 340, 480]


def test_what_comes_after_a_close_is_discarded_and_what_waits_is_not() -> None:
    entry = entry_of(480)
    entry.close()
    entry.add(bytes(20))
    assert (entry.received, entry.waiting, entry.discarded) == (490, 480, 10)
    entry.complete = True
    entry.take(2, 0)
    assert entry.over(480)
    assert not entry.heard(480).whole


def test_a_discard_drops_what_waits_and_whatever_comes_but_not_what_was_handed_over() -> None:
    entry = entry_of(1000)
    entry.take(1, 0)
    entry.discard()
    assert (entry.received, entry.waiting, entry.handed, entry.discarded) == (1000, 0, 240, 760)
    entry.add(bytes(1000))
    entry.complete = True
    assert not entry.ready
    assert entry.discarded == 760 + 500
    assert [entry.over(position) for position in (239, 240)] == [False, True]


@pytest.mark.parametrize("position", [0, 1, 239, 240, 241, 700, 719, 720, 5000])
def test_what_was_taken_back_is_handed_over_again(position: int) -> None:
    entry = entry_of(1000)
    for number in range(3):
        entry.take(1, 240 * number)
    heard = min(position, 720)
    entry.take_back(position)
    assert (entry.handed, entry.waiting, entry.played(position)) == (heard, 1000 - heard, heard)
    entry.complete = True
    again = entry.take(9, 720)
    assert again[: 2 * (1000 - heard)] == numbered(1, heard, 1000 - heard)
    assert entry.played(720) == heard
    assert entry.played(2000) == 1000


def test_no_more_is_taken_back_than_was_kept() -> None:
    entry = entry_of(KEPT_SAMPLES + 720)
    entry.take(1, 0)
    entry.take(KEPT_SAMPLES // 240, 240)  # so the first frame is not kept any more
    entry.take_back(100)
    assert (entry.handed, entry.waiting) == (240, KEPT_SAMPLES + 480)
    assert entry.take(2, 480) == numbered(1, 240, 480)


def test_what_was_taken_back_can_be_taken_back_again() -> None:
    entry = entry_of(KEPT_SAMPLES)
    for line in range(0, 4 * KEPT_SAMPLES, KEPT_SAMPLES):
        for at in range(0, KEPT_SAMPLES, 960):
            entry.take(4, line + at)
        assert entry.waiting == 0
        entry.take_back(line)
        assert entry.waiting == KEPT_SAMPLES
    assert entry.take(2, 0) == numbered(1, 0, 480)


def test_what_was_taken_back_can_be_discarded() -> None:
    entry = entry_of(480, complete=True)
    entry.take(2, 0)
    entry.take_back(300)
    entry.discard()
    assert (entry.handed, entry.discarded) == (300, 180)
    assert entry.over(300)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 1500), st.integers(1, 2)),
            st.tuples(st.just("take"), st.integers(1, 9), st.integers(1, 2)),
            st.tuples(st.just("hear"), st.integers(0, 1000), st.just(0)),
            st.tuples(st.just("take back"), st.just(0), st.just(0)),
        ),
        max_size=40,
    )
)
def test_whatever_is_taken_back_each_sample_is_heard_once_and_in_order(
    steps: list[tuple[str, int, int]],
) -> None:
    entries = {number: Entry(key(number)) for number in (1, 2)}
    line, heard, since, position = b"", b"", 0, 0

    def take(entry: Entry, frames: int) -> None:
        nonlocal line
        line += entry.take(frames, len(line) // 2)

    def take_back() -> None:
        """All beyond the position is given up, and the line counts on from where it was."""
        nonlocal heard, since, position
        heard += line[2 * since : 2 * position]
        for entry in entries.values():
            entry.take_back(position)
        since = position = len(line) // 2

    for what, amount, number in steps:
        entry = entries.get(number)
        if what == "add" and entry:
            entry.add(numbered(number, entry.received, amount))
        elif what == "take" and entry and entry.ready:
            take(entry, amount)
        elif what == "hear":
            position = min(position + amount, len(line) // 2)
        elif what == "take back":
            take_back()
    for entry in entries.values():
        entry.complete = True
        while entry.ready:
            take(entry, 4)
    position = len(line) // 2
    take_back()
    samples = memoryview(heard).cast("H")
    for number, entry in entries.items():
        own = [sample for sample in samples if sample >> 8 == number]
        assert own == list(memoryview(numbered(number, 0, entry.received)).cast("H"))
        assert entry.played(position) == entry.received


def memory_of(entry: Entry, rounds: int, adds: int, samples: int, frames: int) -> int:
    """Bytes that are kept after so many rounds of adding, and of taking all that is there."""
    line = 0
    tracemalloc.start()
    try:
        for _ in range(rounds):
            for _ in range(adds):
                entry.add(bytes(2 * samples))
            while frames and entry.ready:
                line += len(entry.take(frames, line)) // 2
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_audio_that_comes_in_crumbs_takes_little_more_than_its_own_room() -> None:
    assert memory_of(Entry(KEY), rounds=1, adds=10_000, samples=1, frames=0) < 3 * 20_000


def test_what_was_heard_is_not_kept() -> None:
    assert memory_of(Entry(KEY), rounds=100, adds=1, samples=24_000, frames=4) < 150_000


# -- the parts of a call ---------------------------------------------------------------------------


def test_the_parts_of_a_response_play_in_their_own_order_however_they_come() -> None:
    for orders in itertools.permutations([(0, 0), (0, 1), (1, 0), (2, 0)]):
        ledger = Ledger()
        for number, order in enumerate(orders):
            ledger.open(key(number), order)
        assert [entry.order for entry in ledger] == sorted(orders)


def test_responses_play_in_the_order_in_which_they_come() -> None:
    ledger = Ledger()
    for response, order in [(1, (1, 0)), (2, (1, 0)), (2, (0, 0)), (1, (0, 0)), (3, (0, 0))]:
        ledger.open(key(order[0], response), order)
    assert [entry.key for entry in ledger] == [key(0), key(1), key(0, 2), key(1, 2), key(0, 3)]


def test_a_part_of_which_something_was_handed_over_is_not_overtaken() -> None:
    ledger = Ledger()
    first = opened(ledger, key(1), (1, 0))
    ledger.open(key(2), (2, 0))
    first.add(bytes(480))
    first.take(1, 0)
    ledger.open(key(0), (0, 0))
    assert [entry.key for entry in ledger] == [key(1), key(0), key(2)]
    ledger.take_back(0)  # nothing of it was heard: it can be overtaken again
    ledger.open(key(3), (0, 1))
    assert [entry.key for entry in ledger] == [key(3), key(1), key(0), key(2)]


def test_a_part_is_made_once() -> None:
    ledger = Ledger()
    assert ledger.find(KEY) is None
    entry = opened(ledger, KEY)
    assert ledger.open(KEY, (0, 0)) is ledger.find(KEY) is entry
    assert list(ledger) == [entry]


def test_no_more_parts_are_held_than_the_limit() -> None:
    ledger = Ledger()
    entries = [opened(ledger, key(number), (number, 0)) for number in range(MAX_ENTRIES)]
    assert ledger.open(key(MAX_ENTRIES), (0, 0)) is None
    assert ledger.open(key(0), (0, 0)) is entries[0]
    ledger.remove(entries[0], 0)
    assert ledger.open(key(MAX_ENTRIES), (0, 0)) is not None


def test_all_parts_are_taken_back() -> None:
    ledger = Ledger()
    for number in range(3):
        entry = opened(ledger, key(number), (number, 0))
        entry.add(bytes(480))
        entry.take(1, 240 * number)
    ledger.take_back(300)
    assert [(entry.handed, entry.waiting) for entry in ledger] == [(240, 0), (60, 180), (0, 240)]


def test_what_no_part_holds_is_counted_too() -> None:
    ledger = Ledger()
    ledger.refuse(100)
    ledger.refuse(11)
    assert ledger.totals(0) == Totals(received=111, played=0, discarded=111)


def test_the_totals_are_of_what_is_held_and_of_what_is_gone() -> None:
    ledger, line = Ledger(), 0
    for number in (1, 2):
        entry = opened(ledger, key(number), (number, 0))
        entry.add(bytes(2 * 1000))
        line += len(entry.take(2, line)) // 2
    assert ledger.totals(700) == Totals(received=2000, played=700, discarded=0)
    assert ledger.waiting() == 2 * 520
    first, second = ledger
    first.discard()
    assert ledger.waiting() == 520
    ledger.remove(first, 700)
    assert list(ledger) == [second]
    assert ledger.totals(800) == Totals(received=2000, played=800, discarded=520)


def test_a_response_is_held_until_all_of_it_was_heard() -> None:
    ledger = Ledger()
    first, second = (opened(ledger, key(number), (number, 0)) for number in (1, 2))
    other = opened(ledger, key(1, 2))
    for entry, line in ((first, 0), (second, 240), (other, 480)):
        entry.add(bytes(480))
        entry.take(1, line)
        entry.complete = True
    other.finished = True
    assert ledger.retire(720) == ["resp_2"]
    for unfinished in (first, second):
        first.finished = second.finished = True
        unfinished.finished = False
        assert ledger.retire(720) == []  # though all that there is was heard
    first.finished = second.finished = True
    assert ledger.retire(479) == []
    assert list(ledger) == [first, second]
    assert ledger.retire(480) == ["resp_1"]
    assert ledger.retire(480) == []
    assert not list(ledger)
    assert ledger.totals(720) == Totals(received=720, played=720, discarded=0)


def test_a_response_that_was_discarded_is_over_with_what_was_handed_over() -> None:
    ledger = Ledger()
    entry = opened(ledger, KEY)
    entry.add(bytes(2 * 1000))
    entry.take(1, 0)
    entry.discard()
    entry.complete = entry.finished = True
    assert ledger.retire(239) == []
    assert ledger.retire(240) == ["resp_1"]
    assert ledger.totals(0) == Totals(received=1000, played=240, discarded=760)


PART = st.integers(0, 5)
STEP = st.one_of(
    st.tuples(st.just("add"), PART, st.integers(0, 1000)),
    st.tuples(st.just("add"), PART, st.integers(0, 1000)),
    st.tuples(st.just("take"), PART, st.integers(1, 9)),
    st.tuples(st.just("take"), PART, st.integers(1, 9)),
    st.tuples(st.just("hear"), st.just(0), st.integers(0, 2000)),
    st.tuples(st.sampled_from(["complete", "finish", "close", "discard"]), PART, st.just(0)),
    st.tuples(st.sampled_from(["take back", "retire"]), st.just(0), st.just(0)),
    st.tuples(st.just("cut"), PART, st.just(0)),
    st.tuples(st.just("refuse"), st.just(0), st.integers(0, 1000)),
)


@given(st.lists(STEP, max_size=60))
def test_samples_are_conserved_whatever_is_done(steps: list[tuple[str, int, int]]) -> None:
    ledger, received, line, position = Ledger(), 0, 0, 0

    def take_back() -> None:
        nonlocal position
        ledger.take_back(position)
        assert all(entry.handed == entry.played(position) for entry in ledger)
        position = line

    def do(what: str, entry: Entry, amount: int) -> None:
        nonlocal received, line
        match what:
            case "add":
                entry.add(bytes(2 * amount))
                received += amount
            case "take" if entry.ready:
                line += len(entry.take(amount, line)) // 2
            case "complete":
                entry.complete = True
            case "finish":
                entry.complete = entry.finished = True
            case "close":
                entry.close()
            case "discard":
                entry.discard()
            case "cut":
                take_back()
                entry.discard()
                ledger.remove(entry, position)

    for what, number, amount in steps:
        match what:
            case "hear":
                position = min(position + amount, line)
            case "take back":
                take_back()
            case "retire":
                ledger.retire(position)
            case "refuse":
                ledger.refuse(amount)
                received += amount
            case _:
                do(what, opened(ledger, key(number, number // 2), (number, 0)), amount)
        check(ledger, received, position)


def check(ledger: Ledger, received: int, position: int) -> None:
    on_its_way = 0
    for entry in ledger:
        account = (entry.waiting, entry.handed, entry.discarded)
        assert min(account) >= 0
        assert entry.received == sum(account)
        assert 0 <= entry.played(position) <= entry.handed
        on_its_way += entry.handed - entry.played(position)
    totals = ledger.totals(position)
    assert totals.received == received
    assert received == totals.played + totals.discarded + ledger.waiting() + on_its_way
