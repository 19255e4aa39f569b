"""One session of the embedded model over anything that carries messages.

Three kinds of task in one nursery: one reads the client's messages, one moves the engine and
sends what it says, and one runs for each voice that is asked for, so that a slow voice keeps
nobody from being heard. Whatever waits is bounded: a client that reads slowly stops the engine,
and with it the reading of more messages.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import trio
from attrs import frozen

from agent.embedded.admission import rejection
from agent.embedded.engine import Engine
from agent.embedded.outbox import NewId
from agent.embedded.speaking import SpeechRequest
from agent.embedded.vad import SileroProbability, SpeechProbability
from agent.embedded.voice import EchoVoice, Voice, VoiceError
from agent.embedded.words import (
    Understanding,
    echoed_answer,
    spoken_answer,
    understand_nothing,
)
from agent.protocol.codec import encode

MAX_VOICES: Final = 2
"""Voices at a time in one session; more of them wait."""
_ID_CHARACTERS: Final = 21


class SocketClosed(Exception):
    """The client is gone, in whatever way."""


class ModelSocket(Protocol):
    """What a session needs of a WebSocket."""

    async def receive(self) -> str | bytes:
        """The next message.

        :raises SocketClosed: there will be none.
        """

    async def send(self, text: str) -> None:
        """Send a text message; waits while the client does not read.

        :raises SocketClosed: the client is gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close it; does nothing where it is closed."""


@frozen
class _Received:
    data: str | bytes


@frozen
class _Voiced:
    response_id: str
    pcm: bytes


@frozen
class _Voiceless:
    response_id: str
    why: str


@frozen
class _Gone:
    """The client is gone."""


_News: TypeAlias = _Received | _Voiced | _Voiceless | _Gone


def random_id(prefix: str) -> str:
    """An id like the service's: a prefix and 21 letters and digits."""
    return prefix + secrets.token_hex(_ID_CHARACTERS)[:_ID_CHARACTERS]


async def converse(
    socket: ModelSocket,
    *,
    model: str | None,
    authorization: str | None,
    api_key: str | None = None,
    is_beta: bool = False,
    voice: Voice,
    vad: Callable[[], SpeechProbability] = SileroProbability,
    understand: Understanding = understand_nothing,
    new_id: NewId = random_id,
    unix_time: Callable[[], float] = time.time,
) -> None:
    """Be the model on an accepted WebSocket until it is closed, by either side.

    Cancellation ends the session at once, a running voice with it; the socket stays the caller's.

    :param model: what the client's URL names.
    :param authorization: the client's Authorization header.
    :param api_key: the key that it must send; None lets everybody in.
    :param is_beta: the client sent `OpenAI-Beta: realtime=v1`.
    :param voice: speaks the answers.
    :param vad: makes the session's speech detector.
    :param understand: what the person is taken to say in each turn.
    """
    refused = rejection(
        model=model,
        authorization=authorization,
        api_key=api_key,
        is_beta=is_beta,
        event_id=new_id("event_"),
    )
    if refused is not None:
        await _turn_away(socket, encode(refused.error), refused.close_code, refused.close_reason)
        return
    assert model is not None
    engine = Engine(
        model=model,
        new_id=new_id,
        started_at=trio.current_time(),
        unix_time=unix_time(),
        vad=vad(),
        wording=echoed_answer if isinstance(voice, EchoVoice) else spoken_answer,
        understand=understand,
    )
    async with trio.open_nursery() as nursery:
        session = _Session(socket, engine, voice, nursery)
        nursery.start_soon(session.read)
        await session.run()
        nursery.cancel_scope.cancel()


async def _turn_away(socket: ModelSocket, error: str, code: int, reason: str) -> None:
    try:
        await socket.send(error)
    except SocketClosed:
        return
    await socket.close(code, reason)


    new_rejection = rejection(
        applicant, api_key=api_key, admits_beta=admits_beta, event_id=new_id("event_")
    )
    if new_rejection is not None:
        return await _turn_away(socket, new_rejection)
    dialect = BETA if applicant.is_beta else GA
    plan = faults or FaultPlan()
    engine = Engine(
        model=applicant.model,
        new_id=new_id,
        started_at=trio.current_time(),
        unix_time=unix_time(),
        vad=vad(),
        wording=echoed_answer if isinstance(voice, EchoVoice) else spoken_answer,
        understand=understand,
        session_seconds=session_seconds or plan.session_seconds or SESSION_SECONDS,
    )
    async with trio.open_nursery() as nursery:
        if plan.faults:
            line = FaultLine(plan, started_at=trio.current_time(), new_id=new_id)
            socket = FaultySocket(socket, line)
            nursery.start_soon(socket.run)
        session = _Session(socket, engine, voice or find_voice(), dialect, nursery)
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


class _Session:
    """The tasks around one engine."""

    def __init__(
        self, socket: ModelSocket, engine: Engine, voice: Voice, nursery: trio.Nursery
    ) -> None:
        self._socket = socket
        self._engine = engine
        self._voice = voice
        self._nursery = nursery
        # No room at all: a message stays in the socket until the engine has time for it.
        self._send_news, self._news = trio.open_memory_channel[_News](0)
        self._voices: dict[str, trio.CancelScope] = {}
        self._limit = trio.CapacityLimiter(MAX_VOICES)

    async def read(self) -> None:
        """Hand on the client's messages until it is gone."""
        try:
            while True:
                await self._send_news.send(_Received(await self._socket.receive()))
        except SocketClosed:
            await self._send_news.send(_Gone())

    async def run(self) -> None:
        """Move the engine until the session is over."""
        try:
            while await self._say_all():
                news = await self._next()
                if isinstance(news, _Gone):
                    return
                self._take(news, trio.current_time())
        except SocketClosed:
            return

    async def _say_all(self) -> bool:
        """Send what the engine has to say; False after its last word."""
        for event in self._engine.events():
            await self._socket.send(encode(event))
        closing = self._engine.closing
        if closing is not None:
            await self._socket.close(closing.code, closing.reason)
            return False
        self._tend_voices()
        return True

    async def _next(self) -> _News | None:
        """The next news, or None when the engine has something to do."""
        deadline = self._engine.next_deadline()
        assert deadline is not None
        if deadline <= trio.current_time():
            # Without taking news: what the engine still has to do comes before more of it.
            await trio.lowlevel.checkpoint()
            return None
        with trio.move_on_at(deadline):
            return await self._news.receive()
        return None

    def _take(self, news: _News | None, now: float) -> None:
        match news:
            case _Received(data):
                self._engine.receive(data, now)
            case _Voiced(response_id, pcm):
                self._engine.speech_ready(response_id, pcm, now)
            case _Voiceless(response_id, why):
                self._engine.speech_failed(response_id, why, now)
            case _:
                self._engine.advance(now)

    def _tend_voices(self) -> None:
        for request in self._engine.speech_requests():
            scope = self._voices[request.response_id] = trio.CancelScope()
            self._nursery.start_soon(self._speak, request, scope)
        awaited = self._engine.awaiting_speech()
        for response_id in [known for known in self._voices if known not in awaited]:
            self._voices.pop(response_id).cancel()

    async def _speak(self, request: SpeechRequest, scope: trio.CancelScope) -> None:
        with scope:
            news: _News
            try:
                async with self._limit:
                    pcm = await self._voice.speak(request.text, request.heard)
                news = _Voiced(request.response_id, pcm)
            except VoiceError as error:
                news = _Voiceless(request.response_id, str(error))
            await self._send_news.send(news)
