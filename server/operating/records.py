"""One record of each call, from what its agent and its supervisor tell.

An agent that ends in order sums its call up itself. One that was killed, or crashed, cannot; and
only the supervisor knows how a process ended and how many a call had. So the record is always
made here, at the call's end, of both: once for each call id. A call that never was, because its
agent did not get into its channel, has none: whoever asked for it has had the answer.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attrs import define, field

from agent.call_record import CallRecord
from agent.figures import Figures
from agent.supervisor.supervisor import AgentInfo

Event: TypeAlias = dict[str, Any]
Sink: TypeAlias = Callable[[AgentInfo, Event], None]


@define
class _Call:
    """What is known of a call while it lasts.

    :ivar figures: of the process that it has now.
    :ivar before: of those that it had before.
    :ivar told: the agent's own record.
    """

    joined_at: float | None = None
    figures: Figures = field(factory=Figures)
    before: Figures = field(factory=Figures)
    told: Event = field(factory=dict)

    def restarts(self) -> None:
        """Its next process begins to count at 0."""
        self.before, self.figures = self.figures.after(self.before), Figures()
        self.told = {}


class Records:
    """Makes the records. `take` is a supervisor's `on_event`.

    :param sinks: each is told every record, as `CallRecord.event` has it. None of them waits.
    :param grew: is told by how much the figures of any call have grown.
    :param clock: seconds since 1970.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        grew: Callable[[Figures], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sinks, self._grew, self._clock = sinks, grew, clock
        # Only of agents that there are, of which a supervisor has a limited number.
        self._calls: dict[str, _Call] = {}

    def take(self, info: AgentInfo, event: Event) -> None:
        """One event of an agent, or of its supervisor about it."""
        match event.get("type"):
            case "state":
                self._take_state(info, str(event.get("state")))
            case "metrics":
                self._count(self._of(info), Figures.read(event))
            case "call_record":
                self._of(info).told = event

    def _of(self, info: AgentInfo) -> _Call:
        return self._calls.setdefault(info.call_id, _Call())

    def _count(self, call: _Call, figures: Figures) -> None:
        self._grew(figures.since(call.figures))
        call.figures = figures

    def _take_state(self, info: AgentInfo, state: str) -> None:
        if state == "running":
            call = self._of(info)
            call.joined_at = self._clock() if call.joined_at is None else call.joined_at
        elif state == "restarting":
            self._of(info).restarts()
        elif state in ("ended", "failed"):
            self._end(info, self._calls.pop(info.call_id, _Call()))

    def _end(self, info: AgentInfo, call: _Call) -> None:
        if call.joined_at is None:
            return
        record = self._record(info, call, call.joined_at).event()
        for sink in self._sinks:
            sink(info, record)

    def _record(self, info: AgentInfo, call: _Call, joined_at: float) -> CallRecord:
        told = call.told
        status = told.get("exit_status") if info.exit_status is None else info.exit_status
        return CallRecord(
            call_id=info.call_id,
            channel_name=info.channel_name,
            model=info.model,
            embedded=info.embedded,
            metadata=info.metadata,
            reason=info.reason or str(told.get("reason", "not known")),
            exit_status=status,
            started_at=joined_at,
            ended_at=float(told.get("ended_at", self._clock())),
            figures=call.figures.after(call.before),
        )
