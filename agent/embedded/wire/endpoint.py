"""One session of the embedded model over anything that carries messages: who is let in, and with
what an engine is made and run.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final, TypedDict

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
from agent.protocol.codec import encode

_ID_CHARACTERS: Final = 21


class ModelOptions(TypedDict, total=False):
    """What the embedded model may be told, by whichever way it is reached; see `converse`."""

    api_key: str | None
    admits_beta: bool
    voice: Voice | None
    vad: Callable[[], SpeechProbability]
    understand: Understanding
    faults: FaultPlan | None
    session_seconds: float | None


def random_id(prefix: str) -> str:
    """An id like the service's: a prefix and 21 letters and digits."""
    return prefix + secrets.token_hex(_ID_CHARACTERS)[:_ID_CHARACTERS]


async def converse(
    socket: ModelSocket,
    applicant: Applicant,
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
) -> Summary:
    """Be the model on an accepted WebSocket until it is closed, by either side.

    Cancellation ends the session at once, a running voice with it; the socket stays the caller's.

    :param applicant: what the client's request said.
    :param api_key: the key that it must send; None lets everybody in.
    :param admits_beta: let clients of the beta interface in, which the service has closed.
    :param voice: speaks the answers; None: the best that this machine has.
    :param vad: makes the session's speech detector.
    :param understand: what the person is taken to say in each turn.
    :param faults: what goes wrong on the wire.
    :param session_seconds: how long the session lasts; None: as the plan says, or as the
        service does.
    """
    rejected = rejection(
        applicant, api_key=api_key, admits_beta=admits_beta, event_id=new_id("event_")
    )
    if rejected is not None:
        return await _turn_away(socket, rejected)
    dialect = BETA if applicant.is_beta else GA
    voice, plan = voice or find_voice(), faults or FaultPlan()
    engine = Engine(
        model=applicant.model or "",
        new_id=new_id,
        started_at=trio.current_time(),
        unix_time=unix_time(),
        vad=vad(),
        wording=echoed_answer if isinstance(voice, EchoVoice) else spoken_answer,
        understand=understand,
        transcribe_only=applicant.transcribes,
        session_seconds=session_seconds or plan.session_seconds or dialect.session_seconds,
    )
    async with trio.open_nursery() as nursery:
        if plan.faults:
            line = FaultLine(plan, started_at=trio.current_time(), new_id=new_id)
            socket = FaultySocket(socket, line)
            nursery.start_soon(socket.run)
        session = Session(socket, engine, voice, dialect, nursery)
        nursery.start_soon(session.read)
        await session.run()
        nursery.cancel_scope.cancel()
    return session.summary


async def _turn_away(socket: ModelSocket, rejected: Rejection) -> Summary:
    try:
        await socket.send(encode(rejected.error))
        await socket.close(rejected.close_code, rejected.close_reason)
    except SocketClosed:
        pass
    return Summary(f"turned away: {rejected.close_reason}", sent=1)
