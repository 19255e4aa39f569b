"""A fault plan at work: what was to be sent goes in, what is to be sent comes out.

No I/O and no clock: the time is an argument of every call, in seconds on a clock that does not go
back. One heap holds all that waits; what keeps its order is never due before what went in earlier.
"""

import heapq
import logging
import math
import random
from typing import Any, Final, TypeAlias

import orjson
from attrs import define, frozen

from agent.embedded.faults.effects import NONSENSE as KINDS
from agent.embedded.faults.effects import (
    CloseSocket,
    Delay,
    Drop,
    Duplicate,
    Effect,
    Fail,
    Late,
    Lose,
    Malformed,
    OnMessage,
    SendError,
    Stall,
)
from agent.embedded.faults.failing import CAN_FAIL, error_event, failed
from agent.embedded.faults.nonsense import nonsense
from agent.embedded.faults.plan import ANY, Fault, FaultPlan
from agent.embedded.outbox import NewId

MAX_WAITING_BYTES: Final = 16 * 2**20
"""Of messages that are held back; with more the connection is cut, as by a server that gives up."""
MAX_WAITING: Final = 4096
"""Messages that are held back, likewise."""

_log = logging.getLogger(__name__)

Ending: TypeAlias = Drop | CloseSocket
Frame: TypeAlias = str | bytes | Ending
"""What is done on the wire: a message, or its end."""


@define
class _Armed:
    """A fault, and how many events its trigger has counted."""

    fault: Fault
    seen: int = 0

    def is_set_off(self, wanted: str | None, type_: str | None) -> bool:
        """Count an event; whether it is the one."""
        if wanted is None or wanted not in (ANY, type_):
            return False
        self.seen += 1
        return self.fault.when.nth in (None, self.seen)


@frozen(order=True)
class _Waiting:
    due: float
    number: int
    message: str | bytes


class FaultLine:
    """One session's way to the wire.

    :param started_at: now.
    :param new_id: makes the ids of its own events.
    """

    def __init__(self, plan: FaultPlan, *, started_at: float, new_id: NewId) -> None:
        self._new_id = new_id
        self._chance = random.Random(plan.seed)
        self._on_events = [_Armed(fault) for fault in plan.faults if fault.when.seconds is None]
        self._timed = sorted(
            (
                (started_at + fault.when.seconds, number, fault)
                for number, fault in enumerate(plan.faults)
                if fault.when.seconds is not None
            ),
            reverse=True,
        )
        self._for_next: list[OnMessage] = []
        self._failure: Fail | None = None
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._count = 0
        self._latency = 0.0
        self._last_due = -math.inf
        self._held_until = -math.inf
        self._ending: Ending | None = None
        self.over = False

    # -- in ----------------------------------------------------------------------------------

    def received(self, message: str | bytes, now: float) -> bool:
        """The client has sent something; False: it is lost on its way to the model."""
        event = _event(message)
        type_ = _text(event.get("type"))
        kept = True
        for armed in self._on_events:
            if armed.is_set_off(armed.fault.when.received, type_):
                if isinstance(armed.fault.do, Lose):
                    kept = False
                else:
                    self._act(armed.fault.do, now, answers=_text(event.get("event_id")))
        return kept

    def sent(self, message: str, now: float) -> None:
        """The model sends an event."""
        type_ = _text(_event(message).get("type"))
        effects, self._for_next = list[OnMessage](self._for_next), []
        for armed in self._on_events:
            if armed.is_set_off(armed.fault.when.sent, type_):
                effect = armed.fault.do
                if isinstance(effect, OnMessage):
                    effects.append(effect)
                else:
                    self._act(effect, now)
        if self._failure is not None and type_ in CAN_FAIL:
            message, self._failure = failed(self._failure, message), None
        for piece in self._changed([message], effects, now):
            self._put(piece, now)

    # -- out ---------------------------------------------------------------------------------

    def advance(self, now: float) -> list[Frame]:
        """What is to be done on the wire now, in order; after an ending there is nothing more."""
        while self._timed and self._timed[-1][0] <= now:
            self._act(self._timed.pop()[2].do, now)
        frames: list[Frame] = []
        while self._waiting and max(self._waiting[0].due, self._held_until) <= now:
            frames.append(self._take())
        if self._ending is not None and not self.over:
            self.over = True
            frames.append(self._ending)
        return frames

    def next_deadline(self) -> float:
        """When to call `advance` at the latest; infinite where there is nothing to wait for."""
        if self.over:
            return math.inf
        timed = self._timed[-1][0] if self._timed else math.inf
        return min(timed, self.next_message())

    def next_message(self) -> float:
        """When the first of what is held back is due."""
        return max(self._waiting[0].due, self._held_until) if self._waiting else math.inf

    def drained_at(self) -> float:
        """When the last of what is held back is due, but for what is late on purpose."""
        return max(self._last_due, self._held_until)

    # -- what faults do ----------------------------------------------------------------------

    def _act(self, effect: Effect, now: float, answers: str | None = None) -> None:
        match effect:
            case Delay(seconds):
                self._latency = seconds
            case Stall(seconds):
                self._stall(math.inf if seconds is None else now + seconds)
            case Drop() | CloseSocket():
                self._ending = self._ending or effect
            case SendError():
                error_id = effect.event_id or answers
                self._put(error_event(effect, self._new_id("event_"), error_id), now)
            case Fail():
                self._failure = effect
            case Duplicate() | Late() | Malformed() | Lose():
                self._for_next.append(effect)

    def _changed(
        self, messages: list[str], effects: list[OnMessage], now: float
    ) -> list[str | bytes]:
        pieces: list[str | bytes] = [*messages]
        for effect in effects:
            match effect:
                case Lose():
                    pieces = []
                case Duplicate(copies):
                    pieces = [piece for piece in pieces for _ in range(copies + 1)]
                case Malformed():
                    bad = self._nonsense(effect, messages[0])
                    pieces = [bad] if effect.instead else [bad, *pieces]
                case Late(seconds, again):
                    for piece in pieces:
                        self._wait(piece, now + seconds)
                    pieces = pieces if again else []
        return pieces

    def _nonsense(self, effect: Malformed, message: str) -> str | bytes:
        if effect.text is not None:
            return effect.text
        return nonsense(effect.kind or self._chance.choice(KINDS), message, self._chance)

    def _stall(self, until: float) -> None:
        self._held_until = max(self._held_until, until)
        if self._held_until == math.inf:
            # Nobody will ever see it.
            self._waiting.clear()
            self._waiting_bytes = 0

    # -- what waits --------------------------------------------------------------------------

    def _put(self, message: str | bytes, now: float) -> None:
        """At the end of what keeps its order."""
        self._last_due = max(self._last_due, now + self._latency)
        self._wait(message, self._last_due)

    def _wait(self, message: str | bytes, due: float) -> None:
        if self._held_until == math.inf or self._ending is not None:
            return
        self._count += 1
        self._waiting_bytes += len(message)
        heapq.heappush(self._waiting, _Waiting(due, self._count, message))
        if self._waiting_bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING:
            _log.warning("the fault plan holds back too much: the connection is cut")
            self._waiting.clear()
            self._ending = Drop()

    def _take(self) -> str | bytes:
        message = heapq.heappop(self._waiting).message
        self._waiting_bytes -= len(message)
        return message


def _event(message: str | bytes) -> dict[str, Any]:
    """A message's JSON object; an empty one where it is none, which is the model's to refuse."""
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
