"""Which response is asked for when: never two of the conversation at a time.

The rules:

- A `response.create` is sent when no response of the conversation is open or asked for; until
  then it waits, and those that wait go in order. Two that ask for nothing in particular are one:
  the answer to the later is the answer to both.
- A request that is about items which the server has told of before a response begins is answered
  by that one, though the server has begun it by itself (see unseen).
- A request is outstanding until a response of the conversation begins or an error names it.
- The server may begin a response by itself at the same moment. Then ours is refused because
  one is active, and goes back to the head of those that wait.
- A request that nothing ever answers is given up by whoever has a clock.
- A response beside the conversation (`conversation: none`) waits for nothing and blocks nothing.
"""

from collections import deque
from collections.abc import Callable, Container
from typing import Final

from attrs import define, field

from agent.protocol.base import Maybe
from agent.protocol.client_events import ResponseCreateEvent
from agent.protocol.interruption import is_protected
from agent.protocol.response import RealtimeResponse, RealtimeResponseCreateParams

BESIDE: Final = "none"
"""The `conversation` of a response that is not part of any."""
MAX_WAITING: Final = 16
"""Requests that wait. Each is an answer that the person has to listen to; the oldest goes."""
MAX_ABOUT: Final = 64
"""Items of ours that one request is about, which is far more than come in while one waits. One that
is about more is answered by no response of the server's own: better twice than not at all."""
ALREADY_ACTIVE: Final = "conversation_already_has_active_response"


@define
class Sequencer:
    """The requests of one conversation.

    :param new_id: makes ids for the events that are sent.
    :ivar dropped: requests that were given up because too many waited.
    """

    new_id: Callable[[], str]
    dropped: int = 0
    _waiting: deque[RealtimeResponseCreateParams] = field(factory=deque)
    _asked: str | None = None
    _unwanted: bool = False
    _sent: dict[str, ResponseCreateEvent] = field(factory=dict)
    _doubtful: set[str] = field(factory=set)
    _beside: dict[str, None] = field(factory=dict)
    _about: frozenset[str] | None = None
    _sent_about: dict[str, frozenset[str]] = field(factory=dict)

    @property
    def outstanding(self) -> bool:
        """A response of the conversation has been asked for, and the server has not answered."""
        return self._asked is not None

    @property
    def idle(self) -> bool:
        """Nothing is asked for, and nothing waits."""
        return self._asked is None and not self._waiting

    @property
    def asks_for_words(self) -> bool:
        """More than any answer has been asked for, and the server has not answered."""
        create = self._sent.get(self._asked or "")
        return create is not None and create.response != _ANY

    @property
    def asks_for_protected(self) -> bool:
        """Protected speech has been asked for, and the server has not answered."""
        create = self._sent.get(self._asked or "")
        return create is not None and _is_protected(create.response)

    @property
    def wants_protected(self) -> bool:
        """Protected speech has been asked for and has not begun, or waits to be asked for.

        A request that crossed a response of the server's own counts, for it will be refused.
        """
        sent = (create.response for create in self._sent.values())
        return any(map(_is_protected, self._waiting)) or any(map(_is_protected, sent))

    def want(
        self, params: RealtimeResponseCreateParams, about: frozenset[str] | None = None
    ) -> ResponseCreateEvent | None:
        """Ask for a response; what is to be sent at once, if anything is.

        :param about: the events whose items are to be answered, of a request that asks for nothing
            in particular; None: whatever was said in the meantime, an answer is wanted.
        """
        if params.conversation == BESIDE:
            create = ResponseCreateEvent(response=params, event_id=self.new_id())
            self._beside[str(create.event_id)] = None
            if len(self._beside) > MAX_WAITING:
                del self._beside[next(iter(self._beside))]
            return create
        if params == _ANY:
            self._want_any(about)
        else:
            self._waiting.append(params)
        if len(self._waiting) > MAX_WAITING:
            plain = (at for at, other in enumerate(self._waiting) if not _is_protected(other))
            del self._waiting[next(plain, 0)]
            self.dropped += 1
        return None

    def _want_any(self, about: frozenset[str] | None, *, first: bool = False) -> None:
        if _ANY in self._waiting:
            about = None if self._about is None or about is None else self._about | about
        else:
            self._waiting.insert(0 if first else len(self._waiting), _ANY)
        self._about = None if about is None or len(about) > MAX_ABOUT else about

    def answered(self, unseen: Container[str]) -> None:
        """A response has begun that answers all there is, but for what is not in view of it."""
        if _ANY in self._waiting and _in_view(self._about, unseen):
            self._waiting.remove(_ANY)
        for name in [n for n, about in self._sent_about.items() if _in_view(about, unseen)]:
            # Where it was another that began, ours will be refused, and is not asked for again.
            del self._sent_about[name]
            self._sent.pop(name, None)

    def next(self) -> ResponseCreateEvent | None:
        """What is to be sent, where no response of the conversation is open."""
        if self._asked is not None or not self._waiting:
            return None
        self._asked = self.new_id()
        create = ResponseCreateEvent(response=self._waiting.popleft(), event_id=self._asked)
        # More than one: what began may have been the server's own, and ours be refused later.
        self._sent[self._asked] = create
        if len(self._sent) > MAX_WAITING:
            del self._sent[next(iter(self._sent))]
        self._sent_about = {n: about for n, about in self._sent_about.items() if n in self._sent}
        if create.response == _ANY and self._about is not None:
            self._sent_about[self._asked] = self._about
        return create

    def abandon(self) -> None:
        """The person interrupts: what is outstanding is not wanted any more, unless protected."""
        self._unwanted |= self._asked is not None and not self.asks_for_protected
        self._keep(lambda create: _is_protected(create.response))

    def abandon_all(self) -> None:
        """The program wants silence: nothing is wanted of what was asked for or waits."""
        self._unwanted = self._asked is not None
        self._waiting.clear()
        self._keep(lambda _: False)

    def protected_began(self) -> None:
        """A protected response has begun: it is the one that was asked for."""
        self._keep(lambda create: not _is_protected(create.response), and_asked=False)

    def ended(self) -> None:
        """A response of the conversation is over.

        What the one before it crossed has been refused by now, or will never be.
        """
        doubtful = self._doubtful
        self._keep(lambda create: str(create.event_id) not in doubtful)
        self._doubtful = {
            name for name, create in self._sent.items() if _is_protected(create.response)
        }

    def _keep(
        self, is_kept: Callable[[ResponseCreateEvent], bool], *, and_asked: bool = True
    ) -> None:
        """Forget requests that were sent; the outstanding one is kept, too."""
        self._sent = {
            name: create
            for name, create in self._sent.items()
            if (and_asked and name == self._asked) or is_kept(create)
        }

    def is_beside(self, response: RealtimeResponse) -> bool:
        """Whether this response, which has just begun, is one beside the conversation.

        A server tells by a null conversation; but some tell it of every response, so it counts
        only where we have asked for one.
        """
        if response.conversation_id is not None or not self._beside:
            return False
        del self._beside[next(iter(self._beside))]
        return True

    def began(self) -> bool:
        """A response of the conversation has begun; whether it is unwanted by now."""
        unwanted, self._asked, self._unwanted = self._unwanted, None, False
        return unwanted

    def refused(self, event_id: str, code: str | None) -> bool:
        """An error names this event of ours; whether it was a request for a response."""
        if event_id in self._beside:
            del self._beside[event_id]
            return True
        create = self._sent.pop(event_id, None)
        if create is None:
            return False
        is_wanted = event_id != self._asked or not self._unwanted
        again = create.response if code == ALREADY_ACTIVE and is_wanted else None
        if again == _ANY:
            self._want_any(self._sent_about.get(event_id), first=True)
        elif again:
            self._waiting.appendleft(again)
        if event_id == self._asked:
            self._asked, self._unwanted = None, False
        return True


_ANY: Final = RealtimeResponseCreateParams()


def _in_view(about: frozenset[str] | None, unseen: Container[str]) -> bool:
    return about is not None and not any(name in unseen for name in about)


def _is_protected(params: Maybe[RealtimeResponseCreateParams]) -> bool:
    return is_protected(params.metadata) if params else False
