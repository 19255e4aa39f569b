"""The SDK's side of a call in memory, for the test's clock: it takes what it is told to take."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import trio

from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.handover import AudioHandover

OK, STUCK = 0, object()


class FakeMember:
    """What `agent.rtc.agora_member.Member` asks for.

    :ivar answers: what each call answers, one after another; then 0. `STUCK` never answers.
    :ivar calls: (time, call, arguments), in order.
    """

    CALL_S = 2.0

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = defaultdict(list)
        self.calls: list[tuple[float, str, tuple[Any, ...]]] = []
        self.frames_in_buffer: int | None = None
        self.pushed = bytearray()
        self.takes_speech = True

    def push(self, pcm: bytes) -> bool:
        self.pushed += pcm
        return self.takes_speech

    def clear(self) -> int | None:
        return self.frames_in_buffer

    async def connect(self, token: str) -> int:
        return await self._answer("connect", token)

    async def subscribe(self, uid: int) -> int:
        return await self._answer("subscribe", uid)

    async def unsubscribe(self, uid: int) -> int:
        return await self._answer("unsubscribe", uid)

    async def renew_token(self, token: str) -> int:
        return await self._answer("renew_token", token)

    async def send(self, packet: str) -> int:
        return await self._answer("send", packet)

    async def withdraw(self) -> None:
        await self._answer("withdraw")

    async def disconnect(self) -> int:
        return await self._answer("disconnect")

    async def release(self) -> None:
        await self._answer("release")

    def abandon(self) -> None:
        self.calls.append((trio.current_time(), "abandon", ()))

    def made(self, *names: str) -> list[tuple[Any, ...]]:
        """The calls of these names, without their times."""
        return [(name, *arguments) for _, name, arguments in self.calls if name in names]

    async def _answer(self, name: str, *arguments: Any) -> int:
        self.calls.append((trio.current_time(), name, arguments))
        await trio.lowlevel.checkpoint()
        answer = self.answers[name].pop(0) if self.answers[name] else OK
        if answer is STUCK:
            await trio.sleep(self.CALL_S)
            raise trio.TooSlowError
        if isinstance(answer, BaseException):
            raise answer
        code: int = answer
        return code


def info(uid: int = 1) -> Any:
    """What the SDK tells of a connection."""
    return SimpleNamespace(local_user_id=str(uid), state=3)


def tokens() -> Any:
    """Tokens that can be told apart."""
    made = iter(range(1, 1000))
    return lambda: f"token-{next(made)}"


def a_channel(member: FakeMember, uid: int = 1, ttl_s: float | None = 86_400) -> AgoraChannel:
    """A channel that has not joined yet."""
    return AgoraChannel(member, uid, make_token=tokens(), token_ttl_s=ttl_s, audio=AudioHandover())


@asynccontextmanager
async def joined(
    member: FakeMember, uid: int = 1, ttl_s: float | None = 86_400
) -> AsyncIterator[AgoraChannel]:
    """A joined channel that keeps itself."""
    channel = a_channel(member, uid, ttl_s)
    channel.told("on_connected", info(uid or 4711), 1)
    await channel.join()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.keep)
        yield channel
        nursery.cancel_scope.cancel()
