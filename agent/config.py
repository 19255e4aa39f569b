"""Settings: read once from the environment and `.env`, then passed on as a frozen object.

Nothing else in the program reads the environment. What one call may vary is in options.py.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import Attribute, field, fields, frozen

from agent.checks import BadField, check, in_range, one_of
from agent.errors import ConfigError

DEFAULT_MODEL: Final = "gpt-realtime-2.1"
EMBEDDED_MODEL: Final = "embedded"
DEFAULT_LOCAL_CHANNEL_URL: Final = "ws://127.0.0.1:8080/channels"
DEFAULT_BASE_URI: Final = "wss://api.openai.com"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_HEX_32: Final = re.compile(r"[0-9A-Fa-f]{32}")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_PRINTABLE: Final = re.compile(r"[!-~]+")


def _is_url(value: str | None, *schemes: str) -> bool:
    if value is None:
        return True
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


# The words leave the value out: a URL may hold a password.
_websocket_url = check(
    lambda value: _is_url(value, "ws", "wss"),
    "must be a URL such as ws://127.0.0.1:8080/path or wss://host",
)
_http_url = check(
    lambda value: _is_url(value, "http", "https"),
    "must be a URL such as https://host/path or http://127.0.0.1:9000/path",
)
# Refused here, because what refuses it later shows the header, key and all, in its error.
_header_value = check(
    lambda value: value is None or _PRINTABLE.fullmatch(value) is not None,
    "must be printable ASCII characters without spaces",
)
_origins = check(
    lambda value: value is None or all(_ORIGIN.fullmatch(one.strip()) for one in value.split(",")),
    "must be origins such as https://app.example.com, as browsers send them, with commas between",
)


@frozen(kw_only=True)
class Settings:
    """What the operator set. Field names are the variables' names in lower case.

    :ivar local_channel_url: None means `DEFAULT_LOCAL_CHANNEL_URL`; a server puts its own.
    :ivar realtime_api_base_uri: None means OpenAI's, or the embedded model where no key is set.
    :ivar agents_max: agents that a server has at a time; None: by the machine.
    :ivar agents_warm: processes that a server keeps ready for agents.
    :ivar agent_memory_mb: what an agent's process may take; 0: no limit.
    :ivar drain_s: seconds for which a server that is to stop lets its agents go on.
    """

    rtc: str = field(default="auto", validator=one_of("auto", "agora", "local"))
    agora_app_id: str | None = None
    agora_app_cert: str | None = field(default=None, repr=False)
    agora_token_ttl_s: int = field(default=86_400, validator=in_range(60, 86_400))
    agora_log_dir: str | None = None
    local_channel_url: str | None = field(default=None, validator=_websocket_url, repr=False)
    openai_api_key: str | None = field(default=None, validator=_header_value, repr=False)
    openai_model: str = DEFAULT_MODEL
    realtime_api_base_uri: str | None = field(default=None, validator=_websocket_url, repr=False)
    realtime_api_auth: str = field(default="bearer", validator=one_of("bearer", "api-key", "basic"))
    realtime_api_dialect: str = field(default="ga", validator=one_of("ga", "beta"))
    server_host: str = "127.0.0.1"
    server_port: int = field(default=8080, validator=in_range(0, 65535))
    server_api_key: str | None = field(default=None, validator=_header_value, repr=False)
    server_api_keys_file: str | None = None
    profiles_file: str | None = None
    webhook_url: str | None = field(default=None, validator=_http_url, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    cors_origins: str | None = field(default=None, validator=_origins)
    rate_limit_per_minute: int = field(default=120, validator=in_range(0))
    rate_limit_burst: int = field(default=60, validator=in_range(1))
    connections_per_client: int = field(default=100, validator=in_range(1))
    embedded_script: str | None = None
    embedded_faults: str | None = None
    embedded_api_key: str | None = field(default=None, validator=_header_value, repr=False)
    write_agent_pcm: bool = False
    write_rtc_pcm: bool = False
    log_level: str = field(
        default="info", validator=one_of("debug", "info", "warning", "error", "critical")
    )
    log_format: str = field(default="color", validator=one_of("color", "plain", "json"))
    queue_warn: int = field(default=5, validator=in_range(1))
    agents_max: int | None = field(default=None, validator=in_range(1))
    agents_warm: int = field(default=1, validator=in_range(0, 100))
    agent_memory_mb: int = field(default=512, validator=in_range(0))
    agent_restart: str = field(default="on-failure", validator=one_of("never", "on-failure"))
    drain_s: float = field(default=0.0, validator=in_range(0, 86_400))

    @property
    def embedded(self) -> bool:
        """Whether the embedded model is to be used: no key, and no other server was named."""
        return self.openai_api_key is None and self.realtime_api_base_uri is None

    def way_in(self, wanted: str | None = None) -> str:
        """How an agent gets into its channel: `agora` or `local`.

        :param wanted: the agent's own option, which goes before the setting.
        :raises ConfigError: it is agora, and there is no project to use, or what can be none.
        """
        way = wanted or self.rtc
        if way == "auto":
            way = "local" if self.agora_app_id is None else "agora"
        if way == "agora" and self.agora_app_id is None:
            raise ConfigError(
                "AGORA_APP_ID: is not set, and RTC=agora needs it (RTC=local does without Agora)"
            )
        if way == "agora":
            check_project(self.agora_app_id, self.agora_app_cert)
        return way


def environment() -> Mapping[str, str]:
    """The process's environment, for a configuration file that names variables of it."""
    return os.environ


def check_project(app_id: str | None, certificate: str | None) -> None:
    """Refuse what can be no Agora project's id or certificate; None is one that is unset.

    :raises ConfigError: with the variable's name, and without the value, which may be a secret.
    """
    for name, value in (("AGORA_APP_ID", app_id), ("AGORA_APP_CERT", certificate)):
        if value is not None and _HEX_32.fullmatch(value) is None:
            raise ConfigError(f"{name}: must be 32 hexadecimal digits")


def load_settings(
    environ: Mapping[str, str] = os.environ,
    dotenv: Path | None = Path(".env"),
    *,
    flags: Mapping[str, str | None] | None = None,
) -> Settings:
    """Settings from flags, then the environment, then the `.env` file, then defaults.

    Empty means unset, everywhere.

    :param flags: what the command line says, by the variables' names.
    :raises ConfigError: a value is bad; the text names the variable.
    """
    found = _read_dotenv(dotenv) if dotenv is not None else {}
    for source in (environ, flags or {}):
        found |= {name: value for name, value in source.items() if value}
    values: dict[str, Any] = {}
    for attribute in fields(Settings):
        name = attribute.name.upper()
        text = found.get(name, "").strip()
        if text:
            values[attribute.name] = _parse(name, attribute, text)
    try:
        return Settings(**values)
    except BadField as error:
        raise ConfigError(f"{error.name.upper()}: {error}") from None


def _read_dotenv(path: Path) -> dict[str, str]:
    # Imported here: an agent that a server started is handed its settings and has no need of it.
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return {name: value for name, value in values.items() if value}


def _parse(name: str, attribute: "Attribute[Any]", text: str) -> Any:
    wanted: object = attribute.type
    if wanted is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ConfigError(f"{name}: must be true or false, not {text!r}")
    if wanted in (int, int | None):
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{name}: must be a whole number, not {text!r}") from None
    if wanted is float:
        try:
            return float(text)
        except ValueError:
            raise ConfigError(f"{name}: must be a number, not {text!r}") from None
    return text.lower() if attribute.name in _FOLDED else text


_FOLDED: Final = frozenset(
    {
        "rtc",
        "realtime_api_auth",
        "realtime_api_dialect",
        "log_level",
        "log_format",
        "agent_restart",
    }
)
