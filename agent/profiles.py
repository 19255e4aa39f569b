"""Profiles: named sets of options, tools and MCP servers, in a TOML file of the operator's.

    [profiles.waiter]
    voice = "coral"
    system_instruction = "You take orders."
    tools = ["mytools:book_table"]  # package.module:name each
    mcp = "mcp.json"                # beside this file
    [profiles.waiter.turn_detection]
    type = "semantic_vad"

Whatever is wrong with one of them, the file is refused as a whole.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
from attrs import field, frozen

from agent.errors import ConfigError, one_line
from agent.options import OptionsError, options_from_json
from agent.tools.loading import load_tools
from agent.tools.mcp_config import load_mcp

PROFILES_HELP: Final = "a TOML file of named sets of options (PROFILES_FILE)"
_NOT_HERE: Final = ("channel_name", "uid", "profile")
_NULL: Final = "null"
"""TOML has no null. On the command line, too, this word unsets an option."""

Profiles: TypeAlias = Mapping[str, "Profile"]


@frozen(kw_only=True)
class Profile:
    """One profile.

    :ivar options: as JSON has them.
    :ivar modules: `package.module:name` each, and
    :ivar tools: the names of the tools that are in them.
    :ivar mcp: the file of its MCP servers.
    :ivar has_tools: whether it says what tools or servers there are; then there are no others.
    """

    options: Mapping[str, Any] = field(factory=dict)
    modules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    mcp: Path | None = None
    has_tools: bool = False

    def under(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options as they were given, over those of the profile; of `metadata` each entry."""
        # Empty means unset, as everywhere.
        set_ = {name: value for name, value in given.items() if value != ""}
        metadata = set_.get("metadata")
        if isinstance(metadata, dict):
            set_["metadata"] = {**self.options.get("metadata", {}), **metadata}
        return {**self.options, **set_}


class UnknownProfile(ConfigError):
    """There is no profile of this name; the text says which there are."""


def find_profile(profiles: Profiles, name: str) -> Profile:
    """The profile of this name.

    :raises UnknownProfile: there is none.
    """
    if name not in profiles:
        there = f"there are: {', '.join(profiles)}" if profiles else "there are none"
        raise UnknownProfile(f"there is no profile {one_line(name)}; {there}")
    return profiles[name]


def read_profiles(path: Path, environ: Mapping[str, str]) -> Profiles:
    """All profiles of a file. The modules of their tools are imported, which may take its time.

    A module that was imported before is not imported again, even if its file has changed.

    :param environ: what `${NAME}` in the files of MCP servers stands for.
    :raises ConfigError: the file cannot be read, or anything in it is wrong. The text names the
        file, the profile and the field.
    """
    tables = _tables(path)
    found, faults = {}, []
    for name, table in tables.items():
        try:
            found[name] = _profile(table, path.parent, environ)
        except OptionsError as error:
            faults += [f"profiles.{name}.{at or 'options'}: {words}" for at, words in error.faults]
    if faults:
        raise ConfigError(f"{path}: {'; '.join(faults)}")
    return found


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    if unknown := sorted(whole.keys() - {"profiles"}):
        raise ConfigError(f"{path}: {', '.join(unknown)}: unknown; profiles are [profiles.NAME]")
    tables = whole.get("profiles", {})
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        raise ConfigError(f"{path}: profiles: each must be a table, [profiles.NAME]")
    return tables


def _profile(table: dict[str, Any], directory: Path, environ: Mapping[str, str]) -> Profile:
    options = {n: _plain(n, value) for n, value in table.items() if n not in ("tools", "mcp")}
    if misplaced := [name for name in _NOT_HERE if name in options]:
        raise OptionsError([(name, "cannot be in a profile") for name in misplaced])
    options_from_json({"channel_name": "any", **options})
    modules, mcp = _modules(table.get("tools", [])), _mcp(table.get("mcp"), directory, environ)
    return Profile(
        options={name: value for name, value in options.items() if value != ""},
        modules=modules,
        tools=_tools(modules),
        mcp=mcp,
        has_tools="tools" in table or mcp is not None,
    )


def _plain(name: str, value: Any) -> Any:
    """An option as JSON has it."""
    if value == _NULL:
        return None
    try:
        return orjson.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):  # a date, infinity
        raise OptionsError([(name, "is nothing that JSON can say")]) from None


def _modules(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise OptionsError([("tools", "must be a list of package.module:name")])
    return tuple(value)


def _tools(modules: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(tool.name for tool in load_tools(*modules))
    except ConfigError as error:
        raise OptionsError([("tools", str(error))]) from error


def _mcp(value: Any, directory: Path, environ: Mapping[str, str]) -> Path | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise OptionsError([("mcp", "must be the name of a JSON file")])
    path = (directory / value).absolute()
    try:
        load_mcp(path, environ)
    except ConfigError as error:
        raise OptionsError([("mcp", str(error))]) from error
    return path
