"""Which speech interrupts, and which of the agent's words cannot be interrupted.

The rules:

- A server interrupts and answers by itself as its turn detection says. Where not all speech is to
  interrupt, that is switched off, and the client does both: it cancels what it wants cancelled,
  and asks for an answer to each turn.
- Which of the two is in force is known from the server's own `session.updated`: what it sent
  before that went by the old rules, however long ago the new ones were asked for.
- Speech may have to last, and to have words, before it interrupts. Too little of it interrupts
  nothing, but is a turn like any other: it is answered when the agent has finished.
- While protected speech is asked for, generated or heard, no speech interrupts it.
"""

from collections.abc import Mapping
from typing import Final

from attrs import define, evolve, field, frozen

from agent.protocol import server_events as server
from agent.protocol.actions import Cause
from agent.protocol.base import UNSET, Maybe
from agent.protocol.client_events import SessionUpdateEvent
from agent.protocol.response import Metadata
from agent.protocol.session import (
    RealtimeAudioConfig,
    RealtimeAudioConfigInput,
    RealtimeSessionCreateRequest,
    TurnDetection,
)

PROTECTED: Final[Mapping[str, str]] = {"allow_interruptions": "false"}
"""The metadata of a response that is protected. A server gives it back with the response, and so
tells it from one that it has begun by itself."""


def is_protected(metadata: Maybe[Metadata]) -> bool:
    """Whether a response with this metadata is one that was asked for as protected."""
    return isinstance(metadata, dict) and PROTECTED.items() <= metadata.items()


def left_to_client(detection: TurnDetection | None) -> TurnDetection | None:
    """The same detection of turns, with what follows from a turn left to the client."""
    if detection is None:
        return None
    return evolve(detection, create_response=False, interrupt_response=False)


@frozen(kw_only=True)
class LeastSpeech:
    """The least speech that interrupts.

    :ivar milliseconds: how long it lasts.
    :ivar words: how many words of it there are; they are known as its transcript comes.
    """

    milliseconds: int = 0
    words: int = 0

    @property
    def any_will_do(self) -> bool:
        """Whether all speech interrupts."""
        return self.milliseconds == 0 and self.words == 0


@define
class _Speech:
    """A turn of the person's that has not interrupted, and may yet.

    :ivar item_id: its item to come.
    :ivar began_ms: where it began, in milliseconds of the session's audio.
    :ivar youngest: the number of the youngest response there was then: later ones answer it.
    :ivar lasted: it was long enough.
    :ivar text: its words so far.
    """

    item_id: str
    began_ms: int
    youngest: int
    lasted: bool
    text: str = ""


@define
class Interruptions:
    """What interrupts in one conversation.

    :ivar wanted: how turns are to be found; None where the client commits by hand.
    :ivar least: the least speech that interrupts.
    """

    wanted: TurnDetection | None = None
    least: LeastSpeech = field(factory=LeastSpeech)
    _in_force: TurnDetection | None = field(init=False)
    _is_guarded: bool = field(init=False, default=False)
    _speech: _Speech | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._in_force = self.asked_for

    # -- who acts ------------------------------------------------------------------------------

    @property
    def server_answers(self) -> bool:
        """The server answers a turn by itself."""
        return self._in_force is not None and self._in_force.create_response is not False

    @property
    def client_answers(self) -> bool:
        """A turn is to be answered, and the server has been told not to do it."""
        wants = self.wanted is not None and self.wanted.create_response is not False
        return wants and not self.server_answers

    def server_cancels(self, cause: Cause) -> bool:
        """The server cancels by itself what this interrupts."""
        return (
            cause is Cause.SPEECH
            and self._in_force is not None
            and self._in_force.interrupt_response is not False
        )

    def guard(self, *, needed: bool) -> SessionUpdateEvent | None:
        """Leave what follows from a turn to the client for as long as that is needed.

        :returns: what the server is to be told, where that is something new.
        """
        before, self._is_guarded = self.asked_for, needed
        asked_for = self.asked_for
        if asked_for == before:
            return None
        audio = RealtimeAudioConfig(input=RealtimeAudioConfigInput(turn_detection=asked_for))
        return SessionUpdateEvent(
            session=RealtimeSessionCreateRequest(type="realtime", audio=audio)
        )

    def updated(self, event: server.SessionUpdatedEvent) -> None:
        """The server has taken an update: its own account of it counts."""
        audio = event.session.audio or None
        told = audio.input.turn_detection if audio and audio.input else UNSET
        self._in_force = self.asked_for if told is UNSET else told

    @property
    def asked_for(self) -> TurnDetection | None:
        """What the server is to do with turns, as things are."""
        is_left = self._is_guarded or not self.least.any_will_do
        return left_to_client(self.wanted) if is_left else self.wanted

    # -- is it speech enough? ------------------------------------------------------------------

    def began(
        self, event: server.InputAudioBufferSpeechStartedEvent, youngest: int
    ) -> float | None:
        """The person speaks.

        :param youngest: the number of the youngest response.
        :returns: None: it interrupts at once. Otherwise seconds, after which `goes_on` is to be
            asked; infinite where only its words count.
        """
        if self.least.any_will_do:
            return None
        lasted = self.least.milliseconds == 0
        where = event.item_id or "", event.audio_start_ms or 0
        self._speech = _Speech(*where, youngest, lasted)
        if lasted:
            return float("inf")
        # Shorter speech is said to have stopped after this, for the server waits for silence.
        return (self.least.milliseconds + self._silence_ms()) / 1000

    def goes_on(self) -> int | None:
        """The person still speaks; see `_verdict`."""
        if self._speech is None:
            return None
        self._speech.lasted = True
        return self._verdict()

    def stopped(self, event: server.InputAudioBufferSpeechStoppedEvent) -> int | None:
        """The person has stopped; see `_verdict`."""
        speech = self._speech
        if speech is None:
            return None
        padding = self.wanted.prefix_padding_ms or 0 if self.wanted else 0
        length = (event.audio_end_ms or 0) - speech.began_ms - padding - self._silence_ms()
        speech.lasted = speech.lasted or length >= self.least.milliseconds
        if not speech.lasted:
            self._speech = None
        return self._verdict()

    def heard(self, item_id: str, text: str, *, is_all: bool) -> int | None:
        """Words of the person's; see `_verdict`.

        :param is_all: these are all, in place of those that came before.
        """
        speech = self._speech
        if speech is None or speech.item_id != item_id:
            return None
        speech.text = text if is_all else speech.text + text
        verdict = self._verdict()
        if is_all and verdict is None and speech.lasted:
            self._speech = None  # it has too few
        return verdict

    def _verdict(self) -> int | None:
        """The number of the youngest response that is interrupted; None: nothing is, so far."""
        speech = self._speech
        if speech is None or not speech.lasted or len(speech.text.split()) < self.least.words:
            return None
        self._speech = None
        return speech.youngest

    def _silence_ms(self) -> int:
        return self.wanted.silence_duration_ms or 0 if self.wanted else 0
