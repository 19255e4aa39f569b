"""Connecting to an MCP server anew, while calls come and go: all on a clock of the test's own."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent.tools.mcp_config import McpServer
from agent.tools.mcp_link import Connection, Link, McpError
from agent.tools.mcp_process import Ending

SERVER = McpServer(name="slow", command="x", connect_timeout_s=10)
NEVER = float("inf")


class Slow(Link):
    """A link to a server that takes its time to start: in seconds, for each start."""

    starts_s: list[float]
    opened = 0
    closed = 0

    @asynccontextmanager
    async def _session(self, ending: Ending) -> AsyncIterator[Any]:
        self.opened += 1
        try:
            await trio.sleep(self.starts_s.pop(0))
            yield SimpleNamespace(server_capabilities=None)
        finally:
            self.closed += 1


@asynccontextmanager
async def slow(*starts_s: float, restart_s: float = 0) -> AsyncIterator[Slow]:
    async with trio.open_nursery() as watchdog, trio.open_nursery() as keeper:
        link = Slow(SERVER, keeper, restart_s, logging.getLogger("agent.tools.mcp"))
        link.starts_s = list(starts_s)
        watchdog.start_soon(give_up, link)
        yield link
        link.close()
        watchdog.cancel_scope.cancel()


async def give_up(link: Link) -> None:
    """Have what would wait for ever fail: a connection is shielded from being cancelled."""
    await trio.sleep(5000)
    link.close()


async def dies(connection: Connection) -> None:
    connection.ending.come("has died")
    await trio.testing.wait_all_tasks_blocked()


async def refusal(link: Link) -> str:
    with pytest.raises(McpError) as raised:
        await link.connect()
    return str(raised.value)


async def test_connecting_outlives_the_calls_that_want_it_and_is_shared(
    autojump_clock: MockClock,
) -> None:
    async with slow(0, 8) as link:
        await dies(await link.connect())

        async def impatient() -> None:
            with trio.move_on_after(3) as scope:
                await link.connect()
            assert scope.cancelled_caught

        async with trio.open_nursery() as calls:
            calls.start_soon(impatient)
            calls.start_soon(impatient)
        assert trio.current_time() == pytest.approx(3)
        connection = await link.connect()
        assert trio.current_time() == pytest.approx(8)
        assert await link.connect() is connection
        assert (link.opened, link.closed) == (2, 1)
    assert link.closed == 2


async def test_connecting_has_a_time_of_its_own_and_is_not_tried_again_at_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with slow(0, NEVER, 0, restart_s=15) as link:
        await dies(await link.connect())
        words = await refusal(link)
        assert words == "the MCP server slow has died; it is tried again in 15.0 s"
        await trio.sleep(15)
        caplog.clear()
        assert await refusal(link) == "the MCP server slow was not there within 10 s"
        # Whoever wanted it may have gone: the operator is told.
        assert caplog.messages == ["the MCP server slow was not there within 10 s"]
        assert trio.current_time() == pytest.approx(25)
        words = await refusal(link)
        assert words.endswith("was not there within 10 s; it is tried again in 5.0 s")
        await trio.sleep(5)
        await link.connect()
        await trio.sleep(1000)
        assert (link.opened, link.closed) == (3, 2)


async def test_closing_ends_the_connecting_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with slow(NEVER) as link:
        async with trio.open_nursery() as calls:

            async def wait() -> None:
                assert await refusal(link) == "the MCP server slow is closed"

            calls.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            link.close()
        assert await refusal(link) == "the MCP server slow is closed"
        assert (link.opened, link.closed) == (1, 1)
        assert trio.current_time() == 0
    assert caplog.messages == []
