"""The conversation: its items in order, and what the model remembers of each.

How many tokens it holds is asked at every item, so each entry is weighed when it came or changed,
and the sum kept.
"""

from typing import Any, Final

from attrs import Attribute, define, field, frozen, setters

from agent.audio import SAMPLE_BYTES, samples_to_ms
from agent.embedded.models import USUAL

ROOT: Final = "root"
_CHARACTERS_A_TOKEN: Final = 4
_HEARD_MS_A_TOKEN: Final = 100
_SPOKEN_MS_A_TOKEN: Final = 50


def text_tokens(text: str) -> int:
    """About how many tokens a text is."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


def spoken_tokens(pcm_bytes: int) -> int:
    """How many tokens so many bytes of the assistant's audio are."""
    return samples_to_ms(pcm_bytes // SAMPLE_BYTES) // _SPOKEN_MS_A_TOKEN


@frozen
class Weight:
    """Tokens of text and of audio."""

    text: int = 0
    audio: int = 0

    @property
    def total(self) -> int:
        """Tokens of both kinds."""
        return self.text + self.audio

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(self.text + other.text, self.audio + other.audio)

    def __sub__(self, other: "Weight") -> "Weight":
        return Weight(self.text - other.text, self.audio - other.audio)


def _tell_change(entry: "Entry", _attribute: "Attribute[Any]", value: Any) -> Any:
    entry.changed.add(entry.id)
    return value


@define(kw_only=True)
class Entry:
    """One item, as far as the model remembers it.

    :ivar role: the role of a message, else the item's type.
    :ivar text: its text, or the transcript of its audio.
    :ivar heard_ms: the person's audio, in milliseconds.
    :ivar speech_seconds: how much of that was speech; None where it is not audio.
    :ivar said: what the person is taken to have said, where somebody knows.
    :ivar spoken_bytes: the assistant's audio, as far as it was sent or as truncation left it.
    :ivar is_truncated: the client has told how much was heard; later audio adds nothing.
    :ivar call_id: of a function call and of its output.
    :ivar name: the function that is called.
    :ivar is_complete: nothing was cut off, and nothing is yet to come.
    :ivar changed: where it puts its id when it has grown or shrunk: its history's.
    """

    id: str
    role: str
    text: str = field(default="", on_setattr=_tell_change)
    heard_ms: int = field(default=0, on_setattr=setters.frozen)
    speech_seconds: float | None = None
    said: str | None = None
    spoken_bytes: int = field(default=0, on_setattr=_tell_change)
    is_truncated: bool = False
    call_id: str | None = None
    name: str | None = None
    is_complete: bool = True
    changed: set[str] = field(factory=set, init=False, eq=False, repr=False)

    @property
    def spoken_ms(self) -> int:
        """The assistant's audio, in whole milliseconds."""
        return samples_to_ms(self.spoken_bytes // SAMPLE_BYTES)

    @property
    def weight(self) -> Weight:
        """Its tokens; no item is free."""
        audio = self.heard_ms // _HEARD_MS_A_TOKEN + spoken_tokens(self.spoken_bytes)
        return Weight(max(1, text_tokens(self.text)), audio)


def call_entry(item_id: str, call_id: str | None, name: str, arguments: str) -> Entry:
    """A function call, as it is remembered."""
    text = f"{name} {arguments}"
    return Entry(id=item_id, role="function_call", text=text, call_id=call_id, name=name)


class History:
    """Items by id, in the order of the conversation."""

    def __init__(self) -> None:
        self._order: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._weights: dict[str, Weight] = {}
        self._sum = Weight()
        self._changed: set[str] = set()
        self._limit = USUAL.context
        self._kept: float | None = 1.0

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._by_id

    def __len__(self) -> int:
        return len(self._order)

    def obey(self, limit: int, kept: float | None) -> None:
        """Remember at most so many tokens from the next item on.

        :param kept: beyond the limit the oldest items are forgotten, down to this part of it;
            None: none are, and the history becomes full.
        """
        self._limit, self._kept = limit, kept

    @property
    def is_full(self) -> bool:
        """It has more tokens than it may, and forgets none."""
        return self._kept is None and self._weigh().total > self._limit

    def get(self, item_id: str) -> Entry | None:
        """The item of this id."""
        return self._by_id.get(item_id)

    def add(self, entry: Entry, after: str | None = None) -> str | None:
        """Put an item behind the one of id `after`, at the `ROOT`, or (None) at the end.

        :returns: the id of the item before it.
        """
        if after is None:
            index = len(self._order)
        elif after == ROOT:
            index = 0
        else:
            index = self._order.index(self._by_id[after]) + 1
        previous = self._order[index - 1].id if index else None
        self._order.insert(index, entry)
        self._by_id[entry.id] = entry
        entry.changed = self._changed
        self._changed.add(entry.id)
        self._forget_oldest()
        return previous

    def remove(self, item_id: str) -> None:
        """Forget an item."""
        self._order.remove(self._by_id[item_id])
        self._drop(item_id)

    def unanswered(self) -> list[Entry]:
        """What came since the assistant's last message, or from the person's last one on."""
        newest: list[Entry] = []
        for entry in reversed(self._order):
            if entry.role == "assistant":
                break
            newest.insert(0, entry)
            if entry.role == "user":
                break
        return newest

    def called(self, call_id: str | None) -> str | None:
        """The name of the function that the call of this id calls; None: it is not remembered."""
        calls = (e for e in self._order if e.role == "function_call" and e.call_id == call_id)
        return next((entry.name or "" for entry in calls), None)

    def has_call(self, call_id: str) -> bool:
        """A function call of this id is remembered."""
        return self.called(call_id) is not None

    def tokens(self) -> tuple[int, int]:
        """How many tokens of text and of audio it holds."""
        weight = self._weigh()
        return weight.text, weight.audio

    def _weigh(self) -> Weight:
        for item_id in self._changed & self._by_id.keys():
            self._sum -= self._weights.get(item_id, Weight())
            self._weights[item_id] = self._by_id[item_id].weight
            self._sum += self._weights[item_id]
        self._changed.clear()
        return self._sum

    def _forget_oldest(self) -> None:
        if self._kept is None or self._weigh().total <= self._limit:
            return
        while self._sum.total > self._limit * self._kept and len(self._order) > 1:
            self._drop(self._order.pop(0).id)

    def _drop(self, item_id: str) -> None:
        del self._by_id[item_id]
        # One that was never weighed is in no sum.
        self._sum -= self._weights.pop(item_id, Weight())
