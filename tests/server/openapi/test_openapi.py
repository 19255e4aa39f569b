"""The document at /openapi.json: it is valid, and says all there is; the server keeps to it."""

import ast
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from quart import Quart

from agent.config import Settings
from agent.errors import AgentError
from agent.options import options_from_json
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import AgentInfo, JoinTimeout, StartFailed, TooManyAgents
from server.answers import answer
from server.faults import FAULTS
from server.openapi.document import Undocumented, document
from tests.server.helpers import FakeAgents, make_app, serving
from tests.server.test_resources import send
from tests.test_options import DEFAULTS

SERVER = Path(__file__).parents[3] / "server"


async def attacked(told: dict[str, Any], here: str) -> set[tuple[str, int]]:
    # Imported here: every worker imports this module, and schemathesis takes it two seconds.
    from tests.server.openapi.attack import attack

    return await trio.to_thread.run_sync(attack, told, here)


async def made(app: Quart) -> dict[str, Any]:
    async with app.app_context():
        return document(app)


async def test_it_is_served_and_valid() -> None:
    response = await make_app().test_client().get("/openapi.json")
    told = await response.get_json()
    assert told["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(told).iter_errors()) == []
    # And so are the schemas in it.
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_every_route_is_in_it() -> None:
    app = make_app()
    told = await made(app)
    routes = {
        (rule.endpoint.rpartition(".")[2], method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.websocket
    }
    there = {
        (operation["operationId"], method)
        for path in told["paths"].values()
        for method, operation in path.items()
    }
    assert there == routes


async def test_a_route_that_says_nothing_of_itself_is_found() -> None:
    app = make_app()

    @app.get("/new")
    async def new() -> str:
        return ""

    with pytest.raises(Undocumented, match="/new"):
        await made(app)


def failures() -> set[tuple[int, str]]:
    """What the server's code answers, as it stands in its source."""
    return {
        (int(str(call.args[0].value)), str(call.args[1].value))
        for file in SERVER.glob("**/*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "failure"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[1], ast.Constant)
    }


def test_every_error_is_in_the_table() -> None:
    table = [(fault.status, fault.code) for fault in FAULTS]
    assert len(set(table)) == len(table)
    assert len(failures()) > 10
    assert failures() - set(table) == set()


@pytest.mark.parametrize("required", [["channel_name", "uid"], ["uid"]])
async def test_options_are_documented_as_they_are_checked(required: list[str]) -> None:
    told = await made(make_app())
    name = "StartAgentOptions" if "channel_name" in required else "PutAgentOptions"
    schema = told["components"]["schemas"][name]
    assert schema["properties"].keys() == {"channel_name", *DEFAULTS}
    assert schema["required"] == required
    validator = Draft202012Validator({**schema, "components": told["components"]})
    good = {"channel_name": "room", "uid": 7}
    for name_, value in FITTING + MISFITTING:
        fits = validator.is_valid(good | {name_: value})
        assert fits == ((name_, value) in FITTING), (name_, value)
        if fits:
            options_from_json(good | {name_: value})


FITTING: list[tuple[str, Any]] = [
    ("channel_name", "a b!#$%&()+-:;<=.>?@[]^_{}|~,"),
    ("uid", 2**32 - 1),
    ("rtc", None),
    ("speed", 0.25),
    ("output_modalities", ["text"]),
    ("max_output_tokens", "inf"),
    ("tool_choice", {"type": "function", "name": "x"}),
    ("turn_detection", {"type": "semantic_vad", "of_the_future": 1}),
    ("metadata", {str(n): "" for n in range(16)}),
]
MISFITTING: list[tuple[str, Any]] = [
    ("channel_name", "a/b"),
    ("channel_name", "a" * 65),
    ("uid", 2**32),
    ("uid", "7"),
    ("rtc", "here"),
    ("voice", None),
    ("speed", 0.24),
    ("speed", 1.51),
    ("output_modalities", ["audio", "text"]),
    ("max_output_tokens", 0),
    ("turn_detection", {"threshold": "a"}),
    ("min_interruption_ms", 10_001),
    ("local_barge_in", "yes"),
    ("metadata", {str(n): "" for n in range(17)}),
    ("metadata", {"a": 1}),
    ("unknown", 1),
]


RARE: list[tuple[str, str, dict[str, str], AgentError | None, tuple[int, str]]] = [
    ("POST", "/start_agent", {}, None, (400, "agent_already_running")),
    ("PUT", "/agents/{channel_name}", {}, None, (409, "agent_already_running")),
    ("POST", "/start_agent", {"Idempotency-Key": "k"}, None, (422, "idempotency_key_reused")),
    ("POST", "/start_agent", {}, StartFailed("no"), (500, "start_failed")),
    ("PUT", "/agents/{channel_name}", {}, TooManyAgents(16, 3), (503, "too_many_agents")),
    ("POST", "/start_agent", {}, JoinTimeout("late"), (504, "join_timeout")),
    ("GET", "/agents", {"Host": "example.com"}, None, (403, "foreign_host")),
    ("POST", "/stop_agent", {"Origin": "http://example.com"}, None, (403, "foreign_origin")),
]


@pytest.mark.parametrize(("method", "path", "headers", "fault", "expected"), RARE)
async def test_answers_that_no_single_request_gets_are_in_it(
    method: str,
    path: str,
    headers: dict[str, str],
    fault: AgentError | None,
    expected: tuple[int, str],
) -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    body = {"channel_name": "room", "uid": 7}
    key = {"Idempotency-Key": "k"}
    await send(app, "PUT", "/agents/room", body, **key)
    agents.fault = fault
    place = path.format(channel_name="room")
    status, got, _ = await send(app, method, place, body | {"uid": 8}, **headers)
    assert (status, got["code"]) == expected
    told = (await made(app))["paths"][path][method.lower()]["responses"][str(status)]
    schema = told["content"]["application/json"]["schema"]
    assert got["code"] in schema["allOf"][1]["properties"]["code"]["enum"]


class EndedLogs(FakeAgents):
    """Whose agents' events are at their end at once: a stream that is read to it returns.

    There is room for all that are asked for, or the server were not ready, rightly with a 503.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limit = 10**6

    async def start(self, options: Any, **more: Any) -> AgentInfo:
        info = await super().start(options, **more)
        log = self.logs[info.channel_name] = EventLog("run")
        log.add({"type": "state"})
        log.end()
        return info


async def test_no_request_gets_an_answer_outside_of_it() -> None:
    project = Settings(openai_api_key="k", agora_app_id="a" * 32, agora_app_cert="b" * 32)
    async with serving(project, EndedLogs(), limit_s=600) as served, httpx2.AsyncClient() as client:
        here = f"http://{served.here}"
        told = (await client.get(f"{here}/openapi.json")).json()
        found = await attacked(told, here)
    # It is not all refused.
    assert {("start_agent", 200), ("put_agent", 201), ("agora_token", 200)} <= found
    assert len({name for name, _ in found}) == sum(len(path) for path in told["paths"].values())


async def test_an_answer_outside_of_it_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.routes import resources

    monkeypatch.setattr(resources, "no_agent", lambda: answer({"error": "x"}, 410))
    async with serving(limit_s=600) as served, httpx2.AsyncClient() as client:
        here = f"http://{served.here}"
        told = (await client.get(f"{here}/openapi.json")).json()
        told["paths"] = {"/agents/{channel_name}": told["paths"]["/agents/{channel_name}"]}
        with pytest.raises(BaseExceptionGroup, match="Undocumented status code"):
            await attacked(told, here)
