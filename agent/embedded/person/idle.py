"""How long nobody has said anything: `idle_timeout_ms`.

The time begins when the last answer has been played, as far as a server can know: its audio is
taken to play from its `response.done` on. It ends with the person's speech, or with another
answer, and begins again after that answer.
"""

from agent.audio import BYTES_PER_SECOND
from agent.embedded.formats import bytes_a_second
from agent.embedded.kept import output_format
from agent.protocol.server_events import (
    InputAudioBufferClearedEvent,
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    InputAudioBufferSpeechStoppedEvent,
    InputAudioBufferTimeoutTriggered,
    RealtimeServerEvent,
    ResponseAudioDeltaEvent,
    ResponseCreatedEvent,
    ResponseDoneEvent,
    SessionUpdatedEvent,
)
from agent.protocol.session import Session


class IdleTimer:
    """Reads along what the client is told (`note`)."""

    def __init__(self) -> None:
        self._began_at: int | None = None
        self._begins: float | None = None
        self._is_speech = False
        self._response_id: object = None
        self._rate = BYTES_PER_SECOND
        self._sent_bytes = 0

    def due(self, timeout_ms: int | None) -> float | None:
        """When `is_over` is next to be asked, in seconds on the clock of `note`."""
        if self._begins is None or timeout_ms is None:
            return None
        return self._begins + (0 if self._began_at is None else timeout_ms / 1000)

    def is_over(self, timeout_ms: int | None, position: int, now: float) -> int | None:
        """Where the silence began, in samples of the session, if it has lasted for so long.

        :param position: how much of the person's audio was heard, in samples of the session.
        """
        if self._begins is None or now < self._begins:
            return None
        if self._began_at is None:
            self._began_at = position
        is_over = timeout_ms is not None and now >= self._begins + timeout_ms / 1000
        return self._began_at if is_over else None

    def note(self, event: RealtimeServerEvent, now: float) -> None:
        """Something was told."""
        match event:
            case InputAudioBufferSpeechStartedEvent():
                self._is_speech = True
                self._stop()
            case InputAudioBufferSpeechStoppedEvent() | InputAudioBufferCommittedEvent():
                self._is_speech = False
            case InputAudioBufferClearedEvent():
                self._is_speech = False
            case SessionUpdatedEvent(session=session) if not _has_detection(session):
                # Without detection no end of speech is ever told: what has begun is forgotten.
                self._is_speech = False
            case InputAudioBufferTimeoutTriggered():
                self._stop()
            case ResponseCreatedEvent(response=response) if response.conversation_id:
                self._response_id, self._sent_bytes = response.id, 0
                self._rate = bytes_a_second(output_format(response))
                self._stop()
            case ResponseAudioDeltaEvent() if event.response_id == self._response_id:
                self._sent_bytes += len(event.delta)
            case ResponseDoneEvent() if event.response.id == self._response_id:
                if not self._is_speech:
                    self._begins = now + self._sent_bytes / self._rate
            case _:
                pass

    def _stop(self) -> None:
        self._begins = self._began_at = None


def _has_detection(session: Session) -> bool:
    listening = session.audio.input if session.audio else None
    return bool(listening and listening.turn_detection)
