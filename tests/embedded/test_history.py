"""What the conversation holds: its sum is kept, whatever comes, grows, shrinks and goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.embedded.history import ROOT, Entry, History, Weight

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "first", "remove", "write", "speak", "ask", "obey"]),
        st.integers(0, 9),
        st.integers(0, 400),
    ),
    max_size=40,
)


def do(history: History, made: dict[str, Entry], what: str, item_id: str, size: int) -> None:
    if what == "obey":
        history.obey(size, 0.5)
    elif what == "ask":
        history.tokens()
    elif what in ("add", "first") and item_id not in history:
        made[item_id] = Entry(id=item_id, role="user", text="x" * size, heard_ms=size)
        history.add(made[item_id], ROOT if what == "first" else None)
    elif what == "remove" and item_id in history:
        history.remove(item_id)
    elif what == "write" and item_id in made:
        # Also of items that are no longer remembered: an answer under way goes on.
        made[item_id].text = "y" * size
    elif what == "speak" and item_id in made:
        made[item_id].spoken_bytes = size * 48


@given(OPERATIONS)
def test_the_sum_is_that_of_the_items(operations: list[tuple[str, int, int]]) -> None:
    history = History()
    made: dict[str, Entry] = {}
    for what, number, size in operations:
        do(history, made, what, str(number), size)
    held = [entry for entry in map(history.get, made) if entry is not None]
    assert len(held) == len(history)
    texts, audio = sum(e.weight.text for e in held), sum(e.weight.audio for e in held)
    assert history.tokens() == (texts, audio)


def test_what_stays_as_it_is_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[str] = []

    def weight(entry: Entry) -> Weight:
        weighed.append(entry.id)
        return Weight(1)

    monkeypatch.setattr(Entry, "weight", property(weight))
    history = History()
    for number in range(100):
        history.add(Entry(id=str(number), role="user"))
        history.tokens()
    assert weighed == [str(number) for number in range(100)]
