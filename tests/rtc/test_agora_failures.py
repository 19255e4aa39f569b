"""Agora's channel: tokens, and each failure by its name.

Over the wrapper's real code and a stand-in for the SDK under it.
"""

import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio

from agent.errors import ChannelError, ConfigError
from agent.rtc import agora_channel
from agent.rtc.agora import Project, open_agora_channel
from agent.rtc.channel import ChannelLost
from tests.fakes.agora import APP_ID, CERTIFICATE
from tests.rtc.agora_calls import PERSON, joined, listen, refusal, until

if TYPE_CHECKING:
    from tests.standin.agora_standin import Cloud


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


async def test_what_can_be_no_project_is_refused_before_anything_is_loaded() -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    for project in (Project(app_id="app"), Project(app_id=APP_ID, certificate="cert")):
        with pytest.raises(ConfigError, match="AGORA_APP_"):
            async with open_agora_channel(project, "demo", 1):
                load()
