"""What the conversation wants done, and what it is told of playout. Frozen data, no behaviour."""

import enum
from typing import Any, TypeAlias

from attrs import frozen

from agent.protocol.client_events import RealtimeClientEvent


@frozen
class PartKey:
    """Names one content part's audio: what playout plays and the ledger counts."""

    response_id: str
    item_id: str
    content_index: int


@frozen(kw_only=True)
class Heard:
    """How far the playout of one content part had come when it was stopped.

    :ivar received: samples that the model had sent.
    :ivar played: samples that the person has heard.
    :ivar whole: these are all that there are, or will be.
    """

    key: PartKey
    received: int
    played: int
    whole: bool


@frozen
class Play:
    """Play this audio (pcm16, 24 kHz, mono) after all that is queued already.

    :ivar order: (output index, content index), in which the parts of one response are played.
    """

    key: PartKey
    order: tuple[int, int]
    pcm: bytes


@frozen
class Discard:
    """So many samples came that are not to be heard: too late, or of an interrupted response."""

    samples: int


@frozen
class EndOfAudio:
    """No more audio comes for this part."""

    key: PartKey


@frozen
class EndOfResponse:
    """No more audio comes for any part of this response."""

    response_id: str


class Cause(enum.Enum):
    """Who interrupts the agent."""

    SPEECH = "speech"
    TEXT = "text"
    PROGRAM = "program"


@frozen
class StopPlayout:
    """Fall silent now; then `Conversation.playout_stopped` is to be told what was heard.

    :ivar spared: responses that go on all the same: their speech is protected, or it is younger
        than what interrupts.
    """

    cause: Cause
    spared: frozenset[str] = frozenset()


@frozen
class AwaitSpeech:
    """The person speaks, but not enough yet to interrupt.

    :ivar seconds: after which `Conversation.speech_goes_on` is to be called; infinite: never.
    """

    seconds: float


@frozen
class TooLittle:
    """What the person said was too little to interrupt."""


@frozen
class Send:
    """Send this to the model."""

    event: RealtimeClientEvent


@frozen
class CallTool:
    """Run a function; then `Conversation.tool_finished` is to be told what came of it.

    :ivar arguments: JSON text, as the model wrote it.
    """

    call_id: str
    response_id: str
    name: str
    arguments: str


@frozen
class InterruptCalls:
    """The person has interrupted what these calls are of; each goes on or not by its own policy."""

    call_ids: frozenset[str]


@frozen
class Publish:
    """Tell the people in the channel: one JSON message of the data channel."""

    message: dict[str, Any]


@frozen
class Warn:
    """Something is amiss but the call goes on: a line for the log."""

    text: str


@frozen
class Note:
    """Something that costs nobody anything, but may explain something else: a line for the log."""

    text: str


@frozen
class Fail:
    """The call cannot go on: the server's own words, and its code."""

    message: str
    code: str | None


Action: TypeAlias = (
    Play
    | Discard
    | EndOfAudio
    | EndOfResponse
    | StopPlayout
    | AwaitSpeech
    | TooLittle
    | CallTool
    | InterruptCalls
    | Send
    | Publish
    | Warn
    | Note
    | Fail
)
