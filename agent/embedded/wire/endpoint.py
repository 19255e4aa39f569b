"""One session of the embedded model over anything that carries messages: who is let in, and with
what an engine is made and run.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final, TypedDict, Unpack

import trio

from agent.embedded.answers.voice import EchoVoice, Voice, find_voice
from agent.embedded.answers.words import (
    Understanding,
    echoed_answer,
    spoken_answer,
    understand_nothing,
)
from agent.embedded.engine import Engine
from agent.embedded.faults.faulty_socket import FaultySocket
from agent.embedded.faults.line import FaultLine
from agent.embedded.faults.plan import FaultPlan
from agent.embedded.outbox import NewId
from agent.embedded.person.vad import SileroProbability, SpeechProbability
from agent.embedded.wire.admission import Applicant, Rejection, rejection
from agent.embedded.wire.dialects import BETA, GA
from agent.embedded.wire.model_socket import ModelSocket, SocketClosed
from agent.embedded.wire.running import Session, Summary
from agent.embedded.wire.stopping import until
from agent.protocol.codec import encode

_ID_CHARACTERS: Final = 21
_GOING_AWAY: Final = 1001
_INTERNAL_ERROR: Final = 1011


class ModelOptions(TypedDict, total=False):
    """What the embedded model may be told, by whichever way it is reached.

    :ivar api_key: the key that the client must send; None lets everybody in.
    :ivar admits_beta: let clients of the beta interface in, which the service has closed.
    :ivar voice: speaks the answers; None: the best that this machine has.
    :ivar vad: makes the session's speech detector.
    :ivar understand: what the person is taken to say in each turn.
    :ivar faults: what goes wrong on the wire.
    :ivar session_seconds: how long the session lasts; None: as the plan says, or as the
        service does.
    :ivar new_id: makes ids that were never made before.
    :ivar unix_time: the time in seconds, for the session's `expires_at`.
    """

    api_key: str | None
    admits_beta: bool
    voice: Voice | None
    vad: Callable[[], SpeechProbability]
    understand: Understanding
    faults: FaultPlan | None
    session_seconds: float | None
    new_id: NewId
    unix_time: Callable[[], float]


def random_id(prefix: str) -> str:
    """An id like the service's: a prefix and 21 letters and digits."""
    return prefix + secrets.token_hex(_ID_CHARACTERS)[:_ID_CHARACTERS]


async def converse(
    socket: ModelSocket,
    applicant: Applicant,
    *,
    stopping: trio.Event | None = None,
    **options: Unpack[ModelOptions],
) -> Summary:
    """Be the model on an accepted WebSocket until it is closed, by either side.

    Cancellation ends the session at once, a running voice with it; the socket stays the caller's.
    A fault of the model's own is raised once the WebSocket has been closed with code 1011.

    :param applicant: what the client's request said.
    :param stopping: once it is set the WebSocket is closed in order, with code 1001.
    """
    summary = Summary("this side shuts down")
    try:
        async with until(stopping):
            await _be_the_model(socket, applicant, summary, **options)
    except Exception:
        # As broad as can be, for it goes on: whatever it is, the client learns whose fault.
        await socket.close(_INTERNAL_ERROR, "the server had an error")
        raise
    if stopping is not None and stopping.is_set():
        # Where the session is over by itself, this does nothing.
        await socket.close(_GOING_AWAY, "the server is shutting down")
    return summary


async def _be_the_model(
    socket: ModelSocket,
    client: Applicant,
    summary: Summary,
    *,
    api_key: str | None = None,
    admits_beta: bool = False,
    voice: Voice | None = None,
    vad: Callable[[], SpeechProbability] = SileroProbability,
    understand: Understanding = understand_nothing,
    faults: FaultPlan | None = None,
    session_seconds: float | None = None,
    new_id: NewId = random_id,
    unix_time: Callable[[], float] = time.time,
) -> None:
    rejected = rejection(
        client, api_key=api_key, admits_beta=admits_beta, event_id=new_id("event_")
    )
    if rejected is not None:
        await _turn_away(socket, rejected, summary)
        return
    dialect = BETA if client.is_beta else GA
    voice, plan, now = voice or find_voice(), faults or FaultPlan(), trio.current_time()
    seconds = session_seconds or plan.session_seconds or dialect.session_seconds
    engine = Engine(
        model=client.model or "",
        new_id=new_id,
        started_at=now,
        unix_time=unix_time(),
        vad=vad(),
        wording=echoed_answer if isinstance(voice, EchoVoice) else spoken_answer,
        understand=understand,
        transcribe_only=client.transcribes,
        session_seconds=seconds,
    )
    async with trio.open_nursery() as nursery:
        if plan.faults:
            line = FaultLine(plan, started_at=now, new_id=new_id)
            socket = FaultySocket(socket, line)
            nursery.start_soon(socket.run)
        session = Session(
            socket, engine, voice, dialect, nursery, summary=summary, ends_at=now + seconds
        )
        nursery.start_soon(session.read)
        await session.run()
        nursery.cancel_scope.cancel()


async def _turn_away(socket: ModelSocket, rejected: Rejection, summary: Summary) -> None:
    summary.reason = f"turned away: {rejected.close_reason}"
    try:
        await socket.send(encode(rejected.error))
        summary.sent = 1
        await socket.close(rejected.close_code, rejected.close_reason)
    except SocketClosed:
        return
