"""The messages of a response: spoken ones and written ones.

A spoken one comes at five times the speed of speech, its words a little ahead of its audio.
"""

from abc import abstractmethod
from collections import deque
from typing import Any, Final

from agent.audio import BYTES_PER_SECOND, ms_to_bytes
from agent.embedded.answers.output_items import TEXT_STEP, OutputItem, Steps
from agent.embedded.answers.reply_objects import IN_PROGRESS, Plan, Saying
from agent.embedded.answers.words import pieces
from agent.embedded.formats import bytes_a_second, encoded, format_name
from agent.embedded.history import Entry, History, spoken_tokens, text_tokens
from agent.embedded.outbox import Outbox
from agent.embedded.usage import Given
from agent.protocol.base import UNSET
from agent.protocol.items import Content, RealtimeConversationItemAssistantMessage
from agent.protocol.server_events import (
    ResponseAudioDeltaEvent,
    ResponseAudioDoneEvent,
    ResponseAudioTranscriptDeltaEvent,
    ResponseAudioTranscriptDoneEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

DELTA_MS: Final = 250
AUDIO_STEP: Final = 0.05
"""Seconds from one audio delta to the next, and from the last to the end."""
WORDS_LEAD_MS: Final = 500
"""How far the words run ahead of the audio."""
_MS_A_TOKEN: Final = 50


class Message(OutputItem):
    """A message of one content part.

    :ivar text: its words so far.
    """

    def __init__(
        self, plan: Plan, index: int, saying: Saying, *, history: History, outbox: Outbox
    ) -> None:
        entry = Entry(id=saying.item_id, role="assistant")
        super().__init__(plan, index, entry, history=history, outbox=outbox)
        self.text = ""
        self._saying = saying

    def _item(self, status: str) -> RealtimeConversationItemAssistantMessage:
        return RealtimeConversationItemAssistantMessage(
            id=self._entry.id,
            status=status,
            phase=self._saying.phase or UNSET,
            content=() if status == IN_PROGRESS else (self._content(),),
        )

    def _open_content(self) -> None:
        self._send(ResponseContentPartAddedEvent(part=self._part(), **self._in_part))

    def _close_content(self) -> None:
        self._close_words()
        self._send(ResponseContentPartDoneEvent(part=self._part(), **self._in_part))
        if not self._entry.is_truncated:
            self._entry.text = self.text

    @property
    def _in_part(self) -> dict[str, Any]:
        return {**self._where, "content_index": 0}

    @abstractmethod
    def _content(self) -> Content:
        """The content part as the item has it."""

    @abstractmethod
    def _part(self) -> Content:
        """The content part as its own events tell it."""

    @abstractmethod
    def _close_words(self) -> None:
        """Tell that there are no more."""


class WrittenMessage(Message):
    """A message of text."""

    def steps(self, limit: int | None) -> Steps:
        """Send its words."""
        for word in pieces(self._saying.words):
            if limit is not None and text_tokens(self.text + word) > limit:
                self.was_cut = True
                return
            self.text += word
            self._send(ResponseTextDeltaEvent(delta=word, **self._in_part))
            yield TEXT_STEP

    @property
    def given(self) -> Given:
        """Its words."""
        return Given(text=text_tokens(self.text))

    def _content(self) -> Content:
        return Content(type="output_text", text=self.text)

    def _part(self) -> Content:
        return Content(type="text", text=self.text)

    def _close_words(self) -> None:
        self._send(ResponseTextDoneEvent(text=self.text, **self._in_part))


class SpokenMessage(Message):
    """A message of audio and of its words."""

    def __init__(
        self, plan: Plan, index: int, saying: Saying, *, history: History, outbox: Outbox
    ) -> None:
        super().__init__(plan, index, saying, history=history, outbox=outbox)
        self._pcm: bytes | None = None
        self._spoken = 0
        self._words = deque(pieces(saying.words))

    @property
    def words(self) -> str:
        """What it is to say."""
        return self._saying.words

    @property
    def wants_voice(self) -> bool:
        """Its audio has yet to come."""
        return self._pcm is None

    def voice_ready(self, pcm: bytes) -> None:
        """Its audio is there: pcm16, 24 kHz."""
        self._pcm = pcm

    def steps(self, limit: int | None) -> Steps:
        """Send its audio, and its words ahead of it."""
        while self._pcm is None:
            yield None
        whole = audio = self._pcm
        if limit is not None and (allowed := self._audio_tokens(whole, limit)) is not None:
            self.was_cut = True
            audio, limit = whole[: ms_to_bytes(allowed * _MS_A_TOKEN)], limit - allowed
        wire = encoded(audio, self._format)
        rate = bytes_a_second(self._format)
        step = rate * DELTA_MS // 1000
        for start in range(0, max(1, len(wire)), step):
            delta = wire[start : start + step]
            self._spoken = min(len(audio), (start + len(delta)) * BYTES_PER_SECOND // rate)
            self._send_words_ahead(len(whole), limit)
            self._send_audio(delta)
            yield AUDIO_STEP

    @property
    def given(self) -> Given:
        """Its words and its audio."""
        return Given(text_tokens(self.text), spoken_tokens(self._spoken))

    @property
    def _format(self) -> str:
        return format_name(self._plan.output["format"])

    def _content(self) -> Content:
        return Content(type="output_audio", transcript=self.text)

    def _part(self) -> Content:
        return Content(type="audio", transcript=self.text)

    def _close_words(self) -> None:
        self._send(ResponseAudioDoneEvent(**self._in_part))
        self._send(ResponseAudioTranscriptDoneEvent(transcript=self.text, **self._in_part))

    def _audio_tokens(self, pcm: bytes, limit: int) -> int | None:
        """How many of its tokens of audio a limit leaves; None: all of it."""
        audio, text = spoken_tokens(len(pcm)), text_tokens(self.words)
        return limit * audio // (audio + text) if audio + text > limit else None

    def _send_audio(self, delta: bytes) -> None:
        if delta:
            self._send(ResponseAudioDeltaEvent(delta=delta, **self._in_part))
        if not self._entry.is_truncated:
            self._entry.spoken_bytes = self._spoken

    def _send_words_ahead(self, total: int, limit: int | None) -> None:
        """As many words as the audio so far and its lead take, of `total` bytes of pcm16."""
        lead = self._spoken + ms_to_bytes(WORDS_LEAD_MS)
        reached = 1.0 if self._spoken >= total else lead / total
        while self._words and len(self.text) < reached * len(self.words):
            if limit is not None and text_tokens(self.text + self._words[0]) > limit:
                return
            word = self._words.popleft()
            self.text += word
            self._send(ResponseAudioTranscriptDeltaEvent(delta=word, **self._in_part))
