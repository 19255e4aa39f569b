"""Agents as resources: every status, their addresses, and starts that are sent again."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import trio
from quart import Response
from trio.testing import MockClock

from agent.config import Settings
from agent.options import AgentOptions
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import AgentInfo, JoinTimeout, StartFailed, Tools, TooManyAgents
from server.routes.resources import address
from tests.server.helpers import FakeAgents, make_app, serving
from tests.test_options import LEGAL

ROOM = "/agents/room"
BODY = {"uid": 7}


async def send(
    app: Any, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any, Response]:
    """Status, JSON and the whole of an answer."""
    data = b"" if body is None else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await app.test_client().open(path, method=method, data=data, headers=named)
    return response.status_code, await response.get_json(), response


async def test_an_agent_is_put_shown_and_deleted() -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    status, put, response = await send(app, "PUT", ROOM, {"uid": 7, "voice": "coral"})
    assert (status, response.headers["Location"]) == (201, ROOM)
    assert (put["channel_name"], put["uid"], put["state"]) == ("room", 7, "running")
    assert agents.started[0].voice == "coral"
    status, shown, _ = await send(app, "GET", ROOM)
    assert (status, shown) == (200, put)
    status, listed, _ = await send(app, "GET", "/agents")
    assert (status, listed) == (200, {"agents": [put]})
    status, ended, _ = await send(app, "DELETE", ROOM)
    assert status == 200
    assert (ended["state"], ended["reason"], ended["exit_status"]) == ("ended", "stopped", 0)
    assert (await send(app, "GET", "/agents"))[1] == {"agents": []}
    # One that ended of late is still shown, and cannot be stopped again.
    status, shown, _ = await send(app, "GET", ROOM)
    assert (status, shown) == (200, ended)
    status, answer, _ = await send(app, "DELETE", ROOM)
    assert (status, answer["code"]) == (404, "agent_not_found")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", [ROOM, "/agents/" + "a" * 65, "/agents/a%0A", "/agents/%FF"])
async def test_there_is_none(method: str, path: str) -> None:
    status, answer, _ = await send(make_app(), method, path)
    assert (status, answer["code"]) == (404, "agent_not_found")


@pytest.mark.parametrize("name", ["room", ""])
async def test_the_body_may_name_the_channel_once_more(name: str) -> None:
    status, _, _ = await send(make_app(), "PUT", ROOM, BODY | {"channel_name": name})
    assert status == 201


@pytest.mark.parametrize(
    ("path", "body", "at"),
    [
        (ROOM, {"uid": 7, "channel_name": "other"}, ["channel_name"]),
        (ROOM, {"uid": 7, "channel_name": 5}, ["channel_name"]),
        (ROOM, {}, ["uid"]),
        (ROOM, [], [""]),
        (ROOM, None, [""]),
        (ROOM, {"uid": 7, "x": 1, "speed": "9"}, ["speed", "x"]),
        ("/agents/" + "a" * 65, BODY, ["channel_name"]),
        ("/agents/caf%C3%A9", BODY, ["channel_name"]),
        ("/agents/a%0A", BODY, ["channel_name"]),
    ],
)
async def test_a_bad_put_is_refused_with_the_places(path: str, body: Any, at: list[str]) -> None:
    agents = FakeAgents()
    status, answer, _ = await send(make_app(agents=agents), "PUT", path, body)
    assert (status, answer["code"]) == (400, "invalid_request")
    assert sorted(detail["path"] for detail in answer["details"]) == at
    assert agents.started == []


async def test_what_runs_just_so_is_no_conflict() -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    await send(app, "PUT", ROOM, {"uid": 7, "speed": 1})
    status, answer, _ = await send(app, "PUT", ROOM, {"speed": 1.0, "uid": 7})
    assert (status, answer["channel_name"], len(agents.started)) == (200, "room", 1)
    status, answer, _ = await send(app, "PUT", ROOM, {"uid": 8, "speed": 1})
    assert (status, answer["code"]) == (409, "agent_already_running")
    status, answer, _ = await send(app, "PUT", ROOM, {"uid": 7, "speed": 1}, Idempotency_Key="k")
    assert (status, answer["code"]) == (409, "agent_already_running")  # somebody else wants it


async def test_another_agent_of_the_same_options_is_not_it() -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    await send(app, "PUT", ROOM, BODY)
    await agents.stop("room")
    await agents.start(AgentOptions(channel_name="room", uid=7))  # not by this server's client
    assert (await send(app, "PUT", ROOM, BODY))[0] == 409


async def test_one_that_is_being_stopped_does_not_run() -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    await send(app, "PUT", ROOM, BODY)
    agents.change("room", state="stopping")
    assert (await send(app, "PUT", ROOM, BODY))[0] == 409


FAULTS: list[tuple[Any, int, str]] = [
    (StartFailed("no"), 500, "start_failed"),
    (JoinTimeout("late"), 504, "join_timeout"),
    (TooManyAgents(16, 3), 503, "too_many_agents"),
]


@pytest.mark.parametrize(("fault", "status", "code"), FAULTS)
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_start_that_fails_says_why(method: str, fault: Any, status: int, code: str) -> None:
    agents = FakeAgents()
    agents.fault = fault
    path = ROOM if method == "PUT" else "/start_agent"
    body = BODY | {"channel_name": "room"}
    got, answer, response = await send(make_app(agents=agents), method, path, body)
    assert (got, answer["code"]) == (status, code)
    assert answer["error"].startswith("Failed to start agent: ")
    assert response.headers.get("Retry-After") == ("3" if status == 503 else None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/agents", {"GET", "HEAD", "OPTIONS"}),
        ("POST", ROOM, {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ("PATCH", ROOM, {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ("PUT", "/start_agent", {"POST", "OPTIONS"}),
    ],
)
async def test_another_method_is_told_which_there_are(
    method: str, path: str, allowed: set[str]
) -> None:
    status, answer, response = await send(make_app(), method, path)
    assert (status, answer["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == allowed


async def test_every_legal_name_has_an_address() -> None:
    names = [LEGAL[:45], LEGAL[45:], " ", "%41", "a;b?c#d=e&f", "...", "events", "a|b"]
    agents = FakeAgents()
    async with serving(agents=agents) as served, httpx2.AsyncClient() as client:
        for name in names:
            here = f"http://{served.here}{address(name)}"
            response = await client.put(here, json=BODY)
            assert (response.status_code, response.json()["channel_name"]) == (201, name)
            assert response.headers["Location"] == address(name)
            assert (await client.get(here)).json()["channel_name"] == name
            assert (await client.delete(here)).status_code == 200
    assert [options.channel_name for options in agents.started] == names


@pytest.mark.parametrize("name", [".", ".."])
async def test_names_that_clients_take_for_a_step_have_one_as_well(name: str) -> None:
    agents = FakeAgents()
    await agents.start(AgentOptions(channel_name=name))
    async with serving(agents=agents) as served:
        stream = await served.connect()
        async with stream:
            head = f"DELETE /agents/{name} HTTP/1.1\r\nHost: {served.here}\r\n"
            await stream.send_all(f"{head}Connection: close\r\n\r\n".encode())
            answer = b"".join([piece async for piece in stream])
    assert answer.startswith(b"HTTP/1.1 200")
    assert agents.agents() == []


async def test_a_head_is_the_answer_without_its_body() -> None:
    agents = FakeAgents()
    await agents.start(AgentOptions(channel_name="room"))
    agents.logs["room"] = EventLog("run")  # goes on for ever
    async with serving(agents=agents) as served, httpx2.AsyncClient() as client:
        for path in ("/agents", ROOM, f"{ROOM}/events", "/openapi.json", "/healthz"):
            response = await client.head(f"http://{served.here}{path}")
            assert (response.status_code, response.content) == (200, b"")
        assert (await client.head(f"http://{served.here}/agents/no")).status_code == 404


START = {"channel_name": "room", "uid": 7}
WAYS = [("POST", "/start_agent", START), ("PUT", ROOM, BODY)]


@pytest.mark.parametrize(("method", "path", "body"), WAYS)
async def test_a_start_that_is_sent_again_gets_the_same_answer(
    method: str, path: str, body: Any, autojump_clock: MockClock
) -> None:
    agents = FakeAgents()
    agents.may_join = trio.Event()
    app = make_app(agents=agents)
    got: list[tuple[int, Any, str | None]] = []

    async def ask() -> None:
        status, answer, response = await send(app, method, path, body, Idempotency_Key="k 1")
        got.append((status, answer, response.headers.get("Location")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await trio.sleep(1)
        assert got == []
        agents.may_join.set()
    await agents.stop("room")
    await ask()
    assert len(agents.started) == 1
    assert got[0][0] in (200, 201)
    assert got == [got[0]] * 3


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/start_agent", START | {"voice": "coral"}),
        ("PUT", ROOM, START),  # the same, but another request
    ],
)
async def test_a_key_is_for_one_request(method: str, path: str, body: Any) -> None:
    app = make_app()
    assert (await send(app, "POST", "/start_agent", START, Idempotency_Key="k"))[0] == 200
    status, answer, _ = await send(app, method, path, body, Idempotency_Key="k")
    assert (status, answer["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "caf\u00e9", "a\tb"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    status, answer, _ = await send(app, "POST", "/start_agent", START, Idempotency_Key=key)
    assert (status, answer["details"][0]["path"]) == (400, "Idempotency-Key")
    assert agents.started == []


@pytest.mark.parametrize(("fault", "status", "_"), FAULTS)
async def test_a_start_that_failed_can_be_tried_again_with_its_key(
    fault: Any, status: int, _: str
) -> None:
    agents = FakeAgents()
    agents.fault = fault
    app = make_app(agents=agents)
    assert (await send(app, "PUT", ROOM, BODY, Idempotency_Key="k"))[0] == status
    agents.fault = None
    assert (await send(app, "PUT", ROOM, BODY, Idempotency_Key="k"))[0] == 201


@pytest.mark.parametrize(("method", "path", "body"), WAYS)
async def test_a_conflict_is_no_answer_that_stays(method: str, path: str, body: Any) -> None:
    agents = FakeAgents()
    app = make_app(agents=agents)
    await send(app, "PUT", ROOM, {"uid": 9})
    _, answer, _ = await send(app, method, path, body, Idempotency_Key="k")
    assert answer["code"] == "agent_already_running"
    await agents.stop("room")
    assert (await send(app, method, path, body, Idempotency_Key="k"))[0] in (200, 201)


async def test_callers_do_not_see_each_others_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("hers\nhis\n")
    agents = FakeAgents()
    app = make_app(Settings(openai_api_key="k", server_api_keys_file=str(file)), agents)
    got = [
        await send(app, "PUT", f"/agents/{name}", BODY, Idempotency_Key="k", Authorization=key)
        for name, key in (("a", "Bearer hers"), ("b", "Bearer his"), ("a", "bearer  hers"))
    ]
    assert [status for status, _, _ in got] == [201, 201, 201]
    assert [options.channel_name for options in agents.started] == ["a", "b"]


class Watched(FakeAgents):
    """Tells that a start has begun, and that it was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.cancelled = trio.Event(), trio.Event()
        self.may_join = trio.Event()

    async def start(self, options: AgentOptions, *, tools: Tools | None = None) -> AgentInfo:
        self.begun.set()
        try:
            return await super().start(options, tools=tools)
        except trio.Cancelled:
            self.cancelled.set()
            raise


async def go_away(here: str, agents: Watched, **headers: str) -> None:
    """A client that is gone before its start is answered."""
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            async with httpx2.AsyncClient() as client:
                await client.put(f"http://{here}{ROOM}", json=BODY, headers=headers)

        nursery.start_soon(ask)
        await agents.begun.wait()
        nursery.cancel_scope.cancel()


async def test_a_client_that_goes_away_takes_its_start_back() -> None:
    agents = Watched()
    async with serving(agents=agents) as served:
        await go_away(served.here, agents)
        await agents.cancelled.wait()
    assert agents.started == []


async def test_with_a_key_it_can_come_back_for_it() -> None:
    agents = Watched()
    key = {"Idempotency-Key": "k"}
    async with serving(agents=agents) as served, httpx2.AsyncClient() as client:
        await go_away(served.here, agents, **key)
        again: list[httpx2.Response] = []

        async def ask() -> None:
            again.append(await client.put(f"http://{served.here}{ROOM}", json=BODY, headers=key))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            # The one that is gone would be cancelled by now: these go the same way later.
            for _ in range(5):
                await client.get(f"http://{served.here}/healthz")
            agents.may_join.set()
    assert (again[0].status_code, len(agents.started)) == (201, 1)
    assert not agents.cancelled.is_set()
