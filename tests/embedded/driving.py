"""Drives an engine without I/O: a clock that jumps, a voice that hums, loud audio for speech."""

import itertools
import json
from array import array
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from agent.audio import SAMPLE_RATE
from agent.embedded.answers.speaking import SpeechRequest
from agent.embedded.answers.words import Understanding, understand_nothing
from agent.embedded.engine import Engine
from agent.protocol.codec import encode
from tests.official import official_server_event

Event = dict[str, Any]

BLOCK_SECONDS = 0.032
"""One block of the detector."""
LOUD = 10_000


def counted_ids() -> Callable[[str], str]:
    """Ids with a number, so that a failing test can be read."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}{next(numbers):021d}"


class LoudIsSpeech:
    """A detector for which whatever is loud is speech."""

    def probability(self, block: bytes) -> float:
        return 0.99 if max(array("h", block)) > LOUD // 2 else 0.0

    def reset(self) -> None:
        """It remembers nothing."""


def loud(blocks: int) -> bytes:
    """Speech, for `LoudIsSpeech`: so many blocks of 32 ms."""
    return array("h", [LOUD] * (blocks * 768)).tobytes()


def quiet(blocks: int) -> bytes:
    """Silence: so many blocks of 32 ms."""
    return bytes(blocks * 768 * 2)


def hum(seconds: float) -> bytes:
    """What the voice says."""
    return array("h", [100] * round(seconds * SAMPLE_RATE)).tobytes()


class Driver:
    """An engine, its clock and its voice; `engine` is for the engine.

    :ivar log: every event with the time at which it came.
    :ivar voice_seconds: how long the voice's answers are; None: it does not answer.
    """

    def __init__(
        self,
        *,
        model: str = "embedded",
        voice_seconds: float | None = 2.1,
        understand: Understanding = understand_nothing,
        **engine: Any,
    ) -> None:
        self.now = 100.0
        self.voice_seconds = voice_seconds
        self.requests: list[SpeechRequest] = []
        self.log: list[tuple[float, Event]] = []
        self.engine = Engine(
            model=model,
            new_id=counted_ids(),
            started_at=self.now,
            unix_time=1_800_000_000.0,
            vad=LoudIsSpeech(),
            understand=understand,
            **engine,
        )
        self._collect()

    def send(self, type_: str, **fields: Any) -> list[Event]:
        """Send an event; what came of it at once."""
        return self.send_raw(json.dumps({"type": type_, **fields}))

    def send_raw(self, data: str | bytes) -> list[Event]:
        """Send a message; what came of it at once."""
        count = len(self.log)
        self.engine.receive(data, self.now)
        self._collect()
        return [event for _, event in self.log[count:]]

    def update(self, **session: Any) -> list[Event]:
        """Update the session."""
        return self.send("session.update", session={"type": "realtime", **session})

    def append(self, pcm: bytes, *, step_bytes: int = 1920) -> list[Event]:
        """Append audio in real time, in steps of 40 ms; what came meanwhile."""
        count = len(self.log)
        for start in range(0, len(pcm), step_bytes):
            piece = pcm[start : start + step_bytes]
            self.pass_time(len(piece) / 48_000)
            self.send("input_audio_buffer.append", audio=b64encode(piece).decode())
        return [event for _, event in self.log[count:]]

    def pass_time(self, seconds: float) -> list[Event]:
        """Let time pass; what came meanwhile."""
        count = len(self.log)
        end = self.now + seconds
        while (due := self.engine.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.engine.advance(self.now)
            self._collect()
        self.now = end
        return [event for _, event in self.log[count:]]

    def oversleep(self, seconds: float) -> list[Event]:
        """Let time pass without a call, then make one; what came of it."""
        count = len(self.log)
        self.now += seconds
        self.engine.advance(self.now)
        self._collect()
        return [event for _, event in self.log[count:]]

    def typed(self, text: str) -> list[Event]:
        """A user's message and a request for an answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        return self.send("conversation.item.create", item=item) + self.send("response.create")

    def events(self, type_: str) -> list[Event]:
        """All events of a type so far."""
        return [event for _, event in self.log if event["type"] == type_]

    def time_of(self, type_: str) -> float:
        """When the last event of a type came."""
        return [time for time, event in self.log if event["type"] == type_][-1]

    def _collect(self) -> None:
        for event in self.engine.events():
            self.log.append((self.now, official_server_event(encode(event))))
        for request in self.engine.speech_requests():
            self.requests.append(request)
            if self.voice_seconds is not None:
                self.engine.speech_ready(request.response_id, hum(self.voice_seconds), self.now)


def types(events: list[Event]) -> list[str]:
    """The events' types, repeated ones of the deltas told once."""
    names = [event["type"] for event in events]
    return [name for name, _ in itertools.groupby(_merged_deltas(names))]


def _merged_deltas(names: list[str]) -> list[str]:
    return ["response.deltas" if name.endswith(".delta") else name for name in names]


def error_of(events: list[Event]) -> Event:
    """The one error among the events, which are nothing else."""
    assert [event["type"] for event in events] == ["error"], events
    error: Event = events[0]["error"]
    return error
