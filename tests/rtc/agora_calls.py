"""What the tests of Agora's channel share: its cloud is the fixture of `conftest.py`.

The SDK's threads are real, so these tests run in real time; they wait for events, with bounds.
"""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from agent.audio import FRAME_BYTES, FRAME_SAMPLES
from agent.errors import AgentError, sole_error
from agent.rtc.agora import Project, open_agora_channel
from agent.rtc.agora_channel import AgoraChannel
from tests.fakes.agora import APP_ID, CERTIFICATE

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud


PROJECT = Project(app_id=APP_ID, certificate=CERTIFICATE)
SOON_S = 10.0
PERSON = 7


@asynccontextmanager
async def joined(project: Project = PROJECT, uid: int = 1) -> AsyncIterator[AgoraChannel]:
    """In the channel, with a bound for all that the test does there."""
    with trio.fail_after(SOON_S):
        async with open_agora_channel(project, "demo", uid) as channel:
            yield channel


async def until(cloud: "Cloud", wanted: Callable[[], object]) -> None:
    await trio.to_thread.run_sync(partial(cloud.until, wanted, SOON_S))


async def ended(name: str) -> None:
    """Wait until no thread has this name."""
    with trio.fail_after(SOON_S):
        for thread in threading.enumerate():
            if thread.name == name:
                await trio.to_thread.run_sync(thread.join, SOON_S)


def frames(count: int, first: int = 1) -> bytes:
    """Frames that are told apart by their samples."""
    return b"".join((first + at).to_bytes(2, "little") * FRAME_SAMPLES for at in range(count))


def loud(pcm: bytes) -> bytes:
    """The frames that are no silence."""
    pieces = [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
    return b"".join(piece for piece in pieces if any(piece))


async def refusal(project: Project = PROJECT) -> AgentError:
    """The error with which joining ends."""
    with pytest.raises((AgentError, ExceptionGroup)) as caught:
        async with joined(project):
            pass
    error = sole_error(caught.value)
    assert error is not None
    return error


async def listen(channel: AgoraChannel, uid: int) -> None:
    """Listen to somebody, and wait until they are heard."""
    channel.listen_to(uid)
    await channel.audio.receive()
