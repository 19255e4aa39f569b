"""Settings: where each comes from, what is refused, and what is never shown."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import fields

from agent.config import Settings, load_settings
from agent.errors import ConfigError

SPEC: dict[str, tuple[Any, str, Any, str, Any]] = {
    # variable: default; one text and its value; another text and its value
    "RTC": ("auto", "Local", "local", "AUTO", "auto"),
    "AGORA_APP_ID": (None, "a" * 32, "a" * 32, "0F" * 16, "0F" * 16),
    "AGORA_APP_CERT": (None, "a" * 32, "a" * 32, "0F" * 16, "0F" * 16),
    "AGORA_TOKEN_TTL_S": (86400, "60", 60, "3600", 3600),
    "AGORA_LOG_DIR": (None, "/l", "/l", "l", "l"),
    "LOCAL_CHANNEL_URL": (None, "ws://h:1/c", "ws://h:1/c", "wss://[::1]/c", "wss://[::1]/c"),
    "OPENAI_API_KEY": (None, "sk-1", "sk-1", "sk-${HOME}", "sk-${HOME}"),
    "OPENAI_MODEL": ("gpt-realtime-2.1", "m", "m", "M 2", "M 2"),
    "REALTIME_API_BASE_URI": (None, "ws://h", "ws://h", "wss://h/p?model=m", "wss://h/p?model=m"),
    "REALTIME_API_AUTH": ("bearer", "api-key", "api-key", "Basic", "basic"),
    "REALTIME_API_DIALECT": ("ga", "beta", "beta", "GA", "ga"),
    "SERVER_HOST": ("127.0.0.1", "::1", "::1", "0.0.0.0", "0.0.0.0"),
    "SERVER_PORT": (8080, "0", 0, "65535", 65535),
    "SERVER_API_KEY": (None, "k", "k", "l", "l"),
    "SERVER_API_KEYS_FILE": (None, "/k", "/k", "k", "k"),
    "PROFILES_FILE": (None, "/p", "/p", "p", "p"),
    "WEBHOOK_URL": (None, "http://h", "http://h", "https://h/p", "https://h/p"),
    "WEBHOOK_SECRET": (None, "s", "s", "whsec_c2VjcmV0", "whsec_c2VjcmV0"),
    "TLS_CERT_FILE": (None, "/c", "/c", "c", "c"),
    "TLS_KEY_FILE": (None, "/k", "/k", "k", "k"),
    "CORS_ORIGINS": (
        None,
        "https://a.b",
        "https://a.b",
        "http://a:1, http://b",
        "http://a:1, http://b",
    ),
    "RATE_LIMIT_PER_MINUTE": (120, "0", 0, "60", 60),
    "RATE_LIMIT_BURST": (60, "1", 1, "10", 10),
    "CONNECTIONS_PER_CLIENT": (100, "1", 1, "10", 10),
    "EMBEDDED_SCRIPT": (None, "/s", "/s", "s", "s"),
    "EMBEDDED_FAULTS": (None, "/f", "/f", "f", "f"),
    "EMBEDDED_API_KEY": (None, "k", "k", "l", "l"),
    "WRITE_AGENT_PCM": (False, "true", True, "ON", True),
    "WRITE_RTC_PCM": (False, "1", True, "Yes", True),
    "LOG_LEVEL": ("info", "DEBUG", "debug", "warning", "warning"),
    "LOG_FORMAT": ("color", "plain", "plain", "JSON", "json"),
    "QUEUE_WARN": (5, "1", 1, "10", 10),
    "AGENTS_MAX": (None, "1", 1, "40", 40),
    "AGENTS_WARM": (1, "0", 0, "5", 5),
    "AGENT_MEMORY_MB": (512, "0", 0, "300", 300),
    "AGENT_RESTART": ("on-failure", "never", "never", "On-Failure", "on-failure"),
    "DRAIN_S": (0.0, "1.5", 1.5, "600", 600.0),
}


def load(environ: dict[str, str], dotenv: Path | None = None) -> Settings:
    return load_settings(environ, dotenv)


@pytest.mark.parametrize(
    ("rtc", "app_id", "wanted", "way"),
    [
        ("auto", None, None, "local"),
        ("auto", "a" * 32, None, "agora"),
        ("local", "a" * 32, None, "local"),
        ("agora", "a" * 32, None, "agora"),
        ("auto", "a" * 32, "local", "local"),
        ("local", "a" * 32, "agora", "agora"),
        ("local", "a" * 32, "auto", "agora"),
        ("local", None, "auto", "local"),
    ],
)
def test_the_way_into_a_channel(rtc: str, app_id: str | None, wanted: str | None, way: str) -> None:
    assert Settings(rtc=rtc, agora_app_id=app_id).way_in(wanted) == way


def test_agora_without_a_project_says_how_to_go_on() -> None:
    with pytest.raises(ConfigError, match=r"AGORA_APP_ID: is not set.*RTC=local"):
        load_settings({"RTC": "agora"}, None).way_in()
    with pytest.raises(ConfigError, match="AGORA_APP_ID"):
        load_settings({}, None).way_in("agora")
    for app_id, certificate in (("app", None), ("a" * 32, "cert")):
        settings = Settings(agora_app_id=app_id, agora_app_cert=certificate)
        assert settings.way_in("local") == "local"
        with pytest.raises(ConfigError, match=r"AGORA_APP_\w+: must be 32 hexadecimal digits"):
            settings.way_in()


def get(settings: Settings, variable: str) -> Any:
    return getattr(settings, variable.lower())


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_the_variables_are_those_of_the_specification() -> None:
    assert sorted(SPEC) == sorted(a.name.upper() for a in fields(Settings))


@pytest.mark.parametrize("variable", SPEC)
def test_the_environment_comes_before_dotenv_and_dotenv_before_the_default(
    variable: str, dotenv: Path
) -> None:
    default, text, value, other_text, other = SPEC[variable]
    assert get(load({}), variable) == default
    dotenv.write_text(f"{variable}={other_text}\n")
    assert get(load({}, dotenv), variable) == other
    assert get(load({variable: text}, dotenv), variable) == value
    assert get(load({variable: other_text}, dotenv), variable) == other


@pytest.mark.parametrize("variable", SPEC)
def test_empty_means_unset(variable: str, dotenv: Path) -> None:
    default, text, value, *_ = SPEC[variable]
    assert get(load({variable: ""}), variable) == default
    assert get(load({variable: "  "}), variable) == default
    dotenv.write_text(f"{variable}=\n")
    assert get(load({}, dotenv), variable) == default
    dotenv.write_text(f"{variable}={text}\n")
    assert get(load({variable: ""}, dotenv), variable) == value


@pytest.mark.parametrize("text", ["false", "0", "no", "Off"])
def test_false_is_said_in_several_ways(text: str) -> None:
    assert load({"WRITE_AGENT_PCM": text}).write_agent_pcm is False


def test_the_embedded_model_is_used_where_neither_key_nor_server_is_set() -> None:
    assert load({}).embedded
    assert not load({"OPENAI_API_KEY": "sk-1"}).embedded
    assert not load({"REALTIME_API_BASE_URI": "ws://127.0.0.1:1"}).embedded


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RTC", "webrtc"),
        ("LOCAL_CHANNEL_URL", "http://host/channels"),
        ("LOCAL_CHANNEL_URL", "ws://"),
        ("LOCAL_CHANNEL_URL", "ws://host:99999"),
        ("LOCAL_CHANNEL_URL", "ws://host:0"),
        ("LOCAL_CHANNEL_URL", "ws://host:port"),
        ("LOCAL_CHANNEL_URL", "ws://[::1/"),
        ("REALTIME_API_BASE_URI", "api.openai.com"),
        ("REALTIME_API_BASE_URI", "https://user:hunter2@api.openai.com"),
        ("WEBHOOK_URL", "ws://host"),
        ("WEBHOOK_URL", "https://user:hunter2@"),
        ("OPENAI_API_KEY", "sk-hunter2\nX: y"),
        ("OPENAI_API_KEY", "sk hunter2"),
        ("OPENAI_API_KEY", "sk-hunter2\u00e9"),
        ("SERVER_API_KEY", "k\u20achunter2"),
        ("REALTIME_API_AUTH", "digest"),
        ("REALTIME_API_DIALECT", "alpha"),
        ("SERVER_PORT", "65536"),
        ("SERVER_PORT", "-1"),
        ("SERVER_PORT", "http"),
        ("SERVER_PORT", "80.0"),
        ("QUEUE_WARN", "0"),
        ("QUEUE_WARN", "many"),
        ("WRITE_AGENT_PCM", "maybe"),
        ("WRITE_RTC_PCM", "2"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    variable: str, text: str, dotenv: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load({variable: text})
    words = str(caught.value)
    assert re.fullmatch(rf"{variable}: .+", words), words
    assert "hunter2" not in words
    assert caught.value.exit_status == 2
    dotenv.write_text(f"{variable}='{text}'\n")
    with pytest.raises(ConfigError, match=rf"\A{variable}: "):
        load({}, dotenv)


def test_secrets_are_in_no_repr() -> None:
    settings = load(
        {
            "AGORA_APP_CERT": "hunter2-cert",
            "OPENAI_API_KEY": "hunter2-openai",
            "SERVER_API_KEY": "hunter2-server",
            "EMBEDDED_API_KEY": "hunter2-embedded",
            "WEBHOOK_URL": "https://user:hunter2@host/",
            "WEBHOOK_SECRET": "hunter2-webhook",
            "LOCAL_CHANNEL_URL": "ws://user:hunter2@host/channels",
            "REALTIME_API_BASE_URI": "wss://user:hunter2@host/?api-key=hunter2",
        }
    )
    assert "hunter2" in str(settings.openai_api_key)
    assert "hunter2" not in f"{settings} {settings!r} {settings!s}"


def test_the_example_names_every_variable_with_its_default() -> None:
    example = Path(__file__).parents[1] / ".env.example"
    text = example.read_text()
    assert re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE) == [
        a.name.upper() for a in fields(Settings)
    ]
    with tempfile.TemporaryDirectory() as directory:
        uncommented = Path(directory) / "example"
        uncommented.write_text(re.sub(r"^#(?=[A-Z][A-Z0-9_]*=)", "", text, flags=re.MULTILINE))
        shown = load({}, uncommented)
    # This default is written out, because it has to be known to be changed.
    assert shown.local_channel_url == "ws://127.0.0.1:8080/channels"
    assert load({"LOCAL_CHANNEL_URL": shown.local_channel_url}) == shown
    assert load({}, example) == Settings()


def test_a_dotenv_that_is_not_there_is_no_fault(dotenv: Path) -> None:
    assert load({}, dotenv) == Settings()


def test_a_directory_called_dotenv_is_passed_over(dotenv: Path) -> None:
    """Some call their virtual environment so."""
    dotenv.mkdir()
    assert load({}, dotenv) == Settings()


def test_a_dotenv_of_bad_bytes_is_refused(dotenv: Path) -> None:
    dotenv.write_bytes(b"OPENAI_API_KEY=sk-hunter2\xff\n")
    with pytest.raises(ConfigError) as caught:
        load({}, dotenv)
    assert re.fullmatch(rf"{re.escape(str(dotenv))}: cannot be read: .+", str(caught.value))
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Without the rights of root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_dotenv_that_may_not_be_read_is_refused(as_nobody: None) -> None:
    with tempfile.TemporaryDirectory() as directory:
        dotenv = Path(directory) / ".env"
        dotenv.touch(mode=0)
        with pytest.raises(ConfigError, match=r"/\.env: cannot be read: .*Permission denied"):
            load({}, dotenv)
