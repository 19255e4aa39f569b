"""The form of data messages, and what is believed of other people's chunks."""

import base64
import random
import string
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from agent.streams.chunks import (
    MAX_CHUNK,
    MAX_FINISHED,
    MAX_KEPT_PARTS,
    MAX_MESSAGE_ID,
    MAX_PARTIAL,
    MAX_PARTS,
    MAX_USER_PARTS,
    ONE_CHUNK,
    PATIENCE_S,
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
IDS = st.text(string.ascii_letters + string.digits + "-_ ", min_size=1, max_size=32)


@define
class Clock:
    """A clock that the test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def fed(reassembler: Reassembler, uid: int, chunks: Iterable[str]) -> list[dict[str, Any]]:
    """The messages that these chunks complete."""
    found = [reassembler.feed(uid, chunk) for chunk in chunks]
    return [message for message in found if message is not None]


def long(letter: str, parts: int = 2) -> dict[str, Any]:
    """A message of so many chunks."""
    message = {"text": letter * (parts * ONE_CHUNK - 20)}
    assert len(to_chunks(message, "i" * MAX_MESSAGE_ID)) == parts
    return message


def chunks_of(letter: str, message_id: str = "", parts: int = 2) -> list[str]:
    return to_chunks(long(letter, parts), f"{message_id or letter:i<32}")


# -- the form ------------------------------------------------------------------------------------


@given(MESSAGES, IDS)
def test_a_message_survives_its_chunks(message: dict[str, Any], message_id: str) -> None:
    chunks = to_chunks(message, message_id)
    for number, chunk in enumerate(chunks, 1):
        assert len(chunk.encode("ascii")) <= MAX_CHUNK == 1024
        assert chunk.split("|")[:3] == [message_id, str(number), str(len(chunks))]
    payload = "".join(chunk.split("|")[3] for chunk in chunks)
    assert orjson.loads(base64.b64decode(payload, validate=True)) == message


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


def test_so_many_bytes_fit_one_chunk() -> None:
    message = {"text": "x" * (ONE_CHUNK - len('{"text":""}'))}
    assert len(to_chunks(message, "i" * 32)) == 1
    message["text"] += "x"
    assert len(to_chunks(message, "i" * 32)) == 2


@pytest.mark.parametrize("bad", ["a|b", "i" * 33, "", "\u00e9", "a\nb", "a\0", "\ud800"])
def test_an_id_that_would_break_the_form_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not usable"):
        to_chunks({}, bad)


# -- putting together ----------------------------------------------------------------------------


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_chunks_in_any_order_and_twice(
    messages: list[dict[str, Any]], shuffler: random.Random
) -> None:
    kept = [m for m in messages if len(to_chunks(m, "m0")) <= MAX_PARTS // 2]
    sent = []
    for number, message in enumerate(kept):
        chunks = to_chunks(message, f"m{number}")
        sent += [(number % 2, chunk) for chunk in [*chunks, *chunks]]
    shuffler.shuffle(sent)
    reassembler = Reassembler()
    got = [message for uid, chunk in sent for message in fed(reassembler, uid, [chunk])]
    assert sorted(got, key=repr) == sorted(kept, key=repr)


def test_the_same_id_of_two_people_is_two_messages() -> None:
    reassembler = Reassembler()
    one, two = chunks_of("a", "id"), chunks_of("b", "id")
    assert fed(reassembler, 1, one[:1]) == fed(reassembler, 2, two[:1]) == []
    assert fed(reassembler, 1, one[1:]) == [long("a")]
    assert fed(reassembler, 2, two[1:]) == [long("b")]
    assert fed(reassembler, 3, to_chunks({"a": 1}, "x")) == [{"a": 1}]
    assert fed(reassembler, 4, to_chunks({"a": 1}, "x")) == [{"a": 1}]


def test_a_chunk_that_comes_again_does_not_begin_its_message_anew() -> None:
    clock = Clock()
    reassembler = Reassembler(clock)
    chunks = chunks_of("a")
    assert fed(reassembler, 1, chunks) == [long("a")]
    assert fed(reassembler, 1, [*chunks, *chunks]) == []
    clock.now += PATIENCE_S + 1
    assert fed(reassembler, 1, chunks) == [long("a")]


def test_an_id_that_comes_again_with_other_content_is_a_new_message() -> None:
    reassembler = Reassembler()
    for letter in "abc":
        assert fed(reassembler, 1, chunks_of(letter, "same")) == [long(letter)]


def test_of_a_part_that_differs_from_its_copy_the_first_counts() -> None:
    reassembler = Reassembler()
    one, two = chunks_of("a", "id"), chunks_of("b", "id")
    assert fed(reassembler, 1, [one[0], two[0], one[1]]) == [long("a")]


def test_a_message_of_the_greatest_length_is_taken() -> None:
    message = {"text": "x" * 48_000}
    chunks = to_chunks(message, "id")
    assert len(chunks) == MAX_PARTS
    assert fed(Reassembler(), 1, chunks) == [message]


# -- what is no chunk ----------------------------------------------------------------------------

WHOLE_JUNK = [
    "id|1|1|e30",
    "id|1|1|e30==",
    "id|1|1|=e30",
    "id|1|1|====",
    "id|1|1|" + base64.b64encode(b"5").decode(),
    "id|1|1|" + base64.b64encode(b"[]").decode(),
    "id|1|1|" + base64.b64encode(b"{").decode(),
    "id|1|1|" + base64.b64encode(b'{"a":"\xff"}').decode(),
    "id|1|1|" + base64.b64encode(b'{"a":"\\ud800"}').decode(),
    "id|1|1|" + base64.b64encode(b"[" * 700).decode(),
]
JUNK = [
    *WHOLE_JUNK,
    "",
    "|",
    "|||",
    "hello",
    "id|1|1",
    "id|1|1|e30=|x",
    "|1|1|e30=",
    "id|0|1|e30=",
    "id|0|0|e30=",
    "id|00|2|e30=",
    "id|2|1|e30=",
    "id|-1|1|e30=",
    "id|+1|1|e30=",
    "id|1.0|1|e30=",
    "id| 1|1|e30=",
    "id|1_0|99|e30=",
    "id|x|1|e30=",
    "id||1|e30=",
    "id|1||e30=",
    "id|1|???|e30=",
    "id|\u0661|\u0661|e30=",
    "id|\u00b9|1|e30=",
    "id|\uff11|1|e30=",
    f"id|1|{MAX_PARTS + 1}|e30=",
    f"id|1|{'9' * 900}|e30=",
    f"id|{'0' * 900}1|1|e30=",
    f"{'i' * 33}|1|1|e30=",
    "id|1|1|!!!!",
    "id|1|1|e30-",
    "id|1|1|e3 0=",
    "id|1|1|e30=\n",
    "id|1|1|e30=\0",
    "i\0d|1|1|e30=",
    "i\nd|1|1|e30=",
    "id|1|1|\u00e9\u00e9\u00e9\u00e9",
    "\u00e9|1|1|e30=",
    "id|1|1|\ud800\udc00e3",
    "\udcff|1|1|e30=",
    "id|1|1|",
    "id|2|2|",
    "id|1|2|" + "A" * 1020,
]


@pytest.mark.parametrize("chunk", JUNK, ids=ascii)
def test_junk_is_refused_and_nothing_of_it_is_kept(chunk: str) -> None:
    reassembler = Reassembler()
    with pytest.raises(ValueError, match=r".") as caught:
        reassembler.feed(1, chunk)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("of uid 1: ")
    assert len(str(caught.value)) < 200
    assert reassembler.feed(1, to_chunks({"a": 1}, "id")[0]) == {"a": 1}


@pytest.mark.parametrize("chunk", [junk for junk in JUNK if junk not in WHOLE_JUNK], ids=ascii)
def test_junk_costs_nothing_that_came_before_it(chunk: str) -> None:
    reassembler = Reassembler()
    message = {"text": "x" * 1000}
    first, second = to_chunks(message, "id")
    assert reassembler.feed(1, first) is None
    with pytest.raises(ValueError, match=r"."):
        reassembler.feed(1, chunk)
    assert reassembler.feed(1, second) == message


def test_a_chunk_that_disagrees_with_its_message_is_refused() -> None:
    reassembler = Reassembler()
    one, two = chunks_of("a", "id"), chunks_of("b", "id", parts=3)
    assert fed(reassembler, 1, one[:1]) == []
    with pytest.raises(ValueError, match="differ"):
        reassembler.feed(1, two[2])
    assert fed(reassembler, 1, one[1:]) == [long("a")]


@given(
    st.text()
    | st.lists(st.text(), min_size=4, max_size=4).map("|".join)
    | st.from_regex(r"\A[a-c]\|[0-3]\|[1-3]\|[A-Za-z0-9+/=]*\Z")
)
def test_junk_of_any_kind_is_a_value_error_or_a_message(chunk: str) -> None:
    try:
        message = Reassembler().feed(1, chunk)
    except ValueError:
        return
    assert message is None or isinstance(message, dict)


def test_a_message_of_too_many_parts_is_refused_by_name() -> None:
    chunks = to_chunks({"tool_call_id": "c", "result": "x" * 60_000}, "id")
    reassembler = Reassembler()
    for chunk in chunks:
        with pytest.raises(ValueError, match=r"of uid 7: parts must be .* at most 64"):
            reassembler.feed(7, chunk)


# -- what is kept --------------------------------------------------------------------------------


def test_what_is_incomplete_for_long_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    reassembler = Reassembler(clock)
    a, b = chunks_of("a"), chunks_of("b")
    assert fed(reassembler, 1, [a[0], b[0]]) == []
    clock.now += PATIENCE_S
    assert fed(reassembler, 1, [a[1]]) == [long("a")]
    assert not caplog.messages
    clock.now += 0.1
    assert fed(reassembler, 1, [b[1]]) == []
    assert caplog.messages == [
        "a message of uid 1, with 1 of its 2 parts there, is dropped: "
        "it was not complete within 5 s"
    ]
    assert fed(reassembler, 1, [b[0]]) == [long("b")]


def test_the_time_is_counted_from_the_first_part() -> None:
    clock = Clock()
    reassembler = Reassembler(clock)
    chunks = chunks_of("a", parts=3)
    for chunk in chunks[:2]:
        assert fed(reassembler, 1, [chunk]) == []
        clock.now += PATIENCE_S - 1
    assert fed(reassembler, 1, [chunks[2]]) == []


def test_of_too_many_unfinished_messages_of_a_user_the_oldest_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reassembler = Reassembler()
    chunks = {n: to_chunks({"n": n, "text": "x" * 1000}, f"id{n}") for n in range(MAX_PARTIAL + 1)}
    for two in chunks.values():
        assert fed(reassembler, 1, two[:1]) == []
    assert caplog.messages == [
        "a message of uid 1, with 1 of its 2 parts there, is dropped: "
        "there is no room for more that is incomplete"
    ]
    for n in (MAX_PARTIAL, 1):
        assert fed(reassembler, 1, chunks[n][1:]) == [{"n": n, "text": "x" * 1000}]
    assert fed(reassembler, 1, chunks[0][1:]) == []


def test_of_too_many_parts_of_a_user_the_oldest_message_is_given_up() -> None:
    reassembler = Reassembler()
    a, b, c = (chunks_of(letter, parts=MAX_PARTS) for letter in "abc")
    assert fed(reassembler, 1, [*a[1:], *b[1:], *c[1:4]]) == []
    assert fed(reassembler, 1, [*b[:1], *c[:1], *c[4:]]) == [long("b", 64), long("c", 64)]
    assert fed(reassembler, 1, a[:1]) == []


def test_a_flood_of_ones_own_costs_nobody_else_anything() -> None:
    reassembler = Reassembler()
    half, rest = chunks_of("a")
    assert fed(reassembler, 1, [half]) == []
    for number in range(3 * MAX_PARTIAL):
        assert fed(reassembler, 2, chunks_of("b", f"b{number}-", parts=MAX_PARTS)[:-1]) == []
    assert fed(reassembler, 1, [rest]) == [long("a")]


def kept_parts(reassembler: Reassembler) -> int:
    return sum(user.parts for user in reassembler._users.values())


def test_of_all_users_who_keep_too_much_the_one_with_the_most_gives_it_up() -> None:
    reassembler = Reassembler()
    half, rest = chunks_of("a")
    assert fed(reassembler, 1, [half]) == []
    for number in range(2 * MAX_PARTS):
        for uid in range(2, 30):
            message_id = f"u{uid}-{number // (MAX_PARTS - 1)}-"
            part = number % (MAX_PARTS - 1)
            assert fed(reassembler, uid, [f"{message_id}|{part + 1}|{MAX_PARTS}|AAAA"]) == []
        assert kept_parts(reassembler) <= MAX_KEPT_PARTS
    assert fed(reassembler, 1, [rest]) == [long("a")]


def test_what_is_kept_is_bounded_by_number_and_by_time() -> None:
    clock = Clock()
    reassembler = Reassembler(clock)
    for number in range(2 * MAX_FINISHED):
        assert fed(reassembler, 1, to_chunks({"n": number}, f"id{number}")) == [{"n": number}]
        assert fed(reassembler, 1, [f"half{number}|1|2|AAAA"]) == []
    [user] = reassembler._users.values()
    assert len(user.finished) == MAX_FINISHED
    assert len(user.partial) == MAX_PARTIAL
    assert user.parts <= MAX_USER_PARTS
    clock.now += PATIENCE_S + 1
    assert fed(reassembler, 2, ["id|1|2|AAAA"]) == []
    assert list(reassembler._users) == [2]


def test_what_belongs_to_a_user_who_left_is_forgotten() -> None:
    reassembler = Reassembler()
    a, b = chunks_of("a"), chunks_of("b")
    assert fed(reassembler, 1, a[:1]) == fed(reassembler, 2, b[:1]) == []
    reassembler.forget(1)
    reassembler.forget(3)
    assert fed(reassembler, 1, a[1:]) == []
    assert fed(reassembler, 2, b[1:]) == [long("b")]
