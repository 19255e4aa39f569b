"""One item of a response, from its opening to its close.

`steps` is what happens between the two: it sends something each time it is resumed, and yields
how many seconds to wait until then, or None while it waits for the voice. It may be left at any
step; `close` closes whatever is open, in order.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from agent.embedded.answers.reply_objects import COMPLETED, IN_PROGRESS, INCOMPLETE, Calling, Plan
from agent.embedded.history import Entry, History, call_entry, text_tokens
from agent.embedded.outbox import Outbox
from agent.embedded.usage import Given
from agent.protocol.items import ConversationItem, RealtimeConversationItemFunctionCall
from agent.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
)

TEXT_STEP: Final = 0.02
"""Seconds from one delta of text to the next."""
_ARGUMENTS_DELTA: Final = 12
"""Characters of arguments in one delta."""

Steps: TypeAlias = Iterator[float | None]


class OutputItem(ABC):
    """An item, whatever it is.

    :param plan: of its response.
    :param index: its place in the response.
    :param entry: what the model is to remember of it.
    :param history: the conversation that it enters, unless the response stands beside it.
    :ivar was_cut: the limit of tokens was reached.
    """

    def __init__(
        self, plan: Plan, index: int, entry: Entry, *, history: History, outbox: Outbox
    ) -> None:
        self.was_cut = False
        self._plan = plan
        self._index = index
        self._entry = entry
        self._history = history
        self._send = outbox.send
        self._previous_id: str | None = None

    def open(self) -> None:
        """Tell that it begins."""
        item = self._item(IN_PROGRESS)
        added = ResponseOutputItemAddedEvent(
            response_id=self._plan.response_id, output_index=self._index, item=item
        )
        self._send(added)
        self._entry.is_complete = False
        if self._plan.conversation_id is not None:
            self._previous_id = self._history.add(self._entry)
            self._send(ConversationItemAdded(item=item, previous_item_id=self._previous_id))
        self._open_content()

    @abstractmethod
    def steps(self, limit: int | None) -> Steps:
        """Send what it consists of.

        :param limit: at most so many tokens; None: as many as there are.
        """

    def close(self, status: str) -> ConversationItem:
        """Tell that its response ended with this status, or went on to the next item.

        :returns: the item as it is now, for good.
        """
        self._entry.is_complete = status == COMPLETED
        item = self._item(COMPLETED if status == COMPLETED else INCOMPLETE)
        self._close_content()
        if self._plan.conversation_id is not None:
            previous = self._previous_id if self._plan.tells_previous else None
            self._send(ConversationItemDone(item=item, previous_item_id=previous))
        done = ResponseOutputItemDoneEvent(
            response_id=self._plan.response_id, output_index=self._index, item=item
        )
        self._send(done)
        return item

    @property
    @abstractmethod
    def given(self) -> Given:
        """What it has come to so far."""

    @property
    def _where(self) -> dict[str, Any]:
        """The fields by which an event names it."""
        return {
            "response_id": self._plan.response_id,
            "item_id": self._entry.id,
            "output_index": self._index,
        }

    @abstractmethod
    def _item(self, status: str) -> ConversationItem:
        """The item as events tell it."""

    @abstractmethod
    def _open_content(self) -> None:
        """Open what is in it."""

    @abstractmethod
    def _close_content(self) -> None:
        """Close what is in it."""


class FunctionCall(OutputItem):
    """A function call."""

    def __init__(
        self, plan: Plan, index: int, calling: Calling, *, history: History, outbox: Outbox
    ) -> None:
        entry = call_entry(calling.item_id, calling.call_id, calling.name, "")
        super().__init__(plan, index, entry, history=history, outbox=outbox)
        self._calling = calling
        self._arguments = ""

    def steps(self, limit: int | None) -> Steps:
        """Send the arguments."""
        whole = self._calling.arguments
        for start in range(0, len(whole), _ARGUMENTS_DELTA):
            delta = whole[start : start + _ARGUMENTS_DELTA]
            if limit is not None and _tokens(self._calling.name, self._arguments + delta) > limit:
                self.was_cut = True
                return
            self._arguments += delta
            event = ResponseFunctionCallArgumentsDeltaEvent(
                delta=delta, call_id=self._calling.call_id, **self._where
            )
            self._send(event)
            yield TEXT_STEP

    @property
    def given(self) -> Given:
        """Its name and arguments are text."""
        return Given(text=_tokens(self._calling.name, self._arguments))

    def _item(self, status: str) -> RealtimeConversationItemFunctionCall:
        return RealtimeConversationItemFunctionCall(
            id=self._entry.id,
            status=status,
            name=self._calling.name,
            call_id=self._calling.call_id,
            arguments=self._arguments,
        )

    def _open_content(self) -> None:
        """There is nothing in it but itself."""

    def _close_content(self) -> None:
        self._entry.text = f"{self._calling.name} {self._arguments}"
        done = ResponseFunctionCallArgumentsDoneEvent(
            name=self._calling.name,
            call_id=self._calling.call_id,
            arguments=self._arguments,
            **self._where,
        )
        self._send(done)


def _tokens(name: str, arguments: str) -> int:
    return text_tokens(f"{name} {arguments}")
