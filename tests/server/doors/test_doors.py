"""The doors: a table of attempts on a real server, and what each is answered."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import h11
import orjson
import pytest
import trio
from attrs import field, frozen

from agent.config import Settings
from server.bodies import BODY_BYTES
from server.doors.auth import Keys
from server.doors.guard import _BY_TICKET, _COUNTED, _OPEN
from server.doors.tickets import Tickets
from tests.server.helpers import (
    OWN_KEY,
    SECRET,
    Served,
    make_app,
    serving,
)

KEY, KEPT, GONE = "key-of-the-setting", "key-that-is-kept", "key-that-is-gone"
NOW = 1_800_000_000
WS = "WEBSOCKET"


def ticket(
    channel: str = "room",
    key: str = KEY,
    *,
    age_s: int = 0,
    secret: bytes = SECRET,
    profile: str | None = None,
) -> str:
    """A ticket for a minute, minted so long ago."""
    tickets = Tickets(Keys(Settings(server_api_key=key), OWN_KEY), secret, lambda: NOW - age_s)
    return tickets.mint(key, channel, 60, profile=profile)[0]


GOOD = ticket()
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")
SPLICED = f"{HEAD}.{ticket('other').split('.')[1]}.{SIGNATURE}"
FOREIGN = {"Origin": "https://evil.example"}
STOP = b'{"channel_name": "room"}'
START = b'{"channel_name": "room", "uid": 7}'
UPGRADE: Final = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


BY_KEY, BY_TICKET = bearer(KEY), bearer(GOOD)


@frozen
class Try:
    """What is sent, and the answer's status and code."""

    status: int
    code: str | None
    method: str
    path: str
    headers: Mapping[str, Any] = field(factory=dict)
    body: bytes = b""


@frozen
class Answer:
    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str | None:
        """The word for programs."""
        is_json = self.headers.get("content-type") == "application/json"
        return orjson.loads(self.body).get("code") if is_json and self.body else None


def written(served: Served, tried: Try) -> bytes:
    """A request, to the letter: no library gets to put its path in order."""
    method, headers = tried.method, tried.headers
    usual: dict[str, Any] = {"Host": served.here, "Content-Length": len(tried.body)}
    if method == WS:
        method, usual = "GET", {"Host": served.here} | UPGRADE
    elif "Transfer-Encoding" in headers:
        del usual["Content-Length"]
    lines = [f"{method} {tried.path} HTTP/1.1"]
    for name, value in (usual | dict(headers)).items():
        lines += [f"{name}: {one}" for one in (value if isinstance(value, tuple) else (value,))]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + tried.body


async def read(stream: trio.SocketStream, method: str) -> Answer:
    """One answer."""
    client = h11.Connection(h11.CLIENT)
    more = list(UPGRADE.items()) if method == WS else []
    method = "GET" if method == WS else method
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x"), *more]))
    client.send(h11.EndOfMessage())
    answer, body = Answer(0), b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(await stream.receive_some())
        elif isinstance(event, (h11.Response, h11.InformationalResponse)):
            headers = {name.decode(): value.decode() for name, value in event.headers}
            answer = Answer(event.status_code, headers)
            if answer.status == 101:
                return answer
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            return Answer(answer.status, answer.headers, body)


async def attempt(served: Served, tried: Try) -> Answer:
    """Send a request on a connection of its own."""
    async with await served.connect(2**16) as stream:
        await stream.send_all(written(served, tried))
        return await read(stream, tried.method)


def chunked(size: int) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (size, b" " * size)


HUGE = BODY_BYTES + 1
ATTEMPTS: dict[str, Try] = {
    # Keys.
    "no key": Try(401, "unauthorized", "GET", "/agents"),
    "right key": Try(200, None, "GET", "/agents", BY_KEY),
    "key of the file": Try(200, None, "GET", "/agents", bearer(KEPT)),
    "wrong key": Try(401, "unauthorized", "GET", "/agents", bearer("wrong")),
    "empty key": Try(401, "unauthorized", "GET", "/agents", bearer("")),
    "half a key": Try(401, "unauthorized", "GET", "/agents", bearer(KEY[:-1])),
    "key of a removed line": Try(401, "unauthorized", "GET", "/agents", bearer(GONE)),
    "basic": Try(401, "unauthorized", "GET", "/agents", {"Authorization": f"Basic {KEY}"}),
    "two headers": Try(
        401, "unauthorized", "GET", "/agents", {"Authorization": (f"Bearer {KEY}", "Bearer x")}
    ),
    "key in the query": Try(401, "key_in_query", "GET", f"/agents?key={KEY}"),
    "key in the query of the page": Try(401, "key_in_query", "GET", f"/?x={KEPT}"),
    "key in query and header": Try(401, "key_in_query", "GET", f"/agents?a={KEY}", BY_KEY),
    "key as a ticket": Try(401, "key_in_query", WS, f"/channels/room?ticket={KEY}"),
    "wrong key in the query": Try(401, "key_in_query", "GET", "/agents?API_KEY=x"),
    "websocket: no key": Try(401, "unauthorized", WS, "/channels/room"),
    "websocket: wrong key": Try(401, "unauthorized", WS, "/channels/room", bearer("x")),
    "websocket: right key": Try(101, None, WS, "/channels/room", BY_KEY),
    "websocket: key in the query": Try(401, "key_in_query", WS, f"/channels/r?key={KEY}"),
    "websocket: two headers": Try(
        401, "unauthorized", WS, "/channels/room", {"Authorization": (f"Bearer {KEY}",) * 2}
    ),
    "websocket: removed key": Try(401, "unauthorized", WS, "/channels/room", bearer(GONE)),
    "model: no key": Try(401, "unauthorized", WS, "/v1/realtime?model=m"),
    "model: right key": Try(101, None, WS, "/v1/realtime?model=m", BY_KEY),
    "model: key as a subprotocol": Try(
        401,
        "unauthorized",
        WS,
        "/v1/realtime",
        {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{KEY}"},
    ),
    # Tickets.
    "ticket: start": Try(200, None, "POST", "/start_agent", BY_TICKET, START),
    "ticket: stop": Try(404, "agent_not_found", "POST", "/stop_agent", BY_TICKET, STOP),
    "ticket: token": Try(404, "agora_not_configured", "POST", "/agora_token", BY_TICKET, START),
    "ticket: events": Try(404, "agent_not_found", "GET", "/agents/room/events", BY_TICKET),
    "ticket: events, in the query": Try(
        404, "agent_not_found", "GET", f"/agents/room/events?ticket={GOOD}"
    ),
    "ticket: join": Try(101, None, WS, f"/channels/room?uid=5&ticket={GOOD}"),
    "ticket: join, in the header": Try(101, None, WS, "/channels/room?uid=5", BY_TICKET),
    "ticket: percent-encoded path": Try(101, None, WS, f"/channels/%72%6F%6fm?ticket={GOOD}"),
    "ticket: expired": Try(
        401, "ticket_expired", "POST", "/stop_agent", bearer(ticket(age_s=60)), STOP
    ),
    "ticket: join, expired": Try(
        401, "ticket_expired", WS, f"/channels/room?ticket={ticket(age_s=60)}"
    ),
    "ticket: almost expired": Try(101, None, WS, f"/channels/room?ticket={ticket(age_s=59)}"),
    "ticket: of a removed key": Try(
        401, "ticket_invalid", WS, f"/channels/room?ticket={ticket(key=GONE)}"
    ),
    "ticket: of the file's key": Try(101, None, WS, f"/channels/room?ticket={ticket(key=KEPT)}"),
    "ticket: forged": Try(
        401, "ticket_invalid", WS, f"/channels/room?ticket={ticket(secret=b'x')}"
    ),
    "ticket: spliced": Try(401, "ticket_invalid", WS, f"/channels/other?ticket={SPLICED}"),
    "ticket: cut": Try(401, "ticket_invalid", WS, f"/channels/room?ticket={GOOD[:-1]}"),
    "ticket: longer": Try(401, "ticket_invalid", WS, f"/channels/room?ticket={GOOD}A"),
    "ticket: without its signature": Try(
        401, "ticket_invalid", WS, f"/channels/room?ticket={HEAD}.{PAYLOAD}."
    ),
    "ticket: garbled": Try(401, "ticket_invalid", "GET", "/agents", bearer("ticket.\xff.")),
    "ticket: no text": Try(401, "ticket_invalid", WS, "/channels/room?ticket=%ff%00"),
    "ticket: empty": Try(401, "ticket_invalid", WS, "/channels/room?ticket="),
    "ticket: two": Try(401, "unauthorized", WS, f"/channels/room?ticket={GOOD}&ticket={GOOD}"),
    "ticket: beside a wrong key": Try(
        401, "unauthorized", WS, f"/channels/room?ticket={GOOD}", bearer("x")
    ),
    "ticket: in the query of a POST": Try(
        401, "unauthorized", "POST", f"/stop_agent?ticket={GOOD}", {}, STOP
    ),
    # Tickets of another channel.
    "other: path": Try(403, "ticket_channel", WS, f"/channels/other?ticket={GOOD}"),
    "other: events": Try(403, "ticket_channel", "GET", "/agents/other/events", BY_TICKET),
    "other: body": Try(
        403, "ticket_channel", "POST", "/stop_agent", BY_TICKET, b'{"channel_name": "other"}'
    ),
    "other: last word": Try(
        403,
        "ticket_channel",
        "POST",
        "/stop_agent",
        BY_TICKET,
        b'{"channel_name": "room", "channel_name": "other"}',
    ),
    "other: body and query": Try(
        403,
        "ticket_channel",
        "POST",
        "/stop_agent?channel_name=room",
        BY_TICKET,
        b'{"channel_name": "other"}',
    ),
    "other: case": Try(403, "ticket_channel", WS, f"/channels/Room?ticket={GOOD}"),
    "other: a space": Try(403, "ticket_channel", WS, f"/channels/room%20?ticket={GOOD}"),
    "other: a slash": Try(403, "ticket_channel", WS, f"/channels/room%2f?ticket={GOOD}"),
    "other: dots": Try(403, "ticket_channel", WS, f"/channels/room/../other?ticket={GOOD}"),
    "other: double-encoded": Try(403, "ticket_channel", WS, f"/channels/%2572oom?ticket={GOOD}"),
    "other: full width": Try(403, "ticket_channel", WS, f"/channels/%EF%BD%92oom?ticket={GOOD}"),
    "other: soft hyphen": Try(403, "ticket_channel", WS, f"/channels/ro%C2%ADom?ticket={GOOD}"),
    "other: no body": Try(403, "ticket_channel", "POST", "/start_agent", BY_TICKET),
    "other: no JSON": Try(403, "ticket_channel", "POST", "/start_agent", BY_TICKET, b"{"),
    "other: a list": Try(403, "ticket_channel", "POST", "/start_agent", BY_TICKET, b'["room"]'),
    # What a ticket may not do.
    "scope: list": Try(403, "ticket_scope", "GET", "/agents", BY_TICKET),
    "scope: another ticket": Try(403, "ticket_scope", "POST", "/tickets", BY_TICKET, STOP),
    "scope: metrics": Try(403, "ticket_scope", "GET", "/metrics", BY_TICKET),
    "scope: model": Try(403, "ticket_scope", WS, "/v1/realtime?model=m", BY_TICKET),
    "scope: model, by the query": Try(401, "unauthorized", WS, f"/v1/realtime?ticket={GOOD}"),
    "scope: agent": Try(403, "ticket_scope", WS, f"/channels/room?agent=1&ticket={GOOD}"),
    "scope: HEAD": Try(403, None, "HEAD", "/agents/room/events", BY_TICKET),
    "scope: unknown": Try(403, "ticket_scope", "GET", "/nowhere", BY_TICKET),
    "scope: foreign page": Try(403, "foreign_origin", WS, f"/channels/room?ticket={GOOD}", FOREIGN),
    "scope: no origin at all": Try(
        403, "foreign_origin", "POST", "/stop_agent", BY_TICKET | {"Origin": "null"}, STOP
    ),
    "scope: listed page": Try(
        101, None, WS, f"/channels/room?ticket={GOOD}", {"Origin": "https://app.example"}
    ),
    "key: foreign page": Try(200, None, "GET", "/agents", BY_KEY | FOREIGN),
    # Bodies.
    "huge": Try(
        413, "request_entity_too_large", "POST", "/start_agent", BY_KEY | {"Content-Length": HUGE}
    ),
    "huge, chunked": Try(
        413,
        "request_entity_too_large",
        "POST",
        "/start_agent",
        BY_KEY | {"Transfer-Encoding": "chunked"},
        chunked(HUGE),
    ),
    "huge, by a ticket": Try(
        413,
        "request_entity_too_large",
        "POST",
        "/start_agent",
        BY_TICKET | {"Content-Length": HUGE},
    ),
    "huge, no key": Try(401, "unauthorized", "POST", "/start_agent", {"Content-Length": 2**40}),
    "huge head": Try(431, None, "GET", f"/?{'x' * 2**17}"),
    # Paths.
    "path: two slashes": Try(401, "unauthorized", "GET", "//agents"),
    "path: two slashes, key": Try(200, None, "GET", "//agents", BY_KEY),
    "path: slash behind": Try(401, "unauthorized", "GET", "/agents/"),
    "path: slash behind, key": Try(404, "not_found", "GET", "/agents/", BY_KEY),
    "path: dots": Try(404, "not_found", "GET", "/web/../agents"),
    "path: encoded dots": Try(404, "not_found", "GET", "/web/%2e%2e/agents"),
    "path: out of the page": Try(404, "not_found", "GET", "/web/../auth.py"),
    "path: far out of it": Try(404, "not_found", "GET", "/web/..%2f..%2fetc/passwd"),
    "path: out by the root": Try(401, "unauthorized", "GET", "/web//etc/passwd"),
    "path: dots in agents": Try(401, "unauthorized", "GET", "/agents/../metrics"),
    "path: encoded slash": Try(401, "unauthorized", "GET", "/agents/x%2fevents"),
    "path: encoded slash, ticket": Try(
        403, "ticket_channel", "GET", "/agents/x%2fevents", BY_TICKET
    ),
    "path: dots to the health": Try(401, "unauthorized", "GET", "/healthz/../agents"),
    "path: health and more": Try(401, "unauthorized", "GET", "/healthz;/agents"),
    "path: NUL": Try(404, "not_found", "GET", "/web/%00"),
    "path: encoded query": Try(401, "unauthorized", "GET", "/agents%3Fx"),
    "path: case": Try(401, "unauthorized", "GET", "/AGENTS"),
    "path: whole URL": Try(401, "unauthorized", "GET", "http://x.example/agents"),
    "path: whole URL, key": Try(200, None, "GET", "http://x.example/agents", BY_KEY),
    "path: star": Try(401, "unauthorized", "OPTIONS", "*"),
    "method: override": Try(
        200, None, "GET", "/", {"X-HTTP-Method-Override": "POST", "X-Original-URL": "/agents"}
    ),
    "method: HEAD": Try(401, None, "HEAD", "/agents"),
    "method: TRACE": Try(405, "method_not_allowed", "TRACE", "/agents", BY_KEY),
    "websocket: of a route": Try(401, "unauthorized", WS, "/agents"),
    "websocket: two slashes": Try(401, "unauthorized", WS, "//channels/room"),
    "websocket: the page": Try(401, "unauthorized", WS, "/"),
    "websocket: dots": Try(401, "unauthorized", WS, "/web/../channels/room"),
}


@pytest.mark.parametrize("tried", ATTEMPTS.values(), ids=ATTEMPTS)
async def test_attempts_on_a_server_with_keys(
    tried: Try, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "keys"
    file.write_text(f"{GONE}\n{KEPT}\n")
    settings = Settings(
        openai_api_key="k",
        server_api_key=KEY,
        server_api_keys_file=str(file),
        cors_origins="https://app.example",
    )
    async with serving(settings, clock=lambda: NOW) as served:
        file.write_text(f"{KEPT}\n")
        answer = await attempt(served, tried)
    assert (answer.status, answer.code) == (tried.status, tried.code)
    assert answer.headers.get("www-authenticate") == ("Bearer" if tried.status == 401 else None)
    if tried.status not in (101, 431):
        assert answer.headers["x-content-type-options"] == "nosniff"
    for secret in (KEY, KEPT, GONE, SIGNATURE, "ticket="):
        assert secret not in caplog.text


HOST, PAGE = {"Host": "evil.example"}, {"Origin": "https://app.example"}
WITHOUT_KEYS: dict[str, Try] = {
    "own": Try(404, "agent_not_found", "POST", "/stop_agent", {}, STOP),
    "with another server's ticket": Try(
        401, "ticket_invalid", "POST", "/stop_agent", BY_TICKET, STOP
    ),
    "wrong origin": Try(403, "foreign_origin", "POST", "/stop_agent", FOREIGN, STOP),
    "wrong host": Try(403, "foreign_host", "GET", "/agents", HOST),
    "wrong host, the page": Try(403, "foreign_host", "GET", "/", HOST),
    "listed origin": Try(404, "agent_not_found", "POST", "/stop_agent", PAGE, STOP),
    "listed origin, wrong host": Try(403, "foreign_host", "POST", "/stop_agent", PAGE | HOST, STOP),
    "websocket: wrong origin": Try(403, "foreign_origin", WS, "/channels/room", FOREIGN),
    "websocket: wrong host": Try(403, "foreign_host", WS, "/channels/room", HOST),
    "websocket: listed origin": Try(101, None, WS, "/channels/room", PAGE),
    "websocket: listed, wrong host": Try(403, "foreign_host", WS, "/channels/room", PAGE | HOST),
    "another whole URL": Try(403, "foreign_host", "GET", "http://evil.example/agents", HOST),
    "two hosts": Try(400, None, "GET", "/agents", {"Host": ("localhost", "evil.example")}),
}


@pytest.mark.parametrize("tried", WITHOUT_KEYS.values(), ids=WITHOUT_KEYS)
async def test_attempts_on_a_server_without_keys(tried: Try) -> None:
    settings = Settings(openai_api_key="k", cors_origins="https://app.example,http://b:1")
    async with serving(settings) as served:
        answer = await attempt(served, tried)
    assert (answer.status, answer.code) == (tried.status, tried.code)


def test_the_guard_knows_the_rules_as_the_routes_have_them() -> None:
    rules = {rule.rule for rule in make_app().url_map.iter_rules()}
    known = {*_OPEN, *(rule for _, rule in (*_COUNTED, *_BY_TICKET))}
    assert known - rules <= {"/readyz", "/agents/<channel_name>"}
