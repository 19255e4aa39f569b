"""A realtime model that needs no key.

It speaks OpenAI's Realtime protocol over a WebSocket, so that an agent cannot tell it from the real
service: sessions, voice activity detection, turns, responses in real time and their interruption,
truncation, errors in the service's own words. What it cannot do is understand: it recognises no
words, and says so. It is there for demos, for tests, and for working on an agent without paying
for it.

`serve_stream` is the model behind any Trio stream, `converse` behind any socket of messages;
`python -m agent.embedded` serves it by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agent.embedded.wire.admission import SUBPROTOCOL, Applicant, applicant
    from agent.embedded.wire.endpoint import ModelOptions, converse
    from agent.embedded.wire.model_socket import SocketClosed
    from agent.embedded.wire.websocket import serve_stream

__all__ = [
    "SUBPROTOCOL",
    "Applicant",
    "ModelOptions",
    "SocketClosed",
    "applicant",
    "converse",
    "serve_stream",
]

_HOMES: Final = {
    "SUBPROTOCOL": "admission",
    "Applicant": "admission",
    "applicant": "admission",
    "ModelOptions": "endpoint",
    "converse": "endpoint",
    "SocketClosed": "model_socket",
    "serve_stream": "websocket",
}


def __getattr__(name: str) -> Any:
    # Imported when first asked for: the command must be able to say in one line what is not
    # installed, and to hold signals back, before the slow imports.
    if name not in _HOMES:
        raise AttributeError(f"module 'agent.embedded' has no attribute {name!r}")
    return getattr(import_module(f"agent.embedded.wire.{_HOMES[name]}"), name)
