"""A whole call on a test's clock: the real WebSocket over streams in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from agent.errors import sole_error
from agent.options import AgentOptions
from agent.session import Call, Outcome
from agent.streams.model import open_model
from agent.streams.recorder import Tap
from agent.streams.session_config import session_of
from agent.tools.context import ToolContext
from tests.fakes.channel import MemoryChannel
from tests.fakes.model import ScriptedModel, memory_websocket

OPTIONS = AgentOptions(channel_name="demo")


@define
class Running:
    """A call under way, both its ends in the test's hands.

    :ivar events: what the operator is told.
    """

    model: ScriptedModel
    channel: MemoryChannel
    call: Call
    events: list[dict[str, Any]]
    outcome: Outcome | None = None
    error: BaseException | None = None
    over: trio.Event = field(factory=trio.Event)


@asynccontextmanager
async def a_call(
    options: AgentOptions = OPTIONS,
    *,
    person: bool = True,
    channel: MemoryChannel | None = None,
    patience_s: float = 3600,
    tools: ToolContext | None = None,
    elapsed_s: float = 0.0,
) -> AsyncIterator[Running]:
    """A call in which the person is already there, unless it is said otherwise.

    :param patience_s: the test has failed when it takes longer on its clock.
    :param tools: what the model may call, of which this one needs not to be told.
    """
    model, channel = ScriptedModel(), channel or MemoryChannel()
    socket = memory_websocket(model.serve)
    async with (
        open_model(socket, session_of(options)) as connection,
        trio.open_nursery() as nursery,
    ):
        events: list[dict[str, Any]] = []
        call = Call(
            options,
            connection,
            channel,
            tap=Tap(),
            chat_prefix="t",
            tools=tools,
            elapsed_s=elapsed_s,
            on_event=events.append,
        )
        running = Running(model, channel, call, events)
        nursery.start_soon(_run, running)
        if person:
            channel.join()
        await wait_all_tasks_blocked()
        with trio.fail_after(patience_s):
            yield running
        nursery.cancel_scope.cancel()


async def _run(running: Running) -> None:
    try:
        running.outcome = await running.call.run()
    except BaseExceptionGroup as group:
        running.error = sole_error(group)
        if running.error is None:
            raise
    running.over.set()
