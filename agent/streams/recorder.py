"""WRITE_AGENT_PCM: dumps of both directions, written by a thread of their own."""

import errno
import logging
import os
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import trio

from agent.errors import ConfigError

MAX_SAME_SECOND: Final = 100
"""Calls that begin in the same second and directory."""
QUEUE_LIMIT: Final = 3000
"""Pieces of audio that wait for the disk: about half a minute of both directions."""

_log = logging.getLogger(__name__)


class Tap:
    """What is told of the audio of both directions. This one keeps nothing."""

    def to_model(self, pcm: bytes) -> None:
        """What the model is sent."""

    def to_rtc(self, pcm: bytes) -> None:
        """What the channel is handed."""


class Recorder(Tap):
    """Two raw pcm16 files. A piece that is handed over is written even if the call fails.

    When the disk is so slow that the queue is full, pieces are dropped and counted.
    """

    def __init__(self, directory: Path, started: datetime) -> None:
        self.dropped = 0
        self.paths, self._files = _create_both(directory, started)
        self._queue: queue.Queue[tuple[int, bytes] | None] = queue.Queue(QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def to_model(self, pcm: bytes) -> None:
        """See `Tap`."""
        self._put(0, pcm)

    def to_rtc(self, pcm: bytes) -> None:
        """See `Tap`."""
        self._put(1, pcm)

    def close(self) -> None:
        """Wait until all is written; blocks."""
        self._queue.put(None)
        self._thread.join()
        for file in self._files:
            os.close(file)
        if self.dropped:
            _log.warning("%d pieces of audio were not recorded: the disk is slow", self.dropped)

    def _put(self, way: int, pcm: bytes) -> None:
        try:
            self._queue.put_nowait((way, pcm))
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        while (piece := self._queue.get()) is not None:
            way, pcm = piece
            try:
                _write_all(self._files[way], pcm)
            except OSError as error:
                self.dropped += 1
                _log.warning("%s cannot be written: %s", self.paths[way], error)


def _write_all(file: int, pcm: bytes) -> None:
    while pcm:
        pcm = pcm[os.write(file, pcm) :]


def _create_both(directory: Path, started: datetime) -> tuple[list[Path], list[int]]:
    """New files; a number is added where another call of the same second has taken the names."""
    stamp = started.strftime("%Y%m%d_%H%M%S")
    for addition in ("", *(f"_{number}" for number in range(2, MAX_SAME_SECOND))):
        ways = ("rtc_to_model", "model_to_rtc")
        paths = [directory / f"{way}_{stamp}{addition}.pcm" for way in ways]
        try:
            first = os.open(paths[0], _FLAGS, 0o600)
        except FileExistsError:
            continue
        return paths, [first, os.open(paths[1], _FLAGS, 0o600)]
    raise FileExistsError(errno.EEXIST, "too many recordings of this second", str(directory))


_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@asynccontextmanager
async def open_recorder(directory: Path, started: datetime) -> AsyncIterator[Recorder]:
    """Record until the context exits, in whatever way; then the files are complete.

    :raises ConfigError: a file cannot be made.
    """
    try:
        recorder = Recorder(directory, started)
    except OSError as error:
        raise ConfigError(f"WRITE_AGENT_PCM: {error}") from error
    try:
        yield recorder
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(recorder.close)
