"""Which MCP servers there are: a file in the form that other programs read, too.

    {"mcpServers": {
        "notes": {"command": "notes-server", "args": ["--fast"], "env": {"TOKEN": "${NOTES_TOKEN}"},
                  "tools": ["add_note"]},
        "web": {"url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${KEY}"},
                "run_by": "model", "tools": ["search"]}}}

The file is the operator's: what may be launched, reached and called stands here and nowhere else.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import urlsplit

import orjson
from attrs import Factory, evolve, field, frozen
from cattrs.errors import BaseValidationError

from agent.checks import BadField, check, one_of
from agent.errors import ConfigError, one_line
from agent.extras import require
from agent.protocol.base import UNSET
from agent.protocol.tools import Mcp
from agent.strict import exactly, faults, strict_converter
from agent.tools.declaring import OnInterruption

INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""What a server's process gets of the agent's environment: no key of the agent's is among it."""
MAX_FILE: Final = 2**20
SHORTEST_SECRET: Final = 6
"""Characters; what is shorter is a port or a flag, and hiding it would garble all that is told."""

_LABEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_PLACE: Final = re.compile(r"\$\{([^}]*)\}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IGNORED: Final = frozenset({"autoApprove", "alwaysAllow"})
"""Fields of other programs' that mean nothing here: nobody is asked before a call."""

_log: Final = logging.getLogger(__name__)


MCP_HELP: Final = "a JSON file of the MCP servers whose tools the model may call"


def _is_http_url(value: str | None) -> bool:
    if value is None:
        return True
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _are_headers(value: Mapping[str, str]) -> bool:
    return all(_HEADER.fullmatch(name) and _VALUE.fullmatch(text) for name, text in value.items())


# The words leave values out: any of them may be, or hold, a secret.
_http_url = check(_is_http_url, "must be a URL such as https://host/mcp")
_headers = check(_are_headers, "must be names and values of HTTP headers, in printable ASCII")
_environment = check(
    lambda value: all(name and "=" not in name for name in value), "a name is empty or holds a ="
)
_seconds = check(
    lambda value: value is None or 0 < value <= 3600, "must be more than 0 and at most 3600 seconds"
)
_treatment = one_of(*get_args(OnInterruption))
_approval = check(
    lambda value: (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, list) and all(isinstance(name, str) for name in value))
    ),
    "must be true, false or a list of tools' names",
)


@frozen(kw_only=True)
class ToolOptions:
    """How the calls of one tool are treated; see `agent.tools.declaring.Declaration`.

    :ivar timeout_s: seconds that one call may take; None: as the server has it.
    :ivar on_interruption: None: as the server has it.
    """

    timeout_s: float | None = field(default=None, validator=_seconds)
    on_interruption: OnInterruption | None = field(default=None, validator=_treatment)
    responds: bool = True


Tools: TypeAlias = dict[str, ToolOptions] | None


@frozen(kw_only=True)
class McpServer:
    """One server.

    :ivar command: what is launched and spoken to on its standard input and output, with `args`,
        in `cwd`; `env` is put over what it inherits (`INHERITED`).
    :ivar url: in the place of a command: where the server is reached by streamable HTTP.
    :ivar tools: those that the model is told of, by name; None: all. A file may have a list of
        names, too.
    :ivar timeout_s: seconds that one call may take.
    :ivar on_interruption: what becomes of calls when the person speaks over the agent.
    :ivar connect_timeout_s: seconds within which it has to be there and tell its tools.
    :ivar run_by: `agent`, or `model`: the model's own server calls it, and we never do.
    :ivar approve: the calls that are approved when the model's server asks: all (true), none
        (false), or of these tools. By default those that `tools` names.
    :ivar secrets: what must not be told of it; see `conceal`.
    """

    name: str
    type: str | None = field(
        default=None, validator=one_of("stdio", "http", "streamable-http", "streamableHttp")
    )
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    env: dict[str, str] = field(factory=dict, validator=_environment, repr=False)
    cwd: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, validator=_http_url, repr=False)
    headers: dict[str, str] = field(factory=dict, validator=_headers, repr=False)
    description: str | None = None
    disabled: bool = False
    tools: Tools = None
    timeout_s: float = field(default=10.0, validator=_seconds)
    on_interruption: OnInterruption = field(default="cancel", validator=_treatment)
    connect_timeout_s: float = field(default=10.0, validator=_seconds)
    run_by: str = field(default="agent", validator=one_of("agent", "model"))
    approve: Any = field(default=None, validator=_approval)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __attrs_post_init__(self) -> None:
        if self.command is None and self.url is None:
            raise BadField("command", "is missing: a server has a command or a url")
        if self.command is not None and (self.url is not None or self.headers):
            raise BadField("command", "a server has a command, or a url with headers, not both")
        if self.url is not None and (self.args or self.env or self.cwd is not None):
            raise BadField("url", "args, env and cwd belong to a command")
        if self.tools == {}:
            raise BadField("tools", "names none: leave it out for all, or have the server disabled")
        if self.run_by == "model":
            self._check_for_model()
        elif self.approve is not None:
            raise BadField("approve", 'is for servers that are run by the model ("run_by")')

    def _check_for_model(self) -> None:
        if self.url is None:
            raise BadField("run_by", "the model cannot run a command: only a url")
        if _LABEL.fullmatch(self.name) is None:
            raise BadField("run_by", "the server's name must be letters, digits, _ and - for that")
        if self.on_interruption != "cancel":
            raise BadField("on_interruption", "is for servers that are run by the agent")
        if any(options != ToolOptions() for options in (self.tools or {}).values()):
            raise BadField("tools", "options of tools are for servers that are run by the agent")
        approved = self.approve if isinstance(self.approve, list) else []
        if others := [name for name in approved if not self.allows(name)]:
            raise BadField("approve", f"not among its tools: {', '.join(others)}")

    def allows(self, tool: str) -> bool:
        """Whether the model may call this tool of it."""
        return self.tools is None or tool in self.tools

    def options(self, tool: str) -> ToolOptions:
        """How the calls of this tool of it are treated."""
        return (self.tools or {}).get(tool) or ToolOptions()

    def approves(self, tool: str) -> bool:
        """Whether a call is approved that the model's server asks about."""
        if not self.allows(tool):
            return False
        if isinstance(self.approve, list):
            return tool in self.approve
        # A tool that the operator named is wanted; of one that only the server named, who knows.
        return self.tools is not None if self.approve is None else self.approve is True

    def conceal(self, words: str) -> str:
        """Words of the server's, or about it, without the secrets that it was given."""
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return words

    def declaration(self) -> Mcp:
        """As `tools` of a session has it, of one that is run by the model."""
        assert self.url is not None
        # `always` also where a list of tools is approved: we answer, and no other is called.
        names = None if self.tools is None else tuple(self.tools)
        every = self.approve is True or (names is not None and all(map(self.approves, names)))
        return Mcp(
            server_label=self.name,
            server_url=self.url,
            server_description=UNSET if self.description is None else self.description,
            headers=self.headers or UNSET,
            allowed_tools=UNSET if names is None else names,
            require_approval="never" if every else "always",
        )


@frozen
class McpConfig:
    """The servers of a file, without those that are disabled."""

    servers: tuple[McpServer, ...] = ()

    @property
    def run_by_agent(self) -> tuple[McpServer, ...]:
        """Those that the agent connects to."""
        return tuple(server for server in self.servers if server.run_by == "agent")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is told to the model's server alone, and must stand in no log."""
        of_model = [server for server in self.servers if server.run_by == "model"]
        return tuple(secret for server in of_model for secret in server.secrets)

    def declarations(self) -> tuple[Mcp, ...]:
        """Those that the model is told of, for its own server to call."""
        return tuple(s.declaration() for s in self.servers if s.run_by == "model")

    def approves(self, server_label: str, tool_name: str) -> bool:
        """The answer to an approval request: whether the operator's file allows the call."""
        return any(
            server.name == server_label and server.run_by == "model" and server.approves(tool_name)
            for server in self.servers
        )


def load_mcp(path: Path, environ: Mapping[str, str]) -> McpConfig:
    """The servers that a file names.

    `${NAME}` in any text of a server stands for a variable of the environment.

    :param environ: for these, and for what the servers' processes inherit.
    :raises ConfigError: it cannot be read or is wrong, or the extra `mcp` is needed and not
        installed. The text names the file and the field, and no value.
    """
    config = McpConfig(tuple(_read(path, environ)))
    if config.run_by_agent:
        require("mcp", f"or leave {path} out")
    return config


def _read(path: Path, environ: Mapping[str, str]) -> Iterator[McpServer]:
    for name, entry in _entries(path).items():
        where = f"{path}: mcpServers.{one_line(name)}"
        try:
            server = _server(name, entry, environ)
        except (BaseValidationError, BadField, ValueError, TypeError) as error:
            found = "; ".join(
                f"{where}{'.' * bool(at)}{at}: {words}" for at, words in faults(error)
            )
            raise ConfigError(one_line(found)) from None
        if server.disabled:
            continue
        if server.run_by == "model" and server.tools is None and server.approve is None:
            _log.warning("%s: no call is approved: name tools in approve, or say true there", where)
        yield server


def _entries(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE:
            raise ConfigError(f"{path}: more than {MAX_FILE} bytes")
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from None
    except (OSError, ValueError) as error:  # a name with a NUL character is a ValueError
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{one_line(str(path))}: cannot be read: {why}") from error
    if not isinstance(found, dict) or not isinstance(found.get("mcpServers"), dict):
        raise ConfigError(f"{path}: mcpServers: must be there, and an object")
    return dict(found["mcpServers"])


def _server(name: str, entry: Any, environ: Mapping[str, str]) -> McpServer:
    given = {k: v for k, v in exactly(dict, entry).items() if k not in _IGNORED}
    if "secrets" in given or "name" in given:
        raise BadField("secrets" if "secrets" in given else "name", "unknown field")
    filled = _Filling(environ)
    values = {key: filled.fill(key, value) for key, value in given.items()}
    server: McpServer = _CONVERTER.structure({**values, "name": name}, McpServer)
    secrets = {*filled.used, *server.env.values()}
    for text in server.headers.values():
        secrets.update((text, *text.split()))  # "Bearer", and what comes after it
    inherited = {key: environ[key] for key in INHERITED if environ.get(key)}
    return evolve(
        server,
        env={**inherited, **server.env} if server.command is not None else {},
        # The longest first: one may be a part of another.
        secrets=tuple(sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len)[::-1]),
    )


@frozen
class _Filling:
    """Puts variables of the environment into texts, and keeps which values it used."""

    variables: Mapping[str, str]
    used: set[str] = Factory(set)

    def fill(self, at: str, value: Any) -> Any:
        match value:
            case str():
                return self._text(at, value)
            case list():
                return [self.fill(f"{at}[{n}]", inner) for n, inner in enumerate(value)]
            case dict():
                return {key: self.fill(f"{at}.{key}", inner) for key, inner in value.items()}
        return value

    def _text(self, at: str, text: str) -> str:
        if "\0" in text:
            raise BadField(at, "holds a NUL character")

        def found(match: re.Match[str]) -> str:
            name = match[1]
            if _VARIABLE.fullmatch(name) is None:
                raise BadField(at, "only ${NAME} can stand for a variable of the environment")
            # Empty means unset, as everywhere.
            if not (value := self.variables.get(name)):
                raise BadField(at, f"the environment has no {name}")
            self.used.add(value)
            return value

        return _PLACE.sub(found, text)


def _tools(value: Any, _: Any) -> Tools:
    match value:
        case None:
            return None
        case list():
            names = _CONVERTER.structure(value, tuple[str, ...])
            return {name: ToolOptions() for name in names}
        case dict():
            return _CONVERTER.structure(value, dict[str, ToolOptions])
    raise TypeError("expected a list of tools' names, or an object with options for each")


def _options(value: Any, _: Any) -> ToolOptions:
    options: ToolOptions = _TOOL_OPTIONS(exactly(dict, value), ToolOptions)
    return options


_CONVERTER: Final = strict_converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook_func(lambda cls: cls == Tools, _tools)
# Which words there are, the validator tells more clearly.
_CONVERTER.register_structure_hook_func(lambda cls: cls == OnInterruption, partial(exactly, str))
_TOOL_OPTIONS: Final = _CONVERTER.get_structure_hook(ToolOptions)
_CONVERTER.register_structure_hook(ToolOptions, _options)
