"""What an agent tells its supervisor: in order, whole, and bounded where nobody takes it."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.outlet import MAX_BYTES, MAX_EVENTS, Outlet

STATE = {"state": "running"}


def lines(data: bytes) -> list[Any]:
    return [orjson.loads(line) for line in data.splitlines()]


def event(number: int) -> dict[str, Any]:
    return {"type": "x", "number": number}


async def test_what_is_told_is_sent_in_order_and_whole() -> None:
    outlet, sent = Outlet(), bytearray()

    async def send(data: bytes) -> int:
        await trio.lowlevel.checkpoint()
        sent.extend(data[:5])
        return min(5, len(data))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run, send)
        outlet.state(STATE)
        outlet.event(event(1))
        await wait_all_tasks_blocked()
        outlet.event(event(2))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert lines(bytes(sent)) == [STATE, {"event": event(1)}, {"event": event(2)}]
    assert outlet.rest() == b""


@given(st.integers(0, 60), st.integers(1, 40))
def test_the_rest_completes_the_line_that_was_cut(taken: int, at_once: int) -> None:
    """However much a socket took before the agent's end."""

    async def run() -> bytes:
        outlet, sent = Outlet(), bytearray()

        async def send(data: bytes) -> int:
            left = taken - len(sent)
            if not left:
                await trio.sleep_forever()
            await trio.lowlevel.checkpoint()
            size = min(left, at_once, len(data))
            sent.extend(data[:size])
            return size

        outlet.event(event(1))
        outlet.state(STATE)
        with trio.move_on_after(1):
            await outlet.run(send)
        return bytes(sent) + outlet.rest()

    told = trio.run(run, clock=MockClock(autojump_threshold=0))
    assert lines(told) == [{"event": event(1)}, STATE]


def test_the_oldest_events_go_and_states_stay() -> None:
    outlet = Outlet()
    outlet.state(STATE)
    for number in range(MAX_EVENTS + 3):
        outlet.event(event(number))
    outlet.state({"state": "ended"})
    dropped, first, second, *_, last_event, last = lines(outlet.rest())
    assert dropped == {"event": {"type": "events_dropped", "count": 3}}
    assert (first, second) == (STATE, {"event": event(3)})
    assert (last_event, last) == ({"event": event(MAX_EVENTS + 2)}, {"state": "ended"})
    outlet.event(event(0))
    assert lines(outlet.rest()) == [{"event": event(0)}]


def test_an_event_that_is_too_large_is_told_of() -> None:
    outlet = Outlet()
    outlet.event({"type": "note", "text": "x" * MAX_BYTES})
    [told] = lines(outlet.rest())
    assert told["event"]["type"] == "note"
    assert told["event"]["too_large"] > MAX_BYTES


def test_what_is_no_json_is_no_event() -> None:
    with pytest.raises(TypeError):
        Outlet().event({"type": object()})


def test_an_event_that_is_nested_too_deep_is_refused_where_it_is_told() -> None:
    """And not in the task that sends, whose end is the agent's."""
    outlet = Outlet()
    for depth in range(240, 260):
        nested: Any = 0
        for _ in range(depth):
            nested = [nested]
        with suppress(TypeError):
            outlet.event({"type": "x", "nested": nested})
    assert 0 < len(lines(outlet.rest())) < 20
