"""`python -m agent`: run one agent from the command line."""

from agent.signals import hold_signals

if __name__ == "__main__":
    hold_signals()

import argparse
import logging
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import orjson
import trio
from attrs import Attribute, fields

from agent.config import Settings, environment, load_settings
from agent.ending import end
from agent.errors import AgentError, ConfigError, sole_error
from agent.handle import Agent
from agent.log import setup_logging
from agent.options import AgentOptions, OptionsError, options_from_json
from agent.profiles import (
    PROFILES_HELP,
    Profile,
    UnknownProfile,
    find_profile,
    read_profiles,
)
from agent.run import Recording, run_agent
from agent.session import Outcome
from agent.signals import stop_on_signals
from agent.tools.loading import TOOLS_HELP, load_tools, names_in
from agent.tools.mcp_config import MCP_HELP, load_mcp

_log = logging.getLogger("agent")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one agent and exit with its status: 0, 1, 2 or 3, as the README lists them."""
    hold_signals()
    try:
        given = _parser().parse_args(arguments)
        settings = load_settings(flags={"PROFILES_FILE": given.profiles})
        profile = _profile(settings, given.profile)
        options, recording = _options(given, profile), _recording(given)
        tools = load_tools(*(names_in(given.tools) or profile.modules))
        mcp_file = given.mcp or profile.mcp
        mcp = None if mcp_file is None else load_mcp(mcp_file, environment())
    except ConfigError as error:
        _exit_with(error)
    call_id = secrets.token_hex(8)
    setup_logging(settings.log_level, settings.log_format, options.channel_name, call_id)
    if given.check:
        end(trio.run(partial(_check, settings, options, tools=tools, mcp=mcp)))
    try:
        outcome = trio.run(
            partial(
                _run,
                settings,
                options,
                recording=recording,
                tools=tools,
                mcp=mcp,
                call_id=call_id,
            )
        )
    except ConfigError as error:
        _exit_with(error)
    except AgentError as error:
        _log.error("%s", error)
        end(error.exit_status)
    _log.info("%s", outcome.reason)
    end(outcome.exit_status)


async def _run(settings: Settings, options: AgentOptions, **given: Any) -> Outcome:
    agent = Agent()
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(stop_on_signals, agent.stop)
            outcome = await run_agent(settings, options, agent=agent, **given)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise sole_error(group) or group from None
    return outcome


async def _check(settings: Settings, options: AgentOptions, **given: Any) -> int:
    from agent.check import check

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(stop_on_signals, lambda _: scope.cancel())
            status = await check(settings, options, print, **given)
            nursery.cancel_scope.cancel()
            return status
    return 1


def _exit_with(error: ConfigError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    end(error.exit_status)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (--help lists the options)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m agent",
        description="Run one voice agent. Settings come from the environment and .env.",
        epilog="Exit status: 0 ended as meant, 1 the call failed, 2 bad configuration, "
        "3 nobody came.",
        allow_abbrev=False,
    )
    for attribute in _on_the_command_line():
        dashed = f"--{attribute.name.replace('_', '-')}"
        names = dict.fromkeys((dashed, f"--{attribute.name}"))
        parser.add_argument(*names, dest=attribute.name, metavar="X", help=_help(attribute))
    parser.add_argument("--tools", metavar="X", help=TOOLS_HELP)
    parser.add_argument("--mcp", metavar="X", type=Path, help=MCP_HELP)
    parser.add_argument("--profiles", metavar="FILE", help=PROFILES_HELP)
    parser.add_argument(
        "--check", action="store_true", help="tell what is installed, configured and reachable"
    )
    parser.add_argument("--wav-in", "--wav_in", type=Path, help="a recording as the person")
    parser.add_argument("--wav-out", "--wav_out", type=Path, help="where the answer is written")
    return parser


def _on_the_command_line() -> list["Attribute[Any]"]:
    # There the operator says what tools there are; to name some of them is for requests.
    return [attribute for attribute in fields(AgentOptions) if attribute.name != "tools"]


def _help(attribute: "Attribute[Any]") -> str:
    default = attribute.default
    is_switch = isinstance(default, bool)
    shown = default if isinstance(default, str | int | float) else None
    words = "an option, see the README" if _is_text(attribute) else "a number or JSON"
    if is_switch:
        words, shown = "true or false", str(default).lower()
    return f"{words}; default {shown}".replace("%", "%%") if shown is not None else words


def _is_text(attribute: "Attribute[Any]") -> bool:
    return attribute.type in (str, str | None)


def _profile(settings: Settings, name: str | None) -> Profile:
    if not name:
        return Profile()
    file = settings.profiles_file
    profiles = {} if file is None else read_profiles(Path(file).absolute(), environment())
    try:
        return find_profile(profiles, name)
    except UnknownProfile as error:
        raise ConfigError(f"--profile: {error}") from error


def _options(given: argparse.Namespace, profile: Profile) -> AgentOptions:
    value = {
        attribute.name: _value(attribute, text)
        for attribute in _on_the_command_line()
        if (text := getattr(given, attribute.name)) not in (None, "")
    }
    if given.wav_in is not None or given.check:
        value.setdefault("channel_name", "check" if given.check else "recording")
    try:
        return options_from_json(profile.under(value))
    except OptionsError as error:
        # By the names that the person typed.
        faults = [(f"--{path.replace('_', '-')}", words) for path, words in error.faults]
        if ("--channel-name", "missing") in faults:
            faults = [("--channel-name", "missing; or name a recording with --wav-in")]
        raise OptionsError(faults) from error


def _value(attribute: "Attribute[Any]", text: str) -> Any:
    """An option's text as JSON; what is not JSON stays text, and its class says what it wants."""
    if _is_text(attribute):
        # Some texts may be unset by this word, such as transcription_model.
        return None if text == "null" else text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.split(",") if "tuple" in str(attribute.type) else text


def _recording(given: argparse.Namespace) -> Recording | None:
    if given.wav_in is None:
        if given.wav_out is not None:
            raise ConfigError("--wav-out: needs --wav-in")
        return None
    from agent.rtc.wav import check_writable, read_wav

    question = read_wav(given.wav_in)
    if given.wav_out is not None:
        check_writable(given.wav_out)
        if given.wav_out.exists() and given.wav_out.samefile(given.wav_in):
            raise ConfigError("--wav-out: is the same file as --wav-in")
    return Recording(question, given.wav_out)


if __name__ == "__main__":
    main()
