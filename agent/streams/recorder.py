"""WRITE_AGENT_PCM: dumps of both directions, written by a thread of their own."""

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
        stamp = started.strftime("%Y%m%d_%H%M%S")
        self.paths = [directory / f"{way}_{stamp}.pcm" for way in ("rtc_to_model", "model_to_rtc")]
        self.dropped = 0
        self._files = [os.open(path, _FLAGS, 0o600) for path in self.paths]
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


_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@asynccontextmanager
async def open_recorder(directory: Path, started: datetime) -> AsyncIterator[Recorder]:
    """Record until the context exits, in whatever way; then the files are complete.

    :raises OSError: a file cannot be made.
    """
    recorder = Recorder(directory, started)
    try:
        yield recorder
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(recorder.close)
