"""Tokens for people's own clients: who gets one, for what, and what no one gets."""

import time
from typing import Any

import orjson
import pytest
from attrs import evolve
from quart import Response
from quart_trio import QuartTrio

from agent.config import Settings
from agent.errors import ConfigError
from agent.options import MAX_UID, AgentOptions
from server.bodies import BODY_BYTES
from tests.rtc.test_agora_token import APP_ID, CERTIFICATE, parse
from tests.server.doors.test_guard import OTHER, SAME, bearer
from tests.server.helpers import FakeAgents, make_app

AGORA = Settings(openai_api_key="k", agora_app_id=APP_ID, agora_app_cert=CERTIFICATE)
WITH_KEY = evolve(AGORA, server_api_key="right")
GOOD: dict[str, Any] = {"channel_name": "room", "uid": 7}


async def ask(
    app: QuartTrio, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any, Response]:
    """Status, JSON and the whole of the answer to a wish for a token."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    response = await app.test_client().post("/agora_token", data=data, headers=headers or {})
    return response.status_code, await response.get_json(), response


@pytest.mark.parametrize("uid", [1, 7, MAX_UID])
async def test_a_user_gets_a_token_for_its_channel_and_uid(uid: int) -> None:
    name = "a room: !#$%&()+-;<=.>?@[]^_{}|~,"
    before = int(time.time())
    status, answer, response = await ask(make_app(AGORA), {"channel_name": name, "uid": uid})
    token = parse(answer.pop("token"))
    expected = {"app_id": APP_ID, "channel_name": name, "uid": uid, "expires_in_s": 86_400}
    assert (status, answer) == (200, expected)
    assert (token.app_id, token.channel_name, token.uid) == (APP_ID, name, str(uid))
    assert (token.ttl_s, token.rights) == (86_400, dict.fromkeys([1, 2, 3, 4], 86_400))
    assert before <= token.issued_at <= time.time()
    assert token.is_signed_with(CERTIFICATE)
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_token_is_good_for_as_long_as_is_set() -> None:
    _, answer, _ = await ask(make_app(evolve(AGORA, agora_token_ttl_s=60)), GOOD)
    token = parse(answer["token"])
    assert (answer["expires_in_s"], token.ttl_s, set(token.rights.values())) == (60, 60, {60})


@pytest.mark.parametrize("seconds", [59, 86_401])
def test_how_long_can_be_set_within_limits(seconds: int) -> None:
    with pytest.raises(ValueError, match="must be 60 to 86400"):
        Settings(agora_token_ttl_s=seconds)


async def test_a_project_without_a_certificate_needs_no_token() -> None:
    status, answer, _ = await ask(make_app(evolve(AGORA, agora_app_cert=None)), GOOD)
    expected = {"app_id": APP_ID, "token": None, "expires_in_s": None}
    assert (status, answer) == (200, GOOD | expected)


async def test_without_a_project_there_are_no_tokens() -> None:
    status, answer, _ = await ask(make_app(evolve(AGORA, agora_app_id=None)), GOOD)
    assert (status, answer["code"]) == (404, "agora_not_configured")
    assert "AGORA_APP_ID" in answer["error"]


@pytest.mark.parametrize(
    ("app_id", "certificate", "name"),
    [
        ("app", CERTIFICATE, "AGORA_APP_ID"),
        ("app", None, "AGORA_APP_ID"),
        (APP_ID, "cert", "AGORA_APP_CERT"),
    ],
)
def test_no_server_starts_with_what_is_no_project(
    app_id: str, certificate: str | None, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: must be 32 hexadecimal digits$"):
        make_app(evolve(AGORA, agora_app_id=app_id, agora_app_cert=certificate))


NO_UID_0 = "must be 1 to 4294967295; a token for 0, which is any uid, could put the agent out"
BAD: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "not JSON": (b"uid=7", [("", "not JSON")]),
    "a list": ([], [("", "expected an object")]),
    "nothing": ({}, [("channel_name", "missing"), ("uid", "missing")]),
    "no uid": ({"channel_name": "room"}, [("uid", "missing")]),
    "no name": ({"uid": 7}, [("channel_name", "missing")]),
    "uid 0": (GOOD | {"uid": 0}, [("uid", NO_UID_0)]),
    "uid -1": (GOOD | {"uid": -1}, [("uid", "must be 1 to 4294967295")]),
    "uid 2^32": (GOOD | {"uid": 2**32}, [("uid", "must be 1 to 4294967295")]),
    "a text uid": (GOOD | {"uid": "7"}, [("uid", "expected a whole number, not text")]),
    "a null uid": (GOOD | {"uid": None}, [("uid", "expected a whole number, not null")]),
    "true as uid": (GOOD | {"uid": True}, [("uid", "expected a whole number")]),
    "uid 7.0": (GOOD | {"uid": 7.0}, [("uid", "expected a whole number")]),
    "an empty name": (GOOD | {"channel_name": ""}, [("channel_name", "must be 1 to 64")]),
    "a long name": (GOOD | {"channel_name": "a" * 65}, [("channel_name", "must be 1 to 64")]),
    "a bad name": (GOOD | {"channel_name": "a/b"}, [("channel_name", "must be 1 to 64")]),
    "a number as name": (GOOD | {"channel_name": 5}, [("channel_name", "expected text")]),
    "unknown": (GOOD | {"ttl_s": 5}, [("ttl_s", "unknown field")]),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_wish_is_refused_with_the_places(case: str) -> None:
    body, faults = BAD[case]
    status, answer, _ = await ask(make_app(AGORA), body)
    assert (status, answer["error"], answer["code"]) == (
        400,
        "Invalid request data",
        "invalid_request",
    )
    got = [(detail["path"], detail["message"]) for detail in answer["details"]]
    assert [path for path, _ in got] == [path for path, _ in faults]
    for (_, message), (_, words) in zip(got, faults, strict=True):
        assert message.startswith(words)


async def test_the_agents_own_uid_is_for_no_one_else() -> None:
    agents = FakeAgents()
    app = make_app(AGORA, agents)
    await agents.start(AgentOptions(channel_name="room", uid=7))
    await agents.start(AgentOptions(channel_name="another", uid=8))
    status, answer, _ = await ask(app, GOOD)
    assert (status, answer) == (
        409,
        {"error": "The agent in channel room has this uid", "code": "uid_taken"},
    )
    for other in (GOOD | {"uid": 8}, GOOD | {"channel_name": "another"}):
        assert (await ask(app, other))[0] == 200
    await agents.stop("room")
    assert (await ask(app, GOOD))[0] == 200


@pytest.mark.parametrize(
    ("settings", "headers", "status", "code"),
    [
        (WITH_KEY, {}, 401, "unauthorized"),
        (WITH_KEY, bearer("wrong"), 401, "unauthorized"),
        (WITH_KEY, bearer("right"), 200, None),
        (AGORA, {}, 200, None),
        (AGORA, SAME, 200, None),
        (AGORA, OTHER, 403, "foreign_origin"),
        (AGORA, {"Host": "evil.example"}, 403, "foreign_host"),
    ],
)
async def test_who_may_have_a_token(
    settings: Settings, headers: dict[str, str], status: int, code: str | None
) -> None:
    got, answer, _ = await ask(make_app(settings), GOOD, headers)
    assert (got, answer.get("code")) == (status, code)
    assert ("token" in answer) is (status == 200)


async def test_a_token_cannot_be_had_by_a_link() -> None:
    response = await make_app(AGORA).test_client().get("/agora_token?channel_name=room&uid=7")
    assert response.status_code == 405
    assert "GET" not in response.headers["Allow"]


async def test_the_certificate_stays_on_the_server(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    agents = FakeAgents()
    await agents.start(AgentOptions(channel_name="taken", uid=7))
    bodies = [GOOD, {"channel_name": "taken", "uid": 7}, b" " * (BODY_BYTES + 1)]
    bodies += [body for body, _ in BAD.values()]
    said = [repr(AGORA)]
    for settings in (AGORA, WITH_KEY, evolve(AGORA, agora_app_id=None)):
        app = make_app(settings, agents)
        for body in bodies:
            _, _, response = await ask(app, body)
            said += [str(response.headers), await response.get_data(as_text=True)]
        for path in ("/agora_token", "/healthz", "/agents"):
            response = await app.test_client().get(path)
            said += [str(response.headers), await response.get_data(as_text=True)]
    said += [caplog.text, *capfd.readouterr()]
    assert f'"app_id":"{APP_ID}"' in "".join(said)
    assert CERTIFICATE.lower() not in "".join(said).lower()
