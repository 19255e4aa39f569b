"""One response of the model: which items it is made of, and when each of their events is due.

It takes its time as the service does: a response is created at once, its first item opens 0.2 s
later, and an item's content comes from 0.1 s after its opening on. One item is closed before the
next one opens, but for a function call, which opens before the message ahead of it closes (as
captured of models that reason). Whatever was opened is closed in order, however the response
ends. No event follows its `response.done`.
"""

from typing import Final

from agent.embedded.answers.messages import Message, SpokenMessage, WrittenMessage
from agent.embedded.answers.output_items import FunctionCall, OutputItem, Steps
from agent.embedded.answers.reply_objects import (
    COMPLETED,
    INCOMPLETE,
    Calling,
    Plan,
    Planned,
    status_details,
)
from agent.embedded.history import History
from agent.embedded.outbox import Outbox
from agent.embedded.usage import Given
from agent.protocol.items import ConversationItem
from agent.protocol.response import ResponseError
from agent.protocol.server_events import ResponseCreatedEvent, ResponseDoneEvent

OPEN_AFTER: Final = 0.2
"""Seconds from response.created to its first item."""
BEGIN_AFTER: Final = 0.1
"""Seconds from an item to its first delta, where the voice is ready by then."""


class Reply:
    """A response under way.

    :param plan: what it is to be.
    :param history: the conversation that its items enter, unless it stands beside it.
    :param now: seconds on any clock, the same for every call.
    :ivar due: when `advance` has something to do; None while it waits for the voice.
    """

    def __init__(self, plan: Plan, *, history: History, outbox: Outbox, now: float) -> None:
        self.plan = plan
        self.due: float | None = now + OPEN_AFTER
        self.is_done = False
        self._outbox = outbox
        self._items = [
            _item(plan, index, planned, history, outbox)
            for index, planned in enumerate(plan.outputs)
        ]
        self._open: list[OutputItem] = []
        self._opened: list[OutputItem] = []
        self._closed: list[ConversationItem] = []
        self._steps = self._run()
        outbox.send(ResponseCreatedEvent(response=plan.new_response()))

    @property
    def has_begun(self) -> bool:
        """There are words of it."""
        return any(isinstance(item, Message) and item.text for item in self._opened)

    @property
    def has_spoken(self) -> bool:
        """There is audio of it."""
        return any(item.given.audio for item in self._opened)

    @property
    def unvoiced(self) -> SpokenMessage | None:
        """The first of its messages whose audio has yet to come."""
        spoken = [item for item in self._items if isinstance(item, SpokenMessage)]
        return None if self.is_done else next((item for item in spoken if item.wants_voice), None)

    def voice_ready(self, pcm: bytes, now: float) -> None:
        """The audio of `unvoiced` is there: pcm16, 24 kHz."""
        message = self.unvoiced
        if message is not None:
            message.voice_ready(pcm)
        if self.due is None:
            self.due = now

    def advance(self, now: float) -> None:
        """Do the one thing that is due. After a pause nothing comes in a burst."""
        if self.is_done or self.due is None or self.due > now:
            return
        wait = next(self._steps, None)
        self.due = None if wait is None else now + wait

    def stop(
        self, status: str, *, reason: str | None = None, error: ResponseError | None = None
    ) -> None:
        """End it: close what is open, and tell why."""
        self.is_done = True
        self._close(status)
        given = sum((item.given for item in self._opened), Given())
        details = status_details(status, reason, error)
        response = self.plan.final_response(status, details, tuple(self._closed), given)
        self._outbox.send(ResponseDoneEvent(response=response))

    def _run(self) -> Steps:
        for item, following in zip(self._items, [*self._items[1:], None], strict=True):
            item.open()
            limit = self._limit()
            self._open.append(item)
            self._opened.append(item)
            yield BEGIN_AFTER
            yield from item.steps(limit)
            if item.was_cut:
                return self.stop(INCOMPLETE, reason="max_output_tokens")
            if isinstance(item, FunctionCall) or not isinstance(following, FunctionCall):
                self._close(COMPLETED)
        return self.stop(COMPLETED)

    def _close(self, status: str) -> None:
        self._closed += [item.close(status) for item in self._open]
        self._open.clear()

    def _limit(self) -> int | None:
        """What the items before this one leave of the limit."""
        if not isinstance(self.plan.limit, int):
            return None
        given = sum((item.given for item in self._opened), Given())
        return max(0, self.plan.limit - given.total)


def _item(plan: Plan, index: int, planned: Planned, history: History, outbox: Outbox) -> OutputItem:
    if isinstance(planned, Calling):
        return FunctionCall(plan, index, planned, history=history, outbox=outbox)
    kind = WrittenMessage if plan.is_text else SpokenMessage
    return kind(plan, index, planned, history=history, outbox=outbox)
