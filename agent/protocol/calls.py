"""The functions that the model calls: each call is run once at most and gets one output.

The rules:

- A call is told of up to three times: when its arguments are complete, when its item is, and when
  its response is. The first that has all of it counts, and no other.
- A call of a response that has been interrupted by then is not run; its output says so. One that
  was begun before is told of the interruption, and goes by its own policy. What had its output by
  then asks for no answer of its own: whoever interrupts is answered.
- Outputs are sent as they come, in the midst of the response too. The model is asked to go on once
  for all the calls of one response: when that has ended and the last of its calls has its output,
  unless none of them wants an answer.
- A call that the server cuts short (max_output_tokens, content_filter) is not run; its output says
  so, and the model may try again, once: it could be cut short without end.
- A response beside the conversation has no place for an output: its calls are not run.
- A response that begins with the outputs in view is the answer to them; see sequencer.
- Calls that the model's own server runs count as calls of their response, for when the model is
  asked to go on; see server_tools.
"""

from collections.abc import Callable, Iterator
from typing import Final

import orjson
from attrs import define, field

from agent.protocol.actions import Action, CallTool, InterruptCalls, Send, Warn
from agent.protocol.client_events import ConversationItemCreateEvent
from agent.protocol.items import (
    ConversationItem,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutput,
)
from agent.protocol.responses import keep_newest
from agent.protocol.tracking import Response
from agent.protocol.unseen import MAX_ITEMS

MAX_CALLS: Final = 256
"""Calls that are remembered; those without an output are never forgotten. As many responses are
waited for whose end does not come."""
MAX_RUNNING: Final = 64
"""Calls without an output. More at a time come from a model that has lost its mind. As many of the
server's own calls are waited for; of more the end of the oldest is taken for lost."""
MAX_ARGUMENTS: Final = 64 * 1024
"""Bytes of a call's arguments. A model writes some hundred; longer ones no tool is run with."""
CUT_SHORT: Final = "not run: the call was cut short by the limit of output; ask for less at a time"
NOT_RUN: Final = "not run: the person interrupted"
TOO_MANY: Final = "not run: too many calls at a time"


@define
class Call:
    """One call.

    :ivar output: JSON text; None: there is none yet.
    """

    id: str
    response_id: str
    name: str
    output: str | None = None


@define
class _Group:
    """The calls of one response.

    :ivar open: those without an output.
    :ivar others: the server's own that have not ended, whose names may be the same.
    :ivar outputs: the events by which outputs and refusals were sent, without those that are taken
        to be in view because so many came after them (see unseen).
    :ivar wants_answer: one of them wants the model to go on.
    :ivar ended: no more calls come.
    :ivar is_cut: the person has interrupted it.
    """

    open: set[str] = field(factory=set)
    others: set[str] = field(factory=set)
    outputs: dict[str, None] = field(factory=dict)
    wants_answer: bool = False
    ended: bool = False
    is_cut: bool = False

    @property
    def is_waited_for(self) -> bool:
        """Whether one of them has not come to its end."""
        return bool(self.open or self.others)

    def sent(self, event_id: str) -> None:
        """An output has been sent by this event."""
        self.outputs[event_id] = None
        keep_newest(self.outputs, MAX_ITEMS)


@define
class Calls:
    """The calls of one conversation.

    :param new_id: makes ids for the events that are sent.
    """

    new_id: Callable[[], str]
    _calls: dict[str, Call] = field(factory=dict)
    _groups: dict[str, _Group] = field(factory=dict)
    _others: dict[str, _Group] = field(factory=dict)
    _put_off: dict[str, tuple[Response, str, str]] = field(factory=dict)
    _cut_short: dict[str, tuple[Response, str]] = field(factory=dict)
    _tries_again: bool = False

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    @property
    def running(self) -> list[Call]:
        """Those without an output."""
        return [call for call in self if call.output is None]

    def item_done(self, response: Response, item: ConversationItem) -> list[Action]:
        """An item of a response is complete."""
        if not isinstance(item, RealtimeConversationItemFunctionCall):
            return []
        if item.status and item.status != "completed":
            self._put_off.pop(item.call_id or "", None)
            self._cut_short[item.call_id or ""] = response, item.name or ""
            keep_newest(self._cut_short, MAX_RUNNING)
            return []  # in the midst of its arguments; what it means, the end of the response tells
        return self.called(response, item.call_id or "", item.name or "", item.arguments or "")

    def called(self, response: Response, call_id: str, name: str, arguments: str) -> list[Action]:
        """A call is complete, as far as this event tells; what is missing another may bring."""
        if not call_id or not name or call_id in self._calls:
            return []
        if response.beside:
            return [Warn(f"{name} was called beside the conversation: not run")]
        if self._is_full():
            return [Warn(f"too many calls are told of in one response: {name} is passed over")]
        too_many = len(self.running) >= MAX_RUNNING
        self._remember(Call(call_id, response.id, name))
        self._group(response).open.add(call_id)
        # The end of a cancelled response may come before the news of what it was cancelled for.
        if response.interrupted or response.was_cancelled:
            return self.finished(call_id, failure(NOT_RUN), wants_answer=False)
        if too_many:
            return self.finished(call_id, failure(TOO_MANY), wants_answer=True)
        return [CallTool(call_id, response.id, name, arguments)]

    def put_off(self, response: Response, call_id: str, name: str, arguments: str) -> None:
        """The arguments of a call in an interrupted response have ended: are they all there?

        Its item tells, or the end of the response.
        """
        self._put_off[call_id] = response, name, arguments[: MAX_ARGUMENTS + 1]
        keep_newest(self._put_off, MAX_RUNNING)

    def settle(self, response: Response) -> list[Action]:
        """A response has ended: calls that were put off and not said to be cut short were whole."""
        due = {key: it for key, it in self._put_off.items() if it[0] is response}
        for call_id in due:
            del self._put_off[call_id]
        return [a for key, it in due.items() for a in self.called(response, key, it[1], it[2])]

    def response_done(self, response: Response, status: str) -> list[Action]:
        """A response is over; whoever cancelled it, or its failure, has the rest."""
        cut = {key: it[1] for key, it in self._cut_short.items() if it[0] is response and key}
        self._cut_short = {k: it for k, it in self._cut_short.items() if it[0] is not response}
        if status != "incomplete":
            self._tries_again &= status != "completed"
            return []
        is_wanted = not (self._tries_again or response.interrupted)
        actions: list[Action] = []
        for call_id, name in cut.items():
            if call_id not in self._calls and not response.beside and not self._is_full():
                self._tries_again = True
                self._remember(Call(call_id, response.id, name))
                self._group(response)
                actions += self.finished(call_id, failure(CUT_SHORT), wants_answer=is_wanted)
        return actions

    @property
    def others_run(self) -> bool:
        """Whether a call that the model's server runs has not ended."""
        return bool(self._others)

    def others_begin(self, response: Response, item_id: str) -> list[str]:
        """The model's server begins a call of its own, in this response.

        :returns: calls whose end is not waited for any more, because there are too many.
        """
        if item_id in self._others:
            return []  # said twice
        group = self._others[item_id] = self._group(response)
        group.others.add(item_id)
        lost = list(self._others)[:-MAX_RUNNING]
        self._lose(lost)
        return lost

    def others_cut(self, response: Response) -> list[str]:
        """An interrupted response has been cancelled: the server may never run its own calls.

        :returns: those whose end is not waited for any more, and is no news.
        """
        group = self._groups.get(response.id)
        cut = list(group.others) if group is not None and group.is_cut else []
        self._lose(cut)
        return cut

    def others_lost(self) -> list[str]:
        """The ends of all that run were lost.

        :returns: those of responses that the person has interrupted, whose end is no news.
        """
        cut = [name for name, group in self._others.items() if group.is_cut]
        self._lose(list(self._others))
        return cut

    def others_end(self, item_id: str) -> bool:
        """Such a call has ended; whether it is of a response that is waited for."""
        group = self._others.pop(item_id, None)
        if group is None:
            return False
        group.others.remove(item_id)
        group.wants_answer |= not group.is_cut
        return True

    def wants_answer(self, response: Response, event_id: str) -> None:
        """The model is to go on with what this event tells it, when this response has ended."""
        group = self._group(response)
        group.sent(event_id)
        group.wants_answer = True

    def finished(self, call_id: str, output: str, *, wants_answer: bool) -> list[Action]:
        """A call has come to its end. Of one that has its output already this is no news."""
        call = self._calls.get(call_id)
        if call is None or call.output is not None:
            return []
        call.output = output
        group = self._groups[call.response_id]
        group.open.discard(call_id)
        group.wants_answer |= wants_answer
        item = RealtimeConversationItemFunctionCallOutput(call_id=call_id, output=output)
        event_id = self.new_id()
        group.sent(event_id)
        return [Send(ConversationItemCreateEvent(item=item, event_id=event_id))]

    def interrupted(self, response: Response) -> list[Action]:
        """The person speaks over this response."""
        self.cut(response)
        running = [call.id for call in self.running if call.response_id == response.id]
        return [InterruptCalls(frozenset(running))] if running else []

    def all_interrupted(self, spared: frozenset[str]) -> list[Action]:
        """The person speaks over the agent, who is heard.

        :param spared: responses that go on all the same.
        """
        running = [call.id for call in self.running if call.response_id not in spared]
        return [InterruptCalls(frozenset(running))] if running else []

    def cut(self, response: Response) -> None:
        """The person speaks over this response: who does is answered, and it needs no answer."""
        if response.id in self._groups:
            group = self._groups[response.id]
            group.wants_answer, group.is_cut = False, True

    def response_ended(self, response: Response) -> None:
        """No more calls of it come."""
        if response.id in self._groups:
            self._groups[response.id].ended = True

    def take_due(self) -> frozenset[str] | None:
        """The events that the model is to be asked to go on with, once for each response.

        :returns: None: it is not to be asked.
        """
        over = {n: it for n, it in self._groups.items() if it.ended and not it.is_waited_for}
        for name in over:
            del self._groups[name]
        due = [group.outputs for group in over.values() if group.wants_answer]
        return frozenset[str]().union(*due) if due else None

    def _lose(self, names: list[str]) -> None:
        for name in names:
            self._others.pop(name).others.remove(name)

    def _group(self, response: Response) -> _Group:
        known = self._groups.get(response.id)
        if known is None:
            known = _Group(ended=response.finished, is_cut=response.interrupted)
            self._groups[response.id] = known
            idle = [name for name, group in self._groups.items() if not group.is_waited_for]
            for name in idle[: max(0, len(self._groups) - MAX_CALLS)]:
                if name != response.id:
                    del self._groups[name]
        return known

    def _is_full(self) -> bool:
        """Whether none of the calls can be forgotten: their response may tell of them again."""
        return len(self._calls) >= MAX_CALLS and not self._past()

    def _past(self) -> list[str]:
        return [c.id for c in self if c.output is not None and c.response_id not in self._groups]

    def _remember(self, call: Call) -> None:
        self._calls[call.id] = call
        for call_id in self._past()[: max(0, len(self._calls) - MAX_CALLS)]:
            del self._calls[call_id]


def failure(words: str) -> str:
    """The output of a call that came to nothing, for the model to read."""
    return orjson.dumps({"error": words}).decode()
