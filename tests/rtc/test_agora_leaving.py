"""Agora's channel is left in order, and nothing stays behind: no thread, no file, no secret.

Over the wrapper's real code and a stand-in for the SDK under it.
"""

import logging
import os
import re
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from agent.errors import ChannelError, ConfigError
from agent.rtc import agora_channel
from agent.rtc.agora import Project, open_agora_channel
from agent.rtc.channel import ChannelLost
from tests.fakes.agora import APP_ID, CERTIFICATE, WRAPPER
from tests.rtc.agora_calls import PROJECT, ended, frames, joined, refusal, until

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud


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
