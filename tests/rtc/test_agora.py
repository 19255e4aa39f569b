"""Agora's channel over the wrapper's real code and a stand-in for the SDK under it.

The SDK's threads are real, so these tests run in real time; they wait for events, with bounds.
"""

import logging
import os
import re
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from agent.audio import FRAME_BYTES, FRAME_SAMPLES
from agent.errors import AgentError, ChannelError, ConfigError, sole_error
from agent.rtc import agora_channel
from agent.rtc.agora import Project, open_agora_channel
from agent.rtc.agora_channel import AgoraChannel
from agent.rtc.agora_sdk import Ears
from agent.rtc.channel import ChannelLost, DataReceived, UserJoined, UserLeft
from agent.rtc.handover import AudioHandover
from tests.fakes.agora import APP_ID, CERTIFICATE, WRAPPER, agora_cloud
from tests.fakes.agora_member import FakeMember, a_channel

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud

PROJECT = Project(app_id=APP_ID, certificate=CERTIFICATE)
SOON_S = 10.0
PERSON = 7


@pytest.fixture
def cloud() -> Iterator["Cloud"]:
    with agora_cloud() as cloud:
        yield cloud


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


async def listen(channel: AgoraChannel, uid: int) -> None:
    """Listen to somebody, and wait until they are heard."""
    channel.listen_to(uid)
    await channel.audio.receive()


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


# -- tokens --------------------------------------------------------------------------------------


async def test_a_token_is_renewed_and_the_call_goes_on(cloud: "Cloud") -> None:
    cloud.plan.token_life_s, cloud.plan.expiry_notice_s = 0.5, 0.3
    async with joined() as channel:
        await until(cloud, lambda: len(renewals(cloud)) >= 3)
        tokens = renewals(cloud)
        assert len(set(tokens)) == len(tokens)
        with pytest.raises(trio.WouldBlock):
            channel.events.receive_nowait()


def renewals(cloud: "Cloud") -> list[str]:
    return [str(call.arguments[0]) for call in cloud.calls if "renew_token" in call.method]


async def test_a_token_that_nobody_renews_ends_the_call_by_name(cloud: "Cloud") -> None:
    cloud.plan.token_life_s, cloud.plan.expiry_notice_s = 0.3, 0.2
    cloud.plan.returns["RTCConnection.renew_token"] = -1
    async with joined() as channel:
        event = await channel.events.receive()
    assert isinstance(event, ChannelLost)
    assert "token expired" in event.reason


async def test_a_project_without_a_certificate_joins_without_a_token(cloud: "Cloud") -> None:
    cloud.plan.certificate = ""
    async with joined(Project(app_id=APP_ID)):
        (connect,) = [call for call in cloud.calls if call.method.endswith(".connect")]
        assert connect.arguments[0] == ""


# -- failures, by name ---------------------------------------------------------------------------


@pytest.mark.parametrize("callback", ["on_connection_failure", "on_disconnected"])
async def test_a_project_that_agora_does_not_know(callback: str, cloud: "Cloud") -> None:
    cloud.plan.refused_by = callback
    error = await refusal(Project(app_id="c" * 32, certificate=CERTIFICATE))
    assert isinstance(error, ConfigError)
    assert "AGORA_APP_ID" in str(error)


async def test_a_certificate_of_another_project(cloud: "Cloud") -> None:
    error = await refusal(Project(app_id=APP_ID, certificate="c" * 32))
    assert isinstance(error, ConfigError)
    assert "AGORA_APP_CERT" in str(error)
    assert "cccc" not in str(error)


async def test_a_token_that_is_wanted_and_not_given(cloud: "Cloud") -> None:
    assert "AGORA_APP_CERT" in str(await refusal(Project(app_id=APP_ID)))


async def test_an_app_id_that_fails_the_start(cloud: "Cloud") -> None:
    cloud.plan.bad_app_id_fails_initialize = True
    error = await refusal(Project(app_id="c" * 32))
    assert isinstance(error, ConfigError)
    assert "AGORA_APP_ID" in str(error)


async def test_an_sdk_that_does_not_start(cloud: "Cloud") -> None:
    cloud.plan.returns["AgoraService.initialize"] = -1
    assert "did not start (its error -1)" in str(await refusal())


async def test_a_ban(cloud: "Cloud") -> None:
    cloud.plan.outcome = [("on_connecting", 2, 0, 0.0), ("on_disconnected", 1, 3, 0.01)]
    error = await refusal()
    assert isinstance(error, ChannelError)
    assert "banned" in str(error)


async def test_a_network_that_does_not_answer(
    cloud: "Cloud", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agora_channel, "JOIN_S", 0.2)
    cloud.plan.outcome = "silent"
    error = await refusal()
    assert isinstance(error, ChannelError)
    assert "network" in str(error)


@pytest.mark.parametrize("method", ["AgoraService.create_rtc_connection", "RTCConnection.connect"])
async def test_calls_that_fail(method: str, cloud: "Cloud") -> None:
    cloud.plan.returns[method] = None if "create" in method else -2
    assert isinstance(await refusal(), ChannelError)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("exit", "can't load its native library: "),
        ("download_fails", "can't get its native library: "),
        ("missing_library", "native library"),
    ],
)
async def test_an_import_that_fails_is_one_clear_error(
    what: str, words: str, cloud: "Cloud", caplog: pytest.LogCaptureFixture
) -> None:
    verified = ssl._create_default_https_context
    cloud.plan.change({"import": what})
    error = await refusal()
    assert isinstance(error, ConfigError)
    assert words in str(error)
    assert "RTC=local" in str(error)
    assert caplog.messages == []  # the error says it all
    assert ssl._create_default_https_context is verified


async def test_being_put_out(cloud: "Cloud") -> None:
    async with joined() as channel:
        cloud.kick(1, 3)
        event = await channel.events.receive()
    assert isinstance(event, ChannelLost)
    assert "banned" in event.reason


async def test_another_member_with_our_uid(cloud: "Cloud") -> None:
    async with joined() as channel:
        other = cloud.person()
        other.join("demo", 1)
        event = await channel.events.receive()
        other.leave()
    assert isinstance(event, ChannelLost)
    assert "our uid" in event.reason


async def test_an_outage_that_the_sdk_recovers_from(
    cloud: "Cloud", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloud.plan.lost_after_s = 0.1
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        await channel.events.receive()
        cloud.lose(1)
        await until(cloud, lambda: any(c.method == "on_connection_lost" for c in cloud.callbacks))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send_data, "a|1|1|eA==")
            cloud.recover(1)
        await until(cloud, lambda: person.messages)
        await listen(channel, PERSON)
    assert "interrupted" in caplog.text
    assert "back in the channel" in caplog.text


async def test_an_outage_without_end(cloud: "Cloud", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agora_channel, "OUTAGE_S", 0.2)
    async with joined() as channel:
        cloud.lose(1)
        event = await channel.events.receive()
    assert isinstance(event, ChannelLost)
    assert "out of reach" in event.reason


async def test_audio_of_a_wrong_rate(cloud: "Cloud") -> None:
    cloud.plan.frame_rate, cloud.plan.frame_channels = 48_000, 2
    person = cloud.person()
    person.join("demo", PERSON)
    async with joined() as channel:
        await channel.events.receive()
        channel.listen_to(PERSON)
        event = await channel.events.receive()
    assert event == ChannelLost("the SDK gives audio of 48000 Hz with 2 channels")


# -- leaving -------------------------------------------------------------------------------------


async def test_everything_is_given_back_in_the_sdks_order(cloud: "Cloud") -> None:
    async with joined():
        pass
    methods = [call.method for call in cloud.calls]
    leaving = methods[methods.index("LocalUser.unpublish_audio") :]
    assert leaving == [
        "LocalUser.unpublish_audio",
        "LocalAudioTrack.set_enabled",
        "LocalUser.unregister_audio_frame_observer",
        "LocalUser.unregister_local_user_observer",
        "RTCConnection.disconnect",
        "RTCConnection.unregister_observer",
        "LocalUser.release",
        "RTCConnection.release",
        "LocalAudioTrack.release",
        "AudioPcmDataSender.release",
        "MediaNodeFactory.release",
        "AgoraService.release",
    ]


async def test_cancelled_it_leaves_all_the_same(cloud: "Cloud") -> None:
    with trio.CancelScope() as scope:
        async with joined():
            scope.cancel()
            await trio.sleep_forever()
    assert cloud.members("demo") == []


async def test_cancelled_in_the_midst_of_joining_it_leaves(cloud: "Cloud") -> None:
    cloud.plan.outcome = "silent"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused_or_cancelled)
        await until(cloud, lambda: any(c.method.endswith(".connect") for c in cloud.calls))
        nursery.cancel_scope.cancel()


async def refused_or_cancelled() -> None:
    async with joined():
        raise AssertionError("joined")


@pytest.mark.parametrize("held_s", [0.3, 2.2])
async def test_what_joins_after_it_was_given_up_leaves_again(held_s: float, cloud: "Cloud") -> None:
    """Cancelled in the midst of the call itself, or too slow for us: it joins all the same."""
    cloud.plan.blocks_s["RTCConnection.connect"] = held_s
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused_or_cancelled if held_s < 1 else refused)
        await until(cloud, lambda: any(c.method.endswith(".connect") for c in cloud.calls))
        if held_s < 1:
            nursery.cancel_scope.cancel()
    await until(cloud, lambda: cloud.calls[-1].method == "AgoraService.release")


async def refused() -> None:
    assert "does not answer" in str(await refusal())


@pytest.mark.parametrize(
    "method", ["LocalUser.unpublish_audio", "LocalUser.unregister_audio_frame_observer"]
)
async def test_what_fails_while_leaving_keeps_nothing_from_being_given_back(
    method: str, cloud: "Cloud", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no such observer")

    from agora.rtc import local_user

    monkeypatch.setattr(local_user.LocalUser, method.partition(".")[2], fail)
    async with joined():
        pass
    assert "no such observer" in caplog.text
    await until(cloud, lambda: cloud.calls[-1].method == "AgoraService.release")
    cloud.violations.clear()  # what failed was not done
    await ended("agora")


async def test_speech_that_the_sdk_does_not_take_stops_neither_trio_nor_the_end(
    cloud: "Cloud", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agora_channel, "LEAVE_S", 0.3)
    async with joined() as channel:
        channel.play(frames(1))
        await until(cloud, lambda: cloud.tracks[0].buffer.pushes)
        cloud.plan.blocks_s["AudioPcmDataSender.send_audio_pcm_data"] = 1.0
        channel.play(frames(1))
        await until(cloud, lambda: len([c for c in cloud.calls if "send_audio" in c.method]) == 2)
        assert channel.clear() is None  # not known in time
        for _ in range(300):
            channel.play(frames(1))
        assert await channel.events.receive() == ChannelLost("Agora's SDK takes no speech")
        cloud.plan.blocks_s.clear()
    await ended("agora-speaker")
    await ended("agora")
    if cloud.services:  # what was in the midst of a call was not taken away from under it
        cloud.services = 0
        cloud.violations.clear()


async def test_speech_at_which_the_sdk_fails_is_the_end(
    cloud: "Cloud", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more")

    async with joined() as channel:
        from agora.rtc import audio_pcm_data_sender

        monkeypatch.setattr(audio_pcm_data_sender.AudioPcmDataSender, "send_audio_pcm_data", fail)
        channel.play(frames(1))
        event = await channel.events.receive()
    assert event == ChannelLost("Agora's SDK failed at our speech: OSError: no more")


async def test_without_agoras_answer_everything_is_given_back(
    cloud: "Cloud", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agora_channel, "LEAVE_S", 0.4)
    cloud.plan.disconnect_answers = False
    async with joined():
        pass
    assert cloud.calls[-1].method == "AgoraService.release"


async def test_a_stuck_sdk_keeps_nobody(
    cloud: "Cloud", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agora_channel, "LEAVE_S", 0.1)
    cloud.plan.blocks_s["RTCConnection.disconnect"] = 1.5
    async with joined():
        pass
    assert "does not answer" in caplog.text
    assert "left behind" in caplog.text
    # It comes back when nobody waits any more. A real one might not: its thread is a daemon.
    await until(cloud, lambda: cloud.calls[-1].method == "AgoraService.release")
    await ended("agora")


async def test_one_process_holds_one_call(cloud: "Cloud") -> None:
    async with joined():
        with pytest.raises(ChannelError, match="one agent, one process"):
            async with open_agora_channel(PROJECT, "other", 2):
                pass
    async with joined():
        pass


# -- what the import and the wrapper leave behind ------------------------------------------------


async def test_nothing_of_a_token_is_logged_or_written(
    cloud: "Cloud",
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.plan.token_life_s, cloud.plan.expiry_notice_s = 0.5, 0.3
    project = Project(app_id=APP_ID, certificate=CERTIFICATE, log_dir=tmp_path)
    async with joined(project) as channel:
        await channel.send_data("a|1|1|c2VjcmV0")
        await until(cloud, lambda: any("renew_token" in call.method for call in cloud.calls))
    out, err = capfd.readouterr()
    shown = out + err + caplog.text + repr(project)
    tokens = {
        argument
        for call in cloud.calls
        for argument in call.arguments
        if isinstance(argument, str) and argument.startswith("007")
    }
    assert len(tokens) >= 2
    assert [token for token in tokens if token in shown] == []
    assert CERTIFICATE not in shown
    assert not re.search(r"Connect(ed|ing) to", shown)  # the wrapper's own words
    assert found_in(tmp_path) == [f"agorasdk-{os.getpid()}.log"]


async def test_the_import_leaves_tls_as_it_was(cloud: "Cloud") -> None:
    verified = ssl._create_default_https_context
    async with joined():
        assert ssl._create_default_https_context is verified


async def test_the_wrappers_errors_come_by_our_own_way(
    cloud: "Cloud", capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with joined():
        logging.getLogger("agora_realtime_ai_api.rtc").error("something broke")
    assert caplog.messages.count("something broke") == 1
    assert "something broke" not in "".join(capfd.readouterr())


async def test_the_sdks_log_lies_nowhere_that_lasts(
    cloud: "Cloud", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with joined():
        assert [Path(name).name for name in found_in(tmp_path)] == [f"agorasdk-{os.getpid()}.log"]
    assert found_in(tmp_path) == []
    assert not any("agorasdk" in name for name in found_in(WRAPPER))


async def test_what_a_killed_agent_left_is_swept_away(
    cloud: "Cloud", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = await trio.run_process(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_stdout=True
    )
    gone = int(done.stdout)
    for name in (f"trio-voice-agent-{gone}-x", f"trio-voice-agent-{os.getppid()}-x", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "agorasdk.log").touch()
    async with joined():
        pass
    kept = [f"trio-voice-agent-{os.getppid()}-x/agorasdk.log", "other/agorasdk.log"]
    assert sorted(found_in(tmp_path)) == sorted(kept)


def found_in(directory: Path) -> list[str]:
    """All files in it, by their paths in it."""
    return [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]


async def test_a_log_directory_that_is_none_is_named(tmp_path: Path) -> None:
    project = Project(app_id=APP_ID, log_dir=tmp_path / "none")
    with pytest.raises(ConfigError, match="AGORA_LOG_DIR"):
        async with open_agora_channel(project, "demo", 1):
            pass


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_sdks_own_dump(
    wanted: bool, cloud: "Cloud", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(app_id=APP_ID, certificate=CERTIFICATE, pcm_dump=wanted)
    async with joined(project):
        pass
    dumps = [c for c in cloud.calls if "che.audio.frame_dump" in str(c.arguments)]
    assert len(dumps) == wanted


async def test_a_dump_that_is_not_to_be_had_is_no_end(
    cloud: "Cloud", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.plan.returns["RTCConnection.get_agora_parameter"] = None
    project = Project(app_id=APP_ID, certificate=CERTIFICATE, pcm_dump=True, log_dir=tmp_path)
    async with joined(project):
        pass
    assert "WRITE_RTC_PCM" in caplog.text


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
            await until(cloud, lambda: "on_reconnecting" in [c.method for c in cloud.callbacks])
            cloud.recover(1)
            await listen(channel, PERSON)
        channel.play(frames(60))
        assert channel.clear() != 0
    assert len(person.messages) == 2


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


async def test_what_can_be_no_project_is_refused_before_anything_is_loaded() -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    for project in (Project(app_id="app"), Project(app_id=APP_ID, certificate="cert")):
        with pytest.raises(ConfigError, match="AGORA_APP_"):
            async with open_agora_channel(project, "demo", 1):
                load()
