"""Every answer of the HTTP calls, over a supervisor without processes."""

from typing import Any

import orjson
import pytest
from quart import Response

from agent.config import Settings
from agent.errors import AgentError, ConfigError
from agent.supervisor.supervisor import JoinTimeout, StartFailed
from server import faults as table
from server.bodies import BODY_BYTES
from server.stages import Stages
from tests.server.helpers import FakeAgents, make_app

STARTED = {
    "status": "Agent started!",
    "channel_name": "room",
    "uid": 7,
    "model": "a-model",
    "embedded": False,
    "pid": 4711,
}


def deep(levels: int) -> bytes:
    """A start whose option `tracing` is nested so deep."""
    nest = b"[" * levels + b"]" * levels
    return b'{"channel_name": "room", "uid": 7, "tracing": ' + nest + b"}"


async def post(app: Any, path: str, body: Any, **headers: str) -> tuple[int, Any, Response]:
    """Status, JSON and the whole of an answer."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    response = await app.test_client().post(path, data=data, headers=headers)
    assert response.content_type == "application/json"
    return response.status_code, await response.get_json(), response


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/octet-stream"])
async def test_an_agent_is_started_listed_and_stopped(kind: str) -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    body = {"channel_name": "room", "uid": 7}
    status, answer, _ = await post(app, "/start_agent", body, content_type=kind)
    assert (status, answer) == (200, STARTED)
    assert [options.uid for options in agents.started] == [7]
    listed = await (await app.test_client().get("/agents")).get_json()
    told = {name: listed["agents"][0][name] for name in ("channel_name", "uid", "state", "pid")}
    assert told == {"channel_name": "room", "uid": 7, "state": "running", "pid": 4711}
    status, answer, _ = await post(app, "/stop_agent", {"channel_name": "room"})
    assert status == 200
    assert answer == {
        "status": "Agent process terminated",
        "channel_name": "room",
        "exit_status": 0,
        "killed": False,
    }
    assert agents.agents() == []


async def test_options_reach_the_agent() -> None:
    agents = FakeAgents()
    body = {"channel_name": "room", "uid": 0, "voice": "coral", "turn_detection": None}
    status, _, _ = await post(make_app(agents=agents), "/start_agent", body)
    assert status == 200
    assert (agents.started[0].voice, agents.started[0].turn_detection) == ("coral", None)


BAD_STARTS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "not JSON": (b"channel_name=room", [("", "not JSON")]),
    "empty": (b"", [("", "not JSON")]),
    "not UTF-8": (b'{"channel_name": "\xff"}', [("", "not JSON")]),
    "NaN": (b'{"channel_name": "room", "uid": NaN}', [("", "not JSON")]),
    "a list": ([], [("", "expected an object")]),
    "null": (None, [("", "expected an object")]),
    "nothing": ({}, [("channel_name", "missing"), ("uid", "missing")]),
    "no uid": ({"channel_name": "room"}, [("uid", "missing")]),
    "no name": ({"uid": 7}, [("channel_name", "missing")]),
    "a text uid": ({"channel_name": "room", "uid": "7"}, [("uid", "expected a whole number")]),
    "an empty uid": ({"channel_name": "room", "uid": ""}, [("uid", "missing")]),
    "a null uid": ({"channel_name": "room", "uid": None}, [("uid", "expected a whole number")]),
    "true as uid": ({"channel_name": "room", "uid": True}, [("uid", "expected a whole number")]),
    "uid -1": ({"channel_name": "room", "uid": -1}, [("uid", "must be 0 to 4294967295")]),
    "uid 2^32": ({"channel_name": "room", "uid": 2**32}, [("uid", "must be 0 to 4294967295")]),
    "a bad name": ({"channel_name": "a/b", "uid": 7}, [("channel_name", "must be 1 to 64")]),
    "a number as name": ({"channel_name": 5, "uid": 7}, [("channel_name", "expected text")]),
    "unknown": ({"channel_name": "room", "uid": 7, "x": 1}, [("x", "unknown field")]),
    "unknown, no uid": (
        {"channel_name": "room", "x": 1},
        [("x", "unknown field"), ("uid", "missing")],
    ),
    "an inner fault": (
        {
            "channel_name": "room",
            "uid": 7,
            "turn_detection": {"type": "server_vad", "threshold": "a"},
        },
        [("turn_detection.threshold", "expected a number")],
    ),
    "deep": (deep(1_000), [("", "nested deeper than")]),
}


@pytest.mark.parametrize("case", BAD_STARTS)
async def test_a_bad_start_is_refused_with_the_places(case: str) -> None:
    body, faults = BAD_STARTS[case]
    agents = FakeAgents()
    status, answer, _ = await post(make_app(agents=agents), "/start_agent", body)
    assert (status, answer["error"], answer["code"]) == (
        400,
        "Invalid request data",
        "invalid_request",
    )
    got = [(detail["path"], detail["message"]) for detail in answer["details"]]
    assert [path for path, _ in got] == [path for path, _ in faults]
    for (_, message), (_, words) in zip(got, faults, strict=True):
        assert message.startswith(words)
    assert agents.started == []


FAULTS: dict[str, tuple[AgentError, int, dict[str, Any]]] = {
    "failed": (
        StartFailed("the key is wrong"),
        500,
        {"error": "Failed to start agent: the key is wrong", "code": "start_failed"},
    ),
    "any other": (
        AgentError("no more processes"),
        500,
        {"error": "Failed to start agent: no more processes", "code": "start_failed"},
    ),
    "late": (
        JoinTimeout("not joined within 30 s"),
        504,
        {"error": "Failed to start agent: not joined within 30 s", "code": "join_timeout"},
    ),
    "configuration": (
        ConfigError("RTC: agora is not here"),
        400,
        {
            "error": "Invalid request data",
            "code": "invalid_request",
            "details": [{"path": "", "message": "RTC: agora is not here"}],
        },
    ),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_a_start_that_fails_says_why(case: str) -> None:
    agents = FakeAgents()
    agents.fault, expected_status, expected = FAULTS[case]
    body = {"channel_name": "room", "uid": 7}
    status, answer, _ = await post(make_app(agents=agents), "/start_agent", body)
    assert (status, answer) == (expected_status, expected)


async def test_a_channel_has_one_agent() -> None:
    app = make_app()
    body = {"channel_name": "room", "uid": 7}
    await post(app, "/start_agent", body)
    status, answer, _ = await post(app, "/start_agent", body)
    assert status == 400
    assert answer == {
        "error": "Agent already running for channel: room",
        "code": "agent_already_running",
    }


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b"{", "", "not JSON"),
        ([1], "", "expected an object"),
        ({}, "channel_name", "missing"),
        ({"channel_name": 5}, "channel_name", "expected text"),
        ({"channel_name": "room", "uid": 7}, "uid", "unknown field"),
    ],
)
async def test_a_bad_stop_is_refused_with_the_place(body: Any, path: str, words: str) -> None:
    status, answer, _ = await post(make_app(), "/stop_agent", body)
    assert (status, answer["error"]) == (400, "Invalid request data")
    [detail] = answer["details"]
    assert detail["path"] == path
    assert detail["message"].startswith(words)


@pytest.mark.parametrize("name", ["nobody's", "", "a/b"])
async def test_only_an_agent_that_runs_can_be_stopped(name: str) -> None:
    status, answer, _ = await post(make_app(), "/stop_agent", {"channel_name": name})
    assert status == 404
    assert answer == {
        "error": "No active agent found for the provided channel_name",
        "code": "agent_not_found",
    }


async def test_when_the_server_stops_no_agent_is_started() -> None:
    agents, stages = FakeAgents(), Stages()
    app = make_app(agents=agents, stages=stages)
    stages.draining.set()
    status, answer, _ = await post(app, "/start_agent", {"channel_name": "room", "uid": 7})
    assert (status, answer["code"], agents.started) == (503, "shutting_down", [])
    # Who runs may be stopped all the same, for however long the server waits.
    status, answer, _ = await post(app, "/stop_agent", {"channel_name": "room"})
    assert (status, answer["code"]) == (404, "agent_not_found")
    assert (await app.test_client().get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("settings", "model", "embedded"),
    [
        (Settings(), "embedded", True),
        (Settings(openai_api_key="k"), "gpt-realtime-2.1", False),
        (Settings(realtime_api_base_uri="ws://localhost", openai_model="m"), "m", False),
    ],
)
async def test_health_names_the_model(settings: Settings, model: str, embedded: bool) -> None:
    response = await make_app(settings).test_client().get("/healthz")
    assert response.status_code == 200
    assert await response.get_json() == {
        "status": "ok",
        "model": model,
        "embedded": embedded,
        "agents": 0,
        "key_needed": False,
    }


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("GET", "/nowhere", b"", 404, "not_found"),
        ("GET", "/start_agent", b"", 405, "method_not_allowed"),
        ("DELETE", "/agents", b"", 405, "method_not_allowed"),
        ("POST", "/start_agent", b" " * (BODY_BYTES + 1), 413, "request_entity_too_large"),
        ("GET", "/channels/room", b"", 400, "bad_request"),
        ("GET", "/web/nothing.js", b"", 404, "not_found"),
    ],
)
async def test_errors_are_json(method: str, path: str, data: bytes, status: int, code: str) -> None:
    client = make_app().test_client()
    send = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]
    response = await send(path, data=data)
    assert response.status_code == status
    answer = await response.get_json()
    assert answer["code"] == code
    assert answer["error"]
    assert (status, code) in {(fault.status, fault.code) for fault in table.FAULTS}
    if status == 405:
        assert response.headers["Allow"]


async def test_an_error_of_ours_is_a_500_that_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app()

    @app.get("/broken")
    async def broken() -> str:
        raise RuntimeError("a secret")

    response = await app.test_client().get("/broken")
    assert response.status_code == 500
    assert await response.get_json() == {
        "error": "Internal server error",
        "code": "internal_server_error",
    }
    assert "a secret" in caplog.text  # it is in the log


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere", "/start_agent", "/web/app.js"])
async def test_every_answer_has_the_security_headers(path: str) -> None:
    headers = (await make_app().test_client().get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "connect-src 'self' ws: wss:" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


async def test_the_page_and_its_files_are_served_and_cached_by_their_tag() -> None:
    client = make_app().test_client()
    page = await client.get("/")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    script = await client.get("/web/app.js")
    assert (script.status_code, script.mimetype) == (200, "text/javascript")
    assert script.headers["Cache-Control"] == "no-cache"
    again = await client.get("/web/app.js", headers={"If-None-Match": script.headers["ETag"]})
    assert (again.status_code, await again.get_data()) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/web/",
        "/web/../app.py",
        "/web/..%2fapp.py",
        "/web/%2e%2e/web/app.js",
        "/web//etc/passwd",
        "/web/app.js/app.js",
        "/web/a%00.js",
        "/web/" + "a" * 300 + ".js",
    ],
)
async def test_no_other_file_is_served(path: str) -> None:
    assert (await make_app().test_client().get(path)).status_code == 404
