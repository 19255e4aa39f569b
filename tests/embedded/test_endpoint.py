"""Sessions over sockets in memory, on a clock that jumps."""

import gc
import weakref
from base64 import b64encode
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import ConnectionClosed

from agent.embedded.answers.voice import EchoVoice, VoiceError
from agent.embedded.engine import Engine
from agent.embedded.wire import endpoint
from agent.embedded.wire.admission import Applicant
from agent.embedded.wire.endpoint import converse
from agent.embedded.wire.gate import HANDSHAKE_SECONDS
from agent.embedded.wire.model_socket import SocketClosed
from agent.embedded.wire.websocket import MAX_MESSAGE, serve_stream
from tests.embedded.driving import LoudIsSpeech, loud, quiet
from tests.embedded.sockets import (
    EMBEDDED,
    HummingVoice,
    MemorySocket,
    connect,
    hear,
    open_session,
    open_websocket,
)


def audio(pcm: bytes) -> str:
    return b64encode(pcm).decode()


async def test_a_session_hears_and_answers(autojump_clock: MockClock) -> None:
    voice = HummingVoice()
    async with open_session(voice) as socket:
        assert (await socket.hear())["type"] == "session.created"
        socket.tell("input_audio_buffer.append", audio=audio(quiet(20) + loud(50) + quiet(20)))
        created = await socket.hear("response.created")
        start = trio.current_time()
        await socket.hear("response.output_audio.delta")
        assert trio.current_time() - start == pytest.approx(0.3)
        done = await socket.hear("response.done")
        assert done["response"]["id"] == created["response"]["id"]
        assert done["response"]["status"] == "completed"
        assert trio.current_time() - start == pytest.approx(0.7)
    assert "1.6 seconds" in voice.said[0]


async def test_a_slow_voice_keeps_nobody_from_being_heard(autojump_clock: MockClock) -> None:
    voice = HummingVoice(delay=60)
    async with open_session(voice) as socket:
        socket.tell("response.create")
        await socket.hear("response.content_part.added")
        socket.tell("input_audio_buffer.append", audio=audio(quiet(20) + loud(5)))
        await socket.hear("input_audio_buffer.speech_started")
        done = await socket.hear("response.done")
        assert done["response"]["status"] == "cancelled"
        await socket.hear("rate_limits.updated")
        assert voice.cancelled == 1
        assert trio.current_time() < 1


async def test_a_client_that_does_not_read_stops_the_model(autojump_clock: MockClock) -> None:
    async with open_session(HummingVoice(seconds=60)) as socket:
        socket.tell("response.create")
        for _ in range(3):
            await socket.hear("response.output_audio.delta")
        for _ in range(100):
            socket.tell("input_audio_buffer.clear")
        before = socket.received
        await trio.sleep(1_000)
        assert socket.received - before <= 2
        # And when it reads again, there is no burst: the rest comes at its usual pace.
        start = trio.current_time()
        for _ in range(20):
            await socket.hear("response.output_audio.delta")
        assert trio.current_time() - start == pytest.approx(20 * 0.05, abs=0.11)


class FailingVoice:
    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        raise VoiceError("hoarse")


async def test_a_voice_that_fails_fails_the_response_only(autojump_clock: MockClock) -> None:
    async with open_session(FailingVoice()) as socket:
        for _ in range(2):
            socket.tell("response.create")
            done = await socket.hear("response.done")
            assert done["response"]["status_details"]["error"]["type"] == "server_error"
            assert "hoarse" in done["response"]["status_details"]["error"]["message"]


async def test_when_the_client_is_gone_so_is_the_voice(autojump_clock: MockClock) -> None:
    voice = HummingVoice(delay=60)
    async with open_session(voice) as socket:
        socket.tell("response.create")
        await socket.hear("response.created")
        await trio.sleep(1)
    assert trio.current_time() < 3
    assert voice.cancelled == 1


async def test_cancellation_ends_the_session_and_its_voice(autojump_clock: MockClock) -> None:
    voice, socket = HummingVoice(delay=60), MemorySocket()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(converse, socket, EMBEDDED, voice=voice, vad=LoudIsSpeech))
        socket.tell("response.create")
        await socket.hear("response.content_part.added")
        nursery.cancel_scope.cancel()
    assert voice.cancelled == 1


async def test_an_echo_is_told_to_be_one(autojump_clock: MockClock) -> None:
    async with open_session(EchoVoice()) as socket:
        socket.tell("input_audio_buffer.append", audio=audio(quiet(20) + loud(50) + quiet(20)))
        done = await socket.hear("response.output_audio_transcript.done")
        assert "your own words back" in done["transcript"]


async def test_the_session_expires(autojump_clock: MockClock) -> None:
    async with open_session(HummingVoice()) as socket:
        await socket.hear("session.created")
        error = await socket.hear()
        assert trio.current_time() == pytest.approx(3600)
        assert error["error"]["code"] == "session_expired"
        with pytest.raises(trio.EndOfChannel):
            await socket.hear()
        assert socket.closed == (1001, "Your session hit the maximum duration of 60 minutes.")


async def test_an_ended_session_is_freed_at_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour's audio is not to wait until garbage is next collected."""
    engines: list[weakref.ref[Engine]] = []

    class Watched(Engine):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            engines.append(weakref.ref(self))

    monkeypatch.setattr(endpoint, "Engine", Watched)
    gc.disable()
    try:
        async with open_session(HummingVoice()) as socket:
            socket.tell("response.create")
            await socket.hear("response.done")
        assert [engine() for engine in engines] == [None]
    finally:
        gc.enable()


# -- who is let in -------------------------------------------------------------------------------

KEY = "a-key-that-is-long-enough"
BETA_CODE = "beta_api_shape_disabled"
REJECTED: list[tuple[Applicant, str | None, str | None, int]] = [
    (Applicant(model="embedded"), KEY, None, 3000),
    (Applicant(model="embedded", key="wrong"), KEY, "invalid_api_key", 3000),
    (Applicant(model="embedded", key=""), KEY, "invalid_api_key", 3000),
    (Applicant(model="embedded", key=KEY, is_beta=True), KEY, BETA_CODE, 4000),
    (Applicant(model="embedded", is_beta=True), None, BETA_CODE, 4000),
    (Applicant(), None, "missing_model", 4000),
    (Applicant(model="", key=KEY), KEY, "missing_model", 4000),
    (Applicant(intent="conversation"), None, "missing_model", 4000),
    (Applicant(model="gpt-4o"), None, "invalid_model", 4000),
]


@pytest.mark.parametrize(("client", "api_key", "code", "close_code"), REJECTED)
async def test_who_is_not_let_in_is_told_and_turned_away(
    autojump_clock: MockClock,
    client: Applicant,
    api_key: str | None,
    code: str | None,
    close_code: int,
) -> None:
    async with open_session(HummingVoice(), client, api_key=api_key) as socket:
        event = await socket.hear()
        assert event["type"] == "error"
        assert event["event_id"]
        assert event["error"]["code"] == code
        assert KEY not in event["error"]["message"]
        assert "wro" not in event["error"]["message"]
        with pytest.raises(trio.EndOfChannel):
            await socket.hear()
        reason = "invalid_request_error" + ("" if code is None else f".{code}")
        assert socket.closed == (close_code, reason)


@pytest.mark.parametrize("model", ["embedded", "gpt-realtime", "gpt-realtime-2.1"])
async def test_who_is_let_in(autojump_clock: MockClock, model: str) -> None:
    client = Applicant(model=model, key=KEY)
    async with open_session(HummingVoice(), client, api_key=KEY) as socket:
        created = await socket.hear()
        assert created["session"]["model"] == model


async def test_a_client_that_leaves_while_it_is_turned_away(autojump_clock: MockClock) -> None:
    socket = MemorySocket()
    socket.hang_up()
    await converse(socket, Applicant(), voice=HummingVoice())
    with pytest.raises(SocketClosed):
        await socket.receive()


# -- over a WebSocket ----------------------------------------------------------------------------


async def test_a_websocket_carries_a_session(autojump_clock: MockClock) -> None:
    async with open_websocket("/any/path?x=1&model=gpt-realtime-2.1") as connection:
        created = await hear(connection)
        assert created["session"]["model"] == "gpt-realtime-2.1"
        await connection.send_message('{"type": "response.create"}')
        await hear(connection, "response.done")
        await connection.aclose()


@pytest.mark.parametrize(
    "header",
    [(b"Authorization", f"Bearer {KEY}".encode()), (b"api-key", KEY.encode())],
    ids=["bearer", "api-key"],
)
async def test_the_right_key_is_let_in(
    autojump_clock: MockClock, header: tuple[bytes, bytes]
) -> None:
    async with open_websocket(headers=[header], api_key=KEY) as connection:
        assert (await hear(connection))["type"] == "session.created"


@pytest.mark.parametrize(
    ("path", "headers", "code", "reason"),
    [
        ("/?model=embedded", [], 3000, "invalid_request_error"),
        (
            "/?model=embedded",
            [(b"Authorization", b"Bearer sk-wrong-key-of-some-length")],
            3000,
            "invalid_request_error.invalid_api_key",
        ),
        (
            "/",
            [(b"Authorization", f"Bearer {KEY}".encode())],
            4000,
            "invalid_request_error.missing_model",
        ),
        (
            "/?model=embedded",
            [(b"Authorization", f"Bearer {KEY}".encode()), (b"OpenAI-Beta", b"realtime=v1")],
            4000,
            "invalid_request_error.beta_api_shape_disabled",
        ),
    ],
)
async def test_the_wrong_client_is_accepted_and_closed(
    autojump_clock: MockClock, path: str, headers: list[tuple[bytes, bytes]], code: int, reason: str
) -> None:
    async with open_websocket(path, headers=headers, api_key=KEY) as connection:
        event = await hear(connection)
        assert event["type"] == "error"
        assert "sk-wrong-key" not in event["error"]["message"]
        with pytest.raises(ConnectionClosed) as closed:
            await connection.get_message()
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (code, reason)


async def test_bad_frames_are_survived(autojump_clock: MockClock) -> None:
    async with open_websocket() as connection:
        await hear(connection)
        await connection.send_message(b"\x00")
        assert (await hear(connection))["error"]["code"] == "invalid_event"
        await connection.send_message("not JSON")
        assert (await hear(connection))["error"]["code"] == "invalid_json"
        await connection.send_message('{"type": "response.create"}')
        assert (await hear(connection))["type"] == "response.created"


async def test_a_message_that_is_too_big_closes(autojump_clock: MockClock) -> None:
    async with open_websocket() as connection:
        await hear(connection)
        await connection.send_message("x" * (MAX_MESSAGE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await connection.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1009


async def test_the_model_pings(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="trio-websocket")
    async with open_websocket() as connection:
        await hear(connection)
        with trio.move_on_after(65):
            await connection.get_message()
        pings = [record for record in caplog.records if record.msg == "%s ping %r"]
        assert len(pings) == 3
        assert connection.closed is None


@pytest.mark.parametrize("rude", ["gone", "silent", "no request"])
async def test_a_stream_without_a_request_is_given_up(autojump_clock: MockClock, rude: str) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_stream, theirs, voice=HummingVoice(), vad=LoudIsSpeech))
        if rude == "gone":
            await ours.aclose()
        elif rude == "no request":
            await ours.send_all(b"hello\r\n\r\n")
    assert trio.current_time() <= HANDSHAKE_SECONDS
    await ours.aclose()


async def test_cancellation_closes_the_stream(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(serve_stream, theirs, voice=HummingVoice(delay=60), vad=LoudIsSpeech)
        )
        connection = await connect(nursery, ours)
        await hear(connection)
        nursery.cancel_scope.cancel()
    with pytest.raises(trio.ClosedResourceError):
        await theirs.send_all(b"x")
    await ours.aclose()
