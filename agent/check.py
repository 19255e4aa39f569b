"""`python -m agent --check`: what is installed, what is configured, what can be reached.

Each finding is a line: `ok`, `--` (not there, and not needed as it is set up) or `FAILED`.
"""

import platform
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import trio
from attrs import evolve

from agent.config import EMBEDDED_MODEL, Settings, check_project
from agent.errors import AgentError, ConfigError, one_line, sole_error
from agent.extras import EXTRAS, how_to_install, missing
from agent.options import AgentOptions
from agent.run import channel_for, model_for
from agent.tools.context import ToolContext
from agent.tools.mcp_config import McpConfig

REACH_S: Final = 30.0
"""Connecting and configuring the model takes a few seconds, with its retries; so does a channel."""

Say = Callable[[str], None]


async def check(
    settings: Settings,
    options: AgentOptions,
    say: Say,
    *,
    tools: ToolContext | None = None,
    mcp: McpConfig | None = None,
) -> int:
    """Tell all findings.

    A moment's session is opened at the model, and a channel of a random name is joined and left: no
    other check would tell whether key, project, token and network are right.

    :param say: is given a line at a time.
    :param tools: the operator's, of which the model is told, too: it may refuse a declaration.
    :param mcp: the MCP servers, each of which is connected to.
    :returns: the exit status: that of the first failure, or 0.
    """
    say(_line("ok", "python", f"{platform.python_version()} on {_platform()}"))
    for extra, modules in EXTRAS.items():
        say(_extra(extra, modules))
    project, project_status = _project(settings)
    say(project)
    options = evolve(options, channel_name=f"check-{secrets.token_hex(8)}", uid=0)
    words = _model_words(settings, options)
    tools, mcp = tools or ToolContext(), mcp or McpConfig()
    if len(tools):
        say(_line("ok", "tools", ", ".join(tool.name for tool in tools)))
    statuses = [
        await _mcp(mcp, say),
        await _reach("model", words, partial(model_for, settings, options, tools, mcp), say),
        await _reach(
            "channel", _way(settings, options), partial(channel_for, settings, options), say
        ),
    ]
    return next((status for status in [project_status, *statuses] if status), 0)


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}"


def _extra(extra: str, modules: tuple[str, ...]) -> str:
    if absent := missing(extra):
        how = f"not installed ({', '.join(absent)}): {how_to_install(extra)}"
        return _line("--", f"extra {extra}", how)
    return _line("ok", f"extra {extra}", "installed")


def _project(settings: Settings) -> tuple[str, int]:
    """The finding about the Agora project, and the exit status for it."""
    if settings.agora_app_id is None:
        return _line("--", "agora", "AGORA_APP_ID is not set"), 0
    try:
        check_project(settings.agora_app_id, settings.agora_app_cert)
    except ConfigError as error:
        return _line("FAILED", "agora", str(error)), error.exit_status
    is_set = settings.agora_app_cert is not None
    certificate = "AGORA_APP_CERT too" if is_set else "AGORA_APP_CERT is not: no token is made"
    return _line("ok", "agora", f"AGORA_APP_ID is set, {certificate}"), 0


def _model_words(settings: Settings, options: AgentOptions) -> str:
    if settings.embedded:
        return f"{EMBEDDED_MODEL}: no key is set, a demo model answers"
    return options.model or settings.openai_model


def _way(settings: Settings, options: AgentOptions) -> str:
    try:
        way = settings.way_in(options.rtc)
    except ConfigError:
        way = "agora"
    return way if way == "agora" else "local, of a server that runs (make run)"


async def _mcp(mcp: McpConfig, say: Say) -> int:
    if not mcp.run_by_agent:
        return 0
    from agent.tools.mcp import open_mcp_tools

    async with open_mcp_tools(mcp) as found:
        absent = found.missing
    for server in mcp.run_by_agent:
        is_there = server.name not in absent
        words = "reached" if is_there else "cannot be reached: the log says why"
        say(_line("ok" if is_there else "FAILED", f"mcp {one_line(server.name)}", words))
    return 1 if absent else 0


async def _reach(
    subject: str, words: str, make: Callable[[], AbstractAsyncContextManager[Any]], say: Say
) -> int:
    """Open something and close it again.

    :returns: the exit status for it.
    """
    try:
        with trio.fail_after(REACH_S):
            async with make():
                pass
    except (AgentError, BaseExceptionGroup, trio.TooSlowError) as error:
        fault = sole_error(error)
        if fault is None and not isinstance(error, trio.TooSlowError):
            raise
        say(_line("FAILED", subject, f"{words}: {fault or f'no answer within {REACH_S:g} s'}"))
        return 1 if fault is None else fault.exit_status
    say(_line("ok", subject, f"{words}: reached"))
    return 0


def _line(finding: str, subject: str, words: str) -> str:
    return f"{finding:<8}{subject:<16}{words}"
