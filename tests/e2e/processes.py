"""A real server in a process of its own, and a person who joins its local channels."""

import math
import os
import re
import signal
import subprocess
import sys
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import orjson
import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from agent.audio import FRAME_BYTES, seconds_of
from agent.streams.chunks import Reassembler, to_chunks

ROOT = Path(__file__).parents[2]
STEP_S = 0.02
PLAIN = {"LOG_FORMAT": "plain", "AGENTS_WARM": "0"}
"""For servers of tests: one that is kept warm takes half a second of a core, and is of no use."""


@define
class ServerProcess:
    """A running `python -m server`.

    :ivar output: the lines that it wrote.
    """

    process: trio.Process
    url: str
    output: list[str]

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """POST JSON; the status and the answer."""
        return await trio.to_thread.run_sync(self._request, path, orjson.dumps(body))

    async def get(self, path: str) -> tuple[int, Any]:
        """GET; the status and the answer."""
        return await trio.to_thread.run_sync(self._request, path, None)

    def _request(self, path: str, body: bytes | None) -> tuple[int, Any]:
        try:
            with urlopen(f"{self.url}{path}", body, timeout=60) as answer:
                return answer.status, orjson.loads(answer.read())
        except HTTPError as refusal:
            with refusal:
                return refusal.code, orjson.loads(refusal.read())


def clean_environment() -> dict[str, str]:
    """Our environment without what would configure a server."""
    ours = ("OPENAI_", "AGORA_", "REALTIME_", "SERVER_", "LOCAL_", "LOG_", "RTC", "WRITE_", "AGENT")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@asynccontextmanager
async def running_server(
    *arguments: str, exit_status: int = 0, **environ: str
) -> AsyncIterator[ServerProcess]:
    """A server on a free port, without a key; it is gone when the context exits.

    :param arguments: more of its command line.
    :param exit_status: with which it is to end.
    """
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                [sys.executable, "-m", "server", "--port", "0", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=clean_environment() | PLAIN | environ,
                cwd=ROOT,
                check=False,
            )
        )
        output: list[str] = []
        url: str = await nursery.start(_read_output, process, output)
        yield ServerProcess(process, url, output)
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await process.wait() == exit_status, "\n".join(output)


async def _read_output(
    process: trio.Process, output: list[str], *, task_status: trio.TaskStatus[str]
) -> None:
    assert process.stdout is not None
    text, told = "", False
    async for data in process.stdout:
        text += data.decode(errors="replace")
        *lines, text = text.split("\n")
        output.extend(lines)
        for line in lines:
            found = re.search(r"open (http://\S+?)/? ", line)
            if found and not told:
                told = True
                task_status.started(found[1])
    if not told:
        raise RuntimeError("the server did not start:\n" + "\n".join(output))


def loudness(pcm: bytes) -> float:
    """Root mean square of pcm16, full scale = 1."""
    samples = array("h", pcm)
    return math.sqrt(sum(value * value for value in samples) / len(samples)) / 32768


@define
class Person:
    """A member of a local channel who hears, reads and speaks.

    :ivar heard: (when, pcm) of what others said, cut at each clear as a receiver must.
    :ivar messages: data messages, put together again.
    :ivar controls: control messages.
    """

    websocket: WebSocketConnection
    uid: int
    heard: list[tuple[float, bytes]] = field(factory=list)
    messages: list[dict[str, Any]] = field(factory=list)
    controls: list[dict[str, Any]] = field(factory=list)
    changed: trio.Event = field(factory=trio.Event)
    _reassembler: Reassembler = field(factory=Reassembler)
    _waiting: list[bytes] = field(factory=list)

    async def run(self) -> None:
        """Speak what `say` queued, else silence, and take what comes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear)
            await self._speak()
            nursery.cancel_scope.cancel()

    def say(self, pcm: bytes) -> None:
        """Say this after what is being said."""
        size = 2 * FRAME_BYTES
        self._waiting += [pcm[at : at + size] for at in range(0, len(pcm), size)]

    async def write(self, text: str) -> None:
        """Type a message."""
        for chunk in to_chunks({"type": "text", "text": text}, "typed"):
            await self.websocket.send_message(chunk)

    async def until(self, wanted: Callable[[], object], within_s: float = 30) -> None:
        """Wait until a condition on what came holds."""
        with trio.fail_after(within_s):
            while not wanted():
                self.changed = trio.Event()
                await self.changed.wait()

    def speech_s(self) -> float:
        """Seconds of audible sound heard so far."""
        return sum(seconds_of(pcm) for _, pcm in self.heard if loudness(pcm) > 0.005)

    def said_by(self, kind: str) -> str:
        """All final transcripts of one kind, in one text."""
        return " ".join(m["transcript"] for m in self.messages if m["type"] == kind)

    async def _speak(self) -> None:
        header = self.uid.to_bytes(4, "big")
        at = trio.current_time()
        while True:
            at += STEP_S
            await trio.sleep_until(at)
            piece = self._waiting.pop(0) if self._waiting else bytes(2 * FRAME_BYTES)
            try:
                await self.websocket.send_message(header + piece)
            except ConnectionClosed:
                return

    async def _hear(self) -> None:
        while True:
            try:
                message = await self.websocket.get_message()
            except ConnectionClosed:
                return
            if isinstance(message, bytes):
                self.heard.append((trio.current_time(), message[4:]))
            elif message.startswith("{"):
                self.controls.append(orjson.loads(message))
            elif (whole := self._reassembler.feed(0, message)) is not None:
                self.messages.append(whole)
            self.changed.set()


@asynccontextmanager
async def joined(server: ServerProcess, channel: str, uid: int) -> AsyncIterator[Person]:
    """A person in a channel."""
    url = f"{server.websocket_url}/channels/{quote(channel)}?uid={uid}"
    async with open_websocket_url(url) as websocket, trio.open_nursery() as nursery:
        person = Person(websocket, uid)
        nursery.start_soon(person.run)
        yield person
        nursery.cancel_scope.cancel()
