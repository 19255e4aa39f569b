"""The embedded model on a port: requests of all kinds, its limits, its end, and its command."""

import re
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection

from agent.embedded import __main__ as program
from agent.embedded.scripts import read_script, script
from agent.embedded.wire.endpoint import ModelOptions
from agent.embedded.wire.gate import Gate
from agent.embedded.wire.handshake import MAX_REQUEST
from agent.embedded.wire.serving import ModelServer
from agent.embedded.wire.websocket import serve_stream
from agent.errors import ConfigError, ModelRefused, ModelUnreachable
from agent.listening import Names, authority, open_listener
from agent.websocket import Terms, open_websocket
from tests.conftest import MainOf
from tests.embedded.driving import LoudIsSpeech
from tests.embedded.processes import PATIENCE_S, command, environment, running_model
from tests.embedded.sockets import HummingVoice, hear
from tests.embedded.sockets import open_websocket as open_in_memory

KEY = "a-key-that-is-long-enough"
UPGRADE = (
    b"Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
NAMES = Names(host="--host", port="--port", keys="KEY")


def session(
    url: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """A client of a model on a port."""
    terms = Terms(
        headers=headers,
        connect_s=PATIENCE_S,
        close_s=PATIENCE_S,
        max_message=2**24,
        unreachable=ModelUnreachable,
        refused=lambda status, body: ModelRefused(f"{status} {body}"),
    )
    return open_websocket(url, terms)


def session_at(where: str) -> AbstractAsyncContextManager[WebSocketConnection]:
    return session(f"ws://{where}/v1/realtime?model=embedded")


@asynccontextmanager
async def serving(
    options: ModelOptions | None = None, **rest: Any
) -> AsyncIterator[tuple[str, trio.Event]]:
    """A model on loopback, as `host:port`, and what stops it."""
    stopping = trio.Event()
    listener = open_listener("127.0.0.1", 0, has_keys=False, names=NAMES)
    options = options or ModelOptions(voice=HummingVoice(), vad=LoudIsSpeech)
    server = ModelServer(listener, options, **rest)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, stopping)
            yield authority(listener), stopping
            stopping.set()


async def answer_to(request: bytes) -> tuple[bytes, Any]:
    """The status line and the JSON body that a request gets, in memory."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve_stream(theirs, path="/v1/realtime"))
        await ours.send_all(request)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            data = await ours.receive_some(65536)
            if not data:
                break
            answer += data
        await ours.aclose()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    return head.split(b"\r\n")[0], orjson.loads(body)["error"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: here\r\n\r\n", b"426 Upgrade Required"),
        (b"POST /v1/realtime HTTP/1.1\r\nHost: here\r\n" + UPGRADE[12:] + b"\r\n", b"426"),
        (b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n", b"404 Not Found"),
        (b"GET /v1/realtime/ HTTP/1.1\r\n" + UPGRADE + b"\r\n", b"404"),
        (b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: here\r\n\r\n", b"404"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n", b"400 Bad Request"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_REQUEST, b"431"),
    ],
)
async def test_a_request_for_no_websocket_gets_an_answer(
    autojump_clock: MockClock, request_: bytes, status: bytes
) -> None:
    line, error = await answer_to(request_)
    assert line.startswith(b"HTTP/1.1 " + status)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


async def test_a_head_request_gets_a_head(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve_stream(theirs, path="/v1/realtime"))
        await ours.send_all(b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = await ours.receive_some(65536)
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert answer.endswith(b"\r\n\r\n")
        await ours.aclose()


async def test_a_request_may_come_in_pieces(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve_stream(theirs, vad=LoudIsSpeech, voice=HummingVoice()))
        request = b"GET /?model=embedded HTTP/1.1\r\n" + UPGRADE + b"\r\n"
        for at in range(0, len(request), 10):
            await ours.send_all(request[at : at + 10])
            await trio.sleep(0.01)
        assert (await ours.receive_some(1000)).startswith(b"HTTP/1.1 101 ")
        await ours.aclose()


async def test_a_client_that_breaks_the_rules_ends_its_session_only(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve_stream(theirs, vad=LoudIsSpeech, voice=HummingVoice()))
        await ours.send_all(b"GET /?model=embedded HTTP/1.1\r\n" + UPGRADE + b"\r\n")
        await ours.receive_some(65536)
        await ours.send_all(b"\xff\x80\x00\x00\x00\x00")  # a frame of a kind that there is not
        while await ours.receive_some(65536):
            pass
        await ours.aclose()
    assert trio.current_time() < 5


async def test_a_ping_that_meets_the_close_is_survived(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve_stream(theirs, voice=HummingVoice()))
        await ours.send_all(b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n")
        answer = b""
        while b"missing_model" not in answer.partition(b"\x88")[2]:
            answer += await ours.receive_some(65536)
        await ours.send_all(b"\x89\x80\x00\x00\x00\x00")
        while await ours.receive_some(65536):
            pass
        await ours.aclose()


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ([(b"Authorization", b"Basic " + b64encode(f":{KEY}".encode()))], []),
        ([(b"Authorization", f"bearer {KEY}".encode())], []),
        ([], ["realtime", f"openai-insecure-api-key.{KEY}"]),
    ],
    ids=["basic", "bearer", "browser"],
)
async def test_ways_to_send_the_key(
    autojump_clock: MockClock, headers: list[tuple[bytes, bytes]], subprotocols: list[str]
) -> None:
    async with open_in_memory(
        headers=headers, subprotocols=subprotocols, api_key=KEY
    ) as connection:
        assert (await hear(connection))["type"] == "session.created"
        assert connection.subprotocol == ("realtime" if subprotocols else None)


async def test_a_key_may_be_a_user_and_a_password(autojump_clock: MockClock) -> None:
    key = "bob:a-long-secret"
    for sent in (b"Basic " + b64encode(key.encode()), b"Bearer " + key.encode()):
        async with open_in_memory(headers=[(b"Authorization", sent)], api_key=key) as connection:
            assert (await hear(connection))["type"] == "session.created"


@pytest.mark.parametrize("value", [b"Basic !", b"Basic " + b64encode(b"\xff:\xff"), b"Basic"])
async def test_unreadable_authentication_is_a_wrong_key(
    autojump_clock: MockClock, value: bytes
) -> None:
    async with open_in_memory(headers=[(b"Authorization", value)], api_key=KEY) as connection:
        assert (await hear(connection))["error"]["code"] == "invalid_api_key"


async def test_a_beta_client_is_spoken_to_in_beta(autojump_clock: MockClock) -> None:
    headers = [(b"OpenAI-Beta", b"realtime=v1")]
    async with open_in_memory(headers=headers, admits_beta=True) as connection:
        created = await hear(connection)
        assert created["session"]["modalities"] == ["audio", "text"]
        assert (await hear(connection))["type"] == "conversation.created"
        await connection.send_message(
            '{"type": "session.update", "session": {"modalities": ["text"], "temperature": 0.8}}'
        )
        updated = await hear(connection)
        assert updated["type"] == "session.updated", updated
        assert updated["session"]["modalities"] == ["text"]
        await connection.send_message("no JSON")
        assert (await hear(connection))["error"]["code"] == "invalid_json"
        await connection.send_message('{"type": "response.create"}')
        types = set()
        while "response.done" not in types:
            types.add((await hear(connection))["type"])
        assert "response.text.delta" in types
        assert "conversation.item.created" in types
        assert "response.output_text.delta" not in types


async def test_a_client_that_wants_transcripts_only_names_no_model(
    autojump_clock: MockClock,
) -> None:
    async with open_in_memory("/v1/realtime?intent=transcription") as connection:
        created = await hear(connection)
        assert created["session"]["type"] == "transcription"


# -- on a port -----------------------------------------------------------------------------------


async def answer_of(where: str) -> bytes:
    """The first that a new client of a model on a port gets."""
    host, _, port = where.partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE + b"\r\n")
        return bytes(await stream.receive_some(65536))


async def test_one_client_too_many_is_told_to_come_back() -> None:
    async with serving(gate=Gate(max_sessions=1)) as (where, _):
        async with session_at(where) as connection:
            await hear(connection)
            refused = await answer_of(where)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1" in refused
        # The place is free a moment after the client has left.
        while not (await answer_of(where)).startswith(b"HTTP/1.1 101 "):
            pass


async def test_clients_that_say_nothing_lock_nobody_out() -> None:
    async with serving(gate=Gate(max_sessions=1)) as (where, _):
        host, _, port = where.partition(":")
        silent = [await trio.open_tcp_stream(host, int(port)) for _ in range(2)]
        async with session_at(where) as connection:
            assert (await hear(connection))["type"] == "session.created"
        for stream in silent:
            await stream.aclose()


class BrokenVoice:
    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        raise ZeroDivisionError("a fault of this program")


async def test_a_fault_in_one_session_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    options = ModelOptions(voice=BrokenVoice(), vad=LoudIsSpeech)
    async with (
        serving(options) as (where, _),
        session_at(where) as one,
        session_at(where) as other,
    ):
        await hear(one)
        await hear(other)
        await one.send_message('{"type": "response.create"}')
        with pytest.raises(ConnectionClosed) as closed:
            await hear(one, "response.done")
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1011
        await other.send_message('{"type": "input_audio_buffer.clear"}')
        assert (await hear(other))["type"] == "input_audio_buffer.cleared"
        async with session_at(where) as third:
            assert (await hear(third))["type"] == "session.created"
    [record] = [r for r in caplog.records if r.name == "agent.embedded.wire.serving" and r.exc_info]
    assert re.match(r"127\.0\.0\.1:\d+: ", record.getMessage())


async def test_sessions_are_closed_in_order_when_it_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="agent.embedded")
    connection: WebSocketConnection
    async with serving() as (where, stopping), session_at(where) as connection:
        await hear(connection)
        stopping.set()
        with pytest.raises(ConnectionClosed) as closed:
            await connection.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1001
    [line] = [r.getMessage() for r in caplog.records if r.name == "agent.embedded.wire.serving"]
    assert "this side shuts down" in line
    assert "0 messages received, 1 sent" in line


async def test_a_session_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="agent.embedded")
    async with serving() as (where, _), session_at(where) as connection:
        await hear(connection)
        await connection.send_message('{"type": "input_audio_buffer.clear"}')
        await hear(connection)
    [line] = [r.getMessage() for r in caplog.records if r.name == "agent.embedded.wire.serving"]
    assert "the client is gone" in line
    assert "1 messages received, 2 sent" in line


# -- scripts -------------------------------------------------------------------------------------


def test_a_script_says_what_was_said() -> None:
    said = script("Good morning.\n\n  What is the time?  \n")
    assert [said(turn) for turn in range(1, 6)] == [
        "Good morning.",
        None,
        "What is the time?",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a\n" + b"b" * 1001, "line 2 is longer than 1000 characters"),
    ],
)
def test_a_bad_script_is_told(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "script.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_script(path)
    assert str(refused.value).startswith(f"{path}: {words}")


# -- the command ---------------------------------------------------------------------------------


def run(directory: Path, *arguments: object, **variables: str) -> tuple[int, str]:
    """Run it to its end: exit status and standard error."""
    done = subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--host", "no.such.host.invalid"], {}, "is no address of this machine"),
        (["--script", "nowhere.txt"], {}, "EMBEDDED_SCRIPT: nowhere.txt: cannot be read"),
        (["--faults", "nowhere.json"], {}, "EMBEDDED_FAULTS: nowhere.json: cannot be read"),
        ([], {"EMBEDDED_FAULTS": "nowhere.json"}, "EMBEDDED_FAULTS: nowhere.json: cannot be read"),
        (["--log-level", "loud"], {}, "LOG_LEVEL: must be one of"),
        (["--port", "70000"], {}, "argument --port: must be 0 to 65535"),
        (["--session-seconds", "0"], {}, "argument --session-seconds: must be 1 to 3600"),
    ],
)
def test_bad_configuration_is_one_line_and_status_2(
    arguments: list[str],
    variables: dict[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    main_of: MainOf,
) -> None:
    with pytest.raises(SystemExit) as caught:
        main_of(program, arguments, variables)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_process_with_bad_configuration_ends_so(tmp_path: Path) -> None:
    status, err = run(tmp_path, "--host", "0.0.0.0")
    assert status == 2
    assert "so EMBEDDED_API_KEY must be set" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, err = run(tmp_path, "--port", port)
    assert status == 2
    assert err == (
        f"error: 127.0.0.1:{port} is in use by another program: choose another port with --port\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_closes_the_sessions_and_ends_it_with_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    with trio.fail_after(PATIENCE_S), running_model(tmp_path) as model:
        async with session(model.url) as connection:
            assert (await hear(connection))["type"] == "session.created"
            model.process.send_signal(number)
            with pytest.raises(ConnectionClosed) as closed:
                await connection.get_message()
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1001
        assert await trio.to_thread.run_sync(model.process.wait, PATIENCE_S) == 0
        assert f"stopped by {number.name}" in model.log.read_text()


async def test_a_script_and_faults_and_a_key_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "script.txt").write_text("What is the time?\n")
    fault = {"when": {"received": "input_audio_buffer.clear"}, "do": {"effect": "drop"}}
    (tmp_path / "faults.json").write_bytes(orjson.dumps({"faults": [fault]}))
    given = ["--script", "script.txt", "--faults", "faults.json", "--session-seconds", 600]
    with (
        trio.fail_after(PATIENCE_S),
        running_model(tmp_path, *given, EMBEDDED_API_KEY=KEY) as model,
    ):
        async with session(model.url) as connection:
            assert (await hear(connection))["error"]["code"] is None
        headers = ((b"Authorization", f"Bearer {KEY}".encode()),)
        async with session(model.url, headers) as connection:
            await hear(connection)
            transcription = {"input": {"transcription": {"model": "whisper-1"}}}
            update = {"type": "realtime", "audio": transcription}
            await connection.send_message(
                orjson.dumps({"type": "session.update", "session": update}).decode()
            )
            await hear(connection, "session.updated")
            append = {"type": "input_audio_buffer.append", "audio": b64encode(bytes(9600)).decode()}
            await connection.send_message(orjson.dumps(append).decode())
            await connection.send_message('{"type": "input_audio_buffer.commit"}')
            heard = await hear(connection, "conversation.item.input_audio_transcription.completed")
            assert heard["transcript"] == "What is the time?"
            await connection.send_message('{"type": "input_audio_buffer.clear"}')
            with pytest.raises(ConnectionClosed) as closed:
                await hear(connection, "nothing more")
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1006
        assert await trio.to_thread.run_sync(model.stop) == 0
        assert KEY not in model.log.read_text()
