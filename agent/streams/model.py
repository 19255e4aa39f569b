"""The WebSocket to the realtime model: open it, configure the session, read and write events."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import trio
from attrs import frozen
from trio_websocket import ConnectionClosed, WebSocketConnection

from agent.errors import ModelLost, ModelRefused, ModelUnreachable
from agent.protocol import ProtocolError, UnknownEvent, decode_server_event, encode
from agent.protocol.client_events import RealtimeClientEvent, SessionUpdateEvent
from agent.protocol.server_events import (
    RealtimeErrorEvent,
    RealtimeServerEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)
from agent.protocol.session import RealtimeSessionCreateRequest
from agent.websocket import Terms, open_websocket

CONNECT_S: Final = 15.0
"""TCP, TLS and the upgrade across the world take about a second; three retransmissions more."""
ANSWER_S: Final = 10.0
"""A server answers `session.update` in milliseconds; an overloaded one in seconds."""
CLOSE_S: Final = 2.0
"""A closing handshake is one round trip; a person who leaves does not wait for more."""
MAX_MESSAGE: Final = 16 * 2**20
"""One event; a delta is some 16 KB, and the API takes 15 MiB in the other direction."""
_CUT: Final = 128

_log = logging.getLogger(__name__)
_wire = logging.getLogger("agent.wire")


@frozen(kw_only=True)
class ModelAddress:
    """Where a model is and how one is let in.

    :ivar headers: may hold the key, so they are left out of the repr.
    """

    url: str
    headers: tuple[tuple[bytes, bytes], ...]

    def __repr__(self) -> str:
        return f"ModelAddress({self.shown!r})"

    @property
    def shown(self) -> str:
        """The URL without what may be secret."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def model_address(base_uri: str, model: str, *, key: str | None, auth: str) -> ModelAddress:
    """The address of a model.

    :param base_uri: ws:// or wss://; without a path `/v1/realtime` is added; a `model=` in its
        query is kept.
    :param auth: `bearer`, or `api-key` (Azure).
    """
    parts = urlsplit(base_uri)
    path = parts.path if parts.path.strip("/") else "/v1/realtime"
    query = parts.query
    if "model" not in parse_qs(query):
        query = f"{query}&" * bool(query) + f"model={quote(model, safe='')}"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if key is not None:
        name, value = ("api-key", key) if auth == "api-key" else ("Authorization", f"Bearer {key}")
        headers = ((name.encode(), value.encode()),)
    return ModelAddress(url=f"{parts.scheme}://{parts.netloc}{path}?{query}", headers=headers)


@asynccontextmanager
async def dial(address: ModelAddress) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket to a model's server.

    :raises ModelUnreachable: it cannot be reached, or took too long.
    :raises ModelRefused: it answered the upgrade with an HTTP status of refusal.
    """
    terms = Terms(
        headers=address.headers,
        connect_s=CONNECT_S,
        close_s=CLOSE_S,
        max_message=MAX_MESSAGE,
        unreachable=lambda why: ModelUnreachable(
            f"the model at {address.shown} can't be reached: {why}"
        ),
        refused=lambda status, body: ModelRefused(f"HTTP {status} {body}".strip()),
    )
    async with open_websocket(address.url, terms) as websocket:
        yield websocket


class ModelConnection:
    """A configured session with a model.

    :ivar session: what the server says that the session is.
    :ivar malformed: messages that were dropped because they were malformed.
    """

    def __init__(
        self, websocket: WebSocketConnection, session: RealtimeSessionCreateRequest
    ) -> None:
        self.session = session
        self.malformed = 0
        self._websocket = websocket
        self._unknown: set[str] = set()

    async def send(self, event: RealtimeClientEvent) -> None:
        """Send one event. Cancelled in the midst of it, the connection is of no more use.

        :raises ModelLost: the connection has ended.
        """
        await _send(self._websocket, event)

    async def receive(self) -> RealtimeServerEvent | UnknownEvent:
        """The next event that can be read; one that is malformed is logged, counted and dropped.

        :raises ModelLost: the connection has ended.
        """
        while True:
            event = _decoded(await _receive(self._websocket))
            if event is None:
                self.malformed += 1
                continue
            if isinstance(event, UnknownEvent) and event.type not in self._unknown:
                self._unknown.add(event.type)
                _log.info("events of the type %s are not known here and are let pass", event.type)
            return event


@asynccontextmanager
async def open_model(
    websocket: AbstractAsyncContextManager[WebSocketConnection],
    session: RealtimeSessionCreateRequest,
) -> AsyncIterator[ModelConnection]:
    """A session with a model, configured and ready; closed with 1000 when the context exits.

    :param websocket: opens the WebSocket: `dial`, or what stands in for it.
    :param session: what to ask for.
    :raises ModelUnreachable: no answer in time.
    :raises ModelRefused: the server refused the key, the model or the session, in its own words.
    """
    async with websocket as connection:
        try:
            yield ModelConnection(connection, await _configure(connection, session))
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await connection.aclose(1000)


async def _configure(
    websocket: WebSocketConnection, wanted: RealtimeSessionCreateRequest
) -> RealtimeSessionCreateRequest:
    await _expect(websocket, SessionCreatedEvent)
    await _send(websocket, SessionUpdateEvent(session=wanted))
    return (await _expect(websocket, SessionUpdatedEvent)).session


async def _expect(
    websocket: WebSocketConnection, wanted: type[SessionCreatedEvent] | type[SessionUpdatedEvent]
) -> SessionCreatedEvent | SessionUpdatedEvent:
    try:
        with trio.fail_after(ANSWER_S):
            while True:
                event = _decoded(await _receive(websocket))
                if isinstance(event, wanted):
                    return event
                if isinstance(event, RealtimeErrorEvent):
                    raise ModelRefused(event.error.message, event.error.code or None)
    except trio.TooSlowError:
        raise ModelUnreachable(
            f"the model's server did not send {wanted.type} within {ANSWER_S:g} s"
        ) from None
    except ModelLost as error:
        raise ModelUnreachable(f"{error}, before {wanted.type}") from error


def _decoded(data: str | bytes) -> RealtimeServerEvent | UnknownEvent | None:
    """The event; None if it is malformed, which the log tells."""
    try:
        return decode_server_event(data)
    except ProtocolError as error:
        _log.warning("a malformed event of the model's was dropped: %s", error)
        return None


async def _send(websocket: WebSocketConnection, event: RealtimeClientEvent) -> None:
    text = encode(event)
    if _wire.isEnabledFor(logging.DEBUG):
        _wire.debug("-> %s", _shortened(text))
    try:
        await websocket.send_message(text)
    except ConnectionClosed as error:
        raise _lost(error) from error


async def _receive(websocket: WebSocketConnection) -> str | bytes:
    try:
        data = await websocket.get_message()
    except ConnectionClosed as error:
        raise _lost(error) from error
    if _wire.isEnabledFor(logging.DEBUG):
        _wire.debug("<- %s", _shortened(data))
    return data


def _lost(error: ConnectionClosed) -> ModelLost:
    reason = error.reason
    if reason is None:
        return ModelLost("the connection to the model broke")
    words = f": {reason.reason}" if reason.reason else ""
    return ModelLost(f"the model's server closed the connection ({reason.code}{words})")


def _shortened(data: str | bytes) -> str:
    """The event with its audio and deltas cut short, for the log."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return repr(data[:_CUT])
    if isinstance(value, dict):
        value = {name: _cut(name, item) for name, item in value.items()}
    return orjson.dumps(value).decode()


def _cut(name: str, value: Any) -> Any:
    if name in ("delta", "audio") and isinstance(value, str) and len(value) > _CUT:
        return value[:_CUT] + "..."
    return value
