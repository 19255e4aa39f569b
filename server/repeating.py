"""`Idempotency-Key`: a request that is sent again with the same key gets the first one's answer."""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Final

import orjson
import trio
from quart import Request, Response

from server.answers import bad_request, failure
from server.doors.callers import Caller, Callers
from server.idempotency import Key, KeyReused, Repeats

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
SCHEMA: Final = {"type": "string", "pattern": f"^{_KEY.pattern}$"}
"""What a key may be."""
_REFUSED: Final = 400
"""Answers from here on are not remembered: they had no effect, and the next may be another."""


class Repeating:
    """Sees to the keys of one server's requests."""

    def __init__(self, callers: Callers, clock: Callable[[], float] = trio.current_time) -> None:
        self._callers = callers
        self._repeats = Repeats[Response](lambda got: got.status_code < _REFUSED, clock)

    async def answer(
        self, request: Request, body: dict[str, Any], act: Callable[[], Awaitable[Response]]
    ) -> Response:
        """The request's answer: act, unless its key tells that this was done before.

        Without a key a client that goes away cancels what it asked for. With one that is finished,
        since the client may come back for it.

        :param body: the request's; written otherwise it is still the same.
        """
        text = request.headers.get(HEADER)
        if text is None:
            return await act()
        if _KEY.fullmatch(text) is None:
            words = "must be 1 to 255 printable ASCII characters, no space first or last"
            return bad_request([(HEADER, words)])
        caller = self._callers.identify(request, by_query=False)
        try:
            digest = _digest(request, body, caller)
            first = await self._repeats.once(_key(caller, text), digest, act)
        except KeyReused:
            words = f"This {HEADER} was sent with another request before"
            return failure(422, "idempotency_key_reused", words)
        return await _copy(first)


def _key(caller: Caller, text: str) -> Key:
    """By the caller's key, so that there are no more callers than keys; not the key itself.

    Users with tickets, which are of one key, do not see each other's.
    """
    owner = sha256((caller.key or "").encode()).hexdigest()
    return Key(owner, text if caller.channel_name is None else f"{caller.channel_name}\n{text}")


def _digest(request: Request, body: dict[str, Any], caller: Caller) -> bytes:
    # Not the body itself: it may be long, and nobody's instructions are to be kept for a day.
    told = [request.method, request.path, body, caller.profile]
    return sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).digest()


async def _copy(response: Response) -> Response:
    """One of its own for each request: what is sent is changed on its way."""
    return Response(await response.get_data(), response.status_code, response.headers)
