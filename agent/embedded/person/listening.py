"""The person's side of a session: audio comes in, turns and their transcripts go out."""

from base64 import b64encode
from collections import deque
from typing import Final

from attrs import evolve

from agent.audio import BYTES_PER_SECOND, ms_to_bytes, samples_to_ms, seconds_of
from agent.embedded.answers.words import Understanding, pieces, transcript
from agent.embedded.formats import IncomingAudio, check_samples, encoded
from agent.embedded.forms.refusals import Refusal
from agent.embedded.history import Entry, History, text_tokens
from agent.embedded.items import check_room
from agent.embedded.kept import KeptItems
from agent.embedded.outbox import NewId, Outbox
from agent.embedded.person.hearing import Hearing, Turn, TurnBegan, TurnEnded
from agent.embedded.settings import Json, TurnRules, wants_logprobs
from agent.embedded.usage import transcription_usage
from agent.protocol.base import UNSET
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
    InputAudioBufferTimeoutTriggered,
    LogProbProperties,
)

MIN_COMMIT_MS: Final = 100
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
        kept: KeptItems,
        outbox: Outbox,
        new_id: NewId,
        understand: Understanding,
    ) -> None:
        self.last_turn = b""
        self._hearing = hearing
        self._incoming = IncomingAudio()
        self._history = history
        self._kept = kept
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

    @property
    def position(self) -> int:
        """How much audio was heard, in samples of the session."""
        return self._hearing.position

    def obey(self, rules: TurnRules | None, format_name: str) -> list[Turn]:
        """Find turns by these rules, in audio of this format, from now on.

        :returns: what the rest of the audio before brings; it has to be announced.
        """
        turns = self.catch_up() if format_name != self._incoming.name else []
        self._incoming.obey(format_name)
        self._hearing.obey(rules)
        return turns

    def append(self, audio: bytes) -> None:
        """Take audio in, to be heard in small pieces: more would hold up other tasks.

        :raises Refusal: it is no whole number of samples.
        """
        check_samples(len(audio), self._incoming.name, "audio")
        size = self._incoming.piece_bytes
        for start in range(0, len(audio), size):
            self._unheard.append(audio[start : start + size])

    def hear_next(self) -> list[Turn]:
        """Hear the next piece of audio; what it brings has to be announced."""
        return self._hear(self._incoming.feed(self._unheard.popleft())) if self._unheard else []

    def catch_up(self) -> list[Turn]:
        """Hear what the conversion holds back; what it brings has to be announced."""
        return self._hear(self._incoming.flush())

    def _hear(self, pcm: bytes) -> list[Turn]:
        return self._hearing.append(pcm) if pcm else []

    def announce(self, turn: Turn, session: Json, now: float) -> None:
        """Tell the client of a turn; one that has ended becomes an item.

        :raises Refusal: there is no room for it, and it is lost.
        """
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

        :raises Refusal: that is too little, or there is no room for it; it stays in the buffer.
        """
        size = self._hearing.buffered_bytes
        if size < ms_to_bytes(MIN_COMMIT_MS):
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has "
                f"{size * 1000 / BYTES_PER_SECOND:.2f}ms of audio."
            )
            raise Refusal("input_audio_buffer_commit_empty", message)
        check_room(self._history)
        self._commit(self._hearing.take(), session, now)

    def clear(self) -> None:
        """Forget what is in the buffer, and the turn that has begun."""
        self._hearing.clear()
        self._item_id = None
        self._outbox.send(InputAudioBufferClearedEvent())

    def time_out(self, since: int, session: Json, now: float) -> None:
        """Tell that nobody spoke, and make an item of the silence.

        :param since: where it began, in samples of the session.
        :raises Refusal: there is no room for the item.
        """
        self._item_id = self._new_id("item_")
        triggered = InputAudioBufferTimeoutTriggered(
            audio_start_ms=samples_to_ms(since),
            audio_end_ms=samples_to_ms(self._hearing.position),
            item_id=self._item_id,
        )
        self._outbox.send(triggered)
        self._add_item(self._hearing.take(), None, "", session, now)

    def _commit(self, turn: TurnEnded, session: Json, now: float) -> None:
        self._turns += 1
        said = self._understand(self._turns)
        words = transcript(turn.speech_seconds, said)
        self._add_item(turn, said, words, session, now)

    def _add_item(
        self, turn: TurnEnded, said: str | None, words: str, session: Json, now: float
    ) -> None:
        item_id = self._item_id or self._new_id("item_")
        self._item_id = None
        check_room(self._history)
        self.last_turn = turn.pcm
        entry = Entry(
            id=item_id,
            role="user",
            heard_ms=round(seconds_of(turn.pcm) * 1000),
            speech_seconds=turn.speech_seconds if words else None,
            said=said,
        )
        previous = self._history.add(entry)
        item = _user_item(item_id)
        committed = InputAudioBufferCommittedEvent(item_id=item_id, previous_item_id=previous)
        self._outbox.send(committed)
        self._outbox.send(ConversationItemAdded(item=item, previous_item_id=previous))
        self._outbox.send(ConversationItemDone(item=item, previous_item_id=previous))
        self._kept.keep(_user_item(item_id, encoded(turn.pcm, self._incoming.name)))
        if session["audio"]["input"]["transcription"] is not None:
            self._transcribe(item_id, words, session, seconds_of(turn.pcm), now)

    def _transcribe(
        self, item_id: str, words: str, session: Json, seconds: float, now: float
    ) -> None:
        model = session["audio"]["input"]["transcription"]["model"]
        usage = transcription_usage(model, seconds, text_tokens(words))
        # Whisper gives neither deltas nor probabilities.
        is_token_wise = usage.type == "tokens"
        logprobs = _logprobs(words) if is_token_wise and wants_logprobs(session) else UNSET
        if is_token_wise and words:
            delta = ConversationItemInputAudioTranscriptionDeltaEvent(
                item_id=item_id, content_index=0, delta=words, logprobs=logprobs
            )
            self._outbox.send_later(delta, now + TRANSCRIBED_AFTER)
        completed = ConversationItemInputAudioTranscriptionCompletedEvent(
            item_id=item_id, content_index=0, transcript=words, usage=usage, logprobs=logprobs
        )
        self._outbox.send_later(completed, now + TRANSCRIBED_AFTER)


def _user_item(item_id: str, audio: bytes | None = None) -> RealtimeConversationItemUserMessage:
    part = Content(type="input_audio", transcript=None)
    if audio is not None:
        part = evolve(part, audio=b64encode(audio).decode())
    return RealtimeConversationItemUserMessage(id=item_id, status="completed", content=(part,))


def _logprobs(words: str) -> tuple[LogProbProperties, ...]:
    """It was told the words, or tells what it knows: each is certain."""
    return tuple(
        LogProbProperties(token=piece, logprob=0.0, bytes=tuple(piece.encode()))
        for piece in pieces(words)
    )
