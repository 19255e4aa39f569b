"""Tools that the user's client runs: asked for on the data channel, and answered there.

Asked: `{"type": "client_tool_call", "tool_call_id", "name", "arguments", "uid"}`, the last being
who is asked, since all members of a channel get it. Answered: `{"tool_call_id", "result"}`, of
which the result may be any JSON, or be missing for null. A call that is not wanted any more:
`{"type": "client_tool_cancel", "tool_call_id"}`.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import trio
from attrs import define, field

from agent.errors import one_line
from agent.tools.context import LocalToolCallExecuted
from agent.tools.declaring import ClientTool
from agent.tools.outputs import BadOutput, encode_output
from agent.tools.run_context import RunContext

ANYBODY: Final = 0
"""The uid where a channel does not tell who has sent a message, as older relays do not."""
ANSWERED: Final = 64
"""Calls whose end is remembered, to tell an answer that comes late or twice from a made-up one."""

_log = logging.getLogger(__name__)


@define(eq=False)
class _Waiting:
    uid: int | None
    answered: trio.Event = field(factory=trio.Event)
    result: Any = None
    fault: str | None = None


class ClientCalls:
    """The calls that the user's client has to run.

    :param publish: sends one message to the people in the channel; does not wait. What it returns
        is why the message is too long to be sent.
    :param withdraw: takes back what has not been sent yet of a call, by its id; false: it was sent.
    """

    def __init__(
        self,
        publish: Callable[[dict[str, Any]], str | None],
        withdraw: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._publish, self._withdraw = publish, withdraw
        self._waiting: dict[str, _Waiting] = {}
        self._over: dict[str, None] = {}

    async def call(
        self, call_id: str, tool: ClientTool, arguments: dict[str, Any], run: RunContext
    ) -> LocalToolCallExecuted:
        """Have the client of the one who is listened to run a function; its result or an error.

        Cancelled or too slow, the client is told not to run it: what it answers later is dropped.
        """
        if run.uid is None:
            return _failed(tool, "the user is not there")
        asked = {
            "type": "client_tool_call",
            "tool_call_id": call_id,
            "name": tool.name,
            "arguments": arguments,
            "uid": run.uid,
        }
        if (too_long := self._publish(asked)) is not None:
            return _failed(tool, f"the arguments are too long for the data channel: {too_long}")
        return await self._answer_to(call_id, tool, run.uid)

    async def _answer_to(self, call_id: str, tool: ClientTool, uid: int) -> LocalToolCallExecuted:
        waiting = self._waiting[call_id] = _Waiting(uid)
        try:
            with trio.move_on_after(tool.timeout_s):
                await waiting.answered.wait()
        finally:
            del self._waiting[call_id]
            self._note_over(call_id)
            if not waiting.answered.is_set() and not self._withdraw(call_id):
                self._publish({"type": "client_tool_cancel", "tool_call_id": call_id})
        if not waiting.answered.is_set():
            return _failed(tool, f"the user's client did not answer within {tool.timeout_s:g} s")
        return _outcome(tool, waiting)

    def answer(self, uid: int, message: dict[str, Any]) -> None:
        """A client has answered; what nobody waits for is dropped with a line in the log.

        :param uid: who has; `ANYBODY` where that is not known.
        """
        call_id = message.get("tool_call_id")
        waiting = self._waiting.get(call_id) if isinstance(call_id, str) else None
        if waiting is None:
            is_late = isinstance(call_id, str) and call_id in self._over
            what = "comes too late, or twice" if is_late else "is for no call of ours"
            _log.warning("a client's answer %s: dropped", what)
        elif uid not in (ANYBODY, waiting.uid):
            _log.warning("a client's answer is from %d, who was not asked: dropped", uid)
        elif waiting.answered.is_set():
            _log.warning("a client's answer comes twice: dropped")
        else:
            waiting.result = message.get("result")
            waiting.answered.set()

    def left(self, uid: int) -> None:
        """Somebody has left: what their client was to do, nobody does."""
        for waiting in self._waiting.values():
            if waiting.uid == uid and not waiting.answered.is_set():
                waiting.fault = "the user's client has left"
                waiting.answered.set()

    def _note_over(self, call_id: str) -> None:
        self._over[call_id] = None
        while len(self._over) > ANSWERED:
            del self._over[next(iter(self._over))]


def _outcome(tool: ClientTool, waiting: _Waiting) -> LocalToolCallExecuted:
    if waiting.fault is not None:
        return _failed(tool, waiting.fault)
    try:
        return LocalToolCallExecuted(encode_output(waiting.result))
    except BadOutput as error:
        return _failed(tool, str(error))


def _failed(tool: ClientTool, words: str) -> LocalToolCallExecuted:
    _log.warning("the client's tool %s: %s", tool.name, one_line(words))
    return LocalToolCallExecuted(encode_output({"error": words}), failed=True)
