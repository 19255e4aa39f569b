"""The embedded model: a realtime endpoint on this server, spoken to like OpenAI's.

It is there whether or not the server's own agents use it. `agent.embedded` is imported when it is
first needed: a server with a key for a real model does without the extra that it needs.
"""

from typing import TYPE_CHECKING, Final, Never

from quart import Blueprint, Response

from agent.config import Settings
from agent.errors import ConfigError
from agent.extras import how_to_install
from server.answers import failure
from server.connections.websockets import SocketClosed, Websocket, current_websocket
from server.stages import Stages

if TYPE_CHECKING:
    from agent.embedded import Applicant, ModelOptions

MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The service takes appends of 15 MiB."""


def check_installed() -> None:
    """Import the embedded model now, so that no one's first call waits for it.

    :raises ConfigError: the extra is not installed.
    """
    try:
        import agent.embedded.wire.endpoint  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"OPENAI_API_KEY is not set, and the embedded model is not installed ({error.name} is "
            f"missing): set the key, or {how_to_install('embedded')}"
        ) from error


def realtime_routes(settings: Settings, stages: Stages) -> Blueprint:
    """`/v1/realtime?model=NAME`. Keys are the guard's business, not the model's.

    :raises ConfigError: a script or a fault plan that the settings name is bad.
    """
    routes = Blueprint("realtime", __name__)
    options = _options(settings)

    @routes.websocket("/v1/realtime")
    async def realtime() -> Response | None:
        try:
            from agent.embedded import SUBPROTOCOL, converse
        except ModuleNotFoundError:
            text = "The embedded model is not installed on this server"
            return failure(501, "embedded_not_installed", text)
        socket = current_websocket()
        await socket.accept_messages(MESSAGE_BYTES, SUBPROTOCOL)
        model_socket, client = _ModelSocket(socket), _applicant(socket)
        await converse(model_socket, client, stopping=stages.closing, **options)
        return None

    return routes


def _options(settings: Settings) -> "ModelOptions":
    if not settings.embedded:
        return {}
    from agent.embedded.configured import options_of

    return options_of(settings)


def _applicant(socket: Websocket) -> "Applicant":
    from agent.embedded import applicant

    headers = {name.lower(): value for name, value in socket.headers.items()}
    return applicant(f"?{socket.query_string.decode('latin-1')}", headers)


class _ModelSocket:
    """A `ModelSocket` of ours."""

    def __init__(self, socket: Websocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        try:
            return await self._socket.receive()
        except SocketClosed as closed:
            _translate(closed)

    async def send(self, message: str | bytes) -> None:
        # To a client that is gone it does nothing; `receive` tells.
        await self._socket.send_message(message)

    async def close(self, code: int, reason: str) -> None:
        await self._socket.finish(code, reason)

    async def cut(self) -> None:
        await self._socket.cut()


def _translate(closed: SocketClosed) -> Never:
    from agent.embedded import SocketClosed as ModelSocketClosed

    raise ModelSocketClosed from closed
