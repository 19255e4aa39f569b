"""What is left of a call: one record, for the log, the operator's events and the webhook."""

from typing import Any, TypeAlias

from attrs import field, frozen

from agent.figures import Figures

Event: TypeAlias = dict[str, Any]


@frozen(kw_only=True)
class CallRecord:
    """One call that is over.

    :ivar call_id: names this call; no other has it.
    :ivar exit_status: of the agent, as the README lists them; negative: the signal that killed its
        process; None: not known.
    :ivar started_at: when the agent was in its channel, seconds since 1970; and `ended_at`.
    :ivar figures: over all the processes that the call had. Where one was killed, without what it
        had not told yet.
    """

    call_id: str
    channel_name: str
    model: str
    embedded: bool
    metadata: dict[str, str] = field(factory=dict)
    reason: str
    exit_status: int | None
    started_at: float
    ended_at: float
    figures: Figures = field(factory=Figures)

    @property
    def duration_s(self) -> float:
        """Seconds that the call took. The wall clock may have been set back meanwhile."""
        return max(0.0, self.ended_at - self.started_at)

    def event(self) -> Event:
        """As the operator gets it."""
        figures = self.figures
        return {
            "type": "call_record",
            "call_id": self.call_id,
            "channel_name": self.channel_name,
            "model": self.model,
            "embedded": self.embedded,
            "metadata": self.metadata,
            "reason": self.reason,
            "exit_status": self.exit_status,
            "started_at": round(self.started_at, 3),
            "ended_at": round(self.ended_at, 3),
            "duration_s": round(self.duration_s, 3),
            "turns": figures.turns,
            "answers": figures.answers,
            "interruptions": figures.interruptions,
            "tool_calls": figures.tool_calls,
            "tokens": {
                "total": figures.tokens,
                "input": figures.input_tokens,
                "output": figures.output_tokens,
            },
            "audio_dropped": figures.audio_dropped,
            "data_dropped": figures.data_dropped,
            "malformed_events": figures.malformed_events,
            "underruns": figures.underruns,
        }
