"""The WebSocket to the realtime model: open it, configure the session, read and write events."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import trio
from attrs import frozen
from trio_websocket import ConnectionClosed, WebSocketConnection

from agent.errors import ModelLost, ModelRefused, ModelUnreachable, one_line
from agent.protocol import ProtocolError, UnknownEvent, beta, decode_server_event, encode
from agent.protocol.client_events import (
    InputAudioBufferAppendEvent,
    RealtimeClientEvent,
    SessionUpdateEvent,
)
from agent.protocol.codec import dump, json_object
from agent.protocol.faults import Severity, in_words, severity
from agent.protocol.server_events import (
    RealtimeErrorEvent,
    RealtimeServerEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)
from agent.protocol.session import (
    AudioFormat,
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
)
from agent.streams.model_address import ModelAddress
from agent.streams.model_audio import ModelAudio
from agent.websocket import Terms, open_websocket

CONNECT_S: Final = 15.0
"""TCP, TLS and the upgrade across the world take about a second; three retransmissions more."""
ANSWER_S: Final = 10.0
"""A server answers `session.update` in milliseconds; an overloaded one in seconds."""
CLOSE_S: Final = 2.0
"""A closing handshake is one round trip; a person who leaves does not wait for more."""
MAX_MESSAGE: Final = 16 * 2**20
"""One event; a delta is some 16 KB, and the API takes 15 MiB in the other direction."""
MAX_UNKNOWN: Final = 64
"""Unknown types of events that are told, each once. An API that is newer than this has a few."""
_CUT: Final = 128
_OUR_UPDATE: Final = "evt_session"
_LINE: Final = 2**16
"""Characters of an event in the log: room for a session with many tools."""

_log = logging.getLogger(__name__)
_wire = logging.getLogger("agent.wire")


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
        refused=lambda status, body: ModelRefused(
            f"HTTP {status} {_without(address.secrets, body)}".strip()
        ),
    )
    async with open_websocket(address.url, terms) as websocket:
        yield websocket


class ModelConnection:
    """A configured session with a model.

    :ivar session: what the server says that the session is.
    :ivar malformed: messages that were dropped because they were malformed.
    """

    def __init__(
        self, socket: "_EventSocket", session: RealtimeSessionCreateRequest, audio: ModelAudio
    ) -> None:
        self.session = session
        self.malformed = 0
        self._socket = socket
        self._audio = audio
        self._unknown: set[str] = set()
        self._pending: deque[RealtimeServerEvent | UnknownEvent] = deque()  # of one that came

    async def send(self, event: RealtimeClientEvent) -> None:
        """Send one event. Cancelled in the midst of it, the connection is of no more use.

        :raises ModelLost: the connection has ended.
        """
        if isinstance(event, InputAudioBufferAppendEvent):
            event = self._audio.to_model(event)
            if not event.audio:
                return  # all of it waits to be converted with what comes next
        await self._socket.send(event)

    async def receive(self) -> RealtimeServerEvent | UnknownEvent:
        """The next event that can be read; one that is malformed is logged, counted and dropped.

        :raises ModelLost: the connection has ended.
        """
        while not self._pending:
            event = await self._socket.receive()
            if event is None:
                self.malformed += 1
                continue
            if isinstance(event, UnknownEvent):
                self._tell_once(one_line(event.type[:_CUT]))
            self._pending.extend(self._audio.from_model(event))
        return self._pending.popleft()

    def _tell_once(self, unknown: str) -> None:
        if unknown not in self._unknown and len(self._unknown) < MAX_UNKNOWN:
            self._unknown.add(unknown)
            _log.info("events of the type %s are not known here and are let pass", unknown)


@asynccontextmanager
async def open_model(
    websocket: AbstractAsyncContextManager[WebSocketConnection],
    session: RealtimeSessionCreateRequest,
    *,
    dialect: str = "ga",
    secrets: tuple[str, ...] = (),
    unlogged: tuple[str, ...] = (),
) -> AsyncIterator[ModelConnection]:
    """A session with a model, configured and ready; closed with 1000 when the context exits.

    :param websocket: opens the WebSocket: `dial`, or what stands in for it.
    :param session: what to ask for.
    :param dialect: `ga`, or `beta`: what is spoken on the wire. Events are GA in any case.
    :param secrets: what is taken out of whatever the server says: some echo the key.
    :param unlogged: what is taken out of the log of what we say.
    :raises ModelUnreachable: no answer in time.
    :raises ModelRefused: the server refused the key, the model or the session, in its own words.
    :raises ModelFormatUnknown: the server speaks a format of audio that is not known here.
    :raises ConfigError: what G.711 needs is not installed.
    """
    async with websocket as connection:
        socket = _EventSocket(connection, _DIALECTS[dialect], secrets, unlogged)
        try:
            told = await _configure(socket, session)
            formats = (_format(side, told, session) for side in ("input", "output"))
            yield ModelConnection(socket, told, ModelAudio(*formats))
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await connection.aclose(1000)


@frozen
class _Dialect:
    """How events are written and read."""

    encode: Callable[[RealtimeClientEvent], str]
    decode: Callable[[str | bytes], RealtimeServerEvent | UnknownEvent]


_DIALECTS: Final = {
    "ga": _Dialect(encode, decode_server_event),
    "beta": _Dialect(beta.encode_client_event, beta.decode_server_event),
}


class _EventSocket:
    """Events over a WebSocket, in a dialect."""

    def __init__(
        self,
        websocket: WebSocketConnection,
        dialect: _Dialect,
        secrets: tuple[str, ...],
        unlogged: tuple[str, ...],
    ) -> None:
        self._websocket = websocket
        self._dialect = dialect
        self._secrets, self._unlogged = secrets, unlogged

    async def send(self, event: RealtimeClientEvent) -> None:
        text = self._dialect.encode(event)
        if _wire.isEnabledFor(logging.DEBUG):
            _wire.debug("-> %s", _shortened(_without(self._unlogged, text)))
        try:
            await self._websocket.send_message(text)
        except ConnectionClosed as error:
            raise _lost(error, self._secrets) from error

    async def receive(self) -> RealtimeServerEvent | UnknownEvent | None:
        """The next event; None if it is malformed, which the log tells."""
        try:
            data = await self._websocket.get_message()
        except ConnectionClosed as error:
            raise _lost(error, self._secrets) from error
        if isinstance(data, str):
            data = _without(self._secrets, data)
        if _wire.isEnabledFor(logging.DEBUG):
            _wire.debug("<- %s", _shortened(data))
        try:
            return self._dialect.decode(data)
        except ProtocolError as error:
            _log.warning("a malformed event of the model's was dropped: %s", one_line(str(error)))
            return None


async def _configure(
    socket: _EventSocket, wanted: RealtimeSessionCreateRequest
) -> RealtimeSessionCreateRequest:
    await _expect(socket, SessionCreatedEvent)
    await socket.send(SessionUpdateEvent(session=wanted, event_id=_OUR_UPDATE))
    session = (await _expect(socket, SessionUpdatedEvent)).session
    if isinstance(session, RealtimeTranscriptionSessionCreateRequest):
        raise ModelRefused("the server's session only transcribes, and does not answer")
    return session


def _format(side: str, *sessions: RealtimeSessionCreateRequest) -> AudioFormat:
    """The format of the first session that tells one."""
    for session in sessions:
        half = session.audio and getattr(session.audio, side)
        if half and half.format:
            return half.format  # type: ignore[no-any-return]  # of a side named by a variable
    return AudioFormat()


async def _expect(
    socket: _EventSocket, wanted: type[SessionCreatedEvent] | type[SessionUpdatedEvent]
) -> SessionCreatedEvent | SessionUpdatedEvent:
    try:
        with trio.fail_after(ANSWER_S):
            while True:
                event = await socket.receive()
                if isinstance(event, wanted):
                    return event
                if isinstance(event, RealtimeErrorEvent):
                    _judge(event)
    except trio.TooSlowError:
        raise ModelUnreachable(
            f"the model's server did not send {wanted.type} within {ANSWER_S:g} s"
        ) from None
    except ModelLost as error:
        raise ModelUnreachable(f"{error}, before {wanted.type}") from error


def _judge(event: RealtimeErrorEvent) -> None:
    """Whether an error before the session is ready is about the session.

    :raises ModelRefused: it is.
    """
    error = event.error
    if severity(error.code) is Severity.FATAL or (error.event_id or _OUR_UPDATE) == _OUR_UPDATE:
        reason = error.message or "no reason given"
        raise ModelRefused(reason, error.code or None, error.param or None)
    _log.warning(
        "the model's server: %s", one_line(in_words(error.message, error.code, error.type))
    )


def _without(secrets: tuple[str, ...], text: str) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text


def _lost(error: ConnectionClosed, secrets: tuple[str, ...]) -> ModelLost:
    reason = error.reason
    if reason is None:
        return ModelLost("the connection to the model broke")
    said = _without(secrets, reason.reason or "")
    words = f": {one_line(said)}" if said else ""
    return ModelLost(f"the model's server closed the connection ({reason.code}{words})")


def _shortened(data: str | bytes) -> str:
    """The event with its audio and deltas cut short, for the log."""
    try:
        value = json_object(data)
    except ProtocolError:
        return repr(data[:_CUT])
    return dump(_cut("", value))[:_LINE]


def _cut(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _cut(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_cut("", item) for item in value]
    if name in ("delta", "audio") and isinstance(value, str) and len(value) > _CUT:
        return value[:_CUT] + "..."
    return value
