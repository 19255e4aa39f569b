"""Data messages to the people: their order, their pace, and that older clients can read them."""

import base64
from collections.abc import Iterable
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import trio
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.protocol.actions import Publish
from agent.protocol.transcripts import heard, said, turn_begun
from agent.rtc.channel import DataReceived, UserJoined, UserLeft
from agent.streams.chat import (
    MAX_OVER,
    MAX_PENDING,
    MAX_SENT_PARTS,
    MAX_TEXT,
    MAX_TURNS,
    MAX_WHOLE,
    READ_WITHIN_S,
    Chat,
)
from agent.streams.chunks import ONE_CHUNK, PATIENCE_S, Reassembler, to_chunks
from agent.streams.pace import Pace
from tests.fakes.call import OPTIONS, a_call
from tests.fakes.channel import PERSON, MemoryChannel
from tests.streams.test_pace import busiest

NEW, OLD, LEAST, FAST = (60, 30_000), (30, 6000), (2, 2048), (1000, 1_000_000)
"""Packets and bytes a second: of Agora's data streams, and as the options allow."""
# No lone surrogates: JSON cannot bring any, and UTF-8 cannot take any.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FINAL = "response.audio_transcript.done"
DELTA = "response.audio_transcript.delta"
USER = "conversation.item.input_audio_transcription.completed"


def delta(item: str, text: str, index: int = 0) -> dict[str, Any]:
    return {"type": DELTA, "item_id": item, "content_index": index, "delta": text}


def final(item: str, text: str, index: int = 0) -> dict[str, Any]:
    return {"type": FINAL, "item_id": item, "content_index": index, "transcript": text}


def user(item: str, text: str) -> dict[str, Any]:
    return {"type": USER, "item_id": item, "content_index": 0, "transcript": text}


def read(chunks: Iterable[str]) -> list[dict[str, Any]]:
    """The messages that these chunks make."""
    reassembler = Reassembler()
    found = [reassembler.feed(0, chunk) for chunk in chunks]
    return [message for message in found if message is not None]


# -- what is sent, and when ----------------------------------------------------------------------


class Listener:
    """Takes chunks, one when it is let; puts messages together."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.chat = Chat(self.take, "p", pace=Pace(*FAST))
        self.chunks: list[str] = []
        self.gate = trio.Semaphore(0)
        nursery.start_soon(self.chat.run)

    async def take(self, chunk: str) -> bool:
        await self.gate.acquire()
        self.chunks.append(chunk)
        return True

    async def messages(self) -> list[dict[str, Any]]:
        """All that is sent when nothing holds it back, from now on too."""
        for _ in range(10_000):
            self.gate.release()
        await trio.sleep(10)
        messages = read(self.chunks)
        self.chunks.clear()
        return messages

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
    await trio.sleep(1)
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
    listener.chat.put(final("later", "x" * 3000))
    await wait_all_tasks_blocked()
    listener.gate.release()
    await wait_all_tasks_blocked()
    listener.chat.put(final("i", "y"))
    messages = await listener.messages()
    assert messages == [final("later", "x" * 3000), final("i", "y")]


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
    _, first, *others = await listener.messages()
    assert first == final("a", "f" * MAX_TEXT)
    assert "".join(other["delta"] for other in others) == "d" * MAX_TEXT


async def test_a_turn_that_was_forgotten_counts_as_the_oldest(
    listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    listener.chat.put(final("old", "o"))
    for number in range(MAX_TURNS):
        listener.chat.put(delta(f"t{number}", ""))
    messages = await listener.messages()
    assert messages[1] == final("old", "o")


async def test_after_the_final_of_a_part_there_is_no_delta_of_it(
    listener: Listener, autojump_clock: MockClock
) -> None:
    for message in (final("i", "Hello."), delta("i", "o."), delta("i", "x", 1), delta("j", "y")):
        listener.chat.put(message)
        listener.gate.release()
        await wait_all_tasks_blocked()
    listener.chat.put(final("i", "Hel", 0) | {"interrupted": True})
    assert await listener.messages() == [
        final("i", "Hello."),
        delta("i", "x", 1),
        delta("j", "y"),
        final("i", "Hel", 0) | {"interrupted": True},
    ]


async def test_the_parts_that_are_over_are_bounded(
    listener: Listener, autojump_clock: MockClock
) -> None:
    for index in range(3 * MAX_OVER):
        listener.chat.put(final("i", "x", index))
    assert len(listener.chat._turns["i"].over) == MAX_OVER


async def test_a_message_that_is_no_final_of_an_item_lets_its_deltas_pass(
    listener: Listener, autojump_clock: MockClock
) -> None:
    listener.chat.put({"type": "of_the_future", "item_id": "i", "content_index": 0})
    listener.chat.put(delta("i", "x"))
    assert delta("i", "x") in await listener.messages()


# -- long messages -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x", "\u00e4", "\u4f60", "\U0001f600", "\0", 'a"', "e\u0301 "])
async def test_a_long_delta_is_sent_in_pieces_of_one_packet(
    text: str, listener: Listener, autojump_clock: MockClock
) -> None:
    await listener.hold()
    whole = delta("i", text * 2000) | {"event_id": "e", "response_id": "r", "output_index": 0}
    listener.chat.put(whole)
    pieces = (await listener.messages())[1:]
    assert "".join(piece["delta"] for piece in pieces) == text * 2000
    for piece in pieces:
        assert len(to_chunks(piece, "i" * 32)) == 1
        assert piece | {"delta": ""} == whole | {"delta": ""}
    # As large as they can be.
    assert all(len(orjson.dumps(piece)) > ONE_CHUNK - 12 for piece in pieces[:-1])


async def test_a_final_takes_the_place_of_the_pieces_that_are_unsent(
    listener: Listener, autojump_clock: MockClock
) -> None:
    listener.chat.put(delta("i", "x" * 3000))
    await wait_all_tasks_blocked()
    for text in ("y", "z"):  # these join the tail
        listener.chat.put(delta("i", text))
    listener.gate.release()
    await trio.sleep(1)
    listener.chat.put(final("i", "X"))
    first, second, last = await listener.messages()
    assert set(first["delta"]) == set(second["delta"]) == {"x"}
    assert last == final("i", "X")


async def test_what_joins_the_tail_of_a_delta_comes_after_it(
    listener: Listener, autojump_clock: MockClock
) -> None:
    listener.chat.put(delta("i", "x" * 1000))
    await wait_all_tasks_blocked()
    listener.chat.put(delta("i", "y"))
    pieces = await listener.messages()
    assert "".join(piece["delta"] for piece in pieces) == "x" * 1000 + "y"
    assert len(pieces) == 2


@pytest.mark.parametrize("length", [600, 700, 5000, 40_000])
async def test_the_text_goes_on_though_the_ids_are_long(
    length: int, listener: Listener, autojump_clock: MockClock
) -> None:
    listener.chat.put(delta("i" * length, "x" * 1000))
    messages = await listener.messages()
    assert "".join(message["delta"] for message in messages) == "x" * 1000


async def test_ids_that_are_longer_than_any_message_are_dropped(
    listener: Listener, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    for message in (delta("i" * 500_000, "x"), final("i" * 500_000, "x"), final("j", "y")):
        refused = listener.chat.put(message)
        assert (refused is None) == (message["item_id"] == "j")
    assert await listener.messages() == [final("j", "y")]
    assert [message for message in caplog.messages if "too long" in message] == [
        f"a {kind} is too long for a data message: dropped" for kind in (DELTA, FINAL)
    ]
    assert list(listener.chat._turns) == ["j"]


@pytest.mark.parametrize("text", ["x", "\u4f60", "\0"])
@pytest.mark.parametrize("limits", [NEW, OLD, LEAST, FAST])
async def test_a_final_is_as_long_as_can_be_sent_in_time(
    limits: tuple[int, int], text: str, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line = Line()
    chat = Chat(line.send, "0123456789", pace=Pace(*limits))
    nursery.start_soon(chat.run)
    chat.put(delta("warm", "up" * 8000))  # nothing is left of a burst
    await trio.sleep(2)
    line.packets.clear()
    chat.put(final("i", text * MAX_TEXT))
    await trio.sleep(20)
    chunks = [packet.chunk for packet in line.packets if is_long(packet.chunk)]
    [message] = [m for m in EarlierClient().read(line.packets) if m["type"] == FINAL]
    kept = message["transcript"]
    assert text * MAX_TEXT == kept + text * (MAX_TEXT - len(kept))
    times = [packet.began for packet in line.packets if is_long(packet.chunk)]
    assert times[-1] - times[0] <= READ_WITHIN_S
    if len(kept) < MAX_TEXT:
        most = min(MAX_SENT_PARTS, Pace(*limits).packets_within(READ_WITHIN_S))
        assert 0.95 * most <= len(chunks) <= most


@pytest.mark.parametrize("limits", [NEW, OLD, LEAST, FAST])
async def test_what_cannot_be_cut_is_sent_if_a_client_can_put_it_together(
    limits: tuple[int, int], autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line = Line()
    chat = Chat(line.send, "i" * 29, pace=Pace(*limits))  # ids as long as may be
    nursery.start_soon(chat.run)
    chat.put(delta("warm", "up" * 8000))  # nothing is left of a burst
    await trio.sleep(2)
    line.packets.clear()
    most = min(MAX_WHOLE, ONE_CHUNK * Pace(*limits).packets_within(READ_WITHIN_S))
    message = {"type": "client_tool_call", "arguments": ""}
    message["arguments"] = "x" * (most - len(orjson.dumps(message)))
    longer = message | {"arguments": message["arguments"] + "x"}
    assert chat.put(longer) == f"{most + 1} bytes of JSON; at most {most} can be sent"
    assert chat.put(message) is None
    await trio.sleep(20)
    for sent in (read(p.chunk for p in line.packets), EarlierClient().read(line.packets)):
        assert [it for it in sent if "arguments" in it] == [message]


def is_long(chunk: str) -> bool:
    return chunk.split("|")[2] != "1"


# -- the pace, and older clients -----------------------------------------------------------------


@define
class Packet:
    """A packet, and when it was handed over and taken."""

    began: float
    ended: float
    chunk: str


@define
class Line:
    """Takes packets, each in so many seconds."""

    takes_s: float = 0.0
    packets: list[Packet] = field(factory=list)

    async def send(self, chunk: str) -> bool:
        began = trio.current_time()
        await trio.sleep(self.takes_s)
        self.packets.append(Packet(began, trio.current_time(), chunk))
        return True


class EarlierClient:
    """A client that knows the earlier sample's format only, written from a description of one.

    It splits at `|`, passes over a total of `???`, keeps chunks by their message's id, has all
    when their number is the total (copies count), sorts and joins them, decodes base64 and UTF-8,
    and drops what is incomplete 5 seconds after the first chunk of it.
    """

    def __init__(self) -> None:
        self.kept: dict[str, list[tuple[int, str]]] = {}
        self.since: dict[str, float] = {}
        self.messages: list[dict[str, Any]] = []

    def read(self, packets: Iterable[Packet]) -> list[dict[str, Any]]:
        for packet in packets:
            self.take(packet.chunk, packet.ended)
        return self.messages

    def take(self, packet: str, now: float) -> None:
        for message_id in [m for m, since in self.since.items() if now - since >= 5]:
            del self.kept[message_id], self.since[message_id]
        message_id, part, total, content = packet.split("|")[:4]
        if total == "???":
            return
        self.since.setdefault(message_id, now)
        chunks = self.kept.setdefault(message_id, [])
        chunks.append((int(part), content))
        if len(chunks) == int(total):
            del self.kept[message_id], self.since[message_id]
            text = "".join(content for _, content in sorted(chunks, key=lambda chunk: chunk[0]))
            self.messages.append(orjson.loads(base64.b64decode(text, validate=True).decode()))


def conversation(words: str) -> list[dict[str, Any]]:
    """What people are told of a turn of each side's."""
    event = SimpleNamespace(
        event_id="event_1", response_id="resp_1", item_id="item_2", output_index=0, content_index=0
    )
    published: list[Publish] = [
        turn_begun("item_1", "event_0"),
        *(said("delta", event, word) for word in words.split()),
        said("done", event, words),
        heard("completed", "item_1", 0, words[:40], "event_2"),
    ]
    return [publish.message for publish in published]


@pytest.mark.parametrize("limits", [NEW, OLD])
@pytest.mark.parametrize(
    "words", ["Hello there.", "\u4f60\u597d " * 4000, "na\u00efve \U0001f600 " * 900]
)
async def test_a_client_of_the_earlier_sample_reads_every_message(
    limits: tuple[int, int], words: str, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line = Line()
    chat = Chat(line.send, "0123456789", pace=Pace(*limits))
    nursery.start_soon(chat.run)
    for message in conversation(words):
        chat.put(message)
    chat.put(final("item_3", words[::-1]))
    await trio.sleep(30)
    sent = EarlierClient().read(line.packets)
    assert len(sent) == len({packet.chunk.split("|")[0] for packet in line.packets})
    by_type = {message["type"]: message for message in sent if message["item_id"] != "item_3"}
    assert set(by_type[FINAL]) >= {
        "event_id", "response_id", "item_id", "output_index", "content_index", "transcript", "type"
    }  # fmt: skip
    assert set(by_type[USER]) >= {"event_id", "item_id", "content_index", "transcript", "type"}
    for message in sent:
        if message["type"] == FINAL:
            whole = words if message["item_id"] == "item_2" else words[::-1]
            assert whole.startswith(message["transcript"])
            assert message["transcript"] == whole or len(whole.encode()) > 20 * 700
    # The channel may bring them in any order, and late.
    late = Random(5)
    for packet in line.packets:
        packet.ended += late.uniform(0, PATIENCE_S - READ_WITHIN_S)
    mixed = EarlierClient().read(sorted(line.packets, key=lambda packet: packet.ended))
    assert sorted(mixed, key=repr) == sorted(sent, key=repr)


async def test_a_client_of_the_earlier_sample_sees_the_deltas_fields(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line = Line()
    chat = Chat(line.send, "p", pace=Pace(*NEW))
    nursery.start_soon(chat.run)
    put = conversation("Hello there.")
    for message in put:
        chat.put(message)
        await trio.sleep(0.2)
    assert EarlierClient().read(line.packets) == put
    assert set(put[1]) == {
        "event_id", "response_id", "item_id", "output_index", "content_index", "delta", "type"
    }  # fmt: skip


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.003, 0.1, 0.7]),  # a pause before it
        st.sampled_from("abc"),
        st.sampled_from("dddf"),
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4), st.integers(1, 140)
        ),
    ),
    max_size=40,
)


@define
class Told:
    """What was put of one item.

    :ivar finals: with the time of each.
    """

    deltas: str = ""
    finals: list[tuple[float, str]] = field(factory=list)


@given(STEPS, st.sampled_from([NEW, OLD, LEAST]), st.sampled_from([0.0, 0.0, 0.03, 1.5]))
def test_whatever_is_put_is_sent_in_order_and_in_time(
    steps: list[tuple[float, str, str, tuple[str, int]]], limits: tuple[int, int], takes_s: float
) -> None:
    trio.run(_tell, steps, limits, takes_s, clock=MockClock(autojump_threshold=0))


async def _tell(
    steps: list[tuple[float, str, str, tuple[str, int]]], limits: tuple[int, int], takes_s: float
) -> None:
    line = Line(takes_s)
    told = {item: Told() for item in "abc"}
    async with trio.open_nursery() as nursery:
        chat = Chat(line.send, "p", pace=Pace(*limits))
        nursery.start_soon(chat.run)
        for pause, item, what, (text, times) in steps:
            await trio.sleep(pause)
            if what == "d":
                if not told[item].finals:
                    told[item].deltas += text * times
                chat.put(delta(item, text * times))
            else:
                told[item].finals.append((trio.current_time(), text * times))
                chat.put(final(item, text * times))
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()
    packets = [(packet.began, packet.ended, len(packet.chunk)) for packet in line.packets]
    most_packets, most_bytes = busiest(packets)
    assert most_packets <= limits[0]
    assert most_bytes <= limits[1]
    # A channel that takes this long makes a client give up a message of several packets.
    sent = (
        read(p.chunk for p in line.packets) if takes_s > 1 else EarlierClient().read(line.packets)
    )
    assert len(sent) == len({packet.chunk.split("|")[0] for packet in line.packets})
    for item in "abc":
        _check_item([message for message in sent if message["item_id"] == item], told[item])
    for item in "abc":
        _check_waits(line.packets, item, told[item], limits, takes_s)


def _check_item(sent: list[dict[str, Any]], told: Told) -> None:
    """Each final once and whole, and before them a beginning of what there was of deltas."""
    assert [m["transcript"] for m in sent if m["type"] == FINAL] == [
        text for _, text in told.finals
    ]
    kinds = [message["type"] for message in sent]
    assert kinds == sorted(kinds)  # DELTA < FINAL
    deltas = "".join(message.get("delta", "") for message in sent)
    assert told.deltas.startswith(deltas)
    assert told.finals or told.deltas == deltas


def _check_waits(
    packets: list[Packet], item: str, told: Told, limits: tuple[int, int], takes_s: float
) -> None:
    """Once a final is there, no piece of a delta begins before it, and the line is not idle."""
    gap_s = takes_s + 1 / min(Pace(*limits).packets_within(1000) / 1001, limits[0])
    for (put_at, _), (chunks, message) in zip(told.finals, _finals(packets, item), strict=True):
        last = chunks[-1]
        between = [p for p in packets if put_at < p.began <= last.began]
        assert last.ended <= put_at + takes_s + len(between) * gap_s + 1e-6
        assert all(m["type"] == FINAL for m in read(p.chunk for p in between if p not in chunks))
        assert message["type"] == FINAL


def _finals(packets: list[Packet], item: str) -> list[tuple[list[Packet], dict[str, Any]]]:
    by_id: dict[str, list[Packet]] = {}
    for packet in packets:
        by_id.setdefault(packet.chunk.split("|")[0], []).append(packet)
    messages = [(chunks, read(p.chunk for p in chunks)[0]) for chunks in by_id.values()]
    return [(c, m) for c, m in messages if m["type"] == FINAL and m["item_id"] == item]


async def test_what_is_refused_takes_the_rest_of_its_message_along(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    tried: list[str] = []

    async def refuse_long(chunk: str) -> bool:
        tried.append(chunk)
        await trio.lowlevel.checkpoint()
        return "|1|1|" in chunk

    chat = Chat(refuse_long, "p", pace=Pace(*NEW))
    nursery.start_soon(chat.run)
    chat.put(final("i1", "x" * 5000))
    chat.put(final("i2", "Hello."))
    await trio.sleep(10)
    assert [chunk.split("|")[:2] for chunk in tried] == [["p1", "1"], ["p2", "1"]]


async def test_a_channel_that_takes_nothing_costs_only_what_is_superseded(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line = Line(takes_s=60)
    chat = Chat(line.send, "p", pace=Pace(*NEW))
    nursery.start_soon(chat.run)
    for number in range(100):
        for text in ("Hel", "lo"):
            chat.put(delta(f"i{number}", text))
            await trio.sleep(0.1)
        chat.put(final(f"i{number}", "Hello."))
    assert len(chat._pending) <= 100
    line.takes_s = 0
    await trio.sleep(100)
    finals = [m for m in read(p.chunk for p in line.packets) if m["type"] == FINAL]
    assert finals == [final(f"i{number}", "Hello.") for number in range(100)]


# -- in a call -----------------------------------------------------------------------------------


class SlowChannel(MemoryChannel):
    """Notes when data messages come."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()

    async def send_data(self, packet: str) -> bool:
        return await self.line.send(packet)


async def test_a_call_keeps_its_options_pace(autojump_clock: MockClock) -> None:
    for packets, size in (OLD, (12, 30_000), (40, 2048)):
        channel = SlowChannel()
        options = evolve(OPTIONS, data_packets_per_s=packets, data_bytes_per_s=size)
        async with a_call(options, channel=channel) as call:
            for number in range(60):
                call.call._chat.put(final(f"i{number}", "x" * 600))
            await trio.sleep(100)
        seen = busiest([(p.began, p.ended, len(p.chunk)) for p in channel.line.packets])
        assert len(channel.line.packets) == 60
        assert seen[0] <= packets
        assert seen[1] <= size
        assert seen[0] > packets * 0.8 or seen[1] > size * 0.8


@pytest.mark.parametrize("leaves", [True, False])
async def test_half_a_message_of_a_person_who_left_is_forgotten(
    leaves: bool, autojump_clock: MockClock
) -> None:
    first, second = to_chunks({"type": "text", "text": "hello " * 150}, "m1")
    async with a_call() as call:
        call.channel.tell.send_nowait(DataReceived(PERSON, first))
        if leaves:
            call.channel.tell.send_nowait(UserLeft(PERSON, "quit"))
            call.channel.tell.send_nowait(UserJoined(PERSON))
        call.channel.tell.send_nowait(DataReceived(PERSON, second))
        await trio.sleep(1)
        assert len(call.model.of_type("conversation.item.create")) == (0 if leaves else 1)


@pytest.mark.parametrize("pause_s", [4.9, 5.1])
async def test_half_a_message_waits_for_five_seconds_of_the_calls_clock(
    pause_s: float, autojump_clock: MockClock
) -> None:
    first, second = to_chunks({"type": "text", "text": "hello " * 150}, "m1")
    async with a_call() as call:
        call.channel.tell.send_nowait(DataReceived(PERSON, first))
        await trio.sleep(pause_s)
        call.channel.tell.send_nowait(DataReceived(PERSON, second))
        await trio.sleep(1)
        assert len(call.model.of_type("conversation.item.create")) == (pause_s < 5)


async def test_what_has_not_been_sent_can_be_taken_back(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    line = Line()
    chat = Chat(line.send, "p", pace=Pace(*NEW))
    chat.put({"type": "client_tool_call", "tool_call_id": "c1"})
    chat.put({"type": "client_tool_call", "tool_call_id": "c2"})
    assert chat.withdraw("tool_call_id", "c1")
    nursery.start_soon(chat.run)
    await trio.sleep(1)
    assert not chat.withdraw("tool_call_id", "c2")
    assert [message["tool_call_id"] for message in read(p.chunk for p in line.packets)] == ["c2"]
