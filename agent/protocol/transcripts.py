"""What the people in the channel are told of both sides' words.

The names on the data channel are those of Agora's earlier sample, which took them from the beta
interface: clients read them.
"""

from typing import Any

from agent.audio import samples_to_ms
from agent.protocol.actions import Publish
from agent.protocol.base import UNSET, Maybe
from agent.protocol.tracking import Item, Part


def turn_begun(item_id: str, event_id: Maybe[str]) -> Publish:
    """The person's turn has its place from now on: its words may come only after the answer's."""
    return heard("delta", item_id, 0, "", event_id)


def heard(what: str, item_id: str, content_index: int, text: str, event_id: Maybe[str]) -> Publish:
    """What the person said.

    :param what: `delta`, or `completed` with all of it.
    """
    return _publish(
        f"conversation.item.input_audio_transcription.{what}",
        event_id,
        item_id=item_id,
        content_index=content_index,
        **{"delta" if what == "delta" else "transcript": text},
    )


def said(what: str, event: Any, text: str) -> Publish:
    """What the agent says.

    :param what: `delta`, or `done` with all of it.
    :param event: a server event about one content part of a response.
    """
    return _publish(
        f"response.audio_transcript.{what}",
        event.event_id,
        response_id=event.response_id,
        item_id=event.item_id,
        output_index=event.output_index or 0,
        content_index=event.content_index or 0,
        **{"delta" if what == "delta" else "transcript": text},
    )


def cut_short(part: Part, item: Item, samples: int) -> Publish:
    """What was heard of an answer that was cut short after so many samples of it."""
    return _publish(
        "response.audio_transcript.done",
        UNSET,
        response_id=part.key.response_id,
        item_id=item.id,
        output_index=item.output_index,
        content_index=part.key.content_index,
        transcript=part.transcript_until(samples),
        interrupted=True,
        audio_end_ms=samples_to_ms(samples),
    )


def _publish(type_: str, event_id: Maybe[str], **fields: Any) -> Publish:
    return Publish({"type": type_, "event_id": event_id or "", **fields})
