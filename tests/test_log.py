"""The log: its three forms, what a supervisor relays, and warnings that do not repeat."""

import io
import logging
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.log import QueueWatch, relay_line, setup_logging

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"
COLOURS = {
    "debug": "\x1b[36m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
QUIET = ("trio-websocket", "hypercorn.error", "hypercorn.access", "quart.app")


class Log:
    """The log of the program, set up by a test and read back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = logging.getLogger()
        self.former: list[logging.Handler] = []
        self._monkeypatch = monkeypatch
        self._stream = io.StringIO()

    def set_up(self, *arguments: str, terminal: bool = False) -> None:
        # Not in the fixture: pytest puts its own stderr and handlers in place between the two.
        self._monkeypatch.setattr(sys, "stderr", self._stream)
        self._monkeypatch.setattr(self._stream, "isatty", lambda: terminal)
        if not self.former:
            self.former = self.root.handlers[:]
            self.root.handlers.clear()  # else they are closed
        setup_logging(*arguments)

    def take(self) -> str:
        """What was logged since the last time."""
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return text


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    log = Log(monkeypatch)
    level = log.root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    try:
        yield log
    finally:
        log.root.handlers[:] = log.former or log.root.handlers
        log.root.setLevel(level)
        for name, former in levels.items():
            logging.getLogger(name).setLevel(former)


def test_a_plain_line(log: Log) -> None:
    log.set_up("info", "plain")
    logging.getLogger("agent.streams.model").info("%s, %d", "message", 5)
    logging.getLogger("agent.streams.model").debug("not shown")
    line = log.take()
    assert re.fullmatch(rf"{STAMP} - agent\.streams\.model - INFO - message, 5\n", line)


def test_the_channel_stands_on_every_line_and_a_records_own_comes_first(
    log: Log,
) -> None:
    log.set_up("info", "plain", "lobby")
    logging.getLogger("a").warning("one")
    logging.getLogger("a").warning("two", extra={"channel_name": "attic"})
    one, two = log.take().splitlines()
    assert re.fullmatch(rf"{STAMP} - a - WARNING - \[lobby\] one", one)
    assert re.fullmatch(rf"{STAMP} - a - WARNING - \[attic\] two", two)


def test_the_call_stands_on_every_line_of_json_and_a_records_own_comes_first(log: Log) -> None:
    log.set_up("info", "json", "lobby", "c1")
    logging.getLogger("a").warning("one")
    logging.getLogger("a").warning("two", extra={"channel_name": "attic", "call_id": "c2"})
    told = [orjson.loads(line) for line in log.take().splitlines()]
    assert [(each["channel"], each["call_id"]) for each in told] == [
        ("lobby", "c1"),
        ("attic", "c2"),
    ]


def test_percent_signs_of_a_message_stay(log: Log) -> None:
    log.set_up("info", "plain", "50%(x)s")
    logging.getLogger("a").info("100% %s")
    assert log.take().endswith(" - [50%(x)s] 100% %s\n")


@pytest.mark.parametrize("level", COLOURS)
def test_colour_by_level_on_a_terminal(level: str, log: Log) -> None:
    log.set_up("debug", "color", "lobby", terminal=True)
    logging.getLogger("a").log(logging.getLevelName(level.upper()), "message")
    line = log.take()
    begin, end = re.escape(COLOURS[level]), re.escape("\x1b[0m")
    assert re.fullmatch(
        rf"{begin}{STAMP} - a - {level.upper()} - \[lobby\] message{end}\n", line
    ), repr(line)


def test_no_colour_beyond_a_terminal(log: Log) -> None:
    log.set_up("info", "color")
    logging.getLogger("a").error("message")
    assert "\x1b" not in log.take()


def test_plain_stays_plain_on_a_terminal(log: Log) -> None:
    log.set_up("info", "plain", terminal=True)
    logging.getLogger("a").error("message")
    assert "\x1b" not in log.take()


def test_json_is_one_line_a_record(log: Log) -> None:
    log.set_up("info", "json", "lobby", "c1")
    try:
        int("why")
    except ValueError:
        logging.getLogger("agent.x").exception("two\nlines %s", "\u00e9")
    (line,) = log.take().splitlines()
    record = orjson.loads(line)
    assert re.fullmatch(RFC3339, record.pop("time"))
    assert "ValueError: invalid literal" in record.pop("traceback")
    assert record == {
        "name": "agent.x",
        "level": "error",
        "message": "two\nlines \u00e9",
        "channel": "lobby",
        "call_id": "c1",
    }


def test_chatty_libraries_are_quiet(log: Log) -> None:
    log.set_up("debug", "plain")
    for name in QUIET:
        logging.getLogger(name).info("a frame")
        logging.getLogger(name).warning("%s warns", name)
    assert [line.rsplit(" - ", 1)[1] for line in log.take().splitlines()] == [
        f"{name} warns" for name in QUIET
    ]


def test_a_second_set_up_takes_the_place_of_the_first(log: Log) -> None:
    log.set_up("info", "plain")
    log.set_up("error", "json")
    logging.getLogger("a").warning("no")
    logging.getLogger("a").error("yes")
    (line,) = log.take().splitlines()
    assert orjson.loads(line)["message"] == "yes"


def relayed(log: Log, line: str) -> str:
    log.take()
    relay_line(line, "lobby", "c1")
    return log.take()


TIME = "2026-11-18T10:26:40.250000+00:00"


def child_line(**fields: Any) -> str:
    record = {"time": TIME, "name": "agent.run", "level": "info", "message": "m"}
    return orjson.dumps(record | fields).decode()


def test_a_childs_record_keeps_its_name_level_and_time(log: Log) -> None:
    log.set_up("info", "json")
    record = orjson.loads(relayed(log, child_line(level="warning", message="50% done")))
    assert record == {
        "time": TIME,
        "name": "agent.run",
        "level": "warning",
        "message": "50% done",
        "channel": "lobby",
        "call_id": "c1",
    }


def test_a_childs_traceback_is_relayed(log: Log) -> None:
    log.set_up("info", "plain")
    text = relayed(log, child_line(level="error", traceback="Traceback\nValueError"))
    assert re.fullmatch(
        rf"{STAMP} - agent\.run - ERROR - \[lobby\] m\nTraceback\nValueError\n", text
    )


def test_a_childs_record_below_the_level_is_dropped(log: Log) -> None:
    log.set_up("warning", "plain")
    assert relayed(log, child_line(level="info")) == ""


@pytest.mark.parametrize(
    "junk",
    [
        "Segmentation fault",
        "{",
        "{}",
        "[]",
        "5",
        "null",
        '"text"',
        child_line(level="loud"),
        child_line(level=5),
        child_line(time="yesterday"),
        child_line(time=None),
        child_line(time="0001-01-01T00:00:00+23:59"),
        child_line(time="9999-12-31T23:59:59Z"),
        child_line(message=["text"]),
        child_line(message=None),
        child_line(name=5),
        child_line(name=None),
        child_line(traceback={}),
        child_line(message="deep").replace('"deep"', "[" * 900 + "]" * 900),
        "100% %s %(x)s",
        "",
    ],
)
def test_whatever_else_a_child_prints_is_relayed_as_it_is(junk: str, log: Log) -> None:
    log.set_up("info", "plain")
    line = relayed(log, junk)
    assert re.fullmatch(rf"{STAMP} - agent\.output - INFO - \[lobby\] {re.escape(junk)}\n", line)


def test_what_a_child_prints_makes_no_loggers(log: Log) -> None:
    log.set_up("info", "plain")
    name = ".".join("a" * 3000)
    before = len(logging.root.manager.loggerDict)
    assert f" - {name[:100]} - INFO - [lobby] m" in relayed(log, child_line(name=name))
    assert len(logging.root.manager.loggerDict) <= before + 1


def test_what_a_formatter_writes_is_what_the_relay_reads(log: Log) -> None:
    log.set_up("info", "json", "lobby", "c1")
    logging.getLogger("agent.session").warning("listening to %d", 7)
    written = log.take().rstrip()
    assert orjson.loads(relayed(log, written)) == orjson.loads(written)


def warnings_of(watch: QueueWatch, caplog: pytest.LogCaptureFixture, length: int) -> list[str]:
    caplog.clear()
    watch.saw(length)
    return caplog.messages


def test_a_queue_that_grows_warns_once_every_few_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 1000.0
    watch = QueueWatch("frames", 5, clock=lambda: now)
    assert warnings_of(watch, caplog, 5) == []
    assert warnings_of(watch, caplog, 6) == ["frames: 6 are waiting"]
    assert warnings_of(watch, caplog, 100) == []
    now += 4.9
    assert warnings_of(watch, caplog, 100) == []
    now += 0.2
    assert warnings_of(watch, caplog, 5) == []
    assert warnings_of(watch, caplog, 7) == ["frames: 7 are waiting"]
    assert watch.longest == 100


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 20))))
def test_warnings_are_seconds_apart(steps: list[tuple[float, int]]) -> None:
    now = 0.0
    told: list[float] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(now)

    logger, handler = logging.getLogger("agent.log"), Note()
    logger.addHandler(handler)
    try:
        watch = QueueWatch("frames", 5, clock=lambda: now)
        for seconds, length in steps:
            now += seconds
            before = len(told)
            watch.saw(length)
            if length > 5 and (not before or now - told[before - 1] >= 5):
                assert len(told) == before + 1
    finally:
        logger.removeHandler(handler)
    assert all(later - earlier >= 5 for earlier, later in pairwise(told))
