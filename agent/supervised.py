"""`python -m agent.supervised FD`: an agent that a supervisor started.

FD is our end of a socket pair. What goes over it, both ways, is JSON, a line each: first the
settings and options come to us; then we tell our states and events (see `agent.outlet`). Its end
of file means that the supervisor is gone: the agent leaves its channel and exits. Standard output
and standard error are for the log.
"""

from agent.signals import hold_signals

if __name__ == "__main__":
    hold_signals()

import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import trio

from agent.config import Settings, environment
from agent.ending import end
from agent.errors import AgentError, sole_error
from agent.handle import Agent
from agent.log import setup_logging
from agent.options import OptionsError, options_from_json
from agent.outlet import Outlet
from agent.run import run_agent
from agent.session import Outcome
from agent.signals import stop_on_signals
from agent.supervisor.lines import receive_lines
from agent.tools.loading import load_tools
from agent.tools.mcp_config import load_mcp

TELL_S: Final = 2.0
"""Within which a supervisor takes what it is told, or is stuck."""

_log = logging.getLogger("agent")


def main() -> NoReturn:
    """Run one agent under its supervisor; exits as `python -m agent` does."""
    control = socket.socket(fileno=int(sys.argv[1]))
    outlet = Outlet()
    try:
        outcome = trio.run(_run, control, outlet)
    except AgentError as error:
        # Once more for those who read only the log; no traceback, the text says it all.
        _log.error("%s", error)
        outcome = Outcome(str(error), error.exit_status)
        faults = error.faults if isinstance(error, OptionsError) else []
        outlet.state({"state": "ended", "reason": outcome.reason, "faults": faults})
    else:
        outlet.state({"state": "ended", "reason": outcome.reason})
    _tell_rest(control, outlet)
    end(outcome.exit_status)


async def _run(control: socket.socket, outlet: Outlet) -> Outcome:
    agent = Agent()
    # A duplicate: `control` itself is still needed when Trio has ended.
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(control.dup()))
    try:
        async with stream, trio.open_nursery() as nursery:
            await nursery.start(stop_on_signals, agent.stop)
            lines = receive_lines(stream)
            first = await anext(lines, None)
            if first is None:
                nursery.cancel_scope.cancel()
                return Outcome("the supervisor is gone")
            settings, options = Settings(**first["settings"]), options_from_json(first["options"])
            setup_logging(settings.log_level, "json", options.channel_name)
            tools = load_tools(*first.get("tools", ()))
            mcp = load_mcp(Path(first["mcp"]), environment()) if first.get("mcp") else None
            nursery.start_soon(_stop_at_end, lines, agent)
            nursery.start_soon(_tell, outlet, stream)
            outcome = await run_agent(
                settings,
                options,
                agent=agent,
                tools=tools,
                mcp=mcp,
                on_state=outlet.state,
                on_event=outlet.event,
            )
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise sole_error(group) or group from None
    return outcome


async def _stop_at_end(lines: AsyncIterator[dict[str, Any]], agent: Agent) -> None:
    async for _ in lines:
        pass
    agent.stop("the supervisor is gone")


async def _tell(outlet: Outlet, stream: trio.SocketStream) -> None:
    with suppress(OSError):  # the supervisor is gone, which its end of file tells, too
        await outlet.run(stream.socket.send)


def _tell_rest(control: socket.socket, outlet: Outlet) -> None:
    """Tell the supervisor what it has not been told, the end as the last."""
    control.settimeout(TELL_S)
    with suppress(OSError):  # it is gone
        control.sendall(outlet.rest())


if __name__ == "__main__":
    main()
