"""The events of a model's answers, as the service sends them. Their audio carries their number."""

import binascii
import time
from typing import Any, Final

import orjson
import trio
from trio_websocket import WebSocketConnection

from bench.audio import FRAME_MS, numbered_frame

FASTER: Final = 5
"""Audio comes so many times faster than it is spoken."""


class Answers:
    """Sends them to one client, and takes the client's word on what was heard of them.

    :ivar sent: (answer's number, when its first delta was sent) pairs.
    :ivar truncated: (answer's number, audio_end_ms) of each truncate that came.
    :ivar deleted: the answer's number of each delete that came.
    """

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.sent: list[tuple[int, float]] = []
        self.truncated: list[tuple[int, int]] = []
        self.deleted: list[int] = []
        self._websocket = websocket

    async def begin(self, number: int) -> None:
        """Begin an answer: a response, its item, and that one's only part."""
        response = {"id": f"resp_{number}", "status": "in_progress", "output": []}
        await self.send("response.created", response=response)
        await self.send(
            "response.output_item.added",
            response_id=f"resp_{number}",
            output_index=0,
            item=_item(number, "in_progress"),
        )
        part = {"type": "audio", "transcript": ""}
        await self.send("response.content_part.added", **_place(number), part=part)

    async def send_deltas(self, number: int, deltas: int, delta_ms: int) -> None:
        """Send so much of an answer's audio at its pace, the first piece now."""
        delta = audio_delta(number, delta_ms)
        began = trio.current_time()
        for at in range(deltas):
            await trio.sleep_until(began + at * delta_ms / 1000 / FASTER)
            await self.send_delta(number, delta)

    async def send_delta(self, number: int, delta: str) -> None:
        """Send one piece of an answer's audio."""
        if not self.sent or self.sent[-1][0] < number:
            self.sent.append((number, time.monotonic()))
        await self.send("response.output_audio.delta", **_place(number), delta=delta)

    async def send_words(self, number: int, words: str) -> None:
        """Send one piece of an answer's transcript."""
        await self.send("response.output_audio_transcript.delta", **_place(number), delta=words)

    async def end(self, number: int, status: str) -> None:
        """End an answer."""
        await self.send("response.output_audio.done", **_place(number))
        item = _item(number, "completed" if status == "completed" else "incomplete")
        await self.send(
            "response.output_item.done", response_id=f"resp_{number}", output_index=0, item=item
        )
        response = {"id": f"resp_{number}", "status": status, "output": [item]}
        await self.send("response.done", response=response)

    async def correct(self, event: dict[str, Any]) -> None:
        """Note a correction of the client's, and confirm it; other events are none."""
        place = {name: event[name] for name in ("item_id", "content_index") if name in event}
        match event["type"]:
            case "conversation.item.truncate":
                end_ms = event["audio_end_ms"]
                self.truncated.append((_number_of(event["item_id"]), end_ms))
                await self.send("conversation.item.truncated", **place, audio_end_ms=end_ms)
            case "conversation.item.delete":
                self.deleted.append(_number_of(event["item_id"]))
                await self.send("conversation.item.deleted", **place)

    async def send(self, type_: str, **fields: Any) -> None:
        """Send an event of any type."""
        event = {"type": type_, "event_id": "event_1", **fields}
        await self._websocket.send_message(orjson.dumps(event).decode())


def audio_delta(number: int, delta_ms: int) -> str:
    """A piece of an answer's audio, as it stands in an event."""
    audio = numbered_frame(number) * (delta_ms // FRAME_MS)
    return binascii.b2a_base64(audio, newline=False).decode()


def _number_of(item_id: str) -> int:
    return int(item_id.removeprefix("item_"))


def _place(number: int) -> dict[str, Any]:
    return {
        "response_id": f"resp_{number}",
        "item_id": f"item_{number}",
        "output_index": 0,
        "content_index": 0,
    }


def _item(number: int, status: str) -> dict[str, Any]:
    return {
        "id": f"item_{number}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [],
    }
