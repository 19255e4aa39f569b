"""The responses of a conversation that are kept track of, and the names of those that were cut."""

from collections.abc import Iterator
from typing import Any, Final

from attrs import define, field

from agent.protocol.tracking import Part, Response

_KEPT_RESPONSES: Final = 16
"""Responses that are remembered when they have ended and nothing of them can be heard any more."""
_MAX_RESPONSES: Final = 512
"""Responses that are remembered at all: more than playout holds parts."""
_KEPT_NAMES: Final = 256
"""Names of interrupted responses. Late events come within seconds; these are minutes of talk."""


@define
class Responses:
    """Responses by name, oldest first.

    :ivar youngest: the number of the one that was heard of last.
    """

    youngest: int = 0
    _known: dict[str, Response] = field(factory=dict)
    _interrupted: dict[str, None] = field(factory=dict)

    def __iter__(self) -> Iterator[Response]:
        return iter(list(self._known.values()))

    def get(self, response_id: str) -> Response | None:
        """The response of this name, where it is known."""
        return self._known.get(response_id)

    def named(self, response_id: str) -> Response:
        """The response of this name, made where an event names it for the first time.

        It is not open: only `response.created` opens one. A late event must not block the next.
        """
        known = self._known.get(response_id)
        if known is None:
            self._forget_old()
            self.youngest += 1
            known = Response(response_id, self.youngest)
            known.interrupted = response_id in self._interrupted
            self._known[response_id] = known
        return known

    def open(self) -> Response | None:
        """The conversation's response that is under way."""
        return next((response for response in self if response.open and not response.beside), None)

    def unfinished(self) -> list[Response]:
        """Those of which more may come."""
        return [response for response in self if not response.finished]

    def protected(self) -> frozenset[str]:
        """Those that no speech interrupts."""
        return frozenset(response.id for response in self if response.protected)

    def interrupt(self, response: Response) -> None:
        """No sample of it is played again, not even when it has been forgotten."""
        response.interrupted = True
        response.protected = False
        self._interrupted[response.id] = None
        keep_newest(self._interrupted, _KEPT_NAMES)

    def find(self, event: Any) -> tuple[Response, Part | None]:
        """The response and the part that an event is about; no part where there are too many."""
        response = self.named(event.response_id)
        return response, response.part(event.item_id, place(event), event.content_index or 0)

    def _forget_old(self) -> None:
        ended = [response.id for response in self if response.is_past]
        closed = [response.id for response in self if not response.open]
        for response_id in {*ended[:-_KEPT_RESPONSES], *closed[:-_MAX_RESPONSES]}:
            del self._known[response_id]


def place(event: Any) -> int:
    """The place in its response of the item that an event is about."""
    index: int = event.output_index or 0
    return index


def keep_newest(names: dict[str, Any], limit: int) -> None:
    """Forget the oldest beyond so many."""
    while len(names) > limit:
        del names[next(iter(names))]
