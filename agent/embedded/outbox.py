"""Events on their way to the client."""

import heapq
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from attrs import evolve

from agent.embedded.forms.refusals import INVALID_REQUEST, Refusal
from agent.protocol.server_events import (
    ConversationItemInputAudioTranscriptionDeltaEvent,
    InputAudioBufferDtmfEventReceivedEvent,
    RealtimeError,
    RealtimeErrorEvent,
    RealtimeServerEvent,
    ResponseAudioTranscriptDeltaEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseTextDeltaEvent,
)

NewId: TypeAlias = Callable[[str], str]
"""Makes an id that was never made before, with this prefix."""
Reader: TypeAlias = Callable[[RealtimeServerEvent, float], None]
"""Reads an event, and the time at which it is told, in seconds."""

_TEXT_DELTAS: Final = (
    ResponseAudioTranscriptDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ConversationItemInputAudioTranscriptionDeltaEvent,
)
_OBFUSCATED_TO: Final = 16


class Outbox:
    """Numbers events and keeps them until somebody takes them.

    :param new_id: makes the events' ids.
    :param readers: are told of every event as it is put in, and of the time then. They must not
        lead back here, so that an ended session is freed at once and not by the cycle collector.
    :param now: the time, in seconds.
    :ivar now: the time; who moves the session keeps it.
    """

    def __init__(self, new_id: NewId, readers: Sequence[Reader], now: float) -> None:
        self.now = now
        self._new_id = new_id
        self._readers = readers
        self._events: list[RealtimeServerEvent] = []
        self._later: list[tuple[float, int, RealtimeServerEvent]] = []
        self._count = 0

    @property
    def due(self) -> float | None:
        """When the next event of `send_later` is to go, if there is one."""
        return self._later[0][0] if self._later else None

    def send(self, event: RealtimeServerEvent) -> None:
        """Put an event at the end."""
        # It belongs to telephone calls, and is the only one without an id.
        assert not isinstance(event, InputAudioBufferDtmfEventReceivedEvent)
        if isinstance(event, _TEXT_DELTAS):
            # The service pads text deltas, so that their sizes on the wire tell no words.
            padding = self._new_id("")[: _OBFUSCATED_TO - len(event.delta or "") % _OBFUSCATED_TO]
            event = evolve(event, extra={"obfuscation": padding})
        self._events.append(evolve(event, event_id=self._new_id("event_")))
        for read in self._readers:
            read(event, self.now)

    def send_later(self, event: RealtimeServerEvent, due: float) -> None:
        """Put an event at the end once `release` is called at or after `due`."""
        # The count keeps events of one time in their order; events themselves have none.
        self._count += 1
        heapq.heappush(self._later, (due, self._count, event))

    def release(self, now: float) -> None:
        """Send what was put off until now or before."""
        while self._later and self._later[0][0] <= now:
            self.send(heapq.heappop(self._later)[2])

    def refuse(self, refusal: Refusal, event_id: str | None) -> None:
        """Answer a client's event, by its id, with an error."""
        error = RealtimeError(
            type=INVALID_REQUEST,
            code=refusal.code,
            message=refusal.message,
            param=refusal.param,
            event_id=event_id,
        )
        self.send(RealtimeErrorEvent(error=error))

    def drain(self) -> list[RealtimeServerEvent]:
        """What was put in since the last call, in order."""
        events, self._events = self._events, []
        return events
