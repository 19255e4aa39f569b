"""The outbox of one member: order, bounds, clearing, staleness."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.relay.outbox import (
    AUDIO_AGE_S,
    AUDIO_BYTES,
    AUDIO_MESSAGES,
    HEADER_BYTES,
    TEXTS,
    Outbox,
    OutboxFull,
)

SENDERS = (1, 2, 3)
senders = st.sampled_from(SENDERS)
# Up to 1.3 seconds, so that the bound is met within a few messages.
audio = st.tuples(st.just("audio"), senders, st.integers(1, 32_000))
text = st.tuples(st.just("text"))
clear = st.tuples(st.just("clear"), senders)
wait = st.tuples(st.just("wait"), st.floats(0, 1.5))
pop = st.tuples(st.just("pop"))
steps = st.lists(st.one_of(audio, audio, text, clear, wait, pop), max_size=60)


class Naive:
    """The same rules, over one plain list."""

    def __init__(self) -> None:
        self.items: list[tuple[int | None, Any, float]] = []

    def put_audio(self, sender: int, message: bytes, now: float) -> None:
        self.items.append((sender, message, now))
        while self.held(sender) > AUDIO_BYTES:
            self.items.remove(next(item for item in self.items if item[0] == sender))

    def put_text(self, words: str) -> None:
        self.items.append((None, words, 0.0))

    def clear(self, sender: int) -> None:
        self.items = [item for item in self.items if item[0] != sender]

    def pop(self, now: float) -> Any:
        while self.items:
            sender, message, came_at = self.items.pop(0)
            if sender is None or now - came_at <= AUDIO_AGE_S:
                return message
        return None

    def held(self, sender: int) -> int:
        return sum(len(item[1]) - HEADER_BYTES for item in self.items if item[0] == sender)


def message(sender: int, number: int, samples: int) -> bytes:
    """A message that is like no other, however short."""
    return sender.to_bytes(HEADER_BYTES, "big") + number.to_bytes(2, "big") * samples


@given(steps)
def test_it_keeps_its_rules_whatever_comes(script: list[tuple[Any, ...]]) -> None:
    outbox, naive, now = Outbox(), Naive(), 0.0
    for number, step in enumerate(script):
        match step:
            case ("audio", sender, samples):
                outbox.put_audio(sender, message(sender, number, samples), now)
                naive.put_audio(sender, message(sender, number, samples), now)
            case ("text",):
                outbox.put_text(str(number))
                naive.put_text(str(number))
            case ("clear", sender):
                outbox.clear(sender)
                naive.clear(sender)
            case ("wait", seconds):
                now += seconds
            case _:
                assert outbox.pop(now) == naive.pop(now)
        assert len(outbox) == len(naive.items)
        assert all(naive.held(sender) <= AUDIO_BYTES for sender in SENDERS)
    while (expected := naive.pop(now)) is not None:
        assert outbox.pop(now) == expected
    assert outbox.pop(now) is None


def test_a_slow_member_loses_the_oldest_and_it_is_counted() -> None:
    outbox = Outbox()
    second = [message(1, number, AUDIO_BYTES // 4) for number in range(3)]
    for one in second:
        outbox.put_audio(1, one, 0.0)
    assert outbox.dropped == 1
    assert [outbox.pop(0.0), outbox.pop(0.0), outbox.pop(0.0)] == [second[1], second[2], None]


def test_one_loud_sender_takes_no_room_from_another() -> None:
    outbox = Outbox()
    quiet = message(2, 0, 10)
    outbox.put_audio(2, quiet, 0.0)
    for number in range(5):
        outbox.put_audio(1, message(1, number, AUDIO_BYTES // 4), 0.0)
    assert outbox.pop(0.0) == quiet


def test_single_samples_are_bounded_by_their_number() -> None:
    outbox = Outbox()
    for number in range(AUDIO_MESSAGES + 5):
        outbox.put_audio(1, message(1, number, 1), 0.0)
    assert len(outbox) == AUDIO_MESSAGES
    assert outbox.pop(0.0) == message(1, 5, 1)


def test_stale_audio_is_never_sent_but_text_is() -> None:
    outbox = Outbox()
    outbox.put_audio(1, message(1, 0, 240), 0.0)
    outbox.put_text("said")
    outbox.put_audio(1, message(1, 1, 240), 1.0)
    assert outbox.pop(AUDIO_AGE_S + 0.5) == "said"
    assert outbox.pop(AUDIO_AGE_S + 0.5) == message(1, 1, 240)
    assert outbox.dropped == 1


def test_clearing_drops_one_senders_audio_only_and_is_no_loss() -> None:
    outbox = Outbox()
    outbox.put_audio(1, message(1, 0, 240), 0.0)
    outbox.put_audio(2, message(2, 1, 240), 0.0)
    outbox.put_text("of 1")
    outbox.clear(1)
    assert [outbox.pop(0.0), outbox.pop(0.0), outbox.pop(0.0)] == [
        message(2, 1, 240),
        "of 1",
        None,
    ]
    assert outbox.dropped == 0


def test_text_is_bounded_and_room_comes_back() -> None:
    outbox = Outbox()
    for number in range(TEXTS):
        outbox.put_text(str(number))
    with pytest.raises(OutboxFull):
        outbox.put_text("one too many")
    outbox.pop(0.0)
    outbox.put_text("fits again")
    assert len(outbox) == TEXTS
