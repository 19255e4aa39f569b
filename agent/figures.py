"""What is counted of a call: for the log, the operator's record of it and the server's metrics."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from attrs import asdict, fields_dict, frozen

Event: TypeAlias = dict[str, Any]

TELL_EVERY_S: Final = 5.0
"""How often an agent tells its figures: a server whose metrics are read every 15 s or so shows them
fresh, and an agent that is killed takes the last 5 s of its counts with it."""


@frozen(kw_only=True)
class Figures:
    """Counts of one call so far. While an agent's process lives none of them goes down.

    :ivar answers: responses of the model's.
    :ivar tokens: of all kinds. Where the server does not tell them apart, `input_tokens` and
        `output_tokens` are less than these.
    :ivar audio_dropped: pieces of the person's audio, 20 ms each, that the model's socket was too
        slow for.
    :ivar data_dropped: data messages of the agent's that people did not get, or not to their end.
    :ivar malformed_events: of the model's, dropped.
    :ivar underruns: times that the channel ran dry in the midst of an utterance.
    :ivar longest_audio_queue: pieces of audio that waited for the model at most.
    :ivar longest_data_queue: data messages that waited at most.
    """

    turns: int = 0
    answers: int = 0
    interruptions: int = 0
    tool_calls: int = 0
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    audio_dropped: int = 0
    data_dropped: int = 0
    malformed_events: int = 0
    underruns: int = 0
    longest_audio_queue: int = 0
    longest_data_queue: int = 0

    def event(self) -> Event:
        """As the agent tells them; `Figures.read` is the way back."""
        return {"type": "metrics", **asdict(self)}

    @classmethod
    def read(cls, event: Event) -> "Figures":
        """Of what an agent of ours has told; what it left out is 0."""
        return cls(**{name: event.get(name, 0) for name in fields_dict(cls)})

    def since(self, earlier: "Figures") -> "Figures":
        """How much they have grown; of the longest queues, the longest so far."""
        return self._with(earlier, lambda own, other: max(0, own - other))

    def after(self, earlier: "Figures") -> "Figures":
        """Together with those of a process that the call had before."""
        return self._with(earlier, lambda own, other: own + other)

    def _with(self, other: "Figures", combine: Callable[[int, int], int]) -> "Figures":
        ours, theirs = asdict(self), asdict(other)
        return Figures(
            **{
                name: max(own, theirs[name])
                if name.startswith("longest_")
                else combine(own, theirs[name])
                for name, own in ours.items()
            }
        )
