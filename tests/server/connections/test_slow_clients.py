"""Clients that hold a place without using it: slow, silent, deaf, or many."""

from contextlib import suppress

import h2.connection
import pytest
import trio
from trio.testing import MockClock

import server.connections.crowd
from agent.supervisor.event_log import EventLog
from server.app import _BODY_S
from server.connections.attended import HEAD_S
from server.connections.crowd import Crowd
from server.connections.serving import SEND_S
from tests.server import helpers
from tests.server.helpers import FakeAgents, serving

# The sockets are real, so that the clock waits a moment for the system before it jumps.
SYSTEM_S = 0.02
HOST = "Host: localhost\r\n"
POST = f"POST /stop_agent HTTP/1.1\r\n{HOST}"
# How much sooner or later than its bound a connection may end.
LEEWAY_S = 1.0


@pytest.fixture
def clock(mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> MockClock:
    monkeypatch.setattr(helpers, "LIMIT_S", 2 * _BODY_S)
    mock_clock.autojump_threshold = SYSTEM_S
    return mock_clock


async def cut_after(stream: trio.SocketStream, pieces: list[bytes], pause_s: float) -> float:
    """Send these, with pauses; how long it takes until the server has closed."""
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            try:
                for piece in pieces:
                    await stream.send_all(piece)
                    await trio.sleep(pause_s)
            except trio.BrokenResourceError:
                return

        nursery.start_soon(send)
        await read_all(stream)
        nursery.cancel_scope.cancel()
    return trio.current_time() - begun


async def read_all(stream: trio.SocketStream) -> bytes:
    """All that comes until the server has closed, in order or not."""
    data = b""
    try:
        while some := await stream.receive_some():
            data += some
    except trio.BrokenResourceError:
        pass
    return data


def drip(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


@pytest.mark.parametrize(
    ("pieces", "pause_s", "bound_s"),
    [
        ([], 0.0, HEAD_S),  # no word
        (drip(f"GET /healthz HTTP/1.1\r\n{HOST}" + "X-More: x\r\n" * 99), 0.5, HEAD_S),
        ([f"GET /healthz HTTP/1.1\r\n{HOST}\r\n".encode()], 0.0, HEAD_S),  # and no other
        ([f"{POST}Content-Length: 99\r\n\r\n".encode(), *drip("{" * 98)], 1.0, _BODY_S),
        ([f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode(), b"9\r\n{"], 0.0, _BODY_S),
    ],
    ids=["silent", "slow head", "idle", "slow body", "half a chunk"],
)
async def test_who_is_slow_is_cut_off(
    clock: MockClock, pieces: list[bytes], pause_s: float, bound_s: float
) -> None:
    async with serving() as served, await served.connect() as stream:
        took_s = await cut_after(stream, pieces, pause_s)
    assert abs(took_s - bound_s) < LEEWAY_S


async def test_a_slow_body_is_told_so(clock: MockClock) -> None:
    async with serving() as served, await served.connect() as stream:
        await stream.send_all(f"{POST}Content-Length: 99\r\n\r\n".encode())
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


async def test_who_does_not_read_events_is_cut_off(clock: MockClock) -> None:
    agents = FakeAgents()
    log = agents.logs["room"] = EventLog("run", clock=lambda: 5.0)
    async with serving(agents=agents) as served, await served.connect() as stream:
        await stream.send_all(f"GET /agents/room/events HTTP/1.1\r\n{HOST}\r\n".encode())
        await stream.receive_some(1)
        for _ in range(200):  # more than the system holds, and it has no end
            log.add({"type": "x", "text": "x" * 100_000})
        await trio.sleep(SEND_S + LEEWAY_S)
        began = trio.current_time()
        await read_all(stream)
        assert trio.current_time() - began < LEEWAY_S


async def test_http2_by_which_a_client_reads_and_yet_takes_nothing_is_not_spoken(
    clock: MockClock,
) -> None:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    path = [(":path", "/healthz"), (":scheme", "http"), (":authority", "localhost")]
    client.send_headers(1, [(":method", "GET"), *path])
    async with serving() as served, await served.connect() as stream:
        await stream.send_all(client.data_to_send())
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 4")


async def test_an_offer_of_http2_is_answered_without(clock: MockClock) -> None:
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAQAAP__\r\n"
    async with serving() as served, await served.connect() as stream:
        await stream.send_all(f"GET /healthz HTTP/1.1\r\n{HOST}{offer}\r\n".encode())
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"status":"ok"' in answer


def test_one_client_has_its_connections_and_leaves_others_theirs() -> None:
    crowd = Crowd(most=5, per_client=2)
    assert [crowd.enter("10.0.0.1") for _ in range(3)] == ["10.0.0.1", "10.0.0.1", None]
    assert crowd.enter("10.0.0.2") == "10.0.0.2"
    networks = [crowd.enter(f"2001:db8::{number}") for number in (1, 2, 3)]
    assert networks == ["2001:db8::/64", "2001:db8::/64", None]
    assert crowd.enter("10.0.0.3") is None  # all are taken
    crowd.leave("10.0.0.1")
    assert crowd.enter("10.0.0.3") == "10.0.0.3"
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert all(crowd.enter(address) for _ in range(9))


async def test_connections_beyond_the_limit_are_closed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server.connections.crowd, "is_loopback", lambda _: False)
    monkeypatch.setattr(helpers, "PER_CLIENT", 2)
    async with serving() as served, await served.connect(), await served.connect() as second:
        async with await served.connect() as third:
            assert await read_all(third) == b""
        await second.send_all(f"GET /healthz HTTP/1.1\r\n{HOST}\r\n".encode())
        assert (await second.receive_some()).startswith(b"HTTP/1.1 200 ")
        await second.aclose()
        # When the server has seen that, there is a place again.
        while True:
            async with await served.connect() as fourth:
                with suppress(trio.BrokenResourceError):
                    await fourth.send_all(f"GET /healthz HTTP/1.1\r\n{HOST}\r\n".encode())
                    if await fourth.receive_some():
                        break
