"""Which words of a transcript belong to how much of its audio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.audio import SAMPLE_RATE
from agent.protocol.alignment import count_words, words_until

SECOND = SAMPLE_RATE


def until(seconds: float, *words: tuple[float, str], of: float, is_all: bool = True) -> str:
    """The words within so many seconds; `words` are (seconds of audio before them, text)."""
    placed = [(round(at * SECOND), text) for at, text in words]
    return words_until(round(seconds * SECOND), placed, round(of * SECOND), is_all=is_all)


def test_words_belong_to_the_audio_that_came_with_them() -> None:
    words = [(0, "one "), (1, "two "), (2, "three")]
    assert until(0, *words, of=3) == ""
    assert until(0.5, *words, of=3) == "one "
    assert until(1.5, *words, of=3) == "one two "
    assert until(3, *words, of=3) == "one two three"


def test_words_that_came_together_share_their_audio_evenly() -> None:
    assert until(1, (0, "one two thr"), (0, "ee four "), of=2) == "one two three "
    assert until(0.1, (0, "one two three four "), of=2) == "one "


def test_a_word_that_has_begun_is_heard_whole_though_it_came_in_pieces() -> None:
    assert until(0.9, (0, "won"), (1, "derful day"), of=2) == "wonderful "


def test_words_ahead_of_audio_that_is_still_to_come_are_not_squeezed_into_what_has_come() -> None:
    long = "one two three four five six seven eight nine ten "
    assert until(0.5, (0, long), of=1, is_all=False) == "one two "
    assert until(0.5, (0, long), of=1) == "one two three four five six "


def test_words_that_come_when_all_audio_has_come_belong_to_all_of_it() -> None:
    assert until(1, (2, "one two three four"), of=2) == "one two three "
    assert until(0.1, (0, "one "), (2, "two"), of=2) == "one "


def test_an_empty_piece_moves_nothing() -> None:
    words = [(0, "one two three four ")]
    assert until(1, *words, (0.1, ""), of=2) == until(1, *words, of=2)


@pytest.mark.parametrize(
    "text", ["今天天气很好我们去公园", "きょうはてんきがいいです", "วันนี้อากาศดีมาก"]
)
def test_scripts_without_spaces_are_cut_between_signs(text: str) -> None:
    heard = until(1, (0, text), of=2)
    assert text.startswith(heard)
    assert abs(len(heard) - len(text) / 2) <= 1


def test_no_words_and_no_audio() -> None:
    assert until(1, of=2) == ""
    assert until(0, (0, "one"), of=0) == ""


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.text(max_size=8)), max_size=12),
    st.integers(0, 200_000),
    st.booleans(),
)
def test_more_audio_never_means_fewer_words(
    words: list[tuple[int, str]], received: int, is_all: bool
) -> None:
    words = sorted(words, key=lambda word: word[0])
    whole = "".join(text for _, text in words)
    before = ""
    for samples in range(0, received + 2000, max(1, received // 7)):
        heard = words_until(samples, words, received, is_all=is_all)
        assert whole.startswith(heard)
        assert heard.startswith(before)
        before = heard


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Mhm.", 1),
        ("Stop it, now!", 3),
        ("停一下", 3),
        ("หยุด", 4),
        ("OK 好的", 3),
        ("— …", 0),
    ],
)
def test_words_are_counted_in_any_script(text: str, words: int) -> None:
    assert count_words(text) == words
