"""What a client may do to the wire below the messages, byte by byte: requests, frames, silence."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import orjson
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Ping, TextMessage

from agent.embedded.wire.admission import Applicant
from agent.embedded.wire.endpoint import ModelOptions
from agent.embedded.wire.gate import Gate
from agent.embedded.wire.websocket import serve_stream
from tests.embedded.driving import LoudIsSpeech
from tests.embedded.sockets import HummingVoice, open_session

UPGRADE: Final = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
REQUEST: Final = b"GET /?model=embedded HTTP/1.1\r\nHost: here\r\n" + UPGRADE + b"\r\n"
CLOSE: Final = b"\x88\x80\0\0\0\0"


def options(**rest: Any) -> ModelOptions:
    return ModelOptions(voice=HummingVoice(), vad=LoudIsSpeech) | rest  # type: ignore[return-value]  # of any


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A client's frame, of text unless its first byte says otherwise; masked with zeros."""
    length = b"\xff" + len(payload).to_bytes(8, "big")
    if len(payload) <= 125:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 2**16:
        length = b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([first]) + length + bytes(4) + payload


@define
class RawClient:
    """A client by hand.

    :ivar stream: its end.
    """

    stream: trio.abc.Stream
    _frames: Connection = field(factory=lambda: Connection(ConnectionType.CLIENT))
    _head: bytes | None = b""
    _pending: deque[Any] = field(factory=deque)

    async def head(self) -> bytes:
        """The answer to the request."""
        assert self._head is not None
        while b"\r\n\r\n" not in self._head:
            data = await self.stream.receive_some(65536)
            assert data, self._head
            self._head += data
        head, _, rest = self._head.partition(b"\r\n\r\n")
        self._head = None
        self._frames.receive_data(rest)
        self._pending.extend(self._frames.events())
        return head

    async def next_frame(self) -> Any:
        """What comes next in a frame; None once the stream has ended."""
        while not self._pending:
            data = await self.stream.receive_some(65536)
            if not data:
                return None
            self._frames.receive_data(bytes(data))
            self._pending.extend(self._frames.events())
        return self._pending.popleft()

    async def hear(self, type_: str) -> Any:
        """The next event of a type."""
        text = ""
        while (came := await self.next_frame()) is not None:
            if isinstance(came, TextMessage):
                text += came.data
                if came.message_finished:
                    value, text = orjson.loads(text), ""
                    if value["type"] == type_:
                        return value
        raise AssertionError(f"the stream ended without {type_}")

    async def close_code(self) -> int | None:
        """The code of the Close frame with which the stream ends; None: it ended without one."""
        code = None
        while (came := await self.next_frame()) is not None:
            if isinstance(came, CloseConnection):
                code = came.code
        return code


@asynccontextmanager
async def raw_client(
    first: bytes = REQUEST,
    *,
    streams: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair,
    path: str | None = None,
    gate: Gate | None = None,
    stopping: trio.Event | None = None,
    **rest: Any,
) -> AsyncIterator[RawClient]:
    """A client that has sent these bytes; the context ends when the model has."""
    ours, theirs = streams()
    # Virtual seconds: a client that waits in vain is to fail.
    with trio.fail_after(300):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_stream, theirs, path=path, gate=gate, stopping=stopping)
            nursery.start_soon(partial(serve, **options(**rest)))
            await ours.send_all(first)
            yield RawClient(ours)
            await ours.aclose()


def requests_with(*headers: bytes) -> Iterator[bytes]:
    for header in headers:
        yield REQUEST[:-2] + header + b"\r\n\r\n"


# -- the request ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        *requests_with(
            b"Sec-WebSocket-Protocol: \xe9",
            b"Sec-WebSocket-Extensions: \xe9",
            b"Authorization: Bearer \xff",
            b"X: \x80",
        ),
        REQUEST.replace(b"here", b"\xe9"),
    ],
)
async def test_headers_that_are_not_ascii_are_refused(
    autojump_clock: MockClock, request_: bytes
) -> None:
    async with raw_client(request_, api_key="key") as client:
        assert (await client.head()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST.replace(b"here", b"a..b"),
        REQUEST.replace(b"here", b"xn--999999999"),
        REQUEST.replace(b"here", b"x" * 64),
        REQUEST.replace(b"GET /", b"GET //["),
        *requests_with(b"Sec-WebSocket-Extensions: permessage-deflate; x=;;", b"Content-Length: 3"),
    ],
)
async def test_odd_requests_that_are_served(autojump_clock: MockClock, request_: bytes) -> None:
    async with raw_client(request_) as client:
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        await client.hear("session.created")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://here/v1/realtime?model=embedded", "/v1/realtime"),
        (b"WSS://here:8081?model=embedded", "/"),
    ],
)
async def test_a_target_may_have_its_host_with_it(
    autojump_clock: MockClock, target: bytes, path: str
) -> None:
    async with raw_client(REQUEST.replace(b"/?model=embedded", target), path=path) as client:
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        await client.hear("session.created")


async def test_subprotocols_may_be_offered_in_several_headers(autojump_clock: MockClock) -> None:
    [request] = requests_with(
        b"Sec-WebSocket-Protocol: openai-insecure-api-key.secret\r\n"
        b"Sec-WebSocket-Protocol: realtime"
    )
    async with raw_client(request, api_key="secret") as client:
        assert b"Sec-WebSocket-Protocol: realtime" in await client.head()
        await client.hear("session.created")


@pytest.mark.parametrize(
    ("missing", "status", "words"),
    [
        (b"Host: here\r\n", b"400", b"Host"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"426", b"with a key"),
        (b"Sec-WebSocket-Version: 13\r\n", b"426", b"version 13"),
    ],
)
async def test_what_is_missing_is_named(
    autojump_clock: MockClock, missing: bytes, status: bytes, words: bytes
) -> None:
    async with raw_client(REQUEST.replace(missing, b"")) as client:
        answer = b""
        while data := await client.stream.receive_some(65536):
            answer += data
            if answer.endswith(b"}"):
                break
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert words in answer.partition(b"\r\n\r\n")[2]


async def test_frames_behind_the_request_are_read_at_once(autojump_clock: MockClock) -> None:
    clear = frame(b'{"type": "input_audio_buffer.clear"}')
    async with raw_client(REQUEST + clear) as client:
        await client.head()
        with trio.fail_after(10):
            await client.hear("input_audio_buffer.cleared")


@pytest.mark.parametrize("first", [b"", b"GET / HTT", REQUEST[:-2]])
async def test_a_request_that_does_not_come_is_awaited_for_ten_seconds(
    autojump_clock: MockClock, first: bytes
) -> None:
    async with raw_client(first) as client:
        assert await client.stream.receive_some(1) == b""
    assert trio.current_time() == pytest.approx(10)


async def test_who_has_waited_longest_makes_room_for_a_new_client(
    autojump_clock: MockClock,
) -> None:
    gate = Gate(max_handshakes=2)
    async with (
        raw_client(b"", gate=gate) as oldest,
        raw_client(b"", gate=gate) as other,
        raw_client(gate=gate) as new,
    ):
        await new.head()
        assert await oldest.stream.receive_some(1) == b""
        assert trio.current_time() < 1
        await other.stream.send_all(REQUEST)
        await other.head()


@pytest.mark.parametrize("first", [b"", REQUEST[:-2], b"hello\r\n\r\n", REQUEST])
async def test_nobody_is_waited_for_when_it_stops(autojump_clock: MockClock, first: bytes) -> None:
    stopping = trio.Event()
    async with raw_client(first, stopping=stopping) as client:
        await trio.testing.wait_all_tasks_blocked()
        stopping.set()
        if first == REQUEST:
            await client.head()
            await client.stream.send_all(CLOSE)
        while await client.stream.receive_some(65536):
            pass
    assert trio.current_time() < 1


async def test_a_long_key_is_not_told_by_its_mask(autojump_clock: MockClock) -> None:
    client = Applicant(model="embedded", key="abcd" + "x" * 100 + "wxyz")
    async with open_session(HummingVoice(), client, api_key="another") as socket:
        message = (await socket.hear())["error"]["message"]
    assert message == f"Incorrect API key provided: abcd{'*' * 16}wxyz."


# -- frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"x", 0xC1), 1002),
        (frame(b"x", 0x83), 1002),
        (frame(b"x", 0x80), 1002),
        (frame(b"x", 0x09), 1002),
        (b"\x81\x01x", 1002),
        (frame(b"x", 0x88), 1002),
        (frame((999).to_bytes(2, "big"), 0x88), 1002),
        (frame(b"\xff"), 1007),
    ],
    ids=["rsv", "opcode", "continuation", "ping", "unmasked", "close", "code", "utf-8"],
)
async def test_a_client_that_breaks_the_rules_is_told_so(
    autojump_clock: MockClock, data: bytes, code: int
) -> None:
    async with raw_client() as client:
        await client.head()
        await client.hear("session.created")
        await client.stream.send_all(data)
        assert await client.close_code() == code


async def test_a_client_that_answers_no_ping_is_pinged_on(autojump_clock: MockClock) -> None:
    pings = 0
    async with raw_client() as client:
        await client.head()
        with trio.move_on_after(100):
            while (came := await client.next_frame()) is not None:
                pings += isinstance(came, Ping)
    assert pings >= 2


# -- clients that do not read --------------------------------------------------------------------


async def test_a_client_that_takes_nothing_is_given_up(autojump_clock: MockClock) -> None:
    async with raw_client(streams=lockstep_stream_pair) as client:
        await client.head()
        await trio.sleep(21)
        with pytest.raises(trio.BrokenResourceError):
            await client.stream.send_all(frame(b"{}"))


async def test_a_slow_client_has_longer_than_that_for_a_long_message(
    autojump_clock: MockClock,
) -> None:
    text = "x" * 400_000
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    create = orjson.dumps({"type": "conversation.item.create", "item": item})
    async with raw_client(streams=lockstep_stream_pair) as client:
        await client.head()
        await client.hear("session.created")
        await client.stream.send_all(frame(create))
        heard = 0
        while heard < len(text):
            await trio.sleep(4)
            heard += len(await client.stream.receive_some(30_000))
    assert trio.current_time() > 40


async def test_the_session_of_a_client_that_does_not_read_ends_in_time(
    autojump_clock: MockClock,
) -> None:
    async with open_session(HummingVoice(), session_seconds=2) as socket:
        await trio.sleep(8)
        assert socket.is_cut


async def test_nothing_is_written_into_a_frame_that_was_cut_short(
    autojump_clock: MockClock,
) -> None:
    stopping = trio.Event()
    async with raw_client(streams=lockstep_stream_pair, stopping=stopping) as client:
        await client.head()
        assert (await client.stream.receive_some(10))[:1] == b"\x81"
        stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        rest = b""
        while data := await client.stream.receive_some(65536):
            rest += data
    # The rest of the frame that was under way may still come; a Close frame may not.
    assert b"shutting down" not in rest


# -- the beta dialect ----------------------------------------------------------------------------


async def test_what_is_too_deep_is_refused_in_beta_too(autojump_clock: MockClock) -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    tool = b'{"type":"function","name":"f","parameters":' + deep + b"}"
    update = b'{"type":"session.update","session":{"tools":[' + tool + b"]}}"
    [request] = requests_with(b"OpenAI-Beta: realtime=v1")
    async with raw_client(request, admits_beta=True) as client:
        await client.head()
        await client.stream.send_all(frame(update))
        assert "levels deep" in (await client.hear("error"))["error"]["message"]
        await client.stream.send_all(frame(b'{"type":"input_audio_buffer.clear"}'))
        await client.hear("input_audio_buffer.cleared")
