"""One response of the model: which events it is made of, and when each is due.

It takes its time as the service does: a response is created at once, its item opens 0.2 s later,
its audio comes from 0.3 s on, at five times the speed of speech, its words a little ahead.
Whatever was opened is closed in order, however the response ends. No event follows its
`response.done`.
"""

from collections.abc import Callable
from typing import Final

from agent.audio import ms_to_bytes
from agent.embedded.history import Entry, History, spoken_tokens, text_tokens
from agent.embedded.outbox import Outbox
from agent.embedded.reply_objects import (
    COMPLETED,
    INCOMPLETE,
    Plan,
    Produced,
    status_details,
)
from agent.embedded.usage import RememberedTokens
from agent.embedded.words import pieces
from agent.protocol.response import ResponseError
from agent.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ResponseAudioDeltaEvent,
    ResponseAudioDoneEvent,
    ResponseAudioTranscriptDeltaEvent,
    ResponseAudioTranscriptDoneEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseDoneEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

OPEN_AFTER: Final = 0.2
"""Seconds from response.created to its item."""
FIRST_AFTER: Final = 0.3
"""Seconds from response.created to the first delta, where the voice is ready by then."""
DELTA_BYTES: Final = ms_to_bytes(250)
AUDIO_STEP: Final = 0.05
"""Seconds from one audio delta to the next, and from the last to the end."""
TEXT_STEP: Final = 0.02
WORDS_LEAD_BYTES: Final = ms_to_bytes(500)
"""How far the words run ahead of the audio."""


class Reply:
    """A response under way.

    :param plan: what it is to be.
    :param history: the conversation that its item enters, unless it stands beside it.
    :param now: seconds on any clock, the same for every call.
    """

    def __init__(self, plan: Plan, *, history: History, outbox: Outbox, now: float) -> None:
        self.plan = plan
        self.due: float | None = now + OPEN_AFTER
        self.is_done = False
        self.has_begun = False
        self._step: Callable[[float], None] = self._open
        self._history = history
        self._outbox = outbox
        self._first_at = now + FIRST_AFTER
        self._remembered = RememberedTokens(*history.tokens())
        self._words = pieces(plan.words)
        self._audio: bytes | None = b"" if plan.is_text else None
        self._was_cut = False
        self._words_sent = 0
        self._bytes_sent = 0
        self._entry: Entry | None = None
        self._previous_id: str | None = None
        outbox.send(ResponseCreatedEvent(response=plan.new_response()))

    @property
    def wants_voice(self) -> bool:
        """Its audio has yet to come."""
        return self._audio is None and not self.is_done

    def voice_ready(self, pcm: bytes, now: float) -> None:
        """Its audio is there: pcm16, 24 kHz."""
        self._audio = self._within_limit(pcm)
        if self.due is None:
            self.due = max(now, self._first_at)

    def advance(self, now: float) -> None:
        """Do the one thing that is due. After a pause nothing comes in a burst."""
        if self.due is not None and self.due <= now:
            self._step(now)

    def stop(
        self, status: str, *, reason: str | None = None, error: ResponseError | None = None
    ) -> None:
        """End it: close what is open, and tell why."""
        self.is_done = True
        produced = None
        if self._entry is not None:
            self._close_item(status, self._entry)
            produced = Produced(self._text_sent(), self._bytes_sent, self._remembered)
        details = status_details(status, reason, error)
        response = self.plan.final_response(status, details, produced)
        self._outbox.send(ResponseDoneEvent(response=response))

    # -- the steps -------------------------------------------------------------------------------

    def _open(self, now: float) -> None:
        plan = self.plan
        self._entry = Entry(id=plan.item_id, role="assistant")
        item = plan.new_item()
        added = ResponseOutputItemAddedEvent(
            response_id=plan.response_id, output_index=0, item=item
        )
        self._outbox.send(added)
        if plan.conversation_id is not None:
            self._previous_id = self._history.add(self._entry)
            event = ConversationItemAdded(item=item, previous_item_id=self._previous_id)
            self._outbox.send(event)
        self._outbox.send(ResponseContentPartAddedEvent(part=plan.part(""), **plan.where))
        self._step = self._write if plan.is_text else self._speak
        self.due = None if self._audio is None else max(now, self._first_at)

    def _write(self, now: float) -> None:
        self.has_begun = True
        limit = self.plan.limit
        if self._words_sent == len(self._words):
            self._complete(now)
        elif isinstance(limit, int) and text_tokens(self._next_text()) > limit:
            self._was_cut = True
            self._complete(now)
        else:
            self._send_word()
            self.due = now + TEXT_STEP

    def _speak(self, now: float) -> None:
        assert self._audio is not None
        assert self._entry is not None
        self.has_begun = True
        delta = self._audio[self._bytes_sent : self._bytes_sent + DELTA_BYTES]
        self._bytes_sent += len(delta)
        self._send_words_ahead(len(self._audio))
        if delta:
            self._outbox.send(ResponseAudioDeltaEvent(delta=delta, **self.plan.where))
        if not self._entry.is_truncated:
            self._entry.spoken_bytes = self._bytes_sent
        self.due = now + AUDIO_STEP
        if self._bytes_sent == len(self._audio):
            self._step = self._complete

    def _complete(self, _now: float) -> None:
        if self._was_cut:
            self.stop(INCOMPLETE, reason="max_output_tokens")
        else:
            self.stop(COMPLETED)

    # -- what they are made of -------------------------------------------------------------------

    def _within_limit(self, pcm: bytes) -> bytes:
        limit = self.plan.limit
        if not isinstance(limit, int):
            return pcm
        tokens = max(0, limit - text_tokens(self.plan.words))
        self._was_cut = spoken_tokens(len(pcm)) > tokens
        return pcm[: ms_to_bytes(tokens * 50)] if self._was_cut else pcm

    def _send_words_ahead(self, total: int) -> None:
        reached = (
            1.0 if self._bytes_sent >= total else (self._bytes_sent + WORDS_LEAD_BYTES) / total
        )
        characters = reached * len(self.plan.words)
        while self._words_sent < len(self._words) and len(self._text_sent()) < characters:
            self._send_word()

    def _send_word(self) -> None:
        delta = self._words[self._words_sent]
        self._words_sent += 1
        if self.plan.is_text:
            self._outbox.send(ResponseTextDeltaEvent(delta=delta, **self.plan.where))
        else:
            self._outbox.send(ResponseAudioTranscriptDeltaEvent(delta=delta, **self.plan.where))

    def _text_sent(self) -> str:
        return "".join(self._words[: self._words_sent])

    def _next_text(self) -> str:
        return "".join(self._words[: self._words_sent + 1])

    def _close_item(self, status: str, entry: Entry) -> None:
        plan, text = self.plan, self._text_sent()
        send, where = self._outbox.send, plan.where
        if plan.is_text:
            send(ResponseTextDoneEvent(text=text, **where))
        else:
            send(ResponseAudioDoneEvent(**where))
            send(ResponseAudioTranscriptDoneEvent(transcript=text, **where))
        send(ResponseContentPartDoneEvent(part=plan.part(text), **where))
        item = plan.final_item(status, text)
        if plan.conversation_id is not None:
            previous = self._previous_id if plan.tells_previous else None
            send(ConversationItemDone(item=item, previous_item_id=previous))
        send(ResponseOutputItemDoneEvent(response_id=plan.response_id, output_index=0, item=item))
        if not entry.is_truncated:
            entry.text = text
