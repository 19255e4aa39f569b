"""WRITE_AGENT_PCM: both files are complete on every way out, whatever the disk does."""

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import trio

from agent.errors import ConfigError
from agent.streams import recorder as module
from agent.streams.recorder import Recorder, Tap, open_recorder

STARTED = datetime(2026, 11, 23, 10, 15, 30)  # noqa: DTZ001 (names are in local time)
NAMES = ["rtc_to_model_20261123_101530.pcm", "model_to_rtc_20261123_101530.pcm"]


def feed(tap: Tap) -> None:
    for number in range(500):
        tap.to_model(number.to_bytes(2, "little") * 10)
        tap.to_rtc(number.to_bytes(2, "big") * 20)


def assert_complete(directory: Path) -> None:
    to_model, to_rtc = (directory / name for name in NAMES)
    numbers = range(500)
    assert to_model.read_bytes() == b"".join(n.to_bytes(2, "little") * 10 for n in numbers)
    assert to_rtc.read_bytes() == b"".join(n.to_bytes(2, "big") * 20 for n in numbers)


def modes(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


async def test_names_and_modes(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        async with open_recorder(tmp_path, STARTED) as tap:
            assert tap.paths == [tmp_path / name for name in NAMES]
    finally:
        os.umask(former)
    assert modes(tmp_path) == dict.fromkeys(NAMES, 0o600)


async def test_calls_of_the_same_second_do_not_share_files(tmp_path: Path) -> None:
    async with open_recorder(tmp_path, STARTED) as one, open_recorder(tmp_path, STARTED) as two:
        one.to_model(b"11")
        two.to_model(b"22")
    assert [path.read_bytes() for path in (one.paths[0], two.paths[0])] == [b"11", b"22"]
    assert two.paths[0].name == "rtc_to_model_20261123_101530_2.pcm"


async def test_complete_at_the_ordinary_end(tmp_path: Path) -> None:
    async with open_recorder(tmp_path, STARTED) as tap:
        feed(tap)
    assert_complete(tmp_path)


async def test_complete_after_an_exception(tmp_path: Path) -> None:
    async def fail() -> None:
        async with open_recorder(tmp_path, STARTED) as tap:
            feed(tap)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert_complete(tmp_path)


async def test_complete_after_cancellation(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_recorder(tmp_path, STARTED) as tap:
            feed(tap)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert_complete(tmp_path)


async def test_complete_though_it_was_cancelled_before_it_ends(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_recorder(tmp_path, STARTED) as tap:
            feed(tap)
    assert_complete(tmp_path)


async def test_no_thread_and_no_file_is_left(tmp_path: Path) -> None:
    async with open_recorder(tmp_path, STARTED) as tap:
        files = list(tap._files)
        assert "recorder" in {thread.name for thread in threading.enumerate()}
    assert "recorder" not in {thread.name for thread in threading.enumerate()}
    for file in files:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)


async def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"WRITE_AGENT_PCM: .*No such file"):
        async with open_recorder(tmp_path / "none", STARTED):
            raise AssertionError("it began")


Write = Callable[[int, bytes], int]


class Disk:
    """`os.write` that can be held up, fail, or take a part only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        self.most = 10**9
        self.fail = 0
        self._write: Write = os.write
        monkeypatch.setattr(module.os, "write", self.write)  # type: ignore[attr-defined]

    def write(self, file: int, data: bytes) -> int:
        if threading.current_thread().name != "recorder":
            return self._write(file, data)
        self.entered.set()
        assert self.go.wait(60)
        if self.fail > 0:
            self.fail -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(file, data[: self.most])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_a_slow_disk_holds_nobody_up_and_what_is_lost_is_counted(
    tmp_path: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "QUEUE_LIMIT", 10)
    async with open_recorder(tmp_path, STARTED) as tap:
        tap.to_model(b"first!")
        disk.entered.wait(60)  # it is with the disk: the queue is empty
        for number in range(30):
            tap.to_model(bytes([number, number]))
        disk.go.set()
    assert tap.dropped == 20
    assert (tmp_path / NAMES[0]).read_bytes() == b"first!" + b"".join(
        bytes([number, number]) for number in range(10)
    )
    assert caplog.messages == ["20 pieces of audio were not recorded: the disk is slow"]


async def test_a_full_disk_is_told_and_counted_and_ends_nothing(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.fail = 1
    disk.go.set()
    async with open_recorder(tmp_path, STARTED) as tap:
        tap.to_rtc(b"lost")
        tap.to_rtc(b"kept")
    assert tap.dropped == 1
    assert (tmp_path / NAMES[1]).read_bytes() == b"kept"
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "No space left" in caplog.messages[0]


async def test_a_write_that_takes_a_part_only_is_gone_on_with(tmp_path: Path, disk: Disk) -> None:
    disk.most = 7
    disk.go.set()
    async with open_recorder(tmp_path, STARTED) as tap:
        feed(tap)
    assert_complete(tmp_path)
    assert tap.dropped == 0


def test_a_tap_without_files_keeps_nothing() -> None:
    feed(Tap())
    assert issubclass(Recorder, Tap)
