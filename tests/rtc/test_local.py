"""The local channel, against a relay that says what a test tells it to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketRequest, wrap_server_stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from agent.audio import BYTES_PER_SECOND, FRAME_BYTES, SAMPLE_RATE
from agent.errors import ChannelError
from agent.rtc.channel import (
    ChannelEvent,
    ChannelLost,
    DataReceived,
    RtcChannel,
    UserJoined,
    UserLeft,
)
from agent.rtc.local import JOIN_S, LEAVE_S, OUTBOX_S, LocalChannel, open_local_channel
from tests.loopback import Relay, serving

PERSON = 7
OURS = (99).to_bytes(4, "big")
FRAME = b"\x01\x02" * (FRAME_BYTES // 2)
CLEAR = '{"control":"clear","uid":99}'


@asynccontextmanager
async def joined(relay: Relay, **options: Any) -> AsyncIterator[LocalChannel]:
    with trio.fail_after(60):
        async with serving(relay.serve) as url:
            given: dict[str, Any] = {"name": "lobby", "uid": 99} | options
            async with open_local_channel(f"{url}/channels", **given) as channel:
                yield channel
            await relay.until(lambda: relay.closed)


def said_by(uid: int, pcm: bytes) -> bytes:
    return uid.to_bytes(4, "big") + pcm


async def refused(url: str, **options: Any) -> str:
    with trio.fail_after(60), pytest.raises(ChannelError) as caught:
        async with open_local_channel(url, "lobby", 99, **options):
            raise AssertionError("it was joined")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- joining and leaving -------------------------------------------------------------------------


async def test_it_asks_for_its_channel_and_uid_and_shows_its_key() -> None:
    relay = Relay()
    async with joined(relay, name="a b/c?#%", key="hunter2"):
        pass
    (request,) = relay.requests
    assert request.path == "/channels/a%20b%2Fc%3F%23%25?uid=99&agent=1"
    assert (b"authorization", b"Bearer hunter2") in request.headers


async def test_without_a_key_none_is_shown() -> None:
    relay = Relay()
    async with joined(relay):
        pass
    assert "authorization" not in {name.decode().lower() for name, _ in relay.requests[0].headers}


async def test_leaving_closes_in_order() -> None:
    relay = Relay()
    async with joined(relay):
        pass
    assert relay.closed == [(1000, "left")]


async def test_cancelled_it_leaves_in_order_too() -> None:
    relay = Relay()
    with trio.CancelScope() as scope:
        async with joined(relay):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_error_of_the_calls_comes_through_and_the_channel_is_left() -> None:
    relay = Relay()
    with pytest.RaisesGroup(ZeroDivisionError, allow_unwrapped=True, flatten_subgroups=True):
        async with serving(relay.serve) as url:
            try:
                async with open_local_channel(f"{url}/c", "lobby", 99):
                    raise ZeroDivisionError
            finally:
                with trio.CancelScope(shield=True):
                    await relay.until(lambda: relay.closed)
    assert relay.closed == [(1000, "left")]


@pytest.mark.parametrize(("told", "ours"), [(99, 99), (1234, 1234), (None, 5)])
async def test_our_uid_is_what_the_relay_says_or_else_what_we_asked_for(
    told: int | None, ours: int
) -> None:
    relay = Relay(told_uid=told)
    async with joined(relay, uid=5) as channel:
        assert channel.uid == ours
        channel.play(FRAME)
        await relay.until(lambda: relay.got)
    assert relay.got == [said_by(ours, FRAME)]


async def test_a_uid_that_is_taken_is_refused_in_the_relays_words() -> None:
    async def refuse(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.aclose(4409, "uid 99 is taken in this channel")

    async with serving(refuse) as url:
        words = await refused(f"{url}/channels")
    assert words == "the local channel refused: uid 99 is taken in this channel"


@pytest.mark.parametrize("status", [401, 404, 503])
async def test_an_http_status_is_told_and_no_password(status: int) -> None:
    async def refuse(request: WebSocketRequest) -> None:
        await request.reject(status, body=b"no")

    async with serving(refuse) as url:
        host = url.removeprefix("ws://")
        words = await refused(f"ws://user:hunter2@{host}/channels", key="hunter2")
    assert words == f"ws://{host}/channels refused: HTTP {status}"


async def test_where_nobody_listens() -> None:
    with trio.socket.socket() as placeholder:
        await placeholder.bind(("127.0.0.1", 0))  # bound, but it does not listen
        port = placeholder.getsockname()[1]
        words = await refused(f"ws://user:hunter2@127.0.0.1:{port}/channels")
    shown = f"the local channel at ws://127.0.0.1:{port}/channels"
    assert words.startswith(f"{shown} (LOCAL_CHANNEL_URL) can't be reached")
    assert "hunter2" not in words


@pytest.mark.parametrize("first", ["hello", "5", "[]", '{"control":"joined","uid":1}', b"\0" * 8])
async def test_a_relay_that_does_not_begin_with_its_members_is_none(first: str | bytes) -> None:
    async def serve(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message(first)

    async with serving(serve) as url:
        words = await refused(url)
    assert words == "the local channel did not begin with its members"


async def test_other_agents_are_not_taken_for_people() -> None:
    async def serve(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message('{"control":"members","uid":99,"uids":[5,6],"agents":[5]}')
        await websocket.send_message('{"control":"joined","uid":7,"agent":true}')
        await websocket.send_message('{"control":"joined","uid":8}')
        await trio.sleep_forever()

    async with serving(serve) as url, open_local_channel(url, "lobby", 99) as channel:
        assert [await next_event(channel) for _ in range(2)] == [UserJoined(6), UserJoined(8)]


@pytest.mark.parametrize("accept", [True, False])
async def test_a_relay_that_says_nothing_is_waited_for_so_long(
    accept: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = memory_stream_pair()

    async def connect(*_: Any, **__: Any) -> trio.abc.Stream:
        return ours

    # In memory, because the mock clock sees no sockets.
    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            if accept:
                request = await wrap_server_stream(nursery, theirs)
                await request.accept()

        nursery.start_soon(serve)
        began = trio.current_time()
        words = await refused("ws://relay/channels")
        assert JOIN_S <= trio.current_time() - began <= JOIN_S + LEAVE_S
        nursery.cancel_scope.cancel()
    if accept:
        assert words.endswith(" answer within 10 s")
    else:
        shown = "the local channel at ws://relay/channels (LOCAL_CHANNEL_URL)"
        assert words == f"{shown} can't be reached: no answer within 10 s"


async def test_a_relay_that_never_hangs_up_is_left_all_the_same(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = memory_stream_pair()

    async def connect(*_: Any, **__: Any) -> trio.abc.Stream:
        return ours

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    connection = WSConnection(ConnectionType.SERVER)

    async def serve() -> None:
        """It says goodbye, but keeps the line open."""
        async for data in theirs:
            connection.receive_data(bytes(data))
            for event in connection.events():
                if isinstance(event, Request):
                    await theirs.send_all(connection.send(AcceptConnection()))
                    await theirs.send_all(connection.send(TextMessage('{"control":"members"}')))
                    await theirs.send_all(connection.send(CloseConnection(1001, "bye")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with trio.fail_after(60):
            async with open_local_channel("ws://relay", "lobby", 99) as channel:
                assert await next_event(channel) == ChannelLost("bye")
                began = trio.current_time()
            assert trio.current_time() - began <= 2 * LEAVE_S
        nursery.cancel_scope.cancel()


# -- who comes and goes --------------------------------------------------------------------------


async def next_event(channel: LocalChannel) -> ChannelEvent:
    with trio.fail_after(60):
        return await channel.events.receive()


async def test_members_come_and_go() -> None:
    relay = Relay(3, 99, PERSON)
    async with joined(relay) as channel:
        assert await next_event(channel) == UserJoined(3)
        assert await next_event(channel) == UserJoined(PERSON)
        await relay.say({"control": "joined", "uid": 8})
        await relay.say({"control": "left", "uid": 3, "reason": "quit"})
        await relay.say({"control": "left", "uid": 8})
        assert await next_event(channel) == UserJoined(8)
        assert await next_event(channel) == UserLeft(3, "quit")
        assert await next_event(channel) == UserLeft(8, "")


async def test_control_that_makes_no_sense_is_passed_over() -> None:
    relay = Relay()
    async with joined(relay) as channel:
        for text in (
            "{",
            "{}",
            '{"control": 5}',
            '{"control": "joined"}',
            '{"control": "left", "uid": "7"}',
            '{"control": "clear", "uid": 7}',
            '{"control": "of the future", "uid": 7}',
            '{"control": "data", "uid": 7}',
            '{"control": "data", "uid": "7", "packet": "id|1|1|e30="}',
            '{"control": "data", "uid": 7, "packet": {}}',
        ):
            await relay.say(text)
        await relay.say({"control": "joined", "uid": PERSON})
        assert await next_event(channel) == UserJoined(PERSON)


async def test_data_messages_both_ways() -> None:
    relay = Relay()
    async with joined(relay) as channel:
        await relay.say("id|1|1|e30=")  # an older relay tells nobody who has sent it
        assert await next_event(channel) == DataReceived(0, "id|1|1|e30=")
        for packet in ("id|1|1|e30=", 'a "quoted" \u00e9\u4f60\\'):
            await relay.say({"control": "data", "uid": PERSON, "packet": packet})
            assert await next_event(channel) == DataReceived(PERSON, packet)
        await channel.send_data("id|1|1|e31=")
        await relay.until(lambda: relay.got)
    assert relay.got == ["id|1|1|e31="]


async def test_a_flood_of_events_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    relay = Relay(*range(1000, 2000), told_uid=99)
    async with joined(relay) as channel:
        got = []
        while True:
            try:
                got.append(channel.events.receive_nowait())
            except trio.WouldBlock:
                break
    assert got == [UserJoined(uid) for uid in range(1000, 1256)]
    assert "too many channel events wait" in caplog.text


# -- audio ---------------------------------------------------------------------------------------


async def test_only_who_is_listened_to_is_heard() -> None:
    relay = Relay(PERSON)
    async with joined(relay) as channel:
        await relay.say(said_by(PERSON, b"\x09\x09" * 480))
        await relay.say({"control": "joined", "uid": 8})
        await next_event(channel)
        await next_event(channel)
        channel.listen_to(PERSON)
        await relay.say(said_by(8, b"\x08\x08" * 480))
        await relay.say(said_by(PERSON, b"\x01\x01" * 480))
        with trio.fail_after(60):
            assert await channel.audio.receive() == b"\x01\x01" * 480
        channel.listen_to(8)
        await relay.say(said_by(PERSON, b"\x02\x02" * 480))
        await relay.say(said_by(8, b"\x03\x03" * 480))
        with trio.fail_after(60):
            assert await channel.audio.receive() == b"\x03\x03" * 480


async def test_listening_to_another_drops_what_waits_of_the_first() -> None:
    relay = Relay()
    async with joined(relay) as channel:
        channel.listen_to(PERSON)
        await relay.say(said_by(PERSON, b"\x01\x01" * 480))
        await relay.say({"control": "joined", "uid": 8})
        assert await next_event(channel) == UserJoined(8)  # so the audio has come, too
        channel.listen_to(8)
        await relay.say(said_by(8, b"\x02\x02" * 480))
        with trio.fail_after(60):
            assert await channel.audio.receive() == b"\x02\x02" * 480


async def test_malformed_audio_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    relay = Relay()
    async with joined(relay) as channel:
        channel.listen_to(PERSON)
        for malformed in (b"", b"\0\0\0", said_by(PERSON, b""), said_by(PERSON, b"\x01" * 961)):
            await relay.say(malformed)
        await relay.say(said_by(PERSON, b"\x02\x02" * 480))
        with trio.fail_after(60):
            assert await channel.audio.receive() == b"\x02\x02" * 480
    assert caplog.text.count("is not whole samples: dropped") == 4


async def test_speech_goes_out_in_order_under_our_uid() -> None:
    relay = Relay()
    frames = [number.to_bytes(2, "little") * 240 for number in range(20)]
    async with joined(relay) as channel:
        for frame in frames:
            channel.play(frame)
        await relay.until(lambda: len(relay.got) == 20)
    assert relay.got == [OURS + frame for frame in frames]


async def test_clear_overtakes_the_audio_that_waits() -> None:
    relay = Relay()
    async with joined(relay) as channel:
        for _ in range(10):
            channel.play(FRAME)
        channel.clear()  # there was no await: nothing has been sent yet
        channel.clear()
        channel.play(b"\x05\x05" * 240)
        await relay.until(lambda: len(relay.got) == 2)
        await wait_all_tasks_blocked()
    assert relay.got == [CLEAR, OURS + b"\x05\x05" * 240]


async def test_clear_is_told_though_nothing_waits() -> None:
    relay = Relay()
    async with joined(relay) as channel:
        channel.play(FRAME)
        await relay.until(lambda: relay.got)
        channel.clear()
        await relay.until(lambda: len(relay.got) == 2)
    assert relay.got == [OURS + FRAME, CLEAR]


# -- receipts -------------------------------------------------------------------------------------

SECOND = b"\x01\x02" * SAMPLE_RATE


async def say(relay: Relay, channel: LocalChannel, **control: object) -> None:
    """Say this to the channel, and see to it that it was heard."""
    await relay.say(control)
    await relay.say("id|1|1|e30=")
    while not isinstance(await next_event(channel), DataReceived):
        pass


@asynccontextmanager
async def spoken(clock: MockClock) -> AsyncIterator[tuple[Relay, LocalChannel]]:
    """A channel in which there was time to hear the second that was spoken; the clock stands."""
    relay = Relay(PERSON)
    async with joined(relay) as channel:
        channel.listen_to(PERSON)
        channel.play(SECOND)
        clock.jump(1)
        yield relay, channel


@pytest.mark.parametrize("by", [{}, {"by": PERSON}])
async def test_the_receipts_of_who_is_listened_to_are_used(
    by: dict[str, int], mock_clock: MockClock
) -> None:
    async with spoken(mock_clock) as (relay, channel):
        assert channel.played() is None
        for samples in (0, 1000, SAMPLE_RATE):
            await say(relay, channel, control="played", uid=99, samples=samples, **by)
            assert channel.played() == samples


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": 8},
        {"by": 99},
        {"by": None},
        {"by": "7"},
        {"by": -1},
        {"by": 2**40},
        {"uid": PERSON},
        {"uid": "99"},
        {"samples": -1},
        {"samples": 1.5},
        {"samples": "1"},
        {"samples": None},
        {"samples": True},
    ],
    ids=str,
)
async def test_other_receipts_are_passed_over(
    wrong: dict[str, object], mock_clock: MockClock
) -> None:
    async with spoken(mock_clock) as (relay, channel):
        told: dict[str, object] = {"control": "played", "uid": 99, "samples": 1, "by": PERSON}
        await say(relay, channel, **told | wrong)
        assert channel.played() is None
        await say(relay, channel, **told)
        assert channel.played() == 1


async def test_what_was_heard_stays_at_a_clear(mock_clock: MockClock) -> None:
    async with spoken(mock_clock) as (relay, channel):
        receipt: dict[str, object] = {"control": "played", "uid": 99, "by": PERSON}
        await say(relay, channel, **receipt, samples=22_000)
        line: RtcChannel = channel
        assert line.clear() is None  # nobody here knows what the receivers drop
        assert channel.played() == 22_000
        channel.play(SECOND)
        assert channel.played() == SAMPLE_RATE
        mock_clock.jump(0.5)
        await say(relay, channel, **receipt, samples=32_000)
        assert channel.played() == SAMPLE_RATE + 10_000


@pytest.mark.parametrize("samples", [0, 5000])
async def test_a_receipt_before_anything_was_said_is_of_nothing(
    samples: int, mock_clock: MockClock
) -> None:
    relay = Relay(PERSON)
    async with joined(relay) as channel:
        channel.listen_to(PERSON)
        await say(relay, channel, control="played", uid=99, samples=samples, by=PERSON)
        assert channel.played() in (None, 0)


async def test_without_receipts_nothing_is_known(mock_clock: MockClock) -> None:
    async with spoken(mock_clock) as (_, channel):
        assert channel.played() is None
        channel.clear()
        assert channel.played() is None


async def test_one_who_came_later_counts_from_then(mock_clock: MockClock) -> None:
    async with spoken(mock_clock) as (relay, channel):
        await say(relay, channel, control="played", uid=99, samples=1000, by=PERSON)
        await say(relay, channel, control="joined", uid=8)
        channel.play(SECOND)
        mock_clock.jump(0.5)
        channel.listen_to(8)
        assert channel.played() is None
        await say(relay, channel, control="played", uid=99, samples=300, by=8)
        assert channel.played() == SAMPLE_RATE + 300


async def test_one_who_comes_again_counts_from_then(mock_clock: MockClock) -> None:
    async with spoken(mock_clock) as (relay, channel):
        await say(relay, channel, control="played", uid=99, samples=1000, by=PERSON)
        await say(relay, channel, control="left", uid=PERSON)
        await say(relay, channel, control="joined", uid=PERSON)
        channel.listen_to(PERSON)
        channel.play(SECOND)
        mock_clock.jump(0.5)
        await say(relay, channel, control="played", uid=99, samples=300, by=PERSON)
        assert channel.played() == SAMPLE_RATE + 300


# -- a relay that is slow, or gone ----------------------------------------------------------------


async def test_for_a_relay_that_does_not_read_no_more_waits_than_the_limit() -> None:
    read = trio.Event()
    got: list[str | bytes] = []

    async def serve(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message('{"control":"members","uids":[],"uid":99}')
        await read.wait()
        with suppress(ConnectionClosed):
            while True:
                got.append(await websocket.get_message())

    second = 100
    limit = int(OUTBOX_S * second)
    async with serving(serve) as url:
        with trio.fail_after(60):
            async with open_local_channel(url, "lobby", 99) as channel:
                for number in range(60 * second):  # a minute in one go: the writer has no turn
                    channel.play(number.to_bytes(2, "little") * (BYTES_PER_SECOND // second // 2))
                assert channel.dropped == 60 * second - limit
                read.set()
                while len(got) < limit:
                    await trio.lowlevel.checkpoint()
    assert [int.from_bytes(m[4:6], "little") for m in got if isinstance(m, bytes)] == list(
        range(58 * second, 60 * second)
    )


@pytest.mark.parametrize("reason", ["the server is shutting down", ""])
async def test_a_relay_that_closes_is_a_lost_channel(reason: str) -> None:
    relay = Relay()
    async with joined(relay) as channel:
        assert relay.websocket is not None
        await relay.websocket.aclose(1001, reason)
        assert await next_event(channel) == ChannelLost(reason or "closed with 1001")
        channel.play(FRAME)
        channel.clear()
        with pytest.raises(ChannelError, match="the local channel was lost"):
            await channel.send_data("id|1|1|e30=")


async def test_a_connection_that_breaks_is_a_lost_channel() -> None:
    relay = Relay()
    async with joined(relay) as channel:
        assert relay.websocket is not None
        await relay.websocket._stream.aclose()
        event = await next_event(channel)
        assert isinstance(event, ChannelLost)
        assert event.reason
