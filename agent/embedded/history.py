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


class History:
    """Items by id, in the order of the conversation."""

    def __init__(self) -> None:
        self._order: list[Entry] = []
        self._by_id: dict[str, Entry] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._by_id

    def __len__(self) -> int:
        return len(self._order)

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

    def unanswered(self) -> Entry | None:
        """The newest item that asks for an answer, if the assistant has said nothing since."""
        for entry in reversed(self._order):
            if entry.role == "assistant":
                return None
            if entry.role in ("user", "function_call_output"):
                return entry
        return None

    def has_call(self, call_id: str) -> bool:
        """A function call of this id is remembered."""
        return any(e.role == "function_call" and e.call_id == call_id for e in self._order)

    def tokens(self) -> tuple[int, int]:
        """How many tokens of text and of audio it holds."""
        texts = sum(entry.text_tokens for entry in self._order)
        return texts, sum(entry.audio_tokens for entry in self._order)

    def _forget_oldest(self) -> None:
        excess = sum(self.tokens()) - CONTEXT_TOKENS
        while excess > 0 and len(self._order) > 1:
            oldest = self._order.pop(0)
            del self._by_id[oldest.id]
            excess -= oldest.text_tokens + oldest.audio_tokens
