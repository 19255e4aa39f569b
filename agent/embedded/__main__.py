"""`python -m agent.embedded`: the embedded model alone, for clients of whatever make."""

from agent.signals import hold_signals

if __name__ == "__main__":
    hold_signals()

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from agent.config import EMBEDDED_MODEL, Settings, load_settings
from agent.errors import AgentError, ConfigError, sole_error
from agent.extras import how_to_install
from agent.listening import Names, authority, open_listener
from agent.log import setup_logging
from agent.signals import stop_on_signals

if TYPE_CHECKING:
    from agent.embedded.wire.endpoint import ModelOptions
    from agent.embedded.wire.serving import ModelServer

DEFAULT_PORT: Final = 8081
_NAMES: Final = Names(host="--host", port="--port", keys="EMBEDDED_API_KEY")

_log = logging.getLogger("agent.embedded")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve until stopped. Exit status: 0 stopped, 1 failed, 2 bad configuration."""
    hold_signals()
    given = _parser().parse_args(arguments)
    try:
        server = _prepare(given)
    except ConfigError as error:
        _exit_with(error)
    try:
        trio.run(_run, server)
    except (AgentError, BaseExceptionGroup) as caught:
        fault = sole_error(caught)
        if fault is None:
            raise
        _exit_with(fault)
    sys.exit(0)


def _prepare(given: argparse.Namespace) -> "ModelServer":
    flags = {
        "LOG_LEVEL": given.log_level,
        "EMBEDDED_SCRIPT": given.script,
        "EMBEDDED_FAULTS": given.faults,
    }
    settings = load_settings(flags=flags)
    setup_logging(settings.log_level, settings.log_format)
    options = _options(settings, given)
    from agent.embedded.wire.serving import ModelServer

    has_keys = settings.embedded_api_key is not None
    listener = open_listener(given.host, given.port, has_keys=has_keys, names=_NAMES)
    return ModelServer(listener, options)


def _options(settings: Settings, given: argparse.Namespace) -> "ModelOptions":
    try:
        from agent.embedded.configured import options_of
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the embedded model is not installed ({error.name} is missing): "
            f"{how_to_install('embedded')}"
        ) from error
    options = options_of(settings)
    options["api_key"] = settings.embedded_api_key
    options["admits_beta"] = given.beta
    options["session_seconds"] = given.session_seconds
    return options


async def _run(server: "ModelServer") -> None:
    stopping = trio.Event()

    def stop(reason: str) -> None:
        _log.info("%s: the sessions are closed", reason)
        stopping.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(stop_on_signals, stop)
        where = f"ws://{authority(server.listener)}/v1/realtime?model={EMBEDDED_MODEL}"
        # Whatever the log's level: with --port 0 nobody could know it otherwise.
        print(f"ready: {where}", flush=True)
        await server.run(stopping)
        nursery.cancel_scope.cancel()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent.embedded",
        description="Serve a realtime model that needs no key, at /v1/realtime, in place of "
        "OpenAI's: for demos and for testing clients. It recognises no words.",
        epilog="A key that clients must send is set as EMBEDDED_API_KEY, in the environment or "
        ".env. Exit status: 0 stopped, 1 failed, 2 bad configuration.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--host", default="127.0.0.1", help="where to listen (127.0.0.1); other machines need a key"
    )
    add("--port", default=DEFAULT_PORT, type=_port, help=f"0 for any that is free ({DEFAULT_PORT})")
    add("--script", metavar="FILE", help="what the person says, one turn a line (EMBEDDED_SCRIPT)")
    add("--faults", metavar="FILE", help="what goes wrong, JSON (EMBEDDED_FAULTS)")
    add(
        "--session-seconds",
        metavar="N",
        type=_session_seconds,
        help="how long a session lasts (3600, in the beta dialect 1800)",
    )
    add("--beta", action="store_true", help="admit clients of the closed beta interface as well")
    add("--log-level", help="debug, info, warning or error (LOG_LEVEL, info)")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return int(text)


def _session_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be 1 to 3600")
    return seconds


def _exit_with(error: AgentError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
