"""Who is let in: the service accepts every WebSocket, says what is wrong, and closes it."""

import binascii
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from attrs import field, frozen

from agent.embedded.forms.refusals import INVALID_REQUEST
from agent.protocol.server_events import RealtimeError, RealtimeErrorEvent

SUBPROTOCOL: Final = "realtime"
"""What browsers' clients offer, and then insist on."""
_TRANSCRIPTION: Final = "transcription"
_BAD_KEY: Final = 3000
_BAD_REQUEST: Final = 4000
_SHOWN_OF_A_KEY: Final = 4
_BETA: Final = "realtime=v1"
# Browsers can send no headers of their own with a WebSocket's request.
_BROWSERS_KEY: Final = "openai-insecure-api-key."
_BROWSERS_BETA: Final = "openai-beta.realtime-v1"


@frozen(kw_only=True)
class Applicant:
    """What a client's request for a WebSocket says.

    :ivar model: the model that it asks for.
    :ivar key: its key; not shown.
    :ivar is_beta: it means to speak the beta dialect.
    :ivar intent: `transcription`, or None.
    """

    model: str | None = None
    key: str | None = field(default=None, repr=False)
    is_beta: bool = False
    intent: str | None = None

    @property
    def transcribes(self) -> bool:
        """Whether it wants transcripts and no answers; then it need not name a model."""
        return self.intent == _TRANSCRIPTION


@frozen
class Rejection:
    """The one event that a client gets which is not let in, and how its WebSocket is closed."""

    error: RealtimeErrorEvent
    close_code: int
    close_reason: str


def applicant(target: str, headers: Mapping[str, str]) -> Applicant:
    """What a request says.

    :param target: its path and query.
    :param headers: by their names in lower case.
    """
    query = parse_qs(target.partition("?")[2])
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    return Applicant(
        model=query.get("model", [None])[0],
        key=_key(headers, offered),
        is_beta=_BETA in headers.get("openai-beta", "") or _BROWSERS_BETA in offered,
        intent=query.get("intent", [None])[0],
    )


def rejection(
    client: Applicant, *, api_key: str | None, admits_beta: bool, event_id: str
) -> Rejection | None:
    """Why a client is not let in, or None.

    :param api_key: the key that it must send; None: any will do, and none.
    :param admits_beta: whether the beta interface is open here.
    """
    if api_key is not None:
        if client.key is None:
            message = "Missing bearer or basic authentication in header"
            return _rejection(None, message, _BAD_KEY, event_id)
        if not hmac.compare_digest(client.key.encode(), api_key.encode()):
            message = f"Incorrect API key provided: {_masked(client.key)}."
            return _rejection("invalid_api_key", message, _BAD_KEY, event_id)
    if client.is_beta and not admits_beta:
        message = (
            "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        )
        return _rejection("beta_api_shape_disabled", message, _BAD_REQUEST, event_id)
    return _model_rejection(client, event_id)


def _model_rejection(client: Applicant, event_id: str) -> Rejection | None:
    if client.transcribes:
        return None
    if not client.model:
        message = (
            "You must provide a model parameter, for example wss://.../v1/realtime?model=embedded"
        )
        return _rejection("missing_model", message, _BAD_REQUEST, event_id)
    if client.model != "embedded" and not client.model.startswith("gpt-realtime"):
        message = f'Model "{client.model[:64]}" is not supported in realtime mode.'
        return _rejection("invalid_model", message, _BAD_REQUEST, event_id)
    return None


def _key(headers: Mapping[str, str], offered: list[str]) -> str | None:
    if "api-key" in headers:
        return headers["api-key"]
    if "authorization" in headers:
        scheme, _, token = headers["authorization"].partition(" ")
        return _of_basic(token) if scheme.lower() == "basic" else token.strip()
    found = [name for name in offered if name.startswith(_BROWSERS_KEY)]
    return found[0].removeprefix(_BROWSERS_KEY) if found else None


def _of_basic(token: str) -> str:
    """The key in basic authentication; what can't be read is as wrong as any other.

    It is the password of a user without a name, or `user:password` as a whole.
    """
    try:
        user_and_password = binascii.a2b_base64(token.strip()).decode()
    except ValueError:  # binascii.Error, or no UTF-8
        return ""
    return user_and_password.removeprefix(":")


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
