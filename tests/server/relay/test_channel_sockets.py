"""Local channels over real sockets: Hypercorn here, trio-websocket and bare streams there."""

import socket
import struct

import pytest
import trio
import trio.testing
from h2.config import H2Configuration
from h2.connection import H2Connection
from trio_websocket import ConnectionClosed, WebSocketConnection

import server.connections.serving
import server.connections.websockets
from server.connections.serving import BoundedStream
from server.relay.member import TEXTS_AT_ONCE
from tests.server.helpers import HANDSHAKE, LIMIT_S, Served, control, serving, shake_hands

PCM = b"\x01\x02" * 240


async def read_on(websocket: WebSocketConnection) -> None:
    """Read for ever."""
    while True:
        await websocket.get_message()


async def closed(websocket: WebSocketConnection) -> tuple[int, str | None]:
    """Code and reason with which the server closes; what comes before is skipped."""
    with pytest.raises(ConnectionClosed) as end:
        await read_on(websocket)
    assert end.value.reason is not None
    return end.value.reason.code, end.value.reason.reason


async def abort(stream: trio.SocketStream) -> None:
    """Be gone without a word: the system sends a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def stuck_member(served: Served) -> trio.SocketStream:
    """A member that reads nothing and is put out as slow; two others see to it and leave."""
    stream = await served.connect()
    await shake_hands(stream, served, "/channels/room?uid=9")
    async with served.join("room", 7) as ann, served.join("room", 8) as bob:
        for _ in range(20):
            await ann.send_message(ann_says(b"\0" * 60_000))  # more than the system holds
        for websocket in (ann, bob):
            for _ in range(TEXTS_AT_ONCE):
                await websocket.send_message("packet")
        await until(ann, '"reason":"slow"')
        await ann.send_message('{"control": "clear"}')
        await until(bob, '"clear"')
    return stream


def ann_says(pcm: bytes) -> bytes:
    """A binary message; the relay puts the right uid in."""
    return b"\0\0\0\0" + pcm


async def until(websocket: WebSocketConnection, wanted: str) -> None:
    """Read until a text message contains this."""
    while wanted not in str(await websocket.get_message()):
        pass


async def test_two_people_hear_and_write_to_each_other() -> None:
    async with serving() as served, served.join("room", 1) as ann:
        assert await control(ann) == {"control": "members", "uid": 1, "uids": [], "agents": []}
        async with served.join("room", 2) as bob:
            assert await control(bob) == {"control": "members", "uid": 2, "uids": [1], "agents": []}
            assert await control(ann) == {"control": "joined", "uid": 2}
            await ann.send_message(b"\0\0\0\1" + PCM)
            await ann.send_message("m|1|1|e30=")
            assert await bob.get_message() == b"\0\0\0\1" + PCM
            assert await bob.get_message() == "m|1|1|e30="
            await bob.send_message('{"control": "clear"}')
            assert await control(ann) == {"control": "clear", "uid": 2}
        assert await control(ann) == {"control": "left", "uid": 2, "reason": "quit"}


@pytest.mark.parametrize(("query", "agents"), [("2&agent=1", [2]), ("2&agent=0", []), ("2", [])])
async def test_one_that_says_so_is_an_agent(query: str, agents: list[int]) -> None:
    async with serving() as served, served.join("room", query) as agent:
        assert (await control(agent))["agents"] == []
        async with served.join("room", 1) as ann:
            assert (await control(ann))["agents"] == agents


async def test_the_last_words_before_a_goodbye_arrive() -> None:
    async with serving() as served, served.join("room", 1, message_queue_size=200) as ann:
        await control(ann)
        async with served.join("room", 2) as bob:
            await control(bob)
            for number in range(100):
                await bob.send_message(str(number))
        assert (await control(ann))["control"] == "joined"
        assert [await ann.get_message() for _ in range(100)] == [str(n) for n in range(100)]
        assert (await control(ann))["reason"] == "quit"


async def test_one_that_is_gone_without_a_word_is_lost() -> None:
    async with serving() as served, served.join("room", 1) as ann:
        await control(ann)
        stream = await served.connect()
        await shake_hands(stream, served, "/channels/room?uid=2")
        assert await control(ann) == {"control": "joined", "uid": 2}
        await abort(stream)
        assert await control(ann) == {"control": "left", "uid": 2, "reason": "lost"}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a%20b", "a b"),
        ("100%25", "100%"),
        ("a%2541", "a%41"),
        ("a+b", "a+b"),
        ("what%3F", "what?"),
        ("a%26uid=7", "a&uid=7"),
        ("%23%5B%7C%5D", "#[|]"),
    ],
)
async def test_a_name_may_have_any_of_agoras_characters(name: str, plain: str) -> None:
    async with serving() as served, served.join(name, 1) as websocket:
        await control(websocket)
        assert served.relay.members(plain) == [1]


@pytest.mark.parametrize(
    ("name", "uid", "code", "words"),
    [
        ("room", 1, 4409, "uid 1 is taken in this channel"),
        ("room", "one", 4400, "uid must be a whole number from 0 to 4294967295"),
        ("a%2Fb", 2, 4400, "the channel's name must be"),
        ("a//b", 2, 4400, "the channel's name must be"),
        ("caf%C3%A9", 2, 4400, "the channel's name must be"),
        ("%FF", 2, 4400, "the channel's name must be"),
    ],
)
async def test_who_may_not_join_is_closed_with_a_code_and_a_reason(
    name: str, uid: int | str, code: int, words: str
) -> None:
    async with serving() as served, served.join("room", 1) as first:
        await control(first)
        async with served.join(name, uid) as second:
            got, reason = await closed(second)
        assert got == code
        assert str(reason).startswith(words)
        assert served.relay.members("room") == [1]


async def test_a_message_over_the_limit_ends_its_senders_stay_only() -> None:
    async with serving() as served, served.join("room", 1, max_message_size=2**20) as ann:
        await control(ann)
        async with served.join("room", 2) as bob:
            await control(bob)
            await bob.send_message(b"x" * 65_536)  # the most
            assert len(await bob_hears(ann)) == 65_536
            await bob.send_message(b"x" * 65_537)
            assert (await closed(bob))[0] == 1009
        assert (await control(ann))["control"] == "left"


async def bob_hears(ann: WebSocketConnection) -> bytes:
    """The first audio that comes."""
    while not isinstance(message := await ann.get_message(), bytes):
        pass
    return message


async def test_no_compression_is_agreed_to() -> None:
    async with serving() as served:
        stream = await served.connect()
        offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        head = await shake_hands(stream, served, "/channels/room?uid=1", offer)
        assert head.startswith("HTTP/1.1 101")
        assert "permessage-deflate" not in head.lower()
        await stream.aclose()


async def test_one_that_does_not_read_is_put_out_and_holds_up_nobody() -> None:
    async with serving() as served:
        stuck = await stuck_member(served)
        async with served.join("room", 9) as again:  # the uid is free at once
            assert await control(again) == {
                "control": "members",
                "uid": 9,
                "uids": [],
                "agents": [],
            }
        await abort(stuck)


async def test_a_send_that_takes_too_long_cuts_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server.connections.serving, "SEND_S", 0.05)
    told: list[BoundedStream] = []
    ours, theirs = trio.socket.socketpair()
    bounded = BoundedStream(trio.SocketStream(ours), told.append)
    with trio.fail_after(LIMIT_S):
        with pytest.raises(trio.BrokenResourceError, match="does not read"):
            await bounded.send_all(b"x" * 10_000_000)
        assert told == [bounded]
        await read_to_the_end(trio.SocketStream(theirs))


async def test_a_silent_connection_is_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.connections.websockets, "PING_S", 0.01)
    async with serving() as served, await served.connect() as stream:
        await shake_hands(stream, served, "/channels/room?uid=1")
        frames = b""
        while b"\x89\0" not in frames:
            frames += await stream.receive_some()


async def test_the_system_looks_after_a_connection_whose_peer_vanished() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with (
        listener,
        await trio.testing.open_stream_to_socket_listener(listener),
        await listener.accept() as stream,
    ):
        BoundedStream(stream, lambda _: None)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        wanted = {
            getattr(socket, name): value
            for name, value in server.connections.serving._KEEPALIVE.items()
            if hasattr(socket, name)
        }
        assert len(wanted) >= 3
        for option, value in wanted.items():
            assert stream.getsockopt(socket.IPPROTO_TCP, option) == value


async def test_closing_says_goodbye_to_all() -> None:
    async with serving() as served, served.join("a", 1) as ann, served.join("b", 1) as bob:
        await control(ann)
        await control(bob)
        served.close_channels()
        assert await closed(ann) == (1001, "the server is shutting down")
        assert await closed(bob) == (1001, "the server is shutting down")


async def test_one_that_still_speaks_when_it_is_put_out_gets_no_reset() -> None:
    async with serving() as served, await served.connect() as stream:
        await shake_hands(stream, served, "/channels/room?uid=none")
        assert (await stream.receive_some()).startswith(b"\x88")  # the server's close frame
        for _ in range(10):
            await stream.send_all(b"\x82\x86\0\0\0\0" + ann_says(b"\1\1"))
        await stream.send_all(b"\x88\x80\0\0\0\0")
        assert await stream.receive_some() == b""


async def test_the_server_ends_though_somebody_neither_reads_nor_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server.connections.serving, "GRACE_S", 0.1)
    # Neither of the two limits to a send may be what ends it.
    monkeypatch.setattr(server.connections.serving, "SEND_S", LIMIT_S + 5)
    monkeypatch.setattr(server.connections.serving, "_KEEPALIVE", {})
    async with serving() as served:
        stuck = await stuck_member(served)
    # `serving` has ended within its limit, and with it the server.
    await read_to_the_end(stuck)


async def read_to_the_end(stream: trio.SocketStream) -> None:
    """Read until the server has closed, in order or not; then close."""
    async with stream:
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return


def upgrade(header: bytes) -> bytes:
    """A WebSocket's handshake with one more header."""
    head = HANDSHAKE.format(path="/channels/elsewhere", here="localhost", more="").encode()
    return head[:-2] + header + b"\r\n\r\n"


def http2(more: dict[bytes, bytes] | None = None, /, **pseudo: bytes) -> bytes:
    """An HTTP/2 request with prior knowledge; an empty pseudo-header is left out."""
    config = H2Configuration(
        client_side=True,
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    connection = H2Connection(config)
    connection.initiate_connection()
    usual = {"method": b"GET", "scheme": b"http", "authority": b"localhost", "path": b"/"}
    head = [(f":{name}".encode(), value) for name, value in (usual | pseudo).items() if value]
    connection.send_headers(1, [*head, *(more or {}).items()], end_stream=True)
    return connection.data_to_send()


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        HANDSHAKE.format(path="/channels/elsewhere", here="localhost", more="").encode()
        + b"\x82\x85\0\0\0\0xxxxx",  # a frame before the handshake is answered
        HANDSHAKE.format(path="/nowhere", here="localhost", more="").encode() + b"frame",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 40,
        b"POST /start_agent HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: !!!\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\n" + b"\xff" * 40,
        upgrade(b"Sec-WebSocket-Protocol: \xff"),
        upgrade(b"Sec-WebSocket-Extensions: \xff"),
        upgrade(b"Connection: Upgrade, \xff"),
        http2(path=b"/\xff"),
        http2(method=b"G\xff"),
        http2(method=b"CONNECT", scheme=b"", path=b""),
        http2(
            {b"sec-websocket-version": b"13", b"sec-websocket-protocol": b"\xff"},
            method=b"CONNECT",
            protocol=b"websocket",
            path=b"/channels/elsewhere",
        ),
    ],
)
async def test_nonsense_on_one_connection_ends_only_that_one(data: bytes) -> None:
    async with serving() as served, served.join("room", 1) as ann:
        await control(ann)
        stream = await served.connect()
        await stream.send_all(data)
        await stream.send_eof()
        await read_to_the_end(stream)
        async with served.join("room", 2):
            assert await control(ann) == {"control": "joined", "uid": 2}


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff\xff\xff\xff\xff\xff",  # reserved bits, unknown opcode
        b"\x81\x05hello",  # not masked
        b"\x88\x80\0\0\0\0\x88\x80\0\0\0\0",  # two goodbyes
        b"\x88\x80\0\0\0\0" + b"\x82\x85\0\0\0\0xxxxx",  # words after the goodbye
        b"\x81\x82\0\0\0\0\xff\xff",  # text that is not UTF-8
        b"\x82\x80\0\0\0\0",  # empty
    ],
)
async def test_bad_frames_end_only_their_own_connection(frames: bytes) -> None:
    async with serving() as served, served.join("room", 1) as ann:
        await control(ann)
        stream = await served.connect()
        await shake_hands(stream, served, "/channels/room?uid=2")
        await stream.send_all(frames)
        assert await control(ann) == {"control": "joined", "uid": 2}
        await abort(stream)
        assert (await control(ann))["control"] == "left"
        async with served.join("room", 2):
            assert await control(ann) == {"control": "joined", "uid": 2}
