"""An agent's events as server-sent events: a stream that a browser's EventSource reads, or curl.

The format is the HTML standard's, section "Server-sent events": `id`, `event` (the event's type)
and `data` (JSON), and an empty line. A reader that comes back sends the last id as `Last-Event-ID`.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Final, TypedDict

import orjson
import trio
from quart import Response

from agent.supervisor.event_log import Event, EventLog, Reader

STREAM: Final = "text/event-stream"
ALIVE_S: Final = 15.0
"""Silence after which a comment is sent: proxies close what is silent for 30 to 60 seconds, and
whoever is gone without a word is found out."""
_ALIVE: Final = b":\n\n"


class Sent(TypedDict):
    """One event of the stream, as its three fields.

    :ivar event: its type.
    :ivar data: all of it, as JSON.
    """

    id: str
    event: str
    data: str


def server_sent(
    log: EventLog,
    last_id: str | None,
    *,
    head: bool = False,
    shown: Callable[[Event], Event | None] | None = None,
) -> Response:
    """The answer that streams a log to its end, which may be hours away.

    Where all of it has been read, 204: an EventSource then ceases to come back.

    :param last_id: the `Last-Event-ID` of the request.
    :param head: only the answer's head is wanted.
    :param shown: what the reader may have of an event, if anything; by default all of each.
    """
    if log.is_read(last_id):
        return Response(b"", 204)
    stream = b"" if head else _stream(log.reader(last_id), shown)
    response = Response(stream, content_type=STREAM)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
    response.timeout = None
    return response


async def _stream(
    reader: Reader, shown: Callable[[Event], Event | None] | None
) -> AsyncGenerator[bytes, None]:
    yield _ALIVE  # so that the answer begins, and a client knows that it reads
    while True:
        found: tuple[str, Event] | None = None
        with trio.move_on_after(ALIVE_S) as waiting:
            found = await reader.next()
        if waiting.cancelled_caught:
            yield _ALIVE
        elif found is None:
            return
        elif (event := found[1] if shown is None else shown(found[1])) is not None:
            yield _event(found[0], event)


def _event(event_id: str, event: Event) -> bytes:
    name = str(event.get("type", "message")).splitlines() or [""]
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        event_id.encode(),
        name[0].encode(),
        orjson.dumps(event),
    )
