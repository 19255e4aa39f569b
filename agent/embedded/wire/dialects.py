"""The two dialects in which clients of the embedded model speak; its engine knows GA only."""

from collections.abc import Callable
from typing import Final

from attrs import frozen

from agent.protocol.beta import client_event_from_beta, encode_server_event
from agent.protocol.codec import ProtocolError, dump, encode, json_object
from agent.protocol.server_events import RealtimeServerEvent


@frozen
class Dialect:
    """A translation at the wire.

    :ivar encode: the messages that tell the client of an event.
    :ivar to_ga: a message of the client's, in GA; what is no event stays as it is.
    :ivar session_seconds: how long the service lets such a session last.
    """

    encode: Callable[[RealtimeServerEvent], list[str]]
    to_ga: Callable[[str | bytes], str | bytes]
    session_seconds: float


def _beta_to_ga(message: str | bytes) -> str | bytes:
    if isinstance(message, bytes):
        return message
    try:
        value = json_object(message)
    except ProtocolError:
        # Refused where it is read again, in the words of that place.
        return message
    event = client_event_from_beta(value)
    for name in ("session", "response"):
        if isinstance(event.get(name), dict):
            # GA refuses an update for it; in beta nearly every client sends one.
            event[name].pop("temperature", None)
    return message if event is value else dump(event)


GA: Final = Dialect(
    encode=lambda event: [encode(event)], to_ga=lambda message: message, session_seconds=3600
)
BETA: Final = Dialect(encode=encode_server_event, to_ga=_beta_to_ga, session_seconds=1800)
