"""The model's answer as it comes: its items, their audio and their words.

Nothing here begins or ends a response; see conversation. What comes of an interrupted response, or
after the end of what it belongs to, is not played and not published.
"""

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from agent.audio import SAMPLE_BYTES
from agent.protocol import server_events as server
from agent.protocol.actions import Action, Discard, EndOfAudio, EndOfResponse, Play
from agent.protocol.corrections import Corrections
from agent.protocol.responses import Responses, place
from agent.protocol.tracking import Part
from agent.protocol.transcripts import said


@frozen
class Answers:
    """The answers of one conversation.

    :ivar responses: what is kept of them.
    :ivar corrections: what the server is told of those that were cut short.
    """

    responses: Responses
    corrections: Corrections

    def receive(self, event: Any) -> list[Action]:
        """What one event of the server's makes necessary, if it is about an answer's content."""
        handler = _HANDLERS.get(type(event))
        return handler(self, event) if handler is not None else []

    def _on_item_added(self, event: server.ResponseOutputItemAddedEvent) -> list[Action]:
        if not event.item.id:
            return []
        response = self.responses.named(event.response_id)
        is_new = event.item.id not in response.items
        item = response.item(event.item.id, place(event))
        if item is None:
            return []
        item.output_index = place(event)
        item.is_message = event.item.type == "message"
        if response.interrupted and is_new and item.is_message and not response.beside:
            return self.corrections.unheard(item)
        return []

    def _on_audio(self, event: server.ResponseAudioDeltaEvent) -> list[Action]:
        is_new = event.item_id not in self.responses.named(event.response_id).items
        response, part = self.responses.find(event)
        if part is None or part.ended or response.done or response.interrupted:
            dropped: list[Action] = [Discard(len(event.delta) // SAMPLE_BYTES)]
            item = response.items.get(event.item_id)
            if item is not None and is_new and response.interrupted and not response.beside:
                return [*dropped, *self.corrections.unheard(item)]
            return dropped
        pcm = part.add_audio(event.delta)
        if not pcm:
            return []
        play = Play(part.key, (place(event), part.key.content_index), pcm)
        response.over = False
        # What comes of a response that was given up is heard, and nothing waits for more of it.
        return [play, EndOfResponse(response.id)] if response.finished else [play]

    def _on_audio_done(self, event: server.ResponseAudioDoneEvent) -> list[Action]:
        response, part = self.responses.find(event)
        if part is None:
            return []
        part.ended = True
        return [] if response.interrupted else [EndOfAudio(part.key)]

    def _on_words(self, event: server.ResponseAudioTranscriptDeltaEvent) -> list[Action]:
        part = self._part(event)
        if part is None:
            return []
        part.add_words(event.delta)
        return [said("delta", event, event.delta)]

    def _on_words_done(self, event: server.ResponseAudioTranscriptDoneEvent) -> list[Action]:
        if self._part(event) is None:
            return []
        return [said("done", event, event.transcript or "")]

    def _on_text(self, event: server.ResponseTextDeltaEvent) -> list[Action]:
        part = self._part(event)
        if part is None:
            return []
        part.is_text = True
        return [said("delta", event, event.delta)]

    def _on_text_done(self, event: server.ResponseTextDoneEvent) -> list[Action]:
        part = self._part(event)
        return [said("done", event, event.text or "")] if part else []

    def _on_item_done(self, event: server.ResponseOutputItemDoneEvent) -> list[Action]:
        response = self.responses.named(event.response_id)
        item = response.items.get(event.item.id or "")
        if item is None:
            return []
        item.done = True
        # The end of a part's audio may have been lost; the parts behind it wait for it.
        ends = [] if response.interrupted else [EndOfAudio(part.key) for part in item.end_parts()]
        return [*ends, *self.corrections.item_done(item)]

    def _part(self, event: Any) -> Part | None:
        """The part that an event is about; None if no more of it is to be told."""
        response, part = self.responses.find(event)
        if part is None or (response.interrupted and (part.cut or not part.received)):
            return None
        return part


_HANDLERS: Final[dict[type, Callable[[Answers, Any], list[Action]]]] = {
    server.ResponseOutputItemAddedEvent: Answers._on_item_added,
    server.ResponseAudioDeltaEvent: Answers._on_audio,
    server.ResponseAudioDoneEvent: Answers._on_audio_done,
    server.ResponseAudioTranscriptDeltaEvent: Answers._on_words,
    server.ResponseAudioTranscriptDoneEvent: Answers._on_words_done,
    server.ResponseTextDeltaEvent: Answers._on_text,
    server.ResponseTextDoneEvent: Answers._on_text_done,
    server.ResponseOutputItemDoneEvent: Answers._on_item_done,
}
