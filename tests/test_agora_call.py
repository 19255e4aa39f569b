"""A whole spoken call in an Agora channel: person, agent, embedded model.

The wrapper's code is the real one and speech is real; the SDK under it is a stand-in whose threads
and buffers run in real time.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define, field

from agent.audio import FRAME_MS
from agent.config import Settings
from agent.handle import Agent
from agent.options import AgentOptions
from agent.run import run_agent
from agent.session import Outcome
from agent.streams.chunks import Reassembler, to_chunks
from tests.fakes.agora import APP_ID, CERTIFICATE, agora_cloud
from tests.speech import silence, speech

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud

SETTINGS = Settings(agora_app_id=APP_ID, agora_app_cert=CERTIFICATE)
GREETING = "Good morning, this is a rather long greeting, so that there is time to interrupt it."
OPTIONS = AgentOptions(channel_name="demo", uid=1, greeting=GREETING)
SOON_S = 20.0
PERSON = 7
PAUSE_S = 0.1
"""Frames come every 10 ms while the agent speaks; after so long without one it is silent."""


@pytest.fixture
def cloud() -> Iterator["Cloud"]:
    with agora_cloud() as cloud:
        yield cloud


@define
class Running:
    """A call under way.

    :ivar messages: what the person was told, put together again.
    """

    cloud: "Cloud"
    person: Any
    agent: Agent = field(factory=Agent)
    outcome: Outcome | None = None
    over: trio.Event = field(factory=trio.Event)
    _read: int = 0
    _reassembler: Reassembler = field(factory=Reassembler)
    _messages: list[dict[str, Any]] = field(factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        for message in self.person.messages[self._read :]:
            whole = self._reassembler.feed(int(message.uid), message.data.decode("ascii"))
            self._messages += [whole] if whole is not None else []
            self._read += 1
        return self._messages

    def runs(self) -> list[int]:
        """Of each time that the agent spoke without a pause, how many milliseconds were heard."""
        found, last = [], float("-inf")
        for frame in self.person.heard:
            if frame.at > last + PAUSE_S:
                found.append(0)
            found[-1] += FRAME_MS
            last = frame.at
        return found

    def told(self, what: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == what]

    async def until(self, wanted: Callable[[], object]) -> None:
        await trio.to_thread.run_sync(partial(self.cloud.until, wanted, SOON_S))


@asynccontextmanager
async def a_call(cloud: "Cloud", options: AgentOptions = OPTIONS) -> AsyncIterator[Running]:
    """A call whose person is not there yet."""
    running = Running(cloud, cloud.person())

    async def run() -> None:
        running.outcome = await run_agent(SETTINGS, options, agent=running.agent)
        running.over.set()

    with trio.fail_after(3 * SOON_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await running.agent.joined()
            yield running
            running.agent.stop()
            await running.over.wait()


DELTA, DONE = "response.audio_transcript.delta", "response.audio_transcript.done"


async def test_a_call_is_held_from_the_greeting_to_the_end(cloud: "Cloud") -> None:
    async with a_call(cloud) as call:
        call.person.join("demo", PERSON)
        await call.until(lambda: sum(call.runs()) > 600)
        # The person speaks over the greeting, and the agent falls silent.
        call.person.speak(speech("Wait a moment, please.") + silence(0.5))
        await call.until(lambda: call.told(DONE) and call.told(DONE)[-1].get("interrupted"))
        cut = call.told(DONE)[-1]
        # It answers what was said.
        await call.until(lambda: len(call.runs()) >= 2 and call.runs()[1] > 200)
        # What was told to have been heard of the greeting is what has left the SDK's buffer.
        assert call.runs()[0] == pytest.approx(cut["audio_end_ms"], abs=FRAME_MS)
        assert 0 < len(cut["transcript"]) < len(GREETING)
        (track,) = cloud.tracks
        assert track.buffer.cleared > 0
        assert track.buffer.overflowed == 0
    assert call.outcome == Outcome("stopped")


async def test_typing_over_the_data_stream(cloud: "Cloud") -> None:
    async with a_call(cloud, AgentOptions(channel_name="demo", uid=1)) as call:
        call.person.join("demo", PERSON)
        await call.until(lambda: call.person.others == {"1"})
        for chunk in to_chunks({"type": "text", "text": "Say something. " * 60}, "m1"):
            call.person.send(chunk)
        await call.until(lambda: call.runs() and call.told(DELTA))
        # A client that knows only the earlier sample's format finds its fields.
        fields = {"event_id", "response_id", "item_id", "output_index", "content_index", "delta"}
        assert fields < set(call.told(DELTA)[0])


@pytest.mark.parametrize(("returns", "reason"), [(True, "stopped"), (False, "the person left")])
async def test_who_leaves_may_return_in_time(returns: bool, reason: str, cloud: "Cloud") -> None:
    options = AgentOptions(channel_name="demo", uid=1, user_rejoin_grace_s=0.5)
    async with a_call(cloud, options) as call:
        call.person.join("demo", PERSON)
        await call.until(lambda: frames_given(cloud))
        call.person.leave(1)
        if returns:
            call.person.join("demo", PERSON)
            given = frames_given(cloud)
            await call.until(lambda: frames_given(cloud) > given)
        else:
            await call.over.wait()
    assert call.outcome == Outcome(reason)


def frames_given(cloud: "Cloud") -> int:
    """How many frames of the person's the agent was given."""
    given: int = cloud.connection(1).frames_given.get(str(PERSON), 0)
    return given


async def test_another_who_joins_is_not_heard(cloud: "Cloud") -> None:
    options = AgentOptions(channel_name="demo", uid=1, subscribe_uid=PERSON)
    async with a_call(cloud, options) as call:
        other = cloud.person()
        other.join("demo", 8)
        call.person.join("demo", PERSON)
        await call.until(lambda: frames_given(cloud) > 10)
        assert "8" not in cloud.connection(1).frames_given
