"""Who is let in: the service accepts every WebSocket, says what is wrong, and closes it."""

import hmac
from typing import Final

from attrs import frozen

from agent.embedded.refusals import INVALID_REQUEST
from agent.protocol.server_events import RealtimeError, RealtimeErrorEvent

_BAD_KEY: Final = 3000
_BAD_REQUEST: Final = 4000
_SHOWN_OF_A_KEY: Final = 4


@frozen
class Rejection:
    """The one event that a client gets which is not let in, and how its WebSocket is closed."""

    error: RealtimeErrorEvent
    close_code: int
    close_reason: str


def rejection(
    *,
    model: str | None,
    authorization: str | None,
    api_key: str | None,
    is_beta: bool,
    event_id: str,
) -> Rejection | None:
    """Why a client is not let in, or None.

    :param authorization: its Authorization header.
    :param api_key: the key that it must send; None: any will do, and none.
    :param is_beta: it sent `OpenAI-Beta: realtime=v1`.
    """
    if api_key is not None:
        if authorization is None:
            message = "Missing bearer or basic authentication in header"
            return _rejection(None, message, _BAD_KEY, event_id)
        token = authorization.partition(" ")[2].strip()
        if not hmac.compare_digest(token.encode(), api_key.encode()):
            message = f"Incorrect API key provided: {_masked(token)}."
            return _rejection("invalid_api_key", message, _BAD_KEY, event_id)
    if is_beta:
        message = (
            "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        )
        return _rejection("beta_api_shape_disabled", message, _BAD_REQUEST, event_id)
    if not model:
        message = (
            "You must provide a model parameter, for example wss://.../v1/realtime?model=embedded"
        )
        return _rejection("missing_model", message, _BAD_REQUEST, event_id)
    if model != "embedded" and not model.startswith("gpt-realtime"):
        message = f'Model "{model[:64]}" is not supported in realtime mode.'
        return _rejection("invalid_model", message, _BAD_REQUEST, event_id)
    return None


def _rejection(code: str | None, message: str, close_code: int, event_id: str) -> Rejection:
    error = RealtimeError(
        type=INVALID_REQUEST, code=code, message=message, param=None, event_id=None
    )
    reason = INVALID_REQUEST if code is None else f"{INVALID_REQUEST}.{code}"
    return Rejection(RealtimeErrorEvent(error=error, event_id=event_id), close_code, reason)


def _masked(token: str) -> str:
    # Too short a token would be shown nearly whole.
    if len(token) < 4 * _SHOWN_OF_A_KEY:
        return "*" * len(token)
    hidden = len(token) - 2 * _SHOWN_OF_A_KEY
    return token[:_SHOWN_OF_A_KEY] + "*" * min(hidden, 16) + token[-_SHOWN_OF_A_KEY:]
