"""What is asked of every request before its route runs: who calls, whether they may, how often."""

import math
from collections.abc import Callable
from typing import Final

import orjson
from attrs import frozen
from quart import Quart, Request, Response, Websocket, request, websocket

from server.answers import failure, shutting_down
from server.doors.auth import is_own_host, is_own_page
from server.doors.callers import Call, Caller, Callers, Refused
from server.doors.cors import Origins, preflight
from server.doors.rates import Rates, client_of
from server.doors.tickets import TICKET_OPTIONS
from server.stages import Stages

# By the rules of the routes, and not by paths: a path that is written in another way has the same
# rule, or none. A browser asks for the page without a key, and a health probe has none. The page
# learns from /healthz that it needs a ticket.
_OPEN: Final = ("/", "/web/<path:name>", "/healthz", "/readyz")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_SOCKET: Final = "WEBSOCKET"
# What starts something, or gives the means to.
_COUNTED: Final = (
    ("POST", "/start_agent"),
    ("PUT", "/agents/<channel_name>"),
    ("POST", "/tickets"),
    ("POST", "/agora_token"),
    (_SOCKET, "/channels/<path:name>"),
    (_SOCKET, "/v1/realtime"),
)
# What a server that is to stop does not do any more. Calls may end, and their people come back.
_STARTS: Final = (("POST", "/start_agent"), ("PUT", "/agents/<channel_name>"))
# All that a ticket may do, each for its own channel.
_BY_TICKET: Final = (
    ("POST", "/start_agent"),
    ("POST", "/stop_agent"),
    ("POST", "/agora_token"),
    ("GET", "/agents/<channel_name>"),
    ("PUT", "/agents/<channel_name>"),
    ("DELETE", "/agents/<channel_name>"),
    ("GET", "/agents/<channel_name>/events"),
    (_SOCKET, "/channels/<path:name>"),
)
# Where it may be in the query: what browsers open without headers.
_BY_QUERY: Final = (
    ("GET", "/agents/<channel_name>/events"),
    (_SOCKET, "/channels/<path:name>"),
)
_FAILURES_PER_MINUTE: Final = 60
"""Of one client that sends no key or a wrong one; beyond that it is told to wait. Right keys pass
all the same: else whoever shares an address with an attacker were locked out, so this does not keep
anybody from guessing. The length of a key does."""
_TICKETS_SHARE: Final = 4
"""One channel's tickets may use a quarter of their key's rate, or one user could use up all."""


@frozen
class Doors:
    """What the guard goes by.

    :ivar rates: of each key.
    :ivar ticket_rates: of the tickets of each channel.
    :ivar failures: of each client's address.
    :ivar clock: seconds, as the rates have them.
    """

    callers: Callers
    origins: Origins
    rates: Rates
    ticket_rates: Rates
    failures: Rates
    clock: Callable[[], float]


def make_doors(
    callers: Callers, origins: Origins, per_minute: int, burst: int, clock: Callable[[], float]
) -> Doors:
    """The doors of one server.

    :param per_minute: what one key may start in a minute; 0 is no limit.
    :param burst: and at once.
    """
    share = math.ceil(per_minute / _TICKETS_SHARE), math.ceil(burst / _TICKETS_SHARE)
    failures = Rates(_FAILURES_PER_MINUTE, _FAILURES_PER_MINUTE)
    return Doors(callers, origins, Rates(per_minute, burst), Rates(*share), failures, clock)


def guard(app: Quart, doors: Doors, stages: Stages) -> None:
    """Refuse what may not pass; a WebSocket before its handshake is answered."""

    @app.before_request
    async def check_request() -> Response | None:
        changes = request.method not in _SAFE
        try:
            _check_host(request, doors)
            allowed = preflight(request, doors.origins)
            if allowed is None:
                caller = _check(request, request.method, doors, changes=changes)
                await _check_body(request, caller)
        except Refused as refused:
            return _refusal(refused, request, doors)
        starts = (request.method, _rule(request)) in _STARTS
        if allowed is None and starts and stages.draining.is_set():
            return shutting_down()
        return allowed or _too_often(request, request.method, caller, doors)

    @app.before_websocket
    async def check_websocket() -> Response | None:
        try:
            _check_host(websocket, doors)
            caller = _check(websocket, _SOCKET, doors, changes=True)
        except Refused as refused:
            return _refusal(refused, websocket, doors)
        return _too_often(websocket, _SOCKET, caller, doors)


def _check_host(call: Call, doors: Doors) -> None:
    if not doors.callers.keys.needed and not is_own_host(call.headers.get("Host")):
        raise Refused(403, "foreign_host", "This server answers to localhost only")


def _check(call: Call, method: str, doors: Doors, *, changes: bool) -> Caller:
    doors.callers.refuse_key_in_query(call)
    what = method, _rule(call)
    needed = doors.callers.keys.needed
    if needed and what[1] in _OPEN:
        return Caller()
    caller = doors.callers.identify(call, by_query=what in _BY_QUERY)
    # Where a key was sent, no browser sent it by itself.
    if (not needed and changes) or caller.channel_name is not None:
        _check_origin(call, doors.origins)
    if caller.channel_name is not None:
        _check_scope(call, what, caller.channel_name)
    return caller


def _check_origin(call: Call, origins: Origins) -> None:
    origin, host = call.headers.get("Origin"), call.headers.get("Host")
    if not origins.allow(origin) and not is_own_page(origin, host):
        raise Refused(403, "foreign_origin", "Requests from other sites' pages are refused")


def _check_scope(call: Call, what: tuple[str, str], channel_name: str) -> None:
    if what not in _BY_TICKET or "agent" in call.args:
        raise Refused(403, "ticket_scope", "A ticket does not allow this: it needs a key")
    named = (call.view_args or {}).values()  # the channel, if anything: see the rules
    if any(name != channel_name for name in named):
        raise _other_channel()


async def _check_body(call: Request, caller: Caller) -> None:
    """That a body names the ticket's channel, where nothing else does, and never another."""
    if caller.channel_name is None or call.method in (*_SAFE, "DELETE"):
        return
    try:
        body = orjson.loads(await call.get_data() or b"{}")
    except orjson.JSONDecodeError:
        body = None  # the route would say what is wrong with it, but it is nobody's channel
    by_path = {"channel_name": caller.channel_name} if call.view_args else {}
    if not isinstance(body, dict) or (by_path | body).get("channel_name") != caller.channel_name:
        raise _other_channel()
    if (call.method, _rule(call)) in _STARTS and (others := set(body) - TICKET_OPTIONS):
        words = ", ".join(sorted(others))[:200]
        raise Refused(403, "ticket_options", f"A ticket does not allow these options: {words}")


def _other_channel() -> Refused:
    return Refused(403, "ticket_channel", "The ticket is for another channel")


def _rule(call: Request | Websocket) -> str:
    return "" if call.url_rule is None else call.url_rule.rule


def _refusal(refused: Refused, call: Call, doors: Doors) -> Response:
    if refused.status == 401:
        client = client_of((call.scope.get("client") or ("",))[0])
        wait_s = doors.failures.take(client, doors.clock())
        if wait_s:
            return _rate_limited(wait_s, "Too many requests without a valid key")
    answer = failure(refused.status, refused.code, str(refused))
    if refused.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _too_often(call: Call, method: str, caller: Caller, doors: Doors) -> Response | None:
    if caller.is_own or (method, _rule(call)) not in _COUNTED:
        return None
    now, wait_s = doors.clock(), 0.0
    if caller.channel_name is not None:
        wait_s = doors.ticket_rates.take((caller.key, caller.channel_name), now)
    wait_s = wait_s or doors.rates.take(caller.key, now)
    return _rate_limited(wait_s, "Too many requests with this key") if wait_s else None


def _rate_limited(wait_s: float, text: str) -> Response:
    answer = failure(429, "rate_limited", text)
    answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer
