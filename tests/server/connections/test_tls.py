"""TLS by the server itself: what it loads, what it speaks, and how its own agents get in."""

import ssl
from pathlib import Path

import httpx2
import pytest
import trio
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trio.testing import MockClock
from trio_websocket import open_websocket_url

from agent.config import Settings
from agent.errors import ConfigError
from agent.listening import authority
from server.connections.attended import HEAD_S
from server.connections.listening import open_listener
from server.connections.tls import load_tls
from server.doors.auth import Keys
from server.run import Start, settings_of_agents
from tests.server.connections.test_slow_clients import LEEWAY_S, clock, read_all
from tests.server.helpers import OWN_KEY, control, serving
from tests.server.test_process import server

__all__ = ["clock"]  # a fixture
NAME = "localhost"


class Files:
    """A certificate and its key as an operator has them; a client's trust in them."""

    def __init__(self, folder: Path) -> None:
        authority_ = trustme.CA()
        issued = authority_.issue_cert(NAME, "127.0.0.1")
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.certificate.write_bytes(chain)
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.client = ssl.create_default_context()
        authority_.configure_trust(self.client)

    def settings(self) -> Settings:
        certificate, key = str(self.certificate), str(self.key)
        return Settings(openai_api_key="k", tls_cert_file=certificate, tls_key_file=key)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


def test_without_files_there_is_no_tls() -> None:
    assert load_tls(Settings()) is None


def test_one_file_alone_is_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match=r"^TLS_KEY_FILE: must be set too"):
        load_tls(Settings(tls_cert_file=str(files.certificate)))
    with pytest.raises(ConfigError, match=r"^TLS_CERT_FILE: must be set too"):
        load_tls(Settings(tls_key_file=str(files.key)))


@pytest.mark.parametrize("kind", ["missing", "swapped", "other key", "password", "garbage"])
def test_files_that_cannot_be_used_are_named(kind: str, files: Files, tmp_path: Path) -> None:
    certificate, key = files.certificate, tmp_path / "key"
    if kind == "swapped":
        certificate, key = files.key, files.certificate
    elif kind == "other key":
        key.write_bytes(trustme.CA().issue_cert(NAME).private_key_pem.bytes())
    elif kind == "password":
        plain = load_pem_private_key(files.key.read_bytes(), None)
        locked = BestAvailableEncryption(b"a password")
        key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    elif kind == "garbage":
        key.write_bytes(b"no key")
    with pytest.raises(ConfigError) as refused:
        load_tls(Settings(tls_cert_file=str(certificate), tls_key_file=str(key)))
    assert str(refused.value).startswith("TLS_CERT_FILE, TLS_KEY_FILE: ")
    assert str(key) in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_requests_and_channels_are_encrypted(files: Files) -> None:
    async with serving(tls=load_tls(files.settings())) as served:
        async with httpx2.AsyncClient(verify=files.client) as client:
            response = await client.get(f"https://{served.here}/healthz")
            assert response.status_code == 200
        url = f"wss://{served.here}/channels/room?uid=1"
        async with open_websocket_url(url, files.client) as ann:
            assert (await control(ann))["uid"] == 1
        async with await served.connect() as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in await read_all(stream)


async def test_who_does_not_shake_hands_is_cut_off(files: Files, clock: MockClock) -> None:
    async with (
        serving(tls=load_tls(files.settings())) as served,
        await served.connect() as stream,
    ):
        begun = trio.current_time()
        await read_all(stream)
        assert abs(trio.current_time() - begun - HEAD_S) < LEEWAY_S


def test_agents_are_told_of_the_door_without_tls(files: Files) -> None:
    settings = Settings(server_api_key="right")
    with (
        open_listener("127.0.0.1", 0, has_keys=True) as outer,
        open_listener("127.0.0.1", 0, has_keys=True) as inner,
    ):
        keys, tls = Keys(settings, OWN_KEY), load_tls(files.settings())
        start = Start(settings, keys, OWN_KEY, outer, tls=tls, inner=inner)
        told = settings_of_agents(start)
        assert told.local_channel_url == f"ws://{authority(inner)}/channels"
        assert told.realtime_api_base_uri == f"ws://{authority(inner)}/v1/realtime"


async def test_an_agent_of_a_server_with_tls_joins_its_channel(
    files: Files, tmp_path: Path
) -> None:
    paths = {"TLS_CERT_FILE": str(files.certificate), "TLS_KEY_FILE": str(files.key)}
    header = {"Authorization": "Bearer right"}
    # The embedded model, so that it needs both: the channel and the model.
    async with server(tmp_path, SERVER_API_KEY="right", OPENAI_API_KEY="", **paths) as running:
        found = await running.says(r"open (https://127\.0\.0\.1:\d+)/ ")
        async with httpx2.AsyncClient(
            base_url=found[1], headers=header, verify=files.client, timeout=30
        ) as client:
            body = {"channel_name": "room", "uid": 7}
            response = await client.post("/start_agent", json=body)
            assert (response.status_code, response.json()["embedded"]) == (200, True)
        running.process.terminate()
        assert await running.end() == 0
