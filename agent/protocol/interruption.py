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

from collections import deque
from collections.abc import Mapping
from typing import Final

from attrs import define, evolve, field, frozen

from agent.protocol import server_events as server
from agent.protocol.actions import Cause
from agent.protocol.alignment import count_words
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

MAX_SPEECHES: Final = 8
"""Turns whose words may yet come; a transcript takes a second or two."""
MAX_SPEECH: Final = 4096
"""Characters of one turn's words that are looked at: far more than are asked for."""
MAX_UNANSWERED: Final = 64
"""Updates of ours that a server has not answered. One that owes so many answers none."""
MAX_REFUSALS: Final = 3
"""Updates of ours that are refused and sent again. A server that refuses one refuses the next."""


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


@frozen
class Verdict:
    """Whether a turn of the person's interrupts.

    :ivar youngest: the number of the youngest response that it interrupts; None: none, so far.
    :ivar is_final: nothing that is still to come of the turn changes it.
    """

    youngest: int | None = None
    is_final: bool = False


UNDECIDED: Final = Verdict()
TOO_LITTLE: Final = Verdict(is_final=True)


@define
class _Speech:
    """A turn of the person's that has not interrupted, and may yet.

    :ivar began_ms: where it began, in milliseconds of the session's audio.
    :ivar youngest: the number of the youngest response there was then: later ones answer it.
    :ivar lasted: it was long enough.
    :ivar text: its words so far.
    """

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
    _unanswered: deque[TurnDetection | None] = field(
        init=False, factory=lambda: deque(maxlen=MAX_UNANSWERED)
    )
    _refusals: int = field(init=False, default=0)
    _speeches: dict[str, _Speech] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._in_force = self.asked_for

    # -- who acts ------------------------------------------------------------------------------

    @property
    def asked_for(self) -> TurnDetection | None:
        """What the server is to do with turns, as things are."""
        is_left = self._is_guarded or not self.least.any_will_do
        return left_to_client(self.wanted) if is_left else self.wanted

    @property
    def is_guarded(self) -> bool:
        """What follows from a turn is left to the client for a while."""
        return self._is_guarded

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
        if asked_for is None or asked_for == before:
            return None
        self._unanswered.append(asked_for)
        # In so many words: an update is merged, so what it leaves unsaid stays as it was.
        said = evolve(
            asked_for,
            create_response=asked_for.create_response is not False,
            interrupt_response=asked_for.interrupt_response is not False,
        )
        audio = RealtimeAudioConfig(input=RealtimeAudioConfigInput(turn_detection=said))
        return SessionUpdateEvent(
            session=RealtimeSessionCreateRequest(type="realtime", audio=audio)
        )

    def updated(self, event: server.SessionUpdatedEvent) -> None:
        """The server has taken an update: its own account of it counts, as far as that goes."""
        asked = self._unanswered.popleft() if self._unanswered else self.asked_for
        audio = event.session.audio or None
        told = audio.input.turn_detection if audio and audio.input else UNSET
        if isinstance(told, TurnDetection) and asked is not None:
            told = evolve(
                told,
                create_response=_first(told.create_response, asked.create_response),
                interrupt_response=_first(told.interrupt_response, asked.interrupt_response),
            )
        self._in_force = asked if told is UNSET else told

    def refused(self) -> None:
        """The server has refused an update of ours: it is to be told again, some times."""
        if self._unanswered:
            self._unanswered.popleft()
        self._refusals += 1
        if self._refusals <= MAX_REFUSALS:
            self._is_guarded = not self._is_guarded

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
        self._speeches[event.item_id or ""] = _Speech(event.audio_start_ms or 0, youngest, lasted)
        if len(self._speeches) > MAX_SPEECHES:
            del self._speeches[next(iter(self._speeches))]
        if lasted:
            return float("inf")
        # Shorter speech is said to have stopped after this, for the server waits for silence.
        return (self.least.milliseconds + self._silence_ms()) / 1000

    def goes_on(self) -> Verdict:
        """The person still speaks."""
        if not self._speeches:
            return UNDECIDED
        newest = next(reversed(self._speeches))
        self._speeches[newest].lasted = True
        return self._verdict(newest)

    def stopped(self, event: server.InputAudioBufferSpeechStoppedEvent) -> Verdict:
        """The person has stopped."""
        item_id = event.item_id or next(reversed(self._speeches), "")
        speech = self._speeches.get(item_id)
        if speech is None:
            return UNDECIDED
        around_ms = self._padding_ms() + self._silence_ms()
        length = (event.audio_end_ms or 0) - speech.began_ms - around_ms
        speech.lasted = speech.lasted or length >= self.least.milliseconds
        return self._verdict(item_id, is_over=not speech.lasted)

    def heard(self, item_id: str, text: str, *, is_all: bool) -> Verdict:
        """Words of the person's.

        :param is_all: these are all, in place of those that came before.
        """
        speech = self._speeches.get(item_id)
        if speech is None:
            return UNDECIDED
        speech.text = (text if is_all else speech.text + text)[:MAX_SPEECH]
        return self._verdict(item_id, is_over=is_all and speech.lasted)

    def unheard(self, item_id: str) -> Verdict:
        """There will be no words: how long the speech was has to do."""
        speech = self._speeches.pop(item_id, None)
        if speech is None:
            return UNDECIDED
        return Verdict(speech.youngest, is_final=True) if speech.lasted else TOO_LITTLE

    def _verdict(self, item_id: str, *, is_over: bool = False) -> Verdict:
        speech = self._speeches[item_id]
        if speech.lasted and count_words(speech.text) >= self.least.words:
            del self._speeches[item_id]
            return Verdict(speech.youngest, is_final=True)
        if is_over:
            del self._speeches[item_id]
        return TOO_LITTLE if is_over else UNDECIDED

    def _padding_ms(self) -> int:
        """What the server counts to a turn before its speech."""
        return (self._in_force and self._in_force.prefix_padding_ms) or 0

    def _silence_ms(self) -> int:
        """What it counts to it after its speech."""
        return (self._in_force and self._in_force.silence_duration_ms) or 0


def _first(told: Maybe[bool], asked: Maybe[bool]) -> Maybe[bool]:
    return asked if told is UNSET else told
