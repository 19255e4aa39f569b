"""Logging: one line a record, in colour for a terminal, plain, or JSON."""

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import orjson
from attrs import frozen

_COLOURS: Final = {
    logging.DEBUG: "\x1b[36m",
    logging.INFO: "\x1b[32m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
_RESET: Final = "\x1b[0m"
_WARN_EVERY_S: Final = 5.0
_OUTPUT: Final = "agent.output"
"""What an agent's process wrote, where that is no record."""
_NAME: Final = 100
"""Characters of a logger's name that are kept."""
_LAST_TIME: Final = 2.0**32
"""In the year 2106. What is far off cannot be written as a date."""


def setup_logging(level: str, style: str, channel_name: str = "", call_id: str = "") -> None:
    """Send the program's log to standard error.

    :param level: debug, info, warning, error or critical.
    :param style: color (plain where standard error is no terminal), plain or json.
    :param channel_name: put on every line; a record's own `channel_name` takes its place.
    :param call_id: put on every line of JSON; a record's own `call_id` takes its place.
    """
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_JsonFormatter(channel_name, call_id))
    else:
        handler.setFormatter(_LineFormatter(channel_name, style == "color" and _is_terminal()))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These tell of each frame and request; what matters of them is told by us.
    noisy = ("trio-websocket", "hypercorn.error", "hypercorn.access", "quart.app")
    for name in (*noisy, "httpx2", "httpcore2", "mcp"):
        logging.getLogger(name).setLevel(logging.WARNING)


class QueueWatch:
    """Warns of a queue that grows, at most once every few seconds.

    :param name: what the queue holds.
    :param warn_at: a length above this is warned of.
    :param clock: seconds, of any origin.
    :ivar longest: the longest that it was seen to be.
    """

    def __init__(
        self, name: str, warn_at: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._warn_at, self._clock = name, warn_at, clock
        self._last = float("-inf")
        self.longest = 0

    def saw(self, length: int) -> None:
        """Note the queue's length now."""
        self.longest = max(self.longest, length)
        if length <= self._warn_at:
            return
        now = self._clock()
        if now - self._last >= _WARN_EVERY_S:
            self._last = now
            logging.getLogger(__name__).warning("%s: %d are waiting", self._name, length)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


class _LineFormatter(logging.Formatter):
    def __init__(self, channel_name: str, colour: bool) -> None:
        super().__init__(
            "%(asctime)s - %(name)s - %(levelname)s - %(channel)s%(message)s",
            defaults={"channel": ""},
        )
        self._channel, self._colour = channel_name, colour

    def format(self, record: logging.LogRecord) -> str:
        name = getattr(record, "channel_name", self._channel)
        record.channel = f"[{name}] " if name else ""
        line = super().format(record)
        if not self._colour:
            return line
        return f"{_COLOURS.get(record.levelno, '')}{line}{_RESET}"


class _JsonFormatter(logging.Formatter):
    def __init__(self, channel_name: str, call_id: str) -> None:
        super().__init__()
        self._channel, self._call_id = channel_name, call_id

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "name": record.name,
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "channel": getattr(record, "channel_name", self._channel),
            "call_id": getattr(record, "call_id", self._call_id),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


def relay_line(line: str, channel_name: str, call_id: str = "") -> str:
    """Log a line that an agent's process wrote: a JSON record of ours, or anything else.

    Tools print, too, and what they print may be anybody's: it makes no loggers.

    :returns: its message.
    """
    written = _written(line) or _Written(_OUTPUT, logging.INFO, line, time.time())
    logger = logging.getLogger(_OUTPUT)
    if logger.isEnabledFor(written.level):
        record = logger.makeRecord(written.name, written.level, "", 0, written.text, (), None)
        record.created, record.msecs = written.created, (written.created % 1) * 1000
        record.channel_name, record.call_id = channel_name, call_id
        logger.handle(record)
    return written.text


@frozen
class _Written:
    name: str
    level: int
    text: str
    created: float


def _written(line: str) -> _Written | None:
    """The record that a line is; None: it is none."""
    try:
        fields = orjson.loads(line)
        level = logging.getLevelNamesMapping()[fields["level"].upper()]
        created = datetime.fromisoformat(fields["time"]).timestamp()
        parts = [fields["message"], *([fields["traceback"]] if "traceback" in fields else [])]
        text = "\n".join(parts)
        name = fields["name"][:_NAME]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    if not isinstance(name, str) or not 0 < created < _LAST_TIME:
        return None
    return _Written(name, level, text, created)
