"""The conversation: its items in order, and what the model remembers of each."""

from typing import Final

from attrs import define

from agent.audio import SAMPLE_BYTES, samples_to_ms

ROOT: Final = "root"
CONTEXT_TOKENS: Final = 28_672
"""What the model remembers; beyond it the oldest items are forgotten."""
_CHARACTERS_A_TOKEN: Final = 4
_HEARD_MS_A_TOKEN: Final = 100
_SPOKEN_MS_A_TOKEN: Final = 50


def text_tokens(text: str) -> int:
    """About how many tokens a text is."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


def spoken_tokens(pcm_bytes: int) -> int:
    """How many tokens so many bytes of the assistant's audio are."""
    return samples_to_ms(pcm_bytes // SAMPLE_BYTES) // _SPOKEN_MS_A_TOKEN


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
    """

    id: str
    role: str
    text: str = ""
    heard_ms: int = 0
    speech_seconds: float | None = None
    said: str | None = None
    spoken_bytes: int = 0
    is_truncated: bool = False
    call_id: str | None = None
    name: str | None = None
    is_complete: bool = True

    @property
    def spoken_ms(self) -> int:
        """The assistant's audio, in whole milliseconds."""
        return samples_to_ms(self.spoken_bytes // SAMPLE_BYTES)

    @property
    def text_tokens(self) -> int:
        """Tokens of text; no item is free."""
        return max(1, text_tokens(self.text))

    @property
    def audio_tokens(self) -> int:
        """Tokens of audio, either side's."""
        return self.heard_ms // _HEARD_MS_A_TOKEN + spoken_tokens(self.spoken_bytes)


def call_entry(item_id: str, call_id: str | None, name: str, arguments: str) -> Entry:
    """A function call, as it is remembered."""
    text = f"{name} {arguments}"
    return Entry(id=item_id, role="function_call", text=text, call_id=call_id, name=name)


class History:
    """Items by id, in the order of the conversation."""

    def __init__(self) -> None:
        self._order: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._limit = CONTEXT_TOKENS
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
        return self._kept is None and sum(self.tokens()) > self._limit

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
        self._forget_oldest()
        return previous

    def remove(self, item_id: str) -> None:
        """Forget an item."""
        self._order.remove(self._by_id.pop(item_id))

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
        texts = sum(entry.text_tokens for entry in self._order)
        return texts, sum(entry.audio_tokens for entry in self._order)

    def _forget_oldest(self) -> None:
        tokens = sum(self.tokens())
        if self._kept is None or tokens <= self._limit:
            return
        excess = tokens - self._limit * self._kept
        while excess > 0 and len(self._order) > 1:
            oldest = self._order.pop(0)
            del self._by_id[oldest.id]
            excess -= oldest.text_tokens + oldest.audio_tokens
