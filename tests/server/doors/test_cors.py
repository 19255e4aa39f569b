"""Pages of other origins: whom browsers let read, and what they are told first."""

import pytest
from quart.typing import TestClientProtocol as Client

from agent.config import Settings, load_settings
from agent.errors import ConfigError
from tests.server.helpers import make_app

LISTED = "https://app.example"
ASKS = {"Access-Control-Request-Method": "POST"}


def a_client(*, keys: bool = True, origins: str | None = f"{LISTED}, http://b:1") -> Client:
    key = "key" if keys else None
    settings = Settings(openai_api_key="k", server_api_key=key, cors_origins=origins)
    return make_app(settings).test_client()


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("origin", [LISTED, "http://b:1"])
async def test_a_listed_origin_is_told_what_it_may(keys: bool, origin: str) -> None:
    headers = {"Origin": origin, "Host": "localhost"} | ASKS
    response = await a_client(keys=keys).options("/start_agent", headers=headers)
    assert response.status_code == 204
    told = {
        name.title(): value
        for name, value in response.headers
        if name.lower().startswith("access-")
    }
    assert told == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
        "Access-Control-Allow-Headers": (
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
        ),
        "Access-Control-Expose-Headers": "Location, Retry-After",
        "Access-Control-Max-Age": "600",
    }
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("path", "status"), [("/agents", 401), ("/healthz", 200), ("/nowhere", 401), ("/", 200)]
)
async def test_errors_can_be_read_too(path: str, status: int) -> None:
    response = await a_client().get(path, headers={"Origin": LISTED})
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == LISTED


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://app.exampl",
        "https://APP.example",
        "null",
        "",
        "*",
        f"{LISTED}, http://b:1",
    ],
)
async def test_no_other_origin_is_told_anything(origin: str) -> None:
    client = a_client()
    for response in (
        await client.options("/start_agent", headers={"Origin": origin} | ASKS),
        await client.get("/healthz", headers={"Origin": origin}),
    ):
        assert not [name for name, _ in response.headers if name.lower().startswith("access-")]
        assert response.headers["Vary"] == "Origin"


async def test_with_an_empty_list_nobody_is() -> None:
    client = a_client(origins=None)
    for origin in (LISTED, ""):
        headers = {"Origin": origin} | ASKS
        response = await client.options("/start_agent", headers=headers)
        assert response.status_code == 401
        response = await client.get("/healthz", headers=headers)
        assert not [name for name, _ in response.headers if name.lower().startswith("access-")]
        assert "Vary" not in response.headers


async def test_a_foreign_host_is_told_nothing() -> None:
    headers = {"Origin": LISTED, "Host": "evil.example"} | ASKS
    response = await a_client(keys=False).options("/start_agent", headers=headers)
    assert response.status_code == 403
    assert "Access-Control-Allow-Methods" not in response.headers


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "app.example",
        "https://app.example/",
        "https://a.b,",
        "https://*.b",
        "HTTPS://A",
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ConfigError, match="CORS_ORIGINS: must be origins such as"):
        load_settings({"CORS_ORIGINS": text}, None)
