"""How long the person waits: for an answer, and for silence. No clock and no I/O.

All times are of one clock, that of the agent's event loop, and of this process's own doings: what
lies in the network, in the channel or in the person's loudspeaker is not in them.

- The latency of a turn begins when the agent reads that the person's speech has ended (or, where
  the server tells only that, that their audio was committed), or that a message was typed. A server
  that finds turns by itself says so some `silence_duration_ms` after the last sound. It ends
  when the first frame of an answer is handed to the channel: of a response that began after
  the turn had ended. What tools took in between is in it. A turn that the person goes on
  with, that has no spoken answer, or whose answer is cut before its first frame has no latency.
- The latency of a barge-in begins when the agent reads the event that interrupts (where speech
  must last to interrupt: when it has lasted), and ends when the channel has been cleared. Where
  local barge-in had made silence already, it is 0. How long the event lay in the socket before it
  was read is not known here.
"""

from typing import Final

from attrs import define, field

from agent.protocol.responses import keep_newest

_KEPT: Final = 64
"""Responses without speech that may follow a turn before the one that is heard: calls of tools."""


@define
class _Turn:
    ended_at: float
    answers: dict[str, None] = field(factory=dict)


@define
class Latencies:
    """The watch of one call: told what happens and when, it tells how long things took."""

    _turn: _Turn | None = None
    _interrupted_at: float = 0.0

    def turn_ended(self, now: float) -> None:
        """The person has spoken or typed; an answer is due."""
        self._turn = _Turn(now)

    def committed(self, now: float) -> None:
        """The server has the person's audio: the end of a turn that it has not told of before."""
        if self._turn is None:
            self.turn_ended(now)

    def goes_on(self) -> None:
        """The person speaks: of the turn before, no answer is waited for any more."""
        self._turn = None

    def response_began(self, response_id: str) -> None:
        """The model has begun a response."""
        if self._turn is not None:
            self._turn.answers[response_id] = None
            keep_newest(self._turn.answers, _KEPT)

    def first_frame(self, response_id: str, now: float) -> float | None:
        """Audio of a response was handed to the channel for the first time.

        :returns: the latency of the turn that it answers, in seconds, if it does.
        """
        if self._turn is None or response_id not in self._turn.answers:
            return None
        latency, self._turn = now - self._turn.ended_at, None
        return latency

    def happens(self, now: float) -> None:
        """Something has come that may interrupt the agent."""
        self._interrupted_at = now

    def silent(self, now: float) -> float:
        """The latency of the interruption that has just been performed, in seconds."""
        return now - self._interrupted_at
