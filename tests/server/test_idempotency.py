"""One key, one effect, one answer; whatever comes in between."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from server.idempotency import KEEP_S, MOST, Key, KeyReused, Repeats

KEY = Key("somebody", "k")


def act_of(done: list[str], words: str) -> Callable[[], Awaitable[str]]:
    async def act() -> str:
        await trio.sleep(1)
        done.append(words)
        return words

    return act


def repeats() -> Repeats[str]:
    return Repeats(lambda words: words != "try again", trio.current_time)


async def test_a_repeat_gets_the_first_answer(autojump_clock: MockClock) -> None:
    done: list[str] = []
    those = repeats()
    assert await those.once(KEY, b"a", act_of(done, "first")) == "first"
    assert await those.once(KEY, b"a", act_of(done, "second")) == "first"
    assert await those.once(Key("somebody", "other"), b"a", act_of(done, "third")) == "third"
    assert await those.once(Key("another", "k"), b"a", act_of(done, "fourth")) == "fourth"
    assert done == ["first", "third", "fourth"]


async def test_another_request_with_the_key_is_refused(autojump_clock: MockClock) -> None:
    done: list[str] = []
    those = repeats()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(those.once, KEY, b"a", act_of(done, "first"))
        await trio.sleep(0.5)
        with pytest.raises(KeyReused):  # while it is under way
            await those.once(KEY, b"b", act_of(done, "other"))
    with pytest.raises(KeyReused):
        await those.once(KEY, b"b", act_of(done, "other"))
    assert done == ["first"]


async def test_what_is_worth_another_try_is_not_remembered(autojump_clock: MockClock) -> None:
    done: list[str] = []
    those = repeats()
    assert await those.once(KEY, b"a", act_of(done, "try again")) == "try again"
    assert await those.once(KEY, b"b", act_of(done, "well")) == "well"


async def test_answers_are_forgotten_after_their_time(autojump_clock: MockClock) -> None:
    done: list[str] = []
    those = repeats()
    await those.once(KEY, b"a", act_of(done, "first"))
    await trio.sleep(KEEP_S - 1)
    assert await those.once(KEY, b"a", act_of(done, "second")) == "first"
    await trio.sleep(1)
    assert await those.once(KEY, b"a", act_of(done, "second")) == "second"


async def test_the_oldest_of_a_caller_is_forgotten_for_the_newest() -> None:
    async def act() -> str:
        return "done"

    async def acts_again(key: Key) -> bool:
        again: list[str] = []

        async def note() -> str:
            again.append("")
            return "try again"

        await those.once(key, b"", note)
        return bool(again)

    those = repeats()
    await those.once(Key("another", "k"), b"", act)
    for number in range(MOST + 1):
        await those.once(Key("somebody", str(number)), b"", act)
    assert await acts_again(Key("somebody", "0"))
    assert not await acts_again(Key("somebody", "1"))
    assert not await acts_again(Key("another", "k"))  # nobody pushes out another's


@frozen
class Asked:
    """A request: when it comes, what it would take, what comes of it, and when it is given up."""

    at: int
    key: str
    body: bytes
    takes: int
    outcome: str
    given_up_after: int | None


class Outcome(Exception):
    """It failed in place of answering."""


@frozen
class Act:
    """What was done for a request, from when to when."""

    asked: Asked
    number: int
    begun: float
    ended: float


ASKED = st.builds(
    Asked,
    at=st.integers(0, 6),
    key=st.sampled_from("kl"),
    body=st.sampled_from([b"a", b"a", b"b"]),
    takes=st.integers(0, 4),
    outcome=st.sampled_from(["final", "final", "try again", "raise"]),
    given_up_after=st.none() | st.integers(0, 5),
)


@given(st.lists(ASKED, max_size=8))
def test_whatever_comes_in_between_nothing_is_done_twice(requests: list[Asked]) -> None:
    acts: list[Act] = []
    got: list[tuple[Asked, object]] = []
    begun: list[Asked] = []
    those = Repeats[tuple[int, str]](lambda answer: answer[1] == "final", trio.current_time)

    async def ask(asked: Asked) -> None:
        async def act() -> tuple[int, str]:
            number, at = len(begun), trio.current_time()
            begun.append(asked)
            await trio.sleep(asked.takes)
            acts.append(Act(asked, number, at, trio.current_time()))
            if asked.outcome == "raise":
                raise Outcome
            return number, asked.outcome

        await trio.sleep(asked.at)
        with trio.move_on_after(asked.given_up_after or 1000):
            try:
                got.append((asked, await those.once(Key("", asked.key), asked.body, act)))
            except (KeyReused, Outcome) as error:
                got.append((asked, type(error)))

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            for asked in requests:
                nursery.start_soon(ask, asked)

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert len(acts) == len(begun)  # what was begun was finished
    for key in "kl":
        check_one_key([act for act in acts if act.asked.key == key])
    answers = {act.number: act for act in acts}
    for asked, answer in got:
        if isinstance(answer, tuple):
            act = answers[answer[0]]
            assert (act.asked.key, act.asked.body) == (asked.key, asked.body)
            assert answer[1] == act.asked.outcome
            assert act.asked.outcome == "final" or act.ended >= asked.at
        elif answer is KeyReused:
            assert any(act.asked.body != asked.body for act in acts if act.asked.key == asked.key)
        else:
            assert asked in begun
    given_up = [asked for asked in requests if asked.given_up_after is not None]
    assert len(got) >= len(requests) - len(given_up)


def check_one_key(acts: list[Act]) -> None:
    """One after the other, and nothing after a final one."""
    in_order = sorted(acts, key=lambda act: act.number)
    for earlier, later in pairwise(in_order):
        assert earlier.ended <= later.begun
        assert earlier.asked.outcome != "final"
