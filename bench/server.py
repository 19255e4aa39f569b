"""A real `python -m server` in a process of its own, and calls of real agents on it."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import trio
from attrs import frozen

from agent.supervisor.lines import text_lines
from bench.far_end import AGENT, FarEnd, open_far_end
from bench.measure import Figures
from bench.memory import memory_of

START_S: Final = 30.0
STOP_S: Final = 20.0
"""It stops its agents first."""
REQUEST_S: Final = 60.0
SETTLED_S: Final = 3.0
"""After which a server takes no more memory until somebody calls."""
CHANNEL: Final = "bench"
_ROOT: Final = Path(__file__).parents[1]
_SETTINGS: Final = re.compile(
    "(AGENTS?|AGORA|DRAIN|EMBEDDED|LOCAL|LOG|OPENAI|QUEUE|REALTIME|RTC|SERVER|WRITE)(_|$)"
)
"""What would configure a server."""


class ServerFailed(Exception):
    """The server did not start, or did not do what it was asked for."""


@frozen
class Server:
    """A running server."""

    url: str
    pid: int

    @asynccontextmanager
    async def call(self, *, receipts: bool, **options: Any) -> AsyncIterator[FarEnd]:
        """A call with an agent process of the server's; it is over when the context exits."""
        channel = f"{self.url.replace('http', 'ws', 1)}/channels/{CHANNEL}"
        async with open_far_end(channel, receipts=receipts) as far_end:
            await self._post("/start_agent", {"channel_name": CHANNEL, "uid": AGENT} | options)
            yield far_end
            await self._post("/stop_agent", {"channel_name": CHANNEL})

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        request = partial(urlopen, f"{self.url}{path}", orjson.dumps(body), timeout=REQUEST_S)

        def post() -> None:
            try:
                with request() as answer:
                    answer.read()
            except HTTPError as refusal:
                with refusal:
                    raise ServerFailed(f"{path}: {refusal.read().decode()}") from None

        await trio.to_thread.run_sync(post)


@asynccontextmanager
async def open_server(**environ: str) -> AsyncIterator[Server]:
    """A server on a free port; it is gone when the context exits.

    What it and its agents warn of goes to standard error.

    :param environ: its settings; it has no others.
    """
    # Elsewhere, so that no `.env` of this directory's configures it.
    with TemporaryDirectory() as directory:
        ours = {name: value for name, value in os.environ.items() if not _SETTINGS.match(name)}
        run = partial(
            trio.run_process,
            [sys.executable, "-m", "server", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ours | {"LOG_FORMAT": "plain", "PYTHONPATH": str(_ROOT)} | environ,
            cwd=directory,
            check=False,
        )
        async with trio.open_nursery() as nursery:
            process = await nursery.start(run)
            with trio.fail_after(START_S):
                url = await nursery.start(_read, process)
            try:
                yield Server(url, process.pid)
            finally:
                process.terminate()
                with trio.move_on_after(STOP_S, shield=True):
                    await process.wait()
                nursery.cancel_scope.cancel()


async def measure_server() -> Figures:
    """The server's memory without a call: with a model elsewhere, and with the embedded one."""
    figures = {}
    for name, key in (("server_pss", "elsewhere"), ("server_embedded_pss", "")):
        async with open_server(OPENAI_API_KEY=key, AGENTS_WARM="0") as server:
            await trio.sleep(SETTLED_S)
            figures[name] = memory_of(server.pid).get("Pss", float("nan"))
    return figures


async def _read(process: trio.Process, *, task_status: trio.TaskStatus[str]) -> None:
    assert process.stdout is not None
    told = False
    async for line in text_lines(process.stdout, sys.maxsize):
        found = re.search(r"open (http://\S+?)/? ", line)
        if found and not told:
            told = True
            task_status.started(found[1])
        elif " - INFO - " not in line:
            print(line, file=sys.stderr)
    if not told:
        raise ServerFailed("the server did not start; see above")
