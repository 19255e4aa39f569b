"""`python -m agent.embedded` as a child process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attrs import fields, frozen

from agent.config import Settings

ROOT = Path(__file__).parents[2]
READY = re.compile(r"ready: (ws://\S+)")
PATIENCE_S = 30
"""For what would never happen: no test waits for it to pass."""


def environment(**variables: str) -> dict[str, str]:
    """This process's own, without the program's settings."""
    ours = {attribute.name for attribute in fields(Settings)}
    kept = {name: value for name, value in os.environ.items() if name.lower() not in ours}
    return kept | {"PYTHONPATH": str(ROOT), "LOG_FORMAT": "plain"} | variables


def command(*arguments: object) -> list[str]:
    """Its command line."""
    return [sys.executable, "-m", "agent.embedded", *map(str, arguments)]


@frozen
class ModelProcess:
    """A running model.

    :ivar url: of its WebSocket.
    :ivar log: what it has written to standard error, whole once it has ended.
    """

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def authority(self) -> str:
        """Its host and port."""
        return self.url.split("/")[2]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def running_model(directory: Path, *arguments: object, **variables: str) -> Iterator[ModelProcess]:
    """A model on a free port; it is gone when the context exits.

    :param directory: where it runs and its log is written.
    """
    log = directory / "model.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command("--port", 0, *arguments),
            cwd=directory,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield ModelProcess(process, _url(process.stdout, log), log)
        finally:
            process.kill()


def _url(output: IO[str], log: Path) -> str:
    found = READY.match(output.readline())
    assert found, log.read_text()
    return found[1]
