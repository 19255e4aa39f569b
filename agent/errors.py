"""One class per kind of fault, told apart by whose fault it is.

Every class says with which status `python -m agent` exits. Foreign errors are translated into
these once, where the foreign library is called.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

MAX_WORDS: Final = 1000
"""Characters of somebody else's words that are shown."""


def one_line(words: str) -> str:
    """Words of somebody else's as they may stand in a log: on one line, and not too many."""
    shown = "".join(c if c.isprintable() else " " for c in words[:MAX_WORDS])
    return " ".join(shown.split()) + "..." * (len(words) > MAX_WORDS)


class AgentError(Exception):
    """What can go wrong with one agent; the text is one line for the person who reads the log.

    :ivar kind: a stable word for it, in events, records and figures.
    :ivar is_final: to try again would fail again.
    """

    exit_status: ClassVar[int] = 1
    kind: str = "crashed"
    is_final: ClassVar[bool] = False


class ConfigError(AgentError):
    """The operator's fault: a setting or an option is bad. The text names it."""

    exit_status = 2
    kind = "config"
    is_final = True


class ModelError(AgentError):
    """The realtime model's side failed."""

    kind = "model"


class ModelUnreachable(ModelError):
    """No WebSocket to the model could be opened, or it did not speak in time."""


class ModelRefused(ModelError):
    """The server said why it won't: key, quota, account, model or request.

    :ivar code: the server's own code, such as `invalid_api_key`, where it gave one.
    :param param: the field at fault, where it named one.
    """

    is_final = True

    def __init__(self, message: str, code: str | None = None, param: str | None = None) -> None:
        said = one_line(message)
        where = ", ".join(one_line(word) for word in (code, param) if word)
        super().__init__(f"the model's server refused: {said}" + (f" ({where})" if where else ""))
        self.code = code


class ModelLost(ModelError):
    """The WebSocket to the model ended in the midst of a call."""


class ModelFormatUnknown(ModelError):
    """The server's audio is in a format that is not known here. The text names it."""


class ChannelError(AgentError):
    """The RTC channel's side failed: it could not be joined, or it was lost."""

    kind = "channel"


class NotInCall(AgentError):
    """The program's fault: it wants something said by an agent that is in no call."""


class RecordingError(ConfigError):
    """A WAV file cannot be read, written or used."""


@contextmanager
def ungrouped() -> Iterator[None]:
    """Around a nursery: raise an error of ours by itself in place of a group that holds it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = sole_error(group)
        if error is None:
            raise
        raise error from group


def sole_error(error: BaseException) -> AgentError | None:
    """The first of our own errors in what a nursery raised, if there is nothing but our own.

    A bug beside it must not hide behind it: then this returns None.
    """
    if isinstance(error, AgentError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [sole_error(inner) for inner in error.exceptions]
        return found[0] if all(found) else None
    return None
