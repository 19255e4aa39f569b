"""Data messages: what may be sent, and what becomes of it on the way."""

from collections import deque
from enum import IntEnum

from attrs import define, field

from .plan import Plan

FIRST_ID = 49153


class SendError(IntEnum):
    """What sending answers when it does not send."""

    NOT_IN_CHANNEL = -113
    TOO_LONG = -114
    TOO_OFTEN = -115
    NO_SUCH_STREAM = -116


@define
class DataStreams:
    """The streams of one connection. Whoever uses it holds the cloud's lock.

    :ivar refusals: how often sending was refused, by its answer.
    """

    plan: Plan
    refusals: dict[int, int] = field(factory=dict)
    _reliable: dict[int, bool] = field(factory=dict)
    _sent: deque[tuple[float, int, int]] = field(factory=deque)
    _way: "Way" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._way = Way(self.plan)

    def create(self, reliable: bool) -> int | None:
        """A new stream, or none where there are enough."""
        if len(self._reliable) >= self.plan.data_streams:
            return None
        stream = FIRST_ID + len(self._reliable)
        self._reliable[stream] = reliable
        return stream

    def send(self, stream: int, data: bytes, now: float) -> tuple[int, list[bytes]]:
        """The answer, and what arrives of it and of what was held back."""
        error = self._check(stream, data, now)
        if error is not None:
            self.refuse(error)
            return error, []
        self._sent.append((now, stream, len(data)))
        return 0, [data] if self._reliable[stream] else self._way.carry(data)

    def refuse(self, error: SendError) -> None:
        self.refusals[error] = self.refusals.get(error, 0) + 1

    def _check(self, stream: int, data: bytes, now: float) -> SendError | None:
        if stream not in self._reliable:
            return SendError.NO_SUCH_STREAM
        if len(data) > self.plan.max_message_bytes:
            return SendError.TOO_LONG
        while self._sent and self._sent[0][0] <= now - 1:
            self._sent.popleft()
        packets = sum(1 for _, sent_on, _ in self._sent if sent_on == stream)
        size = sum(size for _, _, size in self._sent) + len(data)
        if packets >= self.plan.packets_per_s or size > self.plan.bytes_per_s:
            return SendError.TOO_OFTEN
        return None


@define
class Way:
    """An unreliable one: messages are lost or overtaken, as the plan has it."""

    plan: Plan
    _count: int = 0
    _held: bytes | None = None

    def carry(self, data: bytes) -> list[bytes]:
        """What arrives now."""
        self._count += 1
        if self.plan.lost_every and self._count % self.plan.lost_every == 0:
            return []
        if self._held is not None:
            arriving, self._held = [data, self._held], None
            return arriving
        if self.plan.reordered_every and self._count % self.plan.reordered_every == 0:
            self._held = data
            return []
        return [data]
