"""`python -m server`: the HTTP server, the page, the local channels and a model of its own."""

from agent.signals import hold_signals

if __name__ == "__main__":
    hold_signals()

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import trio

from agent.config import environment, load_settings
from agent.errors import AgentError, ConfigError, sole_error
from agent.extras import require
from agent.log import setup_logging
from agent.profiles import PROFILES_HELP
from agent.supervisor.supervisor import Tools
from agent.tools.loading import TOOLS_HELP, load_tools, names_in
from agent.tools.mcp_config import MCP_HELP, load_mcp
from server.connections.listening import open_listener
from server.connections.tls import load_tls
from server.doors.auth import Keys
from server.operating.webhook import check_webhook
from server.profiles import ProfilesFile
from server.routes.realtime import check_installed
from server.run import Start, run


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve until stopped. Exit status: 0 stopped, 1 failed, 2 bad configuration."""
    hold_signals()
    given = _parser().parse_args(arguments)
    try:
        start = _prepare(given)
    except ConfigError as error:
        _exit_with(error)
    try:
        trio.run(run, start)
    except (AgentError, BaseExceptionGroup) as caught:
        fault = sole_error(caught)
        if fault is None:
            raise
        _exit_with(fault)
    sys.exit(0)


def _prepare(given: argparse.Namespace) -> Start:
    flags = {"SERVER_HOST": given.host, "SERVER_PORT": given.port, "PROFILES_FILE": given.profiles}
    settings = load_settings(flags=flags)
    setup_logging(settings.log_level, settings.log_format)
    own_key = secrets.token_urlsafe(32)
    keys = Keys(settings, own_key)
    if settings.embedded:
        check_installed()
    if settings.way_in() == "agora":
        require("agora", "or set RTC=local to do without Agora")
    check_webhook(settings)
    modules = names_in(given.tools)
    if given.mcp is not None:
        load_mcp(given.mcp, environment())  # a bad one is found now, and not in somebody's call
    mcp = None if given.mcp is None else str(given.mcp.absolute())
    tools = Tools(modules, tuple(tool.name for tool in load_tools(*modules)), mcp)
    file = settings.profiles_file
    profiles = ProfilesFile(None if file is None else Path(file).absolute())
    tls = load_tls(settings)
    listener = open_listener(settings.server_host, settings.server_port, has_keys=keys.needed)
    inner = None if tls is None else open_listener("127.0.0.1", 0, has_keys=keys.needed)
    return Start(settings, keys, own_key, listener, tools, profiles, tls, inner)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server", description=__doc__)
    parser.add_argument("--host", help="where to listen (SERVER_HOST, 127.0.0.1)")
    parser.add_argument("--port", help="the port; 0 for any that is free (SERVER_PORT, 8080)")
    parser.add_argument("--tools", help=TOOLS_HELP)
    parser.add_argument("--mcp", type=Path, help=MCP_HELP)
    parser.add_argument("--profiles", metavar="FILE", help=PROFILES_HELP)
    return parser


def _exit_with(error: AgentError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
