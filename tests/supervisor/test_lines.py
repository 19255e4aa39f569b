"""JSON objects, a line each: whole, in pieces, in masses, and cut short."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MemoryReceiveStream, memory_stream_pair

from agent.supervisor.lines import receive_lines, send_line, text_lines


async def taken(*pieces: bytes) -> list[dict[str, Any]]:
    stream = MemoryReceiveStream()

    async def feed() -> None:
        for piece in pieces:
            stream.put_data(piece)
            await trio.testing.wait_all_tasks_blocked()
        stream.put_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        return [value async for value in receive_lines(stream)]


async def test_objects_survive() -> None:
    ours, theirs = memory_stream_pair()
    values: list[dict[str, Any]] = [{"a": "x\ny\u00e9"}, {}, {"b": [1, None, {"c": 1.5}]}]
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for value in values:
                await send_line(ours, value)
            await ours.aclose()

        nursery.start_soon(send)
        assert [value async for value in receive_lines(theirs)] == values


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=5), st.data())
def test_a_line_may_come_in_any_pieces(values: list[dict[str, str]], data: st.DataObject) -> None:
    whole = b"".join(orjson.dumps(value) + b"\n" for value in values)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(edges) if a < b]
    assert trio.run(taken, *pieces) == values


async def test_what_was_cut_short_by_the_others_death_is_the_end() -> None:
    assert await taken(b'{"state": "running"}\n{"state": "en') == [{"state": "running"}]
    assert await taken(b'{"state": "running"}\n{"a": 1}') == [{"state": "running"}, {"a": 1}]
    assert await taken(b"5\n[]\n{}\n") == [{}]
    assert await taken() == []


async def test_a_connection_that_breaks_is_the_end() -> None:
    class Broken(trio.abc.ReceiveStream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            raise trio.BrokenResourceError

        async def aclose(self) -> None:
            pass

    assert [value async for value in receive_lines(Broken())] == []


@pytest.mark.parametrize("size", [1, 9, 10, 11, 95])
async def test_an_endless_line_comes_in_pieces(size: int) -> None:
    stream = MemoryReceiveStream()
    stream.put_data(b"x" * size)
    stream.put_eof()
    pieces = [text async for text in text_lines(stream, 10)]
    assert "".join(pieces) == "x" * size
    assert all(0 < len(piece) <= 10 for piece in pieces)


async def test_bytes_that_are_no_text_are_shown_somehow() -> None:
    stream = MemoryReceiveStream()
    stream.put_data(b"a\xff\nb\n\n")
    stream.put_eof()
    assert [text async for text in text_lines(stream, 10)] == ["a\ufffd", "b", ""]
