"""Who may call: keys, this machine's own programs, and the server's own page."""

import os
from pathlib import Path
from typing import Any

import pytest
from trio_websocket import ConnectionRejected

from agent.config import Settings
from agent.errors import ConfigError
from agent.listening import is_loopback
from server.doors.auth import Keys
from tests.server.helpers import OWN_KEY, control, make_app, serving, shake_hands

WITH_KEY = Settings(openai_api_key="k", server_api_key="right")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/agents", {}, 401),
        ("/agents", bearer("wrong"), 401),
        ("/agents", bearer(""), 401),
        ("/agents", bearer("rightt"), 401),
        ("/agents", bearer("r\u00efght"), 401),
        ("/agents", {"Authorization": "Basic right"}, 401),
        ("/agents", {"Authorization": "right"}, 401),
        ("/agents", bearer("right"), 200),
        ("/agents", {"Authorization": "bearer  right "}, 200),
        ("/agents", bearer(OWN_KEY), 200),
        ("/nowhere", {}, 401),
        ("/webby", {}, 401),
        ("/nowhere", bearer("right"), 404),
        ("/", {}, 200),
        ("/web/app.js", {}, 200),
        ("/healthz", {}, 200),
        # With a key there is no need for the rest.
        ("/agents", bearer("right") | {"Host": "example.com"}, 200),
    ],
)
async def test_keys(path: str, headers: dict[str, str], status: int) -> None:
    response = await make_app(WITH_KEY).test_client().get(path, headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await response.get_json())["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("headers", "needed"), [({}, True), (bearer("wrong"), True), (bearer("right"), False)]
)
async def test_health_tells_who_lacks_a_key(headers: dict[str, str], needed: bool) -> None:
    response = await make_app(WITH_KEY).test_client().get("/healthz", headers=headers)
    assert (await response.get_json())["key_needed"] is needed


SAME = {"Host": "localhost:8080", "Origin": "http://localhost:8080"}
OTHER = {"Host": "localhost:8080", "Origin": "http://evil.example"}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "127.0.0.1:8080"}, 200),
        ("GET", {"Host": "127.8.8.8"}, 200),
        ("GET", {"Host": "[::1]:8080"}, 200),
        ("GET", {"Host": "LOCALHOST:8080"}, 200),
        ("GET", {"Host": "app.localhost"}, 200),
        ("GET", {"Host": "evil.example"}, 403),
        ("GET", {"Host": "localhost.evil.example"}, 403),
        ("GET", {"Host": "127.0.0.1.evil.example"}, 403),
        ("GET", {"Host": "evil.example@localhost.evil.example"}, 403),
        ("GET", {"Host": "10.0.0.1"}, 403),
        ("GET", {"Host": ""}, 403),
        ("GET", OTHER, 200),  # the browser keeps the answer from the page
        ("POST", {"Host": "localhost:8080"}, 404),
        ("POST", SAME, 404),
        ("POST", {"Host": "localhost", "Origin": "http://localhost:80"}, 404),
        ("POST", {"Host": "localhost", "Origin": "https://localhost"}, 404),
        ("POST", OTHER, 403),
        ("POST", {"Host": "localhost:8080", "Origin": "http://localhost:3000"}, 403),
        ("POST", {"Host": "localhost:8080", "Origin": "http://localhost"}, 403),
        ("POST", {"Host": "localhost:8080", "Origin": "null"}, 403),
        ("POST", {"Host": "localhost:8080", "Origin": "http://[bad"}, 403),
        ("POST", {"Host": "localhost:8080", "Origin": ""}, 403),
    ],
)
async def test_without_keys_only_this_machine_and_the_own_page(
    method: str, headers: dict[str, str], status: int
) -> None:
    client = make_app().test_client()
    path = "/agents" if method == "GET" else "/stop_agent"
    data = None if method == "GET" else b'{"channel_name": "room"}'
    send = client.get if method == "GET" else client.post
    response = await send(path, headers=headers, data=data)
    assert response.status_code == status
    if status == 403:
        assert (await response.get_json())["code"] in ("foreign_host", "foreign_origin")


@pytest.mark.parametrize(
    ("settings", "more", "status"),
    [
        (WITH_KEY, "", 401),
        (WITH_KEY, "Authorization: Bearer wrong\r\n", 401),
        (WITH_KEY, "Authorization: Bearer right\r\n", 101),
        (Settings(), "", 101),
        (Settings(), "Origin: http://{here}\r\n", 101),
        (Settings(), "Origin: http://evil.example\r\n", 403),
        (Settings(), "Origin: null\r\n", 403),
    ],
)
@pytest.mark.parametrize("path", ["/channels/room?uid=1", "/v1/realtime?model=m"])
async def test_a_websocket_is_refused_before_it_is_open(
    settings: Settings, more: str, status: int, path: str
) -> None:
    async with serving(settings) as served:
        async with await served.connect() as stream:
            more = more.format(here=served.here)
            head = await shake_hands(stream, served, path, more)
        assert head.startswith(f"HTTP/1.1 {status} ")


def is_unauthorized(rejection: ConnectionRejected) -> bool:
    return rejection.status_code == 401 and b'"code":"unauthorized"' in (rejection.body or b"")


async def test_a_clients_library_sees_the_refusal() -> None:
    async with serving(WITH_KEY) as served:
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, check=is_unauthorized)):
            async with served.join("room", 1):
                pytest.fail("it was let in")
        header = [(b"Authorization", b"Bearer right")]
        async with served.join("room", 1, extra_headers=header) as websocket:
            assert (await control(websocket))["uid"] == 1


def write(path: Path, text: str, mtime_ns: int) -> None:
    """Write a file as if at a time of its own: tests are faster than some clocks."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(mtime_ns, mtime_ns))


def file_keys(path: Path, **settings: Any) -> Keys:
    return Keys(Settings(server_api_keys_file=str(path), **settings), OWN_KEY)


def test_the_keys_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    write(path, "# Ann's\nann\n\n  bob  \n", 1)
    keys = file_keys(path, server_api_key="fixed")
    assert [keys.find(key) for key in ("ann", "bob", "fixed", OWN_KEY)] == [
        "ann",
        "bob",
        "fixed",
        OWN_KEY,
    ]
    assert keys.find("# Ann's") is None
    write(path, "cas\n", 2)
    assert keys.find("cas") == "cas"
    assert keys.find("ann") is None
    path.unlink()
    assert keys.find("cas") is None
    assert keys.find("fixed") == "fixed"
    write(path, "cas\n", 3)
    assert keys.find("cas") == "cas"


def test_a_keys_file_without_a_key_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SERVER_API_KEYS_FILE: cannot be read"):
        file_keys(tmp_path / "missing")
    write(tmp_path / "empty", "\n# none yet\n", 1)
    with pytest.raises(ConfigError, match="SERVER_API_KEYS_FILE: there is no key"):
        file_keys(tmp_path / "empty")


def test_keys_that_can_be_guessed_and_a_file_without_any_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, long = tmp_path / "keys", "0123456789abcdef"
    write(path, f"{long}\n", 1)
    keys = file_keys(path, server_api_key=long)
    assert caplog.messages == []
    write(path, "hunter2\nsesame\n", 2)
    keys.known()
    write(path, "", 3)
    keys.known()
    told = [(r.levelname, r.getMessage()) for r in caplog.records if r.levelname != "INFO"]
    assert told == [
        ("WARNING", "2 of the keys: shorter than 16 characters, which can be guessed"),
        ("ERROR", "SERVER_API_KEYS_FILE: there is no key in it any more"),
    ]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


async def test_a_url_of_very_many_values_costs_no_more_than_one_of_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is compared with all keys, and whoever sends them needs none."""
    found: list[str] = []
    monkeypatch.setattr(Keys, "find", lambda _, given: found.append(given))
    client = make_app(WITH_KEY).test_client()
    assert (await client.get("/healthz?" + "&".join(["a="] * 5000))).status_code == 200
    assert len(found) < 20
