"""Tickets: how they are got, what they open, how long."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quart.typing import TestClientProtocol as Client

from agent.config import Settings
from agent.options import AgentOptions, OptionsError
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import StartFailed, Tools
from server.doors.auth import Keys
from server.doors.tickets import Ticket, TicketInvalid, Tickets
from server.profiles import ProfilesFile
from tests.server.doors.test_doors import KEY, NOW, bearer, ticket
from tests.server.helpers import OWN_KEY, SECRET, FakeAgents, control, make_app, serving

WITH_KEY = Settings(openai_api_key="k", server_api_key=KEY)


def a_client(settings: Settings = WITH_KEY) -> Client:
    return make_app(settings, clock=lambda: NOW + 0.75).test_client()


async def test_a_backend_gets_a_ticket_and_its_page_uses_it() -> None:
    client = a_client()
    body = {"channel_name": "a room", "ttl_s": 10}
    response = await client.post("/tickets", headers=bearer(KEY), json=body)
    got = await response.get_json()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    text = got.pop("ticket")
    assert got == {"channel_name": "a room", "expires_at": NOW + 10}
    response = await client.post(
        "/stop_agent", headers=bearer(text), json={"channel_name": "a room"}
    )
    assert (await response.get_json())["code"] == "agent_not_found"


async def test_it_is_good_for_five_minutes_where_nothing_is_said() -> None:
    response = await a_client().post("/tickets", headers=bearer(KEY), json={"channel_name": "room"})
    assert (await response.get_json())["expires_at"] == NOW + 300


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "channel_name"),
        ({"channel_name": ""}, "channel_name"),
        ({"channel_name": "a/b"}, "channel_name"),
        ({"channel_name": 5}, "channel_name"),
        ({"channel_name": "room", "ttl_s": 9}, "ttl_s"),
        ({"channel_name": "room", "ttl_s": 3601}, "ttl_s"),
        ({"channel_name": "room", "ttl_s": "60"}, "ttl_s"),
        ({"channel_name": "room", "ttl": 60}, "ttl"),
    ],
)
async def test_a_bad_body_is_named(body: object, path: str) -> None:
    response = await a_client().post("/tickets", headers=bearer(KEY), json=body)
    assert response.status_code == 400
    assert [fault["path"] for fault in (await response.get_json())["details"]] == [path]


async def test_a_server_without_keys_mints_too() -> None:
    # So that a backend is the same in development.
    settings = Settings(openai_api_key="k")
    response = await a_client(settings).post("/tickets", json={"channel_name": "room"})
    assert response.status_code == 200
    assert (await response.get_json())["ticket"].startswith("ticket.")


@pytest.mark.parametrize(
    ("text", "needed"),
    [(ticket(), False), (ticket(age_s=60), True), ("ticket.a.b", True), ("wrong", True)],
)
async def test_health_tells_a_page_whether_its_ticket_is_good(text: str, needed: bool) -> None:
    response = await a_client().get("/healthz", headers=bearer(text))
    assert (await response.get_json())["key_needed"] is needed


def times() -> Iterator[float]:
    """In time for what is first asked, and never again."""
    yield NOW
    while True:
        yield NOW + 3600


async def test_what_was_begun_goes_on_when_the_ticket_expires() -> None:
    clock = times()
    header = [(b"Authorization", f"Bearer {KEY}".encode())]
    async with (
        serving(WITH_KEY, clock=lambda: next(clock)) as served,
        served.join("room", f"5&ticket={ticket()}") as ann,
    ):
        await control(ann)
        async with served.join("room", 6, extra_headers=header):
            assert await control(ann) == {"control": "joined", "uid": 6}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/agents/room", b"", 200),
        ("GET", "/agents/%72oom", b"", 200),
        ("GET", "/agents/other", b"", 403),
        ("GET", "/agents/%2572oom", b"", 403),
        ("PUT", "/agents/room", b"", 400),
        ("PUT", "/agents/room", b'{"uid": 7}', 409),
        ("PUT", "/agents/room", b'{"uid": 7, "channel_name": "room"}', 409),
        ("PUT", "/agents/room", b'{"channel_name": "other"}', 403),
        ("PUT", "/agents/room", b'{"channel_name": null}', 403),
        ("PUT", "/agents/room", b"[]", 403),
        ("PUT", "/agents/other", b'{"channel_name": "room"}', 403),
        ("DELETE", "/agents/room", b"", 200),
        ("DELETE", "/agents/other", b"", 403),
        ("PATCH", "/agents/room", b"", 403),
    ],
)
async def test_a_ticket_is_for_the_agent_of_its_channel(
    method: str, path: str, body: bytes, status: int
) -> None:
    agents = FakeAgents()
    await agents.start(AgentOptions(channel_name="room", uid=5))
    client = make_app(WITH_KEY, agents, clock=lambda: NOW).test_client()
    send = {"GET": client.get, "PUT": client.put, "DELETE": client.delete, "PATCH": client.patch}
    response = await send[method](path, headers=bearer(ticket()), data=body)
    assert response.status_code == status


async def test_the_servers_log_is_not_for_people_with_tickets() -> None:
    agents = FakeAgents()
    await agents.start(AgentOptions(channel_name="room", uid=5))
    agents.change("room", last_log=("a line of the log",))
    client = make_app(WITH_KEY, agents, clock=lambda: NOW).test_client()
    for sent, told in ((ticket(), []), (KEY, ["a line of the log"])):
        response = await client.get("/agents/room", headers=bearer(sent))
        assert (await response.get_json())["last_log"] == told
    response = await client.delete("/agents/room", headers=bearer(ticket()))
    assert (await response.get_json())["last_log"] == []


@pytest.mark.parametrize(
    ("option", "status"), [("voice", 200), ("system_instruction", 403), ("tools", 403)]
)
async def test_a_ticket_does_not_say_what_an_agent_is(option: str, status: int) -> None:
    client = make_app(WITH_KEY, clock=lambda: NOW).test_client()
    body = {"channel_name": "room", "uid": 7, option: "x"}
    response = await client.post("/start_agent", headers=bearer(ticket()), json=body)
    assert response.status_code == status
    if status == 403:
        assert (await response.get_json())["code"] == "ticket_options"


PROFILES = """
[profiles.waiter]
system_instruction = "You take orders."
voice = "coral"
tools = ["agent.tools.builtin:hang_up"]
[profiles.chef]
"""


async def test_a_ticket_has_the_profile_that_its_backend_has_named(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILES)
    agents = FakeAgents()
    app = make_app(WITH_KEY, agents, profiles=ProfilesFile(path), clock=lambda: NOW)
    client = app.test_client()

    async def mint(profile: str) -> tuple[int, Any]:
        body = {"channel_name": "room", "profile": profile}
        response = await client.post("/tickets", headers=bearer(KEY), json=body)
        return response.status_code, await response.get_json()

    status, answer = await mint("waitress")
    assert (status, answer["details"][0]["path"]) == (400, "profile")
    _, answer = await mint("waiter")
    sent = bearer(answer["ticket"])
    body = {"channel_name": "room", "uid": 7}
    for other in ("chef", "waiter"):  # the ticket has said it
        response = await client.post("/start_agent", headers=sent, json=body | {"profile": other})
        assert (await response.get_json())["code"] == "ticket_options"
    assert (await client.post("/start_agent", headers=sent, json=body)).status_code == 200
    [options] = agents.started
    assert (options.profile, options.voice) == ("waiter", "coral")
    assert options.system_instruction == "You take orders."
    assert agents.tools == [Tools(("agent.tools.builtin:hang_up",), ("hang_up",))]
    # Without one it is as before.
    await agents.stop("room")
    _, answer = await mint("")
    await client.put("/agents/room", headers=bearer(answer["ticket"]), json={"uid": 7})
    assert agents.started[-1].profile is None


@pytest.mark.parametrize("method", ["GET", "PUT", "again"])
async def test_no_answer_tells_people_with_tickets_what_is_the_operators(
    method: str, tmp_path: Path
) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text("[profiles.a]\nmetadata = {tenant = 'hunter2'}")
    agents = FakeAgents()
    client = make_app(
        WITH_KEY, agents, profiles=ProfilesFile(path), clock=lambda: NOW
    ).test_client()
    sent = bearer(ticket(profile="a"))
    response = await client.put("/agents/room", headers=sent, json={"uid": 7})
    if method == "again":
        response = await client.put("/agents/room", headers=sent, json={"uid": 7})
    elif method == "GET":
        response = await client.get("/agents/room", headers=sent)
    assert response.status_code in (200, 201)
    told = await response.get_json()
    assert (told["pid"], told["metadata"]) == (None, {})
    assert agents.started[0].metadata == {"tenant": "hunter2"}


async def test_why_a_start_failed_is_the_operators_to_read() -> None:
    agents = FakeAgents()
    agents.fault = StartFailed("the model at ws://hunter2 can't be reached", "model")
    client = make_app(WITH_KEY, agents, clock=lambda: NOW).test_client()
    body = {"channel_name": "room", "uid": 7}
    for sent, words in ((ticket(), "model"), (KEY, str(agents.fault))):
        response = await client.post("/start_agent", headers=bearer(sent), json=body)
        told = await response.get_json()
        assert (told["code"], told["error"]) == ("start_failed", f"Failed to start agent: {words}")
    # Nor is it told afterwards.
    agents.fault = None
    await agents.start(AgentOptions(channel_name="room", uid=5))
    agents.change("room", reason="hunter2", kind="model")
    log = agents.logs["room"] = EventLog("run", clock=lambda: 5.0)
    log.add({"type": "state", "state": "failed", "reason": "hunter2", "kind": "model"})
    log.end()
    for where in ("/agents/room", "/agents/room/events"):
        for sent, is_told in ((ticket(), False), (KEY, True)):
            response = await client.get(where, headers=bearer(sent))
            text = await response.get_data(as_text=True)
            assert ("hunter2" in text) is is_told
            assert "model" in text


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([("tools", "there are: hunter2"), ("voice", "too long")], [("voice", "too long")]),
        ([("tools", "there are: hunter2")], [("", "This server is not set up for it")]),
    ],
)
async def test_faults_of_a_profile_are_the_operators_to_read(
    faults: list[tuple[str, str]], told: list[tuple[str, str]]
) -> None:
    agents = FakeAgents()
    agents.fault = OptionsError(faults)
    client = make_app(WITH_KEY, agents, clock=lambda: NOW).test_client()
    for sent, expected in ((ticket(), told), (KEY, faults)):
        response = await client.put("/agents/room", headers=bearer(sent), json={"uid": 7})
        details = (await response.get_json())["details"]
        assert [(detail["path"], detail["message"]) for detail in details] == expected


async def test_a_profile_that_is_gone_tells_no_others(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text("[profiles.hunter2]")
    app = make_app(WITH_KEY, profiles=ProfilesFile(path), clock=lambda: NOW)
    response = await app.test_client().put(
        "/agents/room", headers=bearer(ticket(profile="gone")), json={"uid": 7}
    )
    assert response.status_code == 400
    assert "hunter2" not in await response.get_data(as_text=True)


async def test_tickets_of_two_profiles_do_not_share_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text("[profiles.a]\n[profiles.b]")
    app = make_app(WITH_KEY, profiles=ProfilesFile(path), clock=lambda: NOW)
    client, statuses = app.test_client(), []
    for profile in ("a", "a", "b"):
        headers = bearer(ticket(profile=profile)) | {"Idempotency-Key": "k"}
        response = await client.put("/agents/room", headers=headers, json={"uid": 7})
        statuses.append(response.status_code)
    assert statuses == [201, 201, 422]


async def test_without_keys_a_ticket_has_its_profile_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILES)
    agents = FakeAgents()
    client = make_app(
        Settings(openai_api_key="k"), agents, profiles=ProfilesFile(path)
    ).test_client()
    body = {"channel_name": "room", "profile": "waiter"}
    minted = await (await client.post("/tickets", json=body)).get_json()
    await client.put("/agents/room", headers=bearer(minted["ticket"]), json={"uid": 7})
    assert agents.started[0].profile == "waiter"
    # And it is for its channel, wherever it stands.
    response = await client.get(f"/agents/other/events?ticket={minted['ticket']}")
    assert (await response.get_json())["code"] == "ticket_channel"
    assert (await client.get("/agents/other/events?ticket=none")).status_code == 401


async def test_people_with_tickets_do_not_see_what_tools_do() -> None:
    agents = FakeAgents()
    log = agents.logs["room"] = EventLog("run", clock=lambda: 5.0)
    for type_ in ("state", "tool_call", "transcript"):
        log.add({"type": type_})
    log.end()
    client = make_app(WITH_KEY, agents, clock=lambda: NOW).test_client()
    for sent, count in ((ticket(), 2), (KEY, 3)):
        response = await client.get("/agents/room/events", headers=bearer(sent))
        assert (await response.get_data(as_text=True)).count("event: ") == count


# Not all of Unicode: its table takes seconds to make.
SOME = "a.:-é\u0141"


@given(st.text(SOME), st.text(SOME), st.text(SOME), st.integers(0, 200), st.integers(1, 255))
def test_no_other_text_is_a_ticket(channel: str, profile: str, text: str, at: int, by: int) -> None:
    keys = Keys(WITH_KEY, OWN_KEY)
    tickets = Tickets(keys, SECRET, lambda: NOW)
    good, _ = tickets.mint(KEY, channel, 60, profile=profile)
    assert tickets.read(good) == Ticket(channel, profile, KEY)
    at %= len(good)
    changed = good[:at] + chr(ord(good[at]) ^ by) + good[at + 1 :]
    for other in (text, changed, good[:at], good + good[at]):
        with pytest.raises(TicketInvalid):
            tickets.read(other)
