"""The embedded model at the far end of any Trio stream, as a WebSocket server."""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from agent.embedded.endpoint import SocketClosed, converse
from agent.embedded.vad import SileroProbability, SpeechProbability
from agent.embedded.voice import Voice
from agent.embedded.words import Understanding, understand_nothing

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""The service takes appends of 15 MiB."""
HANDSHAKE_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
PING_SECONDS: Final = 20.3
"""How often the service pings, as captured."""
_READ_BYTES: Final = 64 * 1024


async def serve_stream(
    stream: trio.abc.Stream,
    *,
    voice: Voice,
    api_key: str | None = None,
    vad: Callable[[], SpeechProbability] = SileroProbability,
    understand: Understanding = understand_nothing,
) -> None:
    """Be the model for the one client at the other end of a stream, until either closes.

    The model's name comes from the request's URL, the key from its headers. The stream is closed
    in every case. Cancellation ends the session at once.

    :param voice: speaks the answers.
    :param api_key: the key that the client must send; None lets it in.
    :param vad: makes the session's speech detector.
    :param understand: what the person is taken to say in each turn.
    """
    async with stream, trio.open_nursery() as nursery:
        accepted = await _accept(nursery, stream)
        if accepted is not None:
            connection, path, headers = accepted
            nursery.start_soon(_ping, connection)
            await converse(
                _WebSocket(connection),
                model=_model(path),
                authorization=_authorization(headers),
                is_beta="openai-beta" in headers,
                api_key=api_key,
                voice=voice,
                vad=vad,
                understand=understand,
            )
        nursery.cancel_scope.cancel()


async def _accept(
    nursery: trio.Nursery, stream: trio.abc.Stream
) -> tuple[WebSocketConnection, str, dict[str, str]] | None:
    # A stream that ends before its request would be waited for without end.
    with trio.move_on_after(HANDSHAKE_SECONDS):
        try:
            request = await wrap_server_stream(
                nursery,
                stream,
                message_queue_size=1,
                max_message_size=MAX_MESSAGE,
                receive_buffer_size=_READ_BYTES,
            )
            headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in request.headers
            }
            return await request.accept(), request.path, headers
        except ConnectionClosed:
            return None
    return None


def _model(path: str) -> str | None:
    return parse_qs(urlsplit(path).query).get("model", [None])[0]


def _authorization(headers: dict[str, str]) -> str | None:
    key = headers.get("api-key")
    return headers.get("authorization") if key is None else f"Bearer {key}"


async def _ping(connection: WebSocketConnection) -> None:
    try:
        while True:
            await trio.sleep(PING_SECONDS)
            await connection.ping()
    except ConnectionClosed:
        return


class _WebSocket:
    """A `ModelSocket` of trio-websocket's."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.get_message()
        except ConnectionClosed as error:
            raise SocketClosed from error

    async def send(self, text: str) -> None:
        try:
            await self._connection.send_message(text)
        except ConnectionClosed as error:
            raise SocketClosed from error

    async def close(self, code: int, reason: str) -> None:
        # A client that does not answer the closing handshake is not waited for.
        with trio.move_on_after(CLOSE_SECONDS):
            await self._connection.aclose(code, reason)
