"""The stand-in for Agora's SDK, under the wrapper's real code."""

import asyncio
import importlib
import json
import logging
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes import agora
from tests.fakes.agora import NotInstalled, agora_sdk, environment

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud

APP_ID, CERTIFICATE = "a" * 32, "b" * 32
FRAME = 480
LIMIT_S = 5


@pytest.fixture
def cloud() -> Iterator["Cloud"]:
    """Nothing fails in it, nothing was done against the rules, and no thread is left."""
    before = set(threading.enumerate())
    with agora_sdk() as cloud:
        yield cloud
    assert cloud.violations == []
    assert set(threading.enumerate()) - before == set()


def open_channel(uid: int = 1, certificate: str = "") -> Any:
    """The wrapper's channel."""
    from agora_realtime_ai_api.rtc import RtcEngine, RtcOptions

    engine = RtcEngine(APP_ID, certificate)
    return engine.create_channel(RtcOptions(channel_name="demo", uid=uid))


async def close_channel(channel: Any) -> None:
    """In the order that the SDK wants."""
    connection, user, track = channel.connection, channel.local_user, channel.audio_track
    user.unpublish_audio(track)
    track.set_enabled(0)
    user.unregister_audio_frame_observer()
    user.unregister_local_user_observer()
    if connection.conn_handle.state not in (1, 5):
        await channel.disconnect()
    connection.unregister_observer()
    user.release()
    connection.release()
    track.release()
    channel.audio_pcm_data_sender.release()
    channel.media_node_factory.release()
    channel.rtc.agora_service.release()


@asynccontextmanager
async def joined(uid: int = 1, certificate: str = "") -> AsyncIterator[Any]:
    channel = open_channel(uid, certificate)
    async with asyncio.timeout(LIMIT_S):
        await channel.connect()
        yield channel
        await close_channel(channel)


async def until(cloud: "Cloud", wanted: Callable[[], object]) -> None:
    await asyncio.to_thread(cloud.until, wanted, LIMIT_S)


def running(scenario: Awaitable[None]) -> None:
    async def run() -> None:
        await scenario

    asyncio.run(run())


def told(cloud: "Cloud", name: str) -> list[tuple[Any, ...]]:
    return [call.arguments for call in cloud.callbacks if call.method == name]


def numbered(count: int) -> bytes:
    """Frames that are told apart by their first sample."""
    return b"".join((at + 1).to_bytes(2, "little") * (FRAME // 2) for at in range(count))


def test_two_members_meet(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", 7)

    async def scenario() -> None:
        async with joined() as channel:
            await until(cloud, lambda: told(cloud, "on_user_joined"))
            assert cloud.members("demo") == ["7", "1"]
            assert person.others == {"1"}
            person.leave(1)
            await until(cloud, lambda: told(cloud, "on_user_left"))
            # The wrapper takes it on its loop's thread, somewhat later.
            while channel.remote_users:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.001)

    running(scenario())
    assert told(cloud, "on_user_joined") == [("7",)]
    assert told(cloud, "on_user_left") == [("7", 1)]
    assert person.others == set()
    states = [call.method for call in cloud.callbacks if call.method.endswith("onnected")]
    assert states == ["on_connected", "on_disconnected"]
    assert {call.thread for call in cloud.callbacks} == {"agora-connection-1"}
    assert cloud.members("demo") == []


def test_two_connections_meet(cloud: "Cloud") -> None:
    async def scenario() -> None:
        async with joined(1) as first:
            from agora.rtc.agora_base import RTCConnConfig

            second = first.rtc.agora_service.create_rtc_connection(RTCConnConfig())
            second.connect("", "demo", "0")
            await until(cloud, lambda: len(cloud.members("demo")) == 2)
            assert cloud.members("demo") == ["1", "1001"]
            second.disconnect()
            await until(cloud, lambda: second.conn_handle.state == 1)
            second.release()

    running(scenario())


def test_a_person_is_heard_once_subscribed_to(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", 7)
    pcm = numbered(20)

    async def scenario() -> None:
        async with joined() as channel:
            await channel.subscribe_audio("7")
            stream = channel.get_audio_frames("7")
            await stream.__anext__()
            person.speak(pcm)
            heard = b""
            while len(heard) < len(pcm):
                frame = await stream.__anext__()
                assert (frame.samples_per_channel, len(frame.data)) == (240, FRAME)
                heard += bytes(frame.data) if any(frame.data) else b""
            assert heard == pcm
            with pytest.raises(AttributeError):
                channel.local_user.subscribe_audio(7)
            person.mute()
            given = cloud.connection(1).frames_given["7"]
            await asyncio.sleep(0.05)
            assert cloud.connection(1).frames_given["7"] <= given + 1
            with pytest.raises(RuntimeError, match="dictionary changed size"):
                channel.local_user.unsubscribe_audio("7")

    running(scenario())
    states = [arguments[2:4] for arguments in told(cloud, "on_audio_subscribe_state_changed")]
    assert states[:2] == [(0, 2), (2, 3)]


def test_frames_as_they_should_not_be(cloud: "Cloud") -> None:
    cloud.plan.change({"frame_rate": 16000, "frame_channels": 2, "zero_uid_frames": True})
    cloud.plan.change({"early_frames": True, "muted_frames": True, "frame_channel_id": True})
    person = cloud.person()
    person.join("demo", 7)
    person.mute()
    came: dict[str, tuple[Any, ...]] = {}

    def note(user: Any, channel: str, uid: str, frame: Any, *vad: Any) -> None:
        came[uid] = (channel, frame.samples_per_sec, frame.channels, len(frame.buffer), *vad)

    async def scenario() -> None:
        async with joined() as channel:
            channel.channel_event_observer.on_playback_audio_frame_before_mixing = note
            channel.local_user.subscribe_audio("7")
            await until(cloud, lambda: len(came) == 2)

    running(scenario())
    assert came == dict.fromkeys(("0", "7"), ("demo", 16000, 2, 640, -1, None))


def test_who_does_not_publish_is_never_subscribed_to(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", 7, publishes=False)

    async def scenario() -> None:
        async with joined() as channel:
            channel.local_user.subscribe_audio("7")
            connection = cloud.connection(1)
            await until(cloud, lambda: connection.subscriptions.state_of("7") == 2)
            await asyncio.sleep(0.03)
            assert connection.subscriptions.state_of("7") == 2
            person.publish()
            await until(cloud, lambda: connection.subscriptions.state_of("7") == 3)

    running(scenario())


def test_what_is_sent_leaves_in_real_time(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", 7)

    async def scenario() -> None:
        async with joined() as channel:
            channel.audio_track.set_max_buffer_audio_frame_number(100)
            await channel.push_audio_frame(numbered(20))
            await until(cloud, lambda: len(person.heard) == 20)
            assert person.pcm() == numbered(20)
            lasted = person.heard[-1].at - person.heard[0].at
            assert lasted == pytest.approx(0.19, abs=0.02)
            await asyncio.sleep(0.03)
            await channel.push_audio_frame(numbered(2))
            await until(cloud, lambda: len(person.heard) == 22)
            assert len(cloud.tracks[0].buffer.gaps) == 1
            await channel.push_audio_frame(numbered(50))
            assert channel.audio_track.clear_sender_buffer() in range(45, 51)
            cloud.plan.clear_tells = "nothing"
            assert channel.audio_track.clear_sender_buffer() == 0

    running(scenario())


@pytest.mark.parametrize(
    ("switches", "pushed", "left"),
    [
        ({}, numbered(40), numbered(30)),
        ({"buffer_overflow": "drops_oldest"}, numbered(40), numbered(40)[10 * FRAME :]),
        ({}, numbered(2) + b"\1\1", numbered(2)),
        ({"odd_lengths": "padded"}, b"\1\1", b"\1\1" + bytes(FRAME - 2)),
        ({"odd_lengths": "refused"}, numbered(2) + b"\1\1", b""),
    ],
)
def test_the_buffer_has_its_limits(switches: dict[str, Any], pushed: bytes, left: bytes) -> None:
    with agora_sdk(**switches) as cloud:
        from agora_standin.send_buffer import SendBuffer  # type: ignore[import-not-found]

        buffer = SendBuffer(cloud.plan, delay_ms=10)
        buffer.push(pushed, FRAME)
        frames = [buffer.take(at / 100) for at in range(len(buffer))]
    assert b"".join(frames) == left


def test_a_track_waits_for_its_delay(cloud: "Cloud") -> None:
    from agora_standin.send_buffer import SendBuffer

    buffer = SendBuffer(cloud.plan)
    buffer.push(numbered(15), FRAME)
    assert buffer.take(0) is None
    buffer.push(numbered(1), FRAME)
    assert buffer.take(0.01) is not None


def test_data_goes_both_ways(cloud: "Cloud") -> None:
    person = cloud.person()
    person.join("demo", 7)
    came = []

    async def scenario() -> None:
        async with joined() as channel:
            channel.on("stream_message", lambda *arguments: came.append(arguments[1:]))
            await channel.send_stream_message("to you")
            await until(cloud, lambda: person.messages)
            person.send("to me")
            person.send("to\0me")
            person.send(b"\xff")
            person.send("last")
            await until(cloud, lambda: len(told(cloud, "on_stream_message")) == 4)
            await asyncio.sleep(0.02)

    running(scenario())
    assert (person.messages[0].uid, person.messages[0].data) == ("1", b"to you")
    assert [arguments[2:] for arguments in came] == [("to me", 5), ("to", 5), ("last", 4)]
    assert [type(error) for error in cloud.callback_errors] == [UnicodeDecodeError]


def test_data_has_its_limits(cloud: "Cloud") -> None:
    async def scenario() -> None:
        channel = open_channel()
        connection, stream = channel.connection, channel.stream_id
        assert stream == 49153
        assert connection.send_stream_message(stream, "x") == -113
        await channel.connect()
        assert connection.send_stream_message(4, "x") == -116
        assert connection.send_stream_message(stream, "x" * 1025) == -114
        answers = [connection.send_stream_message(stream, "x") for _ in range(61)]
        assert answers == [0] * 60 + [-115]
        assert [connection.create_data_stream(True, True) for _ in range(5)][-1] is None
        await close_channel(channel)

    running(scenario())


def test_unreliable_messages_are_lost_and_overtaken() -> None:
    with agora_sdk(lost_every=5, reordered_every=2) as cloud:
        one, two = cloud.person(), cloud.person()
        one.join("demo", 1)
        two.join("demo", 2)
        for number in range(1, 7):
            one.send(str(number))
    assert [message.data for message in two.messages] == [b"1", b"3", b"2", b"6", b"4"]


def test_a_token_ends_unless_it_is_renewed(cloud: "Cloud") -> None:
    cloud.plan.change({"app_id": APP_ID, "certificate": CERTIFICATE})
    cloud.plan.change({"token_life_s": 0.1, "expiry_notice_s": 0.05, "expiry_grace_s": 0.02})

    async def scenario() -> None:
        async with joined(certificate=CERTIFICATE) as channel:
            await until(cloud, lambda: told(cloud, "on_token_privilege_will_expire"))
            newer = channel.options.build_token(APP_ID, CERTIFICATE)
            assert channel.connection.renew_token("007no token") == 0
            assert channel.connection.renew_token(newer) == 0
            await until(cloud, lambda: told(cloud, "on_token_privilege_did_expire"))
            await until(cloud, lambda: told(cloud, "on_connection_failure"))

    running(scenario())
    assert len(told(cloud, "on_token_privilege_will_expire")) == 2
    assert told(cloud, "on_connection_failure")[0][-1] == 9
    assert [arguments[0] for arguments in told(cloud, "on_error")] == [110, 109]


@pytest.mark.parametrize(
    ("switches", "certificate", "reason"),
    [
        ({"app_id": "c" * 32}, "", 6),
        ({"certificate": CERTIFICATE}, "", 8),
        ({"certificate": CERTIFICATE}, "d" * 32, 8),
        ({"certificate": CERTIFICATE, "app_id": APP_ID}, CERTIFICATE, None),
    ],
)
@pytest.mark.parametrize("callback", ["on_connection_failure", "on_disconnected"])
def test_who_may_not_join_is_told_why(
    cloud: "Cloud", switches: dict[str, Any], certificate: str, reason: int | None, callback: str
) -> None:
    cloud.plan.change({**switches, "refused_by": callback})

    async def scenario() -> None:
        channel = open_channel(certificate=certificate)
        channel.connection.connect(channel.token, "demo", "1")
        await until(cloud, lambda: told(cloud, callback) or told(cloud, "on_connected"))
        await until(cloud, lambda: cloud.connections[0].state in (1, 3, 5))
        await asyncio.sleep(0.01)
        await close_channel(channel)

    running(scenario())
    if reason is None:
        assert told(cloud, "on_connected")
    else:
        assert told(cloud, callback)[0][-1] == reason


def test_a_planned_outcome_and_answers(cloud: "Cloud") -> None:
    cloud.plan.outcome = [("on_reconnecting", 4, 2, 0.0), ("on_connection_failure", 5, 10, 0.0)]

    async def scenario() -> None:
        channel = open_channel()
        assert channel.connection.connect("", "", "1") == -2
        with pytest.raises(Exception, match="Connection failed with state: 5"):
            await channel.connect()
        assert channel.connection.connect("", "demo", "1") == -8
        cloud.plan.returns["LocalUser.subscribe_audio"] = -5
        assert channel.local_user.subscribe_audio("7") == -5
        channel.connection.disconnect()
        await close_channel(channel)

    running(scenario())
    assert told(cloud, "on_disconnected") == []


def test_a_planned_outcome_may_go_on(cloud: "Cloud") -> None:
    cloud.plan.callbacks_overlap = False
    cloud.plan.outcome = [
        ("on_connected", 3, 1, 0.0),
        ("on_connection_failure", 5, 14, 0.01),
        ("on_disconnected", 1, 5, 0.0),
    ]

    async def scenario() -> None:
        async with joined() as channel:
            await until(cloud, lambda: told(cloud, "on_disconnected"))
            await until(cloud, lambda: channel.connection.conn_handle.state == 1)

    running(scenario())
    assert told(cloud, "on_connection_failure")[0][-1] == 14
    assert cloud.members("demo") == []


def test_a_silent_join_and_a_silent_leaving(cloud: "Cloud") -> None:
    cloud.plan.change({"outcome": "silent", "disconnect_answers": False})
    cloud.plan.blocks_s["RTCConnection.disconnect"] = 0.05

    async def scenario() -> None:
        channel = open_channel()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.connect(), 0.05)
        assert cloud.connections[0].state == 2
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.disconnect(), 0.01)
        assert time.monotonic() - began > 0.05
        cloud.plan.returns["RTCConnection.disconnect"] = -1
        assert channel.connection.disconnect() == -1
        channel.connection.unregister_observer()
        channel.local_user.unregister_audio_frame_observer()
        channel.local_user.unregister_local_user_observer()
        channel.connection.release()

    running(scenario())


def test_an_outage(cloud: "Cloud") -> None:
    cloud.plan.change({"lost_after_s": 0.02, "gone_after_s": 0.04})
    person = cloud.person()
    person.join("demo", 7)

    async def scenario() -> None:
        async with joined() as channel:
            cloud.lose(1)
            await until(cloud, lambda: told(cloud, "on_connection_lost"))
            assert channel.connection.send_stream_message(channel.stream_id, "x") == -113
            await until(cloud, lambda: person.others == set())
            person.leave()
            cloud.recover(1)
            await until(cloud, lambda: told(cloud, "on_reconnected"))
            await until(cloud, lambda: told(cloud, "on_user_left"))
            cloud.plan.failed_after_s = 0.01
            cloud.lose(1)
            await until(cloud, lambda: told(cloud, "on_connection_failure"))

    running(scenario())
    assert told(cloud, "on_reconnecting")[0][-1] == 2
    assert told(cloud, "on_connected")[1][-1] == told(cloud, "on_reconnected")[0][-1] == 15
    assert told(cloud, "on_connection_failure")[0][-1] == 4


@pytest.mark.parametrize("same_uid", ["evicts", "both"])
def test_the_same_uid_again(cloud: "Cloud", same_uid: str) -> None:
    cloud.plan.change({"same_uid": same_uid})

    async def scenario() -> None:
        async with joined():
            cloud.person().join("demo", 1)
            if same_uid == "evicts":
                await until(cloud, lambda: told(cloud, "on_connection_failure"))
                assert told(cloud, "on_connection_failure")[0][-1] == 19
            else:
                assert cloud.members("demo") == ["1", "1"]

    running(scenario())


def test_a_kick(cloud: "Cloud") -> None:
    async def scenario() -> None:
        async with joined():
            cloud.kick(1, 3, "on_disconnected")
            await until(cloud, lambda: told(cloud, "on_disconnected"))

    running(scenario())
    assert told(cloud, "on_disconnected")[0][-1] == 3
    assert cloud.members("demo") == []


def test_what_is_against_the_rules_is_noted(capfd: pytest.CaptureFixture[str]) -> None:
    with agora_sdk() as cloud:

        async def scenario() -> None:
            channel = open_channel()
            observer = channel.channel_event_observer
            observer.on_user_joined = lambda connection, uid: connection.get_local_user()
            observer.on_user_left = lambda *arguments: 1 / 0
            await channel.connect()
            person = cloud.person()
            person.join("demo", 7)
            person.leave()
            await until(cloud, lambda: cloud.callback_errors)
            channel.connection.release()
            await channel.push_audio_frame(numbered(1))
            channel.connection.disconnect()
            assert cloud.members("demo") == ["1"]

        running(scenario())
    assert cloud.violations == [
        "RTCConnection.get_local_user was called from a callback",
        "a connection was released before it was disconnected",
        "at its release the connection had an observer of connection",
        "at its release the connection had an observer of local_user",
        "at its release the connection had an observer of frames",
        "audio was sent after its connection's release",
        "RTCConnection.disconnect was called on what was released",
    ]
    assert isinstance(cloud.callback_errors[0], ZeroDivisionError)
    assert "Exception ignored on calling ctypes callback function" in capfd.readouterr().err


def test_a_service_that_does_not_start() -> None:
    with agora_sdk(returns={"AgoraService.initialize": -7}):

        async def scenario() -> None:
            with pytest.raises(AttributeError):
                open_channel()

        running(scenario())


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("exit", SystemExit),
        ("download_fails", urllib.error.URLError),
        ("missing_library", OSError),
    ],
)
def test_an_import_that_fails(outcome: str, error: type[BaseException]) -> None:
    with agora_sdk(**{"import": outcome}), pytest.raises(error):
        import agora.rtc  # noqa: F401


def test_it_leaves_nothing_behind() -> None:
    before = (list(sys.path), set(sys.modules), ssl._create_default_https_context)
    loggers = {name for name in logging.Logger.manager.loggerDict if name.startswith("agora")}
    with agora_sdk():
        import agora_realtime_ai_api.rtc

        pyee = importlib.import_module("pyee")
        assert agora.WRAPPER in Path(str(pyee.__file__)).parents
        assert ssl._create_default_https_context is not before[2]
        assert not logging.getLogger(agora_realtime_ai_api.rtc.__name__).propagate
    gone = {"agora", "agora_standin", "agora_realtime_ai_api", "pyee"}
    left = {name for name in set(sys.modules) - before[1] if name.split(".")[0] in gone}
    assert (list(sys.path), ssl._create_default_https_context) == (before[0], before[2])
    assert left == set()
    for name in loggers | {"agora_realtime_ai_api.rtc"}:
        assert logging.getLogger(name).propagate
        assert logging.getLogger(name).handlers == []


def test_a_missing_wrapper_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(agora, "WRAPPER", tmp_path)
    with pytest.raises(NotInstalled, match="make test"), agora_sdk():
        pass


CHILD = """
import asyncio
from agora_realtime_ai_api.rtc import RtcEngine, RtcOptions

async def main():
    channel = RtcEngine("a" * 32, "").create_channel(RtcOptions(channel_name="demo", uid=1))
    said, left = asyncio.Event(), asyncio.Event()
    channel.on("stream_message", lambda *arguments: said.set())
    channel.on("user_left", lambda *arguments: left.set())
    await channel.connect()
    await channel.subscribe_audio("7")
    await channel.push_audio_frame(bytes([1]) * 960)
    await asyncio.gather(said.wait(), left.wait())
    await channel.disconnect()

asyncio.run(asyncio.wait_for(main(), 5))
"""


def test_a_child_process_has_people_and_reports(tmp_path: Path) -> None:
    pcm, report = tmp_path / "said.pcm", tmp_path / "report.json"
    pcm.write_bytes(numbered(3))
    person = {"uid": 7, "joins_at_s": 0.05, "speaks": str(pcm), "says": ["hi"], "leaves_at_s": 0.3}
    environ = environment({"people": [person], "report": str(report)})
    subprocess.run([sys.executable, "-c", CHILD], env=environ, check=True, timeout=LIMIT_S)
    told = json.loads(report.read_text())
    assert told["people"][0]["uid"] == "7"
    assert told["people"][0]["heard_loud_bytes"] == 960
    assert told["violations"] == []
    assert told["members"] == {"demo": []}
    assert "on_user_left" in [call["method"] for call in told["callbacks"]]
