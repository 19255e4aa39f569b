"""The kinds of failure of agents, a small fixed set, and how each is told."""

import signal
from typing import Any, Final

from agent.supervisor.supervisor import AgentInfo

FAILURES: Final = (
    "join_timeout",
    "start_failed",
    "config",
    "model",
    "channel",
    "crashed",
    "stuck",
    "memory",
    "killed",
)
"""Not in its channel in time; ended before, for no reason of the next three; the configuration;
the model's side; the channel's side; an exception or a signal of its own; no sign of life; too much
memory; SIGKILL from elsewhere, as the system sends where memory is short."""
_CONFIG_STATUS: Final = 2


def kind_of(info: AgentInfo, event: dict[str, Any]) -> str:
    """What failed, for a `failed` or `restarting` state of an agent.

    :param event: its `kind` is taken where it is one of `FAILURES`: who sees something fail knows
        best. Else the exit status has to do.
    """
    told = event.get("kind")
    if told in FAILURES:
        return str(told)
    if info.exit_status == _CONFIG_STATUS:
        return "config"
    if info.exit_status == -signal.SIGKILL:
        return "killed"
    return "crashed"
