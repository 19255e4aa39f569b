"""An agent's events: for every reader all of them, in order, or word of how many are missing."""

from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.supervisor.event_log import KEPT, EventLog, Reader


def a_log(run: str = "a") -> EventLog:
    return EventLog(run, clock=lambda: 5.0004)


def filled(*numbers: int, run: str = "a") -> EventLog:
    log = a_log(run)
    for number in numbers:
        log.add({"type": "x", "number": number})
    return log


async def rest(reader: Reader) -> list[Any]:
    """What a reader has until the log's end; of plain events the number."""
    found = []
    while (event := await reader.next()) is not None:
        found.append(event[1].get("number", event[1]))
    return found


async def test_a_reader_has_what_is_kept_and_what_comes() -> None:
    log, found = filled(1), []

    async def read() -> None:
        found.extend(await rest(log.reader()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        log.add({"type": "x", "number": 2})
        await wait_all_tasks_blocked()
        log.end()
    assert found == [1, 2]


async def test_an_event_has_its_time() -> None:
    assert await filled(1).reader().next() == ("a-1", {"at": 5.0, "type": "x", "number": 1})


async def test_a_reader_that_comes_back_goes_on_where_it_was() -> None:
    log = filled(1, 2, 3)
    found = await log.reader().next()
    assert found is not None
    log.end()
    assert await rest(log.reader(found[0])) == [2, 3]
    assert log.is_read("a-3")
    assert not log.is_read("a-2")


async def test_an_id_of_another_log_or_of_none_counts_for_nothing() -> None:
    for last_id in ("b-2", "a-", "a-x", "a--1", "2", "", "a-\u0662", "a-" + "9" * 30):
        log = filled(1, 2)
        log.end()
        assert await rest(log.reader(last_id)) == [1, 2], last_id
    assert await rest(log.reader("a-99")) == []


async def test_a_slow_reader_is_told_what_it_missed() -> None:
    log = filled(*range(KEPT + 10))
    log.end()
    missed, *numbers = await rest(log.reader())
    assert missed == {"type": "events_missed", "count": 10}
    assert numbers == list(range(10, KEPT + 10))


async def test_a_reader_whose_wait_is_cancelled_loses_nothing(autojump_clock: MockClock) -> None:
    log = a_log()
    reader = log.reader()
    with trio.move_on_after(1):
        await reader.next()
    log.add({"type": "x", "number": 1})
    log.end()
    assert await rest(reader) == [1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 200)), max_size=12))
def test_every_event_is_read_or_counted_as_missed(steps: list[tuple[int, int]]) -> None:
    """Two readers (0 and 1) that read as they like, and events (2) that come as they like."""

    async def run() -> None:
        log = a_log()
        readers, seen, total = [log.reader(), log.reader()], [0, 0], 0

        async def take(who: int) -> None:
            found = await readers[who].next()
            assert found is not None
            _, event = found
            if event["type"] == "events_missed":
                seen[who] += event["count"]
            else:
                assert event["number"] == seen[who]
                seen[who] += 1

        for who, times in steps:
            for _ in range(times):
                if who == 2:
                    log.add({"type": "x", "number": total})
                    total += 1
                elif seen[who] < total:
                    await take(who)
        log.end()
        for who in (0, 1):
            while seen[who] < total:
                await take(who)
            assert await readers[who].next() is None

    trio.run(run)
