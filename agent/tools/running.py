"""The calls of one conversation's tools, while they run: each in a cancel scope of its own.

Every call that is started is reported once to `finished`, whatever becomes of it: a result, an
error, a timeout, a cancellation. When the call of the agent ends, what still runs is cancelled.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import trio
from attrs import define, evolve, field

from agent.errors import one_line
from agent.protocol.actions import CallTool
from agent.protocol.calls import TOO_MANY, failure
from agent.tools.client import ClientCalls
from agent.tools.context import LocalToolCallExecuted, ShouldPassThroughToolCall, ToolContext
from agent.tools.declaring import ClientTool, Tool
from agent.tools.run_context import RunContext

PARALLEL: Final = 16
"""Calls that run at a time; more wait. A model asks for a handful."""
QUEUE: Final = 64
"""Calls that wait to be begun, which takes no time: as many as a conversation has unanswered. More
come only where those were interrupted at once; they are not run."""
GRACE_S: Final = 1.0
"""After its timeout a tool may take so long to end, before the model is told without it."""
CANCELLED: Final = "cancelled: the person interrupted"

_log = logging.getLogger(__name__)


class Finished(Protocol):
    """What a runner reports to."""

    def __call__(self, call_id: str, output: str, *, wants_answer: bool) -> None:
        """A call has its output, JSON text."""


@define(eq=False)
class _Running:
    call: CallTool
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    is_silent: bool = False
    has_slot: bool = False


class ToolRunner:
    """Runs the calls of one conversation.

    :param tools: what there is to call.
    :param client: asks the user's client to run its own.
    :param context: what a tool may know of its call, but for the call's own id and name.
    :param finished: is told of each call's end; does not wait.
    """

    def __init__(
        self,
        tools: ToolContext,
        client: ClientCalls,
        context: Callable[[], RunContext],
        finished: Finished,
    ) -> None:
        self._tools, self._client = tools, client
        self._context, self._finished = context, finished
        self._slots = trio.Semaphore(PARALLEL)
        self._running: dict[str, _Running] = {}
        self._begin, self._begun = trio.open_memory_channel[_Running](QUEUE)

    async def run(self) -> None:
        """Run calls for as long as the agent's call lasts."""
        async with trio.open_nursery() as nursery:
            async for running in self._begun:
                nursery.start_soon(self._run, running)

    def start(self, call: CallTool) -> None:
        """Begin a call; does not wait."""
        running = self._running[call.call_id] = _Running(call)
        _log.info("calling %s", one_line(call.name))
        try:
            self._begin.send_nowait(running)
        except trio.WouldBlock:
            self._report(running, failure(TOO_MANY), wants_answer=True)

    def interrupt(self, call_ids: frozenset[str]) -> None:
        """The person has spoken over what these calls are of: each goes by its tool's policy."""
        for call_id in call_ids & self._running.keys():
            running = self._running[call_id]
            policy = self._policy(running.call)
            if policy == "cancel":
                # The model is told at once, however long the tool takes to end.
                self._report(running, failure(CANCELLED), wants_answer=False)
                running.scope.cancel()
            elif policy == "finish":
                running.is_silent = True

    def _policy(self, call: CallTool) -> str:
        declared = self._tools.get(call.name)
        return "cancel" if declared is None else declared.on_interruption

    async def _run(self, running: _Running) -> None:
        try:
            with running.scope:
                async with trio.open_nursery() as nursery:
                    # It may be overdue before its turn comes: others may be stuck.
                    nursery.start_soon(self._tell_of_overdue, running)
                    await self._slots.acquire()
                    running.has_slot = True
                    output = await self._output(running)
                    nursery.cancel_scope.cancel()
                self._report(running, output, wants_answer=self._wants_answer(running))
        finally:
            self._free(running)

    def _free(self, running: _Running) -> None:
        if running.has_slot:
            running.has_slot = False
            self._slots.release()

    async def _tell_of_overdue(self, running: _Running) -> None:
        """A tool may shield itself from its timeout; its output does not wait for it."""
        declared = self._tools.get(running.call.name)
        if declared is not None:
            await trio.sleep(declared.timeout_s + GRACE_S)
            words = f"it timed out after {declared.timeout_s:g} s, and goes on all the same"
            _log.warning("the tool %s: %s", declared.name, words)
            self._report(running, failure(words), wants_answer=self._wants_answer(running))
            if not running.has_slot:
                running.scope.cancel()  # it has not begun, and shall not

    async def _output(self, running: _Running) -> str:
        call, context = running.call, self._context()
        run = evolve(
            context,
            call_id=call.call_id,
            say=partial(_unless_silent, running, context.say),
            end_call=partial(_unless_silent, running, context.end_call),
        )
        outcome = await self._tools.execute_tool(call.name, call.arguments, run=run)
        declared = self._tools.get(call.name)
        if isinstance(outcome, ShouldPassThroughToolCall):
            assert isinstance(declared, ClientTool)
            outcome = await self._client.call(
                call.call_id, declared, outcome.decoded_function_args, run
            )
        assert isinstance(outcome, LocalToolCallExecuted)
        return outcome.json_encoded_output

    def _wants_answer(self, running: _Running) -> bool:
        declared: Tool[..., object] | ClientTool | None = self._tools.get(running.call.name)
        return not running.is_silent and (declared is None or declared.responds)

    def _report(self, running: _Running, output: str, *, wants_answer: bool) -> None:
        if self._running.pop(running.call.call_id, None) is not None:
            self._free(running)  # whatever it still does
            self._finished(running.call.call_id, output, wants_answer=wants_answer)


def _unless_silent(running: _Running, do: Callable[[str], None], words: str) -> None:
    """What a tool has said, or the end that it wants, after an interruption that silences it."""
    if running.is_silent:
        _log.info("the tool %s has been interrupted: not done", one_line(running.call.name))
    else:
        do(words)
