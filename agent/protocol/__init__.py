"""The language of the Realtime API: typed events, their JSON, and the state of a conversation.

Nothing in here knows a clock, a socket or Trio.
"""

from agent.protocol.base import UNSET, Maybe, Model, Unset
from agent.protocol.codec import (
    ProtocolError,
    UnknownEvent,
    decode_client_event,
    decode_server_event,
    encode,
)

__all__ = [
    "UNSET",
    "Maybe",
    "Model",
    "ProtocolError",
    "UnknownEvent",
    "Unset",
    "decode_client_event",
    "decode_server_event",
    "encode",
]
