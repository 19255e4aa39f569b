"""An agent's events over HTTP: streamed as they come, gone on with, ended."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import orjson
import pytest
import trio
from quart import Response
from trio.testing import MockClock

from agent.supervisor.event_log import EventLog
from server.event_stream import ALIVE_S, server_sent
from tests.server.helpers import FakeAgents, serving

NAME = "a b%#?"
PATH = "/agents/a%20b%25%23%3F/events"


def a_log(*numbers: int) -> EventLog:
    log = EventLog("run", clock=lambda: 5.0)
    for number in numbers:
        log.add({"type": "x", "number": number})
    return log


def told(number: int) -> str:
    data = orjson.dumps({"at": 5.0, "type": "x", "number": number}).decode()
    return f"id: run-{number}\nevent: x\ndata: {data}\n\n"


@asynccontextmanager
async def reading(log: EventLog, **headers: str) -> AsyncIterator[httpx2.Response]:
    agents = FakeAgents()
    agents.logs[NAME] = log
    async with serving(agents=agents) as served, httpx2.AsyncClient() as client:
        url = f"http://{served.here}{PATH}"
        async with client.stream("GET", url, headers=headers) as response:
            yield response


async def test_events_are_streamed_as_they_come() -> None:
    log = a_log(1)
    async with reading(log) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        text = ""
        async for piece in response.aiter_text():
            text += piece
            if text.endswith(told(1)):
                log.add({"type": "x", "number": 2})
            elif text.endswith(told(2)):
                log.end()
        assert text == ":\n\n" + told(1) + told(2)


async def test_a_reader_goes_on_behind_its_last_event() -> None:
    log = a_log(1, 2)
    log.end()
    async with reading(log, **{"Last-Event-ID": "run-1"}) as response:
        assert (await response.aread()).decode() == ":\n\n" + told(2)


async def test_a_reader_that_has_all_is_told_not_to_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = a_log(1)
    log.end()
    async with reading(log, **{"Last-Event-ID": "run-1"}) as response:
        assert (response.status_code, await response.aread()) == (204, b"")
    assert "Error" not in caplog.text


async def test_there_are_none_of_an_agent_that_never_was() -> None:
    async with serving() as served, httpx2.AsyncClient() as client:
        response = await client.get(f"http://{served.here}{PATH}")
        assert response.status_code == 404
        assert response.json()["code"] == "agent_not_found"


async def test_silence_is_broken_by_comments(autojump_clock: MockClock) -> None:
    log = a_log()
    response = server_sent(log, None)
    async with trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(2.5 * ALIVE_S)
            log.add({"type": "x", "number": 1})
            log.end()

        nursery.start_soon(later)
        pieces = [piece async for piece in body(response)]
    assert b"".join(pieces).decode() == ":\n\n" * 3 + told(1)


async def body(response: Response) -> AsyncGenerator[bytes, None]:
    async with response.response as pieces:
        async for piece in pieces:
            assert isinstance(piece, bytes)
            yield piece


@pytest.mark.parametrize("name", ["note\ndata: forged", "", 5])
async def test_no_type_breaks_the_stream(name: object) -> None:
    log = EventLog("run", clock=lambda: 5.0)
    log.add({"type": name})
    log.end()
    [_, event] = [piece async for piece in body(server_sent(log, None))]
    assert event.decode().splitlines()[1] == f"event: {str(name).partition(chr(10))[0]}"
    assert event.count(b"\n\n") == 1
    assert len(event.splitlines()) == 4
