"""What a tool may know of the call that it runs in."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from attrs import field, frozen

Log: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]

_log: Final = logging.getLogger(__name__)


def _only_logged(words: object) -> None:
    _log.info("in no call, so nobody hears: %s", words)


async def _nothing_to_hear() -> None:
    pass


@frozen(kw_only=True)
class RunContext:
    """Given to a parameter of a tool that is annotated with this class, whatever its name.

    One that is made with nothing serves for trying a tool outside of any call.

    :ivar call_id: the model's id of this function call.
    :ivar tool: the tool's name.
    :ivar channel_name: the RTC channel that the agent is in.
    :ivar uid: the user who is listened to, or None while there is none.
    :ivar metadata: the agent's own.
    :ivar log: for the tool's log lines.
    :ivar heard: waits until the agent has said all that it has to say, and the person has heard it;
        for async tools.
    :ivar end_call: ends the agent's call now, for this reason; for async tools.
    :ivar report: tells the operator of something, a JSON object with a `type`: it goes to the
        agent's supervisor, with its states; for async tools.
    :ivar say: has the agent say something meanwhile. It returns at once, and a synchronous tool
        may call it from its thread. Once the call of the tool has ended, it raises
        `agent.NotInCall`.
    """

    call_id: str = ""
    tool: str = ""
    channel_name: str = ""
    uid: int | None = None
    metadata: Mapping[str, str] = field(factory=dict)
    log: Log = field(default=_log, repr=False)
    say: Callable[[str], None] = field(default=_only_logged, repr=False)
    heard: Callable[[], Awaitable[None]] = field(default=_nothing_to_hear, repr=False)
    end_call: Callable[[str], None] = field(default=_only_logged, repr=False)
    report: Callable[[dict[str, Any]], None] = field(default=_only_logged, repr=False)
