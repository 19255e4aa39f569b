"""Data messages: their form, their order, and what is believed of other people's chunks."""

import base64
import random
import string
from typing import Any

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.streams.chat import (
    MAX_CHUNK,
    MAX_PARTIAL,
    MAX_PARTS,
    MAX_PENDING,
    MAX_TEXT,
    MAX_TURNS,
    Chat,
    Reassembler,
    to_chunks,
)

# No lone surrogates: JSON cannot bring any, and UTF-8 cannot take any.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LONG = st.tuples(TEXT, st.integers(1, 3000)).map(lambda pair: pair[0] * pair[1])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | LONG,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.dictionaries(TEXT, JSON, max_size=4)
IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=32)
FINAL = "response.audio_transcript.done"
DELTA = "response.audio_transcript.delta"
USER = "conversation.item.input_audio_transcription.completed"


def joined(chunks: list[str]) -> Any:
    """What a client makes of the chunks of one message."""
    return orjson.loads(base64.b64decode("".join(c.split("|")[3] for c in chunks), validate=True))


def delta(item: str, text: str, index: int = 0) -> dict[str, Any]:
    return {"type": DELTA, "item_id": item, "content_index": index, "delta": text}


def final(item: str, text: str, index: int = 0) -> dict[str, Any]:
    return {"type": FINAL, "item_id": item, "content_index": index, "transcript": text}


def user(item: str, text: str) -> dict[str, Any]:
    return {"type": USER, "item_id": item, "content_index": 0, "transcript": text}


# -- chunks --------------------------------------------------------------------------------------


@given(MESSAGES, IDS)
def test_a_message_survives_its_chunks(message: dict[str, Any], message_id: str) -> None:
    chunks = to_chunks(message, message_id)
    for number, chunk in enumerate(chunks, 1):
        assert len(chunk.encode("ascii")) <= MAX_CHUNK == 1024
        assert chunk.split("|")[:3] == [message_id, str(number), str(len(chunks))]
    assert joined(chunks) == message


def test_chunks_are_slices_of_one_base64() -> None:
    message = {"text": "\u00e4" * 3000}
    chunks = to_chunks(message, "id")
    assert len(chunks) > 1
    whole = base64.b64encode(orjson.dumps(message)).decode()
    assert "".join(chunk.split("|", 3)[3] for chunk in chunks) == whole
    assert len(whole) % 4 == 0


def test_the_longest_id_leaves_chunks_within_the_limit() -> None:
    chunks = to_chunks({"text": "x" * 100_000}, "i" * 32)
    assert max(len(chunk) for chunk in chunks) <= 1024
    assert len(chunks) > 99


@pytest.mark.parametrize("bad", ["a|b", "i" * 33])
def test_an_id_that_would_break_the_form_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not usable"):
        to_chunks({}, bad)


# -- what is sent, and when ----------------------------------------------------------------------


class Listener:
    """Takes chunks, one when it is let; puts messages together."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.chat = Chat(self.take, "p")
        self.chunks: list[str] = []
        self.gate = trio.Semaphore(0)
        nursery.start_soon(self.chat.run)

    async def take(self, chunk: str) -> None:
        await self.gate.acquire()
        self.chunks.append(chunk)

    async def messages(self) -> list[dict[str, Any]]:
        """All that is sent when nothing holds it back, from now on too."""
        for _ in range(10_000):
            self.gate.release()
        await wait_all_tasks_blocked()
        reassembler = Reassembler()
        found = [reassembler.feed(0, chunk) for chunk in self.chunks]
        self.chunks.clear()
        return [message for message in found if message is not None]

    async def hold(self) -> None:
        """Until the first message is on its way: what comes after it has to wait."""
        self.chat.put({"type": "first"})
        await wait_all_tasks_blocked()


@pytest.fixture
def listener(nursery: trio.Nursery) -> Listener:
    return Listener(nursery)


async def test_a_message_is_sent_as_it_is(listener: Listener, autojump_clock: MockClock) -> None:
    message = delta("item_1", "Hello") | {"event_id": "e", "response_id": "r", "output_index": 0}
    listener.chat.put(message)
    assert await listener.messages() == [message]


async def test_ids_are_unique_and_begin_with_the_prefix(
    listener: Listener, autojump_clock: MockClock
) -> None:
    for number in range(20):
        listener.chat.put(final(f"item_{number}", "x"))
    await wait_all_tasks_blocked()
    for _ in range(100):
        listener.gate.release()
    await wait_all_tasks_blocked()
    ids = [chunk.split("|")[0] for chunk in listener.chunks]
    assert len(set(ids)) == 20
    assert all(message_id.startswith("p") for message_id in ids)


async def test_deltas_are_sent_one_by_one_where_nothing_holds_them(
    listener: Listener, autojump_clock: MockClock
) -> None:
    for _ in range(10):
        listener.gate.release()
    for text in ("Hel", "lo"):
        listener.chat.put(delta("i", text))
        await wait_all_tasks_blocked()
    assert await listener.messages() == [delta("i", "Hel"), delta("i", "lo")]


async def test_unsent_deltas_of_one_item_are_joined(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    given_ = [delta("i", "Hel"), delta("j", "a"), delta("i", "lo"), delta("i", "x", 1)]
    for message in given_:
        listener.chat.put(message)
    assert (await listener.messages())[1:] == [
        delta("i", "Hello"),
        delta("i", "x", 1),
        delta("j", "a"),
    ]
    assert given_[0]["delta"] == "Hel"  # the caller's message is its own


async def test_deltas_of_different_kinds_are_not_mixed(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    other = {**delta("i", "b"), "type": "conversation.item.input_audio_transcription.delta"}
    listener.chat.put(delta("i", "a"))
    listener.chat.put(other)
    assert (await listener.messages())[1:] == [delta("i", "a"), other]


async def test_a_final_takes_the_place_of_its_unsent_deltas(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    for message in (
        delta("i", "Hel"),
        delta("i", "x", 1),
        delta("j", "a"),
        final("i", "Hello."),
    ):
        listener.chat.put(message)
    assert (await listener.messages())[1:] == [
        final("i", "Hello."),
        delta("i", "x", 1),
        delta("j", "a"),
    ]


async def test_finals_go_first_and_turns_in_their_order(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    listener.chat.put(delta("turn_1", "I"))
    listener.chat.put(delta("turn_2", "You"))
    listener.chat.put(final("turn_3", "They."))
    listener.chat.put(final("turn_2", "You are."))
    listener.chat.put(delta("turn_4", "We"))
    assert (await listener.messages())[1:] == [
        final("turn_2", "You are."),
        final("turn_3", "They."),
        delta("turn_1", "I"),
        delta("turn_4", "We"),
    ]


async def test_the_order_is_that_in_which_turns_began_not_ended(
    listener: Listener, autojump_clock: MockClock
) -> None:
    """A person's words are often known only after the answer to them."""
    listener.chat.put(user("question", ""))
    await listener.hold()
    listener.chat.put(final("answer", "Fine."))
    listener.chat.put(user("question", "How are you?"))
    sent = [m for m in await listener.messages() if m.get("transcript")]
    assert sent == [user("question", "How are you?"), final("answer", "Fine.")]


async def test_a_message_on_its_way_is_finished_first(
    listener: Listener, autojump_clock: MockClock
) -> None:
    listener.chat.put(delta("i", "x" * 3000))
    await wait_all_tasks_blocked()
    listener.gate.release()
    await wait_all_tasks_blocked()
    listener.chat.put(final("i", "y"))
    messages = await listener.messages()
    assert messages == [delta("i", "x" * 3000), final("i", "y")]


async def test_what_waits_is_bounded_and_deltas_go_first(
    listener: Listener, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await listener.hold()
    for number in range(10):
        listener.chat.put(delta(f"delta_{number}", "d"))
    for number in range(MAX_PENDING):
        listener.chat.put(final(f"final_{number}", "f"))
    dropped = [message for message in caplog.messages if "was dropped" in message]
    assert len(dropped) == 10
    listener.chat.put(final("one_more", "f"))
    messages = (await listener.messages())[1:]
    assert len(messages) == MAX_PENDING
    assert [m["item_id"] for m in messages[:2]] == ["final_1", "final_2"]
    assert messages[-1] == final("one_more", "f")
    assert all(m["type"] == FINAL for m in messages)


async def test_texts_are_bounded_one_by_one_and_joined(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    listener.chat.put(final("a", "f" * (MAX_TEXT + 1)))
    for _ in range(3):
        listener.chat.put(delta("b", "d" * (MAX_TEXT - 1)))
    _, first, second = await listener.messages()
    assert first == final("a", "f" * MAX_TEXT)
    assert second == delta("b", "d" * MAX_TEXT)


async def test_a_turn_that_was_forgotten_counts_as_the_oldest(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    listener.chat.put(final("old", "o"))
    for number in range(MAX_TURNS):
        listener.chat.put(delta(f"t{number}", ""))
    messages = await listener.messages()
    assert messages[1] == final("old", "o")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["d", "f", "send"]), TEXT)))
def test_nothing_that_was_said_is_lost(steps: list[tuple[str, str, str]]) -> None:
    """For each item: its final, if it had one, and before it nothing but a beginning of it."""
    trio.run(_say, steps, clock=MockClock(autojump_threshold=0))


async def _say(steps: list[tuple[str, str, str]]) -> None:
    async with trio.open_nursery() as nursery:
        listener = Listener(nursery)
        said = dict.fromkeys("abc", "")
        over: set[str] = set()
        for item, what, text in steps:
            if what == "send":
                listener.gate.release()
                await wait_all_tasks_blocked()
            elif item not in over and what == "d":
                said[item] += text
                listener.chat.put(delta(item, text))
            elif item not in over:
                over.add(item)
                listener.chat.put(final(item, said[item]))
        messages = await listener.messages()
        for item in "abc":
            own = [message for message in messages if message["item_id"] == item]
            deltas = "".join(message.get("delta", "") for message in own)
            if item in over:
                assert own[-1] == final(item, said[item])
                assert said[item].startswith(deltas)
                assert sum(message["type"] == FINAL for message in own) == 1
            else:
                assert deltas == said[item]
        nursery.cancel_scope.cancel()


# -- other people's chunks -----------------------------------------------------------------------


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_chunks_in_any_order_and_twice(
    messages: list[dict[str, Any]], shuffler: random.Random
) -> None:
    kept = [m for m in messages if len(to_chunks(m, "m0")) <= MAX_PARTS]
    sent = []
    for number, message in enumerate(kept):
        chunks = to_chunks(message, f"m{number}")
        # The last to come is no duplicate: it would begin the message anew.
        repeated = [*chunks, *chunks[1:-1]] if len(chunks) > 2 else chunks
        sent += [(number % 2, chunk) for chunk in repeated]
    shuffler.shuffle(sent)
    reassembler = Reassembler()
    got: dict[str, dict[str, Any]] = {}
    done: set[str] = set()
    for uid, chunk in sent:
        message_id = chunk.split("|")[0]
        if message_id in done:
            continue
        found = reassembler.feed(uid, chunk)
        if found is not None:
            got[message_id] = found
            done.add(message_id)
    assert got == {f"m{number}": message for number, message in enumerate(kept)}


def test_the_same_id_of_two_people_is_two_messages() -> None:
    reassembler = Reassembler()
    one, two = (to_chunks({"text": letter * 2000}, "id") for letter in "ab")
    for mine, theirs in zip(one[:-1], two[:-1], strict=True):
        assert reassembler.feed(1, mine) is None
        assert reassembler.feed(2, theirs) is None
    assert reassembler.feed(1, one[-1]) == {"text": "a" * 2000}
    assert reassembler.feed(2, two[-1]) == {"text": "b" * 2000}


@pytest.mark.parametrize(
    "chunk",
    [
        "",
        "hello",
        "id|1|1",
        "id|1|1|e30=|x",
        "id|0|1|e30=",
        "id|2|1|e30=",
        "id|-1|1|e30=",
        "id|+1|1|e30=",
        "id|1.0|1|e30=",
        "id|x|1|e30=",
        "id|1||e30=",
        f"id|1|{MAX_PARTS + 1}|e30=",
        f"{'i' * 33}|1|1|e30=",
        "id|1|1|e30",
        "id|1|1|!!!!",
        "id|1|1|\u00e9\u00e9\u00e9\u00e9",
        "id|1|1|",
        "id|1|1|" + base64.b64encode(b"5").decode(),
        "id|1|1|" + base64.b64encode(b"[]").decode(),
        "id|1|1|" + base64.b64encode(b"{").decode(),
        "id|1|1|" + base64.b64encode(b'{"a":"\xff"}').decode(),
        "id|1|1|" + base64.b64encode(b"[" * 700).decode(),
        "id|1|2|" + "A" * 1020,
    ],
)
def test_junk_is_refused_and_nothing_of_it_is_kept(chunk: str) -> None:
    reassembler = Reassembler()
    with pytest.raises(ValueError, match=r".") as caught:
        reassembler.feed(1, chunk)
    assert "\n" not in str(caught.value)
    assert reassembler.feed(1, to_chunks({"a": 1}, "id")[0]) == {"a": 1}


@given(st.text() | st.lists(st.text(), min_size=4, max_size=4).map("|".join))
def test_junk_of_any_kind_is_a_value_error_or_a_message(chunk: str) -> None:
    try:
        message = Reassembler().feed(1, chunk)
    except ValueError:
        return
    assert message is None or isinstance(message, dict)


def test_a_message_whose_parts_disagree_is_given_up() -> None:
    reassembler = Reassembler()
    assert reassembler.feed(1, "id|1|3|e30=") is None
    with pytest.raises(ValueError, match="differ"):
        reassembler.feed(1, "id|2|2|e30=")
    # Part 1 is forgotten with it.
    assert reassembler.feed(1, "id|2|2|fQ==") is None


def test_of_too_many_unfinished_messages_the_oldest_is_given_up() -> None:
    reassembler = Reassembler()
    chunks = {n: to_chunks({"n": n, "text": "x" * 1000}, f"id{n}") for n in range(MAX_PARTIAL + 1)}
    for two in chunks.values():
        assert len(two) == 2
        assert reassembler.feed(1, two[0]) is None
    assert reassembler.feed(1, chunks[MAX_PARTIAL][1]) == {"n": MAX_PARTIAL, "text": "x" * 1000}
    assert reassembler.feed(1, chunks[1][1]) == {"n": 1, "text": "x" * 1000}
    assert reassembler.feed(1, chunks[0][1]) is None


def test_a_message_of_the_greatest_length_is_taken() -> None:
    reassembler = Reassembler()
    message = {"text": "x" * 48_000}
    chunks = to_chunks(message, "id")
    assert len(chunks) == MAX_PARTS
    assert [reassembler.feed(1, chunk) for chunk in chunks][-1] == message
