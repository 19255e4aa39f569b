"""The person's side of a session: audio comes in, turns and their transcripts go out."""

from collections import deque
from typing import Final

from agent.audio import BYTES_PER_SECOND, ms_to_bytes, samples_to_ms, seconds_of
from agent.embedded.hearing import Hearing, Turn, TurnBegan, TurnEnded
from agent.embedded.history import Entry, History, text_tokens
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.refusals import Refusal
from agent.embedded.settings import Json, TurnRules
from agent.embedded.usage import transcription_usage
from agent.embedded.words import Understanding, transcript
from agent.protocol.items import Content, RealtimeConversationItemUserMessage
from agent.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemInputAudioTranscriptionDeltaEvent,
    InputAudioBufferClearedEvent,
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    InputAudioBufferSpeechStoppedEvent,
)

MIN_COMMIT_MS: Final = 100
SLICE_BYTES: Final = ms_to_bytes(100)
"""Audio is heard in pieces of this size: detecting speech in more would hold up other tasks."""
TRANSCRIBED_AFTER: Final = 0.25
"""Seconds from the commit to the transcript, which thus comes amid the answer's first events."""


class Listening:
    """Makes items of what the person says, and tells the client.

    :param understand: what the person is taken to say in each turn.
    """

    def __init__(
        self,
        hearing: Hearing,
        *,
        history: History,
        outbox: Outbox,
        new_id: NewId,
        understand: Understanding,
    ) -> None:
        self.last_turn = b""
        self._hearing = hearing
        self._history = history
        self._outbox = outbox
        self._new_id = new_id
        self._understand = understand
        self._unheard: deque[bytes] = deque()
        self._turns = 0
        self._item_id: str | None = None

    @property
    def is_behind(self) -> bool:
        """There is audio that `hear_next` has yet to hear."""
        return bool(self._unheard)

    def obey(self, rules: TurnRules | None) -> None:
        """Find turns by these rules from now on."""
        self._hearing.obey(rules)

    def append(self, pcm: bytes) -> None:
        """Take audio in, to be heard."""
        for start in range(0, len(pcm), SLICE_BYTES):
            self._unheard.append(pcm[start : start + SLICE_BYTES])

    def hear_next(self) -> list[Turn]:
        """Hear the next slice of audio; what it brings has to be announced."""
        return self._hearing.append(self._unheard.popleft()) if self._unheard else []

    def announce(self, turn: Turn, session: Json, now: float) -> None:
        """Tell the client of a turn; one that has ended becomes an item."""
        if self._item_id is None:
            self._item_id = self._new_id("item_")
        if isinstance(turn, TurnBegan):
            started = InputAudioBufferSpeechStartedEvent(
                audio_start_ms=samples_to_ms(turn.start), item_id=self._item_id
            )
            self._outbox.send(started)
            return
        stopped = InputAudioBufferSpeechStoppedEvent(
            audio_end_ms=samples_to_ms(turn.end), item_id=self._item_id
        )
        self._outbox.send(stopped)
        self._commit(turn, session, now)

    def commit(self, session: Json, now: float) -> None:
        """Make an item of what is in the buffer.

        :raises Refusal: that is too little.
        """
        size = self._hearing.buffered_bytes
        if size < ms_to_bytes(MIN_COMMIT_MS):
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has "
                f"{size * 1000 / BYTES_PER_SECOND:.2f}ms of audio."
            )
            raise Refusal("input_audio_buffer_commit_empty", message)
        self._commit(self._hearing.take(), session, now)

    def clear(self) -> None:
        """Forget what is in the buffer, and the turn that has begun."""
        self._hearing.clear()
        self._item_id = None
        self._outbox.send(InputAudioBufferClearedEvent())

    def _commit(self, turn: TurnEnded, session: Json, now: float) -> None:
        item_id = self._item_id or self._new_id("item_")
        self._item_id = None
        self._turns += 1
        self.last_turn = turn.pcm
        said = self._understand(self._turns)
        entry = Entry(
            id=item_id,
            role="user",
            heard_ms=round(seconds_of(turn.pcm) * 1000),
            speech_seconds=turn.speech_seconds,
            said=said,
        )
        previous = self._history.add(entry)
        item = RealtimeConversationItemUserMessage(
            id=item_id,
            status="completed",
            content=(Content(type="input_audio", transcript=None),),
        )
        committed = InputAudioBufferCommittedEvent(item_id=item_id, previous_item_id=previous)
        self._outbox.send(committed)
        self._outbox.send(ConversationItemAdded(item=item, previous_item_id=previous))
        self._outbox.send(ConversationItemDone(item=item, previous_item_id=previous))
        transcription = session["audio"]["input"]["transcription"]
        if transcription is not None:
            words = transcript(turn.speech_seconds, said)
            self._transcribe(item_id, words, transcription["model"], turn, now)

    def _transcribe(
        self, item_id: str, words: str, model: str | None, turn: TurnEnded, now: float
    ) -> None:
        usage = transcription_usage(model, seconds_of(turn.pcm), text_tokens(words))
        if usage.type == "tokens":
            delta = ConversationItemInputAudioTranscriptionDeltaEvent(
                item_id=item_id, content_index=0, delta=words
            )
            self._outbox.send_later(delta, now + TRANSCRIBED_AFTER)
        completed = ConversationItemInputAudioTranscriptionCompletedEvent(
            item_id=item_id, content_index=0, transcript=words, usage=usage
        )
        self._outbox.send_later(completed, now + TRANSCRIBED_AFTER)
