"""The tasks around one engine, in one nursery.

Three kinds: one reads the client's messages, one moves the engine and sends what it says, and one
runs for each voice that is asked for, so that a slow voice keeps nobody from being heard. Whatever
waits is bounded: a client that reads slowly stops the engine, and with it the reading of more
messages.
"""

from typing import Final, TypeAlias

import trio
from attrs import define, frozen

from agent.embedded.answers.speaking import SpeechRequest
from agent.embedded.answers.voice import Voice, VoiceError
from agent.embedded.engine import Engine
from agent.embedded.wire.dialects import Dialect
from agent.embedded.wire.model_socket import ModelSocket, SocketClosed

MAX_VOICES: Final = 2
"""Voices at a time in one session; more of them wait."""
GRACE_SECONDS: Final = 5.0
"""After the session's time, for its last words; the client that does not take them is cut."""


@define
class Summary:
    """A session for the log: how it ended, and the messages of both sides."""

    reason: str
    received: int = 0
    sent: int = 0


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


class Session:
    """Both `read` and `run` must run, in the nursery that is given.

    :param summary: is kept up to date.
    :param ends_at: when the session's time is over, in seconds on Trio's clock.
    """

    def __init__(
        self,
        socket: ModelSocket,
        engine: Engine,
        voice: Voice,
        dialect: Dialect,
        nursery: trio.Nursery,
        *,
        summary: Summary,
        ends_at: float,
    ) -> None:
        self._summary = summary
        self._ends_at = ends_at
        self._socket = socket
        self._engine = engine
        self._voice = voice
        self._dialect = dialect
        self._nursery = nursery
        # No room at all: a message stays in the socket until the engine has time for it.
        self._send_news, self._news = trio.open_memory_channel[_News](0)
        self._voices: dict[str, trio.CancelScope] = {}
        self._limit = trio.CapacityLimiter(MAX_VOICES)

    async def read(self) -> None:
        """Hand on the client's messages until it is gone."""
        try:
            while True:
                message = await self._socket.receive()
                self._summary.received += 1
                await self._send_news.send(_Received(self._dialect.to_ga(message)))
        except SocketClosed:
            await self._send_news.send(_Gone())

    async def run(self) -> None:
        """Move the engine until the session is over, and close or cut its socket."""
        try:
            # The engine knows its time, but does not come to look while the client does not read.
            with trio.move_on_at(self._ends_at + GRACE_SECONDS) as time:
                await self._move()
            if time.cancelled_caught:
                self._summary.reason = "the client did not read until its time was over"
                await self._socket.cut()
            else:
                await self._close()
        except SocketClosed:
            self._summary.reason = "the client is gone"

    async def _move(self) -> None:
        """Until the engine has said its last word."""
        while await self._say_all():
            news = await self._next()
            if isinstance(news, _Gone):
                raise SocketClosed
            self._take(news, trio.current_time())

    async def _say_all(self) -> bool:
        """Send what the engine has to say; False after its last word."""
        for event in self._engine.events():
            for message in self._dialect.encode(event):
                await self._socket.send(message)
                self._summary.sent += 1
        if self._engine.closing is not None:
            return False
        self._tend_voices()
        return True

    async def _close(self) -> None:
        closing = self._engine.closing
        assert closing is not None
        self._summary.reason = closing.reason
        await self._socket.close(closing.code, closing.reason)

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
                    pcm = await self._voice.speak(request.text, request.heard, request.speed)
                news = _Voiced(request.response_id, pcm)
            except VoiceError as error:
                news = _Voiceless(request.response_id, str(error))
            await self._send_news.send(news)
