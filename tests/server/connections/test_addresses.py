"""Where the server listens, and what its agents are told of it."""

import socket

import pytest

from agent.config import Settings
from agent.errors import ConfigError
from agent.listening import authority
from server.connections.listening import open_listener
from server.doors.auth import Keys
from server.run import Start, settings_of_agents
from tests.server.helpers import OWN_KEY


def settings_for_agents(settings: Settings, host: str = "127.0.0.1") -> tuple[str, Settings]:
    """The server's host:port and what its agents get."""
    with open_listener(host, 0, has_keys=True) as listener:
        start = Start(settings, Keys(settings, OWN_KEY), OWN_KEY, listener)
        return authority(listener), settings_of_agents(start)


def test_agents_of_an_embedded_server_call_it_for_both() -> None:
    here, settings = settings_for_agents(Settings(realtime_api_auth="api-key"))
    assert settings.local_channel_url == f"ws://{here}/channels"
    assert settings.realtime_api_base_uri == f"ws://{here}/v1/realtime"
    assert settings.openai_model == "embedded"
    assert settings.realtime_api_auth == "bearer"
    assert settings.openai_api_key == settings.server_api_key == OWN_KEY


def test_agents_of_a_server_with_a_model_call_that() -> None:
    given = Settings(openai_api_key="k", openai_model="m", realtime_api_auth="api-key")
    here, settings = settings_for_agents(given)
    assert settings.local_channel_url == f"ws://{here}/channels"
    assert settings.server_api_key == OWN_KEY
    assert (settings.openai_api_key, settings.openai_model) == ("k", "m")
    assert settings.realtime_api_base_uri is None
    assert settings.realtime_api_auth == "api-key"


def test_other_servers_channels_are_called_with_the_configured_key() -> None:
    given = Settings(
        openai_api_key="k", local_channel_url="ws://far/channels", server_api_key="theirs"
    )
    _, settings = settings_for_agents(given)
    assert settings == given


def test_the_webhook_is_the_servers_alone() -> None:
    given = Settings(webhook_url="https://user:password@host/", webhook_secret="s" * 16)
    _, settings = settings_for_agents(given)
    assert (settings.webhook_url, settings.webhook_secret) == (None, None)


def test_a_wildcard_is_reached_over_loopback() -> None:
    here, _ = settings_for_agents(Settings(), "0.0.0.0")
    host, port = here.split(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


def test_localhost_is_the_address_that_people_type() -> None:
    with open_listener("localhost", 0, has_keys=False) as listener:
        assert authority(listener).startswith("127.0.0.1:")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 in this Python")
def test_an_ipv6_address_is_put_in_brackets() -> None:
    try:
        listener = open_listener("::1", 0, has_keys=False)
    except ConfigError:
        pytest.skip("no IPv6 on this machine")
    with listener:
        assert authority(listener).startswith("[::1]:")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_keys_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ConfigError, match="SERVER_API_KEY"):
        open_listener(host, 0, has_keys=False)
