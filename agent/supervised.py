"""`python -m agent.supervised FD`: an agent that a supervisor started.

FD is our end of a socket pair. What goes over it, both ways, is JSON, a line each. To us: first the
settings, upon which we import all that is needed and tell that we are `warm`; then, perhaps much
later, the options of a call. From us: states, events (see `agent.outlet`), and every second the
memory that we take, which is also how it is known that we live. Its end of file means that the
supervisor is gone: the agent leaves its channel and exits, within `GONE_S` whatever it is at.
Standard output and standard error are for the log.
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
from attrs import frozen

from agent.config import Settings, environment
from agent.ending import end
from agent.errors import AgentError, sole_error
from agent.handle import Agent
from agent.leftovers import end_group_with_us
from agent.log import setup_logging
from agent.memory import resident_bytes
from agent.options import OptionsError, options_from_json
from agent.outlet import Outlet
from agent.run import preload, run_agent
from agent.session import Outcome
from agent.signals import stop_on_signals
from agent.supervisor.lines import receive_lines
from agent.tools.context import ToolContext
from agent.tools.loading import load_tools
from agent.tools.mcp_config import load_mcp
from agent.watchdog import Watchdog, dump_on_signal

TELL_S: Final = 2.0
"""Within which a supervisor takes what it is told, or is stuck."""
GONE_S: Final = 1.5
"""From the supervisor's death to ours: to leave a channel in order takes less."""
EXIT_S: Final = 4.0
"""For the interpreter's own end, in which nobody feeds the watchdog."""
BEAT_EVERY_S: Final = 1.0

_log = logging.getLogger("agent")


def main() -> NoReturn:
    """Run one agent under its supervisor; exits as `python -m agent` does."""
    dump_on_signal()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)  # else what a tool launches could keep it open
    outlet, watchdog = Outlet(), Watchdog()
    try:
        outcome = trio.run(_run, control, outlet, watchdog)
        outlet.state({"state": "ended", "reason": outcome.reason})
    except AgentError as error:
        # Once more for those who read only the log; no traceback, the text says it all.
        _log.error("%s", error)
        outcome = Outcome(str(error), error.exit_status)
        outlet.state({"state": "ended", "reason": outcome.reason, **_about(error)})
    _tell_rest(control, outlet)
    end(outcome.exit_status)


def _about(error: AgentError) -> dict[str, Any]:
    faults = error.faults if isinstance(error, OptionsError) else []
    return {"kind": error.kind, "is_final": error.is_final, "faults": faults}


@frozen
class _Line:
    """What goes over the socket pair: messages to us, and what we tell."""

    messages: AsyncIterator[dict[str, Any]]
    outlet: Outlet
    watchdog: Watchdog


async def _run(control: socket.socket, outlet: Outlet, watchdog: Watchdog) -> Outcome:
    agent, waiting = Agent(), trio.CancelScope()

    def stop(reason: str) -> None:
        agent.stop(reason)
        waiting.cancel()

    # A duplicate: `control` itself is still needed when Trio has ended.
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(control.dup()))
    try:
        async with stream, trio.open_nursery() as nursery:
            await nursery.start(stop_on_signals, stop)
            nursery.start_soon(_tell, outlet, stream)
            nursery.start_soon(watchdog.run)
            nursery.start_soon(_beat, outlet)
            line = _Line(receive_lines(stream), outlet, watchdog)
            outcome = Outcome("the supervisor is gone")
            with waiting:
                settings, call = await _get_ready(line)
            if waiting.cancelled_caught:
                outcome = Outcome(agent.reason)
            elif settings is not None and call is not None:
                outcome = await _hold(settings, call, line, agent)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise sole_error(group) or group from None
    finally:
        watchdog.end_within(EXIT_S)
    return outcome


async def _get_ready(line: _Line) -> tuple[Settings | None, dict[str, Any] | None]:
    """Import what a call needs, and wait for one; None where the supervisor went meanwhile."""
    first = await anext(line.messages, None)
    if first is None:
        return None, None
    line.watchdog.stuck_s = float(first["watchdog_s"])
    line.watchdog.feed()
    settings = Settings(**first["settings"])
    setup_logging(settings.log_level, "json")
    preload(settings)
    _load(first["tools"])
    line.outlet.state({"state": "warm"})
    return settings, await anext(line.messages, None)


async def _hold(
    settings: Settings,
    call: dict[str, Any],
    line: _Line,
    agent: Agent,
) -> Outcome:
    options = options_from_json(call["options"])
    setup_logging(settings.log_level, "json", options.channel_name, call["call_id"])
    tools = _load(call["tools"])
    mcp = load_mcp(Path(call["mcp"]), environment()) if call["mcp"] else None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_at_end, line, agent)
        outcome = await run_agent(
            settings,
            options,
            agent=agent,
            tools=tools,
            mcp=mcp,
            call_id=call["call_id"],
            elapsed_s=call["elapsed_s"],
            on_state=line.outlet.state,
            on_event=line.outlet.event,
        )
        nursery.cancel_scope.cancel()
    return outcome


def _load(modules: list[str]) -> ToolContext:
    """The operator's tools. What they launch, perhaps as they are imported, ends with us."""
    if modules:
        try:
            end_group_with_us()
        except OSError as error:
            _log.warning("what tools launch may outlive a killed server: %s", error)
    return load_tools(*modules)


async def _stop_at_end(line: _Line, agent: Agent) -> None:
    async for _ in line.messages:
        pass
    line.watchdog.end_within(GONE_S)
    agent.stop("the supervisor is gone")


async def _beat(outlet: Outlet) -> None:
    while True:
        outlet.beat({"memory_bytes": resident_bytes()})
        await trio.sleep(BEAT_EVERY_S)


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
