"""A call in Agora's channel, over the wrapper's real code and a stand-in for the SDK under it.

Its failures and its end are tested beside it. How such tests run: `agora_calls.py`.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from agent.audio import FRAME_BYTES, FRAME_SAMPLES
from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.agora_sdk import Ears
from agent.rtc.channel import ChannelLost, DataReceived, UserJoined, UserLeft
from agent.rtc.handover import AudioHandover
from tests.fakes.agora_member import FakeMember, a_channel
from tests.rtc.agora_calls import PERSON, frames, joined, listen, loud, until

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud


# -- a call --------------------------------------------------------------------------------------


async def test_the_two_meet_and_part(cloud: "Cloud") -> None:
    person = cloud.person()
    async with joined() as channel:
        assert channel.uid == 1
        person.join("demo", PERSON)
        assert await channel.events.receive() == UserJoined(PERSON)
        assert person.others == {"1"}
        person.leave(1)
        assert await channel.events.receive() == UserLeft(PERSON, "lost")
        person.join("demo", PERSON)
        assert await channel.events.receive() == UserJoined(PERSON)
    await until(cloud, lambda: person.others == set())


async def test_agora_chooses_a_uid_where_none_is_asked_for(cloud: "Cloud") -> None:
    async with joined(uid=0) as channel:
        assert cloud.members("demo") == [str(channel.uid)]


async def test_only_who_is_listened_to_is_heard_and_in_order(cloud: "Cloud") -> None:
    person, other = cloud.person(), cloud.person()
    person.join("demo", PERSON)
    other.join("demo", 8)
    async with joined() as channel:
        await listen(channel, PERSON)
        other.speak(frames(500, first=5000))
        person.speak(frames(30))
        assert await said(channel, 30) == frames(30)
        await listen(channel, 8)
        other.leave()
        person.speak(frames(30, first=2000))
        other.join("demo", 8)
        other.speak(frames(30, first=9000))
        await listen(channel, 8)
        assert (await said(channel, 1))[-1] == frames(1, first=9000)[-1]


async def said(channel: AgoraChannel, count: int) -> bytes:
    """The next frames that are no silence."""
    heard = b""
    while len(heard) < count * FRAME_BYTES:
        heard += loud(await channel.audio.receive())
    return heard


async def test_an_append_wakes_trio_once(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        await listen(channel, PERSON)
        for _ in range(8):
            assert len(await channel.audio.receive()) == 2 * FRAME_BYTES


async def test_a_muted_person_is_still_there(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        assert await channel.events.receive() == UserJoined(PERSON)
        await listen(channel, PERSON)
        person.mute()
        with trio.move_on_after(0.3):  # long enough for what is on its way
            while True:
                await channel.audio.receive()
        with trio.move_on_after(0.1) as silent:
            await channel.audio.receive()
        assert silent.cancelled_caught
        with pytest.raises(trio.WouldBlock):
            channel.events.receive_nowait()
        person.unmute()
        await channel.audio.receive()


async def test_what_is_played_is_heard_as_it_is(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        channel.play(frames(4))
        channel.play(frames(4, first=5))
        await until(cloud, lambda: len(loud(person.pcm("1"))) >= 8 * FRAME_BYTES)
        assert loud(person.pcm("1")) == frames(8)


async def test_a_clear_counts_exactly_what_will_not_be_heard(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        channel.play(frames(60))
        await until(cloud, lambda: loud(person.pcm("1")))
        given_up = channel.clear()
        assert given_up is not None
        channel.play(frames(1, first=9000))
        await until(cloud, lambda: frames(1, first=9000) in person.pcm("1"))
        heard = loud(person.pcm("1"))[:-FRAME_BYTES]
        assert len(heard) // 2 == 60 * FRAME_SAMPLES - given_up
        assert heard == frames(60)[: len(heard)]


@pytest.mark.parametrize("lead_frames", [6, 100])
async def test_the_buffer_holds_the_longest_lead(lead_frames: int, cloud: "Cloud") -> None:
    async with joined() as channel:
        for _ in range(lead_frames):
            channel.play(frames(1))
        (track,) = cloud.tracks
        assert track.buffer.overflowed == 0
        channel.clear()


# -- data ----------------------------------------------------------------------------------------


async def test_data_goes_both_ways_on_a_reliable_stream(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        assert await channel.events.receive() == UserJoined(PERSON)
        await channel.send_data("a|1|1|eA==")
        await until(cloud, lambda: person.messages)
        (message,) = person.messages
        assert (message.uid, message.data) == ("1", b"a|1|1|eA==")
        made = [call.arguments for call in cloud.calls if "create_data_stream" in call.method]
        assert made == [(False, False), (True, True)]
        streams = {
            call.arguments[0] for call in cloud.calls if "send_stream_message" in call.method
        }
        assert streams == {message.stream} != {0}
        person.send("b|1|1|eA==")
        assert await channel.events.receive() == DataReceived(PERSON, "b|1|1|eA==")


async def test_a_burst_over_the_limit_arrives_in_order_all_the_same(cloud: "Cloud") -> None:
    cloud.plan.packets_per_s = 20
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        for number in range(30):
            await channel.send_data(f"{number}|1|1|eA==")
        await until(cloud, lambda: len(person.messages) == 30)
    assert [message.data.split(b"|")[0] for message in person.messages] == [
        str(number).encode() for number in range(30)
    ]


async def test_where_no_reliable_stream_is_to_be_had_the_wrappers_serves(cloud: "Cloud") -> None:
    cloud.plan.data_streams = 1
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        await channel.send_data("a|1|1|eA==")
        await until(cloud, lambda: person.messages)


# -- whatever the SDK is like --------------------------------------------------------------------

# What nobody outside of Agora knows: each has to be all the same to a call.
SWITCHES: list[dict[str, Any]] = [
    {"unsubscribe_raises": False},
    {"subscription_survives": True},
    {"early_frames": True, "callbacks_overlap": False},
    {"zero_uid_frames": True, "frame_channel_id": True},
    {"muted_frames": True},
    {"clear_tells": "nothing", "before_joined": "kept"},
    {"message_type": "bytes", "same_uid": "both"},
    {"reconnected_by": "on_connected"},
    {"reconnected_by": "on_reconnected", "buffer_overflow": "drops_oldest"},
    {"odd_lengths": "refused", "disconnect_after_failure_answers": True},
]


@pytest.mark.parametrize("switches", SWITCHES, ids="+".join)
async def test_a_call_whatever_the_sdk_is_like(switches: dict[str, Any], cloud: "Cloud") -> None:
    cloud.plan.change(switches)
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        await listen(channel, PERSON)
        for turn in range(2):
            person.speak(frames(10, first=1 + 1000 * turn))
            assert await said(channel, 10) == frames(10, first=1 + 1000 * turn)
            channel.play(frames(4, first=1 + 1000 * turn))
            last = frames(1, first=4 + 1000 * turn)
            await until(cloud, lambda last=last: person.pcm("1").endswith(last))  # type: ignore[misc]
            await channel.send_data(f"{turn}|1|1|eA==")
            person.send(f"{turn}|1|1|eA==")
            assert f"{turn}|1|1|eA==" == (await data(channel)).packet
            cloud.lose(1)
            # Of this turn: where callbacks overlap, that of the recovery could come before it.
            await until(cloud, lambda turn=turn: losses(cloud) > turn)  # type: ignore[misc]
            cloud.recover(1)
            await listen(channel, PERSON)
        channel.play(frames(60))
        assert channel.clear() != 0
    assert len(person.messages) == 2


def losses(cloud: "Cloud") -> int:
    return [callback.method for callback in cloud.callbacks].count("on_reconnecting")


async def data(channel: AgoraChannel) -> DataReceived:
    """The next data message."""
    while not isinstance(event := await channel.events.receive(), DataReceived):
        pass
    return event


async def test_nobody_else_is_heard_whatever_the_sdk_gives() -> None:
    audio = AudioHandover()
    listener = a_channel(FakeMember())
    listener.listen_to(PERSON)
    ears = Ears(listener, audio, trio.lowlevel.current_trio_token())
    frame = SimpleNamespace(
        buffer=bytearray(frames(2)), samples_per_sec=24_000, channels=1, bytes_per_sample=2
    )
    for uid in ("8", "0", "07", ""):
        assert ears.hear(None, "demo", uid, frame, -1, None) == 0
    with trio.move_on_after(0.01) as nothing:
        await audio.receive()
    assert nothing.cancelled_caught
    ears.hear(None, "demo", "7", frame, -1, None)
    assert await audio.receive() == frames(2)
    # In a format that is wrong it says so once.
    frame.samples_per_sec = 48_000
    for _ in range(3):
        ears.hear(None, "demo", "7", frame, -1, None)
    assert await listener.events.receive() == ChannelLost(
        "the SDK gives audio of 48000 Hz with 1 channels"
    )


def test_callbacks_after_the_end_of_trio_are_no_errors() -> None:
    async def make() -> Ears:
        channel = a_channel(FakeMember())
        channel.listen_to(PERSON)
        return Ears(channel, AudioHandover(), trio.lowlevel.current_trio_token())

    ears = trio.run(make)
    frame = SimpleNamespace(
        buffer=bytearray(frames(2)), samples_per_sec=24_000, channels=1, bytes_per_sample=2
    )
    ears.told("on_user_joined", None, "7")
    ears.failed(OSError("late"))
    assert ears.hear(None, "", "7", frame) == 0


@pytest.mark.parametrize("answer", [-1, None])
async def test_a_clear_that_the_sdk_refuses_counts_nothing(
    answer: int | None, cloud: "Cloud"
) -> None:
    async with joined() as channel:
        cloud.plan.returns["LocalAudioTrack.clear_sender_buffer"] = answer
        channel.play(frames(60))
        assert channel.clear() is None
