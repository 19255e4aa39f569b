"""A call's life in an Agora channel, on the mock clock, with the SDK's side in memory."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.errors import AgentError, ChannelError, ConfigError
from agent.rtc import agora_channel
from agent.rtc.agora_channel import (
    DATA_RETRY_S,
    DATA_TRIES,
    EVENTS,
    JOIN_S,
    LEAVE_S,
    OUTAGE_S,
    RENEW_BEFORE_S,
    RETRY_S,
    SETTLE_S,
    AgoraChannel,
)
from agent.rtc.agora_member import SdkFailed
from agent.rtc.channel import ChannelLost, DataReceived, UserJoined, UserLeft
from tests.fakes.agora_member import STUCK, FakeMember, a_channel, info, joined


def events_of(channel: AgoraChannel) -> list[Any]:
    """All events that wait."""
    found = []
    try:
        while True:
            found.append(channel.events.receive_nowait())
    except trio.WouldBlock:
        return found


# -- joining -------------------------------------------------------------------------------------


async def test_joining_gives_the_token_and_takes_the_uid_that_agora_chose(
    autojump_clock: MockClock,
) -> None:
    member = FakeMember()
    channel = a_channel(member, uid=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.join)
        await wait_all_tasks_blocked()
        channel.told("on_connecting", info(0), 0)
        channel.told("on_connected", info(4711), 1)
    assert member.made("connect") == [("connect", "token-1")]
    assert channel.uid == 4711


@pytest.mark.parametrize(
    ("reason", "wanted", "words"),
    [
        (3, ChannelError, "banned"),
        (4, ChannelError, "20 minutes"),
        (6, ConfigError, "AGORA_APP_ID"),
        (7, ConfigError, "channel_name"),
        (8, ConfigError, "AGORA_APP_CERT"),
        (9, ConfigError, "expired"),
        (10, ChannelError, "refused"),
        (19, ChannelError, "uid"),
        (99, ChannelError, "not known here"),
    ],
)
@pytest.mark.parametrize("callback", ["on_connection_failure", "on_disconnected"])
async def test_a_refusal_is_named_whichever_callback_tells_of_it(
    reason: int,
    wanted: type[AgentError],
    words: str,
    callback: str,
    autojump_clock: MockClock,
) -> None:
    channel = a_channel(FakeMember())
    channel.told(callback, info(), reason)
    with pytest.raises(wanted, match=words) as caught:
        await channel.join()
    assert type(caught.value) is wanted
    assert "\n" not in str(caught.value)
    assert str(reason) in str(caught.value)


@pytest.mark.parametrize("callback", ["on_connecting", "on_reconnecting"])
async def test_a_final_reason_ends_the_join_though_the_state_goes_on(
    callback: str, autojump_clock: MockClock
) -> None:
    channel = a_channel(FakeMember())
    channel.told(callback, info(), 8)
    with pytest.raises(ConfigError, match="AGORA_APP_CERT"):
        await channel.join()
    assert trio.current_time() == 0


async def test_a_join_that_nobody_answers_ends_in_time(autojump_clock: MockClock) -> None:
    channel = a_channel(FakeMember())
    channel.told("on_connecting", info(), 0)
    with pytest.raises(ChannelError, match=r"within 10 s.*UDP"):
        await channel.join()
    assert trio.current_time() == JOIN_S


async def test_a_connect_that_is_refused_at_once(autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["connect"] = [-2]
    with pytest.raises(ChannelError, match="-2"):
        await a_channel(member).join()


async def test_a_connect_that_does_not_come_back(autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["connect"] = [STUCK]
    with pytest.raises(ChannelError, match="does not answer"):
        await a_channel(member).join()


# -- people --------------------------------------------------------------------------------------


async def test_people_come_and_go_by_numbers(autojump_clock: MockClock) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_user_joined", "7")
        channel.told("on_user_joined", "7")  # told again after a reconnection
        channel.told("on_user_joined", "1")  # ourselves
        channel.told("on_user_joined", "0")
        channel.told("on_user_joined", "an account")
        channel.told("on_user_left", "9", 0)  # nobody
        channel.told("on_user_left", "7", 1)
        channel.told("on_user_joined", "7")
        channel.told("on_user_left", "7", 0)
        assert events_of(channel) == [
            UserJoined(7),
            UserLeft(7, "lost"),
            UserJoined(7),
            UserLeft(7, "quit"),
        ]


async def test_only_who_is_listened_to_is_subscribed_to(autojump_clock: MockClock) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        await trio.sleep(1)
        assert member.made("subscribe") == []
        channel.listen_to(7)
        await trio.sleep(1)
        channel.listen_to(8)
        await trio.sleep(1)
        channel.listen_to(8)  # back again: what was subscribed to has gone with the one who left
        await trio.sleep(1)
        assert channel.listens_to == "8"
    assert member.made("subscribe", "unsubscribe") == [
        ("subscribe", 7),
        ("unsubscribe", 7),
        ("subscribe", 8),
        ("unsubscribe", 8),
        ("subscribe", 8),
    ]


async def test_a_refused_subscription_is_tried_again_until_another_is_wanted(
    autojump_clock: MockClock,
) -> None:
    member = FakeMember()
    member.answers["subscribe"] = [-1, -1, -1, 0]
    async with joined(member) as channel:
        channel.listen_to(7)
        await trio.sleep(RETRY_S * 1.5)
        assert member.made("subscribe") == [("subscribe", 7)] * 2
        channel.listen_to(8)
        await trio.sleep(RETRY_S * 1.5)
        assert member.made("subscribe")[2:] == [("subscribe", 8)] * 2
        await trio.sleep(60)
        assert len(member.made("subscribe")) == 4


async def test_what_was_heard_of_one_person_is_not_taken_for_the_next(
    autojump_clock: MockClock,
) -> None:
    async with joined(FakeMember()) as channel:
        channel.listen_to(7)
        channel.audio.put(bytes(4800))
        channel.listen_to(8)
        channel.audio.put(b"\x01\x00" * 480)
        assert await channel.audio.receive() == b"\x01\x00" * 480


async def test_who_is_not_heard_is_told_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with joined(FakeMember()) as channel:
        channel.listen_to(7)
        await trio.sleep(60)
        assert caplog.text.count("nothing is heard of 7") == 1
        channel.listen_to(8)
        await trio.sleep(1)
        channel.told("on_audio_subscribe_state_changed", "demo", "8", 2, 3, 10)
        await trio.sleep(60)
        assert "nothing is heard of 8" not in caplog.text


# -- outages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", ["on_connected", "on_reconnected"])
async def test_an_outage_that_ends_in_time_is_none_of_the_calls_business(
    back: str, autojump_clock: MockClock
) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_reconnecting", info(), 2)
        await trio.sleep(10)
        channel.told("on_connection_lost", info())
        await trio.sleep(OUTAGE_S - 11)
        channel.told(back, info(), 15)
        await trio.sleep(3 * OUTAGE_S)
        assert events_of(channel) == []
        # The next one has the whole time again.
        channel.told("on_connection_lost", info())
        await trio.sleep(OUTAGE_S - 1)
        assert events_of(channel) == []


async def test_after_an_outage_the_person_is_subscribed_to_again(
    autojump_clock: MockClock,
) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        channel.told("on_user_joined", "7")
        channel.listen_to(7)
        await trio.sleep(1)
        channel.told("on_reconnecting", info(), 2)
        await trio.sleep(1)
        assert len(member.made("subscribe")) == 1
        channel.told("on_connected", info(), 15)
        await trio.sleep(1)
        assert member.made("subscribe") == [("subscribe", 7)] * 2
        channel.told("on_user_joined", "7")  # told of again
        await trio.sleep(1)
        assert member.made("subscribe") == [("subscribe", 7)] * 3


async def test_who_seems_to_leave_in_our_own_outage_has_time_to_be_there_again(
    autojump_clock: MockClock,
) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_user_joined", "7")
        channel.told("on_user_joined", "8")
        assert events_of(channel) == [UserJoined(7), UserJoined(8)]
        channel.told("on_reconnecting", info(), 2)
        channel.told("on_user_left", "7", 1)
        channel.told("on_user_left", "8", 1)
        await trio.sleep(OUTAGE_S - 1)
        assert events_of(channel) == []
        channel.told("on_connected", info(), 15)
        channel.told("on_user_joined", "7")
        await trio.sleep(SETTLE_S - 1)
        assert events_of(channel) == []
        await trio.sleep(2)
        assert events_of(channel) == [UserLeft(8, "lost")]
        channel.told("on_user_left", "7", 0)
        assert events_of(channel) == [UserLeft(7, "quit")]


async def test_nothing_that_the_sdk_tells_can_break_trio(autojump_clock: MockClock) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_connected", SimpleNamespace(local_user_id="abc"), 15)
        channel.told("on_connected", SimpleNamespace(local_user_id=None), 15)
        channel.told("on_user_left", "abc", 0)
        channel.told("on_disconnected")
        assert channel.uid == 1
        assert events_of(channel) == []


async def test_an_outage_that_does_not_end_is_the_end(autojump_clock: MockClock) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_reconnecting", info(), 2)
        began = trio.current_time()
        with trio.fail_after(2 * OUTAGE_S):
            event = await channel.events.receive()
        assert isinstance(event, ChannelLost)
        assert "60 s" in event.reason
        assert trio.current_time() == began + OUTAGE_S


@pytest.mark.parametrize("reason", [3, 9, 10, 14, 16, 19])
@pytest.mark.parametrize("callback", ["on_connection_failure", "on_disconnected"])
async def test_who_is_put_out_of_the_channel_is_told_why_once(
    reason: int, callback: str, autojump_clock: MockClock
) -> None:
    async with joined(FakeMember()) as channel:
        channel.told(callback, info(), reason)
        channel.told("on_disconnected", info(), reason)
        (event,) = events_of(channel)
        assert isinstance(event, ChannelLost)
        assert f"reason {reason}" in event.reason


async def test_audio_in_a_wrong_format_ends_the_call_rather_than_sound_wrong(
    autojump_clock: MockClock,
) -> None:
    async with joined(FakeMember()) as channel:
        channel.wrong_format(48_000, 2)
        assert events_of(channel) == [
            ChannelLost("the SDK gives audio of 48000 Hz with 2 channels")
        ]


async def test_a_call_in_which_nobody_could_hear_us_ends(autojump_clock: MockClock) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_audio_track_publication_failure", None, 5)
        assert events_of(channel) == [ChannelLost("Agora does not take our audio (its error 5)")]


async def test_a_licence_that_does_not_hold_is_named(autojump_clock: MockClock) -> None:
    channel = a_channel(FakeMember())
    channel.told("on_connection_license_validation_failure", 2)
    with pytest.raises(ChannelError, match="licence"):
        await channel.join()


async def test_an_error_of_the_sdks_is_one_line_of_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_error", 109, "token\nexpired")
        channel.told("on_something_new", 1, 2, 3)
        assert events_of(channel) == []
    assert caplog.messages == ["Agora's SDK says error 109: token expired"]


async def test_an_sdk_that_does_not_come_back_is_the_end(autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["subscribe"] = [STUCK]
    async with joined(member) as channel:
        channel.listen_to(7)
        with trio.fail_after(10):
            event = await channel.events.receive()
        assert event == ChannelLost("Agora's SDK does not answer")


# -- tokens --------------------------------------------------------------------------------------


async def test_a_token_is_renewed_before_it_ends_though_nobody_warns(
    autojump_clock: MockClock,
) -> None:
    member = FakeMember()
    async with joined(member, ttl_s=3600) as _:
        await trio.sleep(3600 * 3)
    renewed = [at for at, name, _ in member.calls if name == "renew_token"]
    assert renewed == [3600 - RENEW_BEFORE_S, 2 * (3600 - RENEW_BEFORE_S), 3 * 3480]
    # A fresh one each time.
    assert len(set(member.made("renew_token"))) == 3


async def test_a_short_token_is_renewed_half_way(autojump_clock: MockClock) -> None:
    member = FakeMember()
    async with joined(member, ttl_s=60):
        await trio.sleep(59)
    assert [at for at, name, _ in member.calls if name == "renew_token"] == [30]


@pytest.mark.parametrize(
    ("callback", "details"),
    [
        ("on_token_privilege_will_expire", ("the old token",)),
        ("on_token_privilege_did_expire", ()),
    ],
)
async def test_agoras_word_on_a_token_counts_at_once(
    callback: str, details: tuple[str, ...], autojump_clock: MockClock
) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        await trio.sleep(100)
        channel.told(callback, *details)
        await trio.sleep(1)
        assert [at for at, name, _ in member.calls if name == "renew_token"] == [100]


async def test_a_refused_token_is_made_again(autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["renew_token"] = [-1, -1]
    async with joined(member, ttl_s=3600):
        await trio.sleep(3600)
    made = [(at, what[0]) for at, name, what in member.calls if name == "renew_token"]
    due = 3600 - RENEW_BEFORE_S
    assert made == [
        (due, "token-2"),
        (due + RETRY_S, "token-3"),
        (due + 2 * RETRY_S, "token-4"),
    ]


async def test_without_a_certificate_nothing_is_renewed(autojump_clock: MockClock) -> None:
    member = FakeMember()
    async with joined(member, ttl_s=None):
        await trio.sleep(86_000)
    assert member.made("renew_token") == []


# -- audio ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "samples"), [(3, 720), (1, 240), (0, None), (None, None)])
async def test_a_clear_counts_what_the_buffer_gave_up_where_that_is_certain(
    frames: int | None, samples: int | None, autojump_clock: MockClock
) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        member.frames_in_buffer = frames
        assert channel.clear() == samples
        channel.play(b"\x01\x00" * 240)
        assert member.pushed == b"\x01\x00" * 240


async def test_an_sdk_that_takes_no_speech_is_the_end(autojump_clock: MockClock) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        member.takes_speech = False
        channel.play(bytes(480))
        assert events_of(channel) == [ChannelLost("Agora's SDK takes no speech")]


async def test_an_sdk_that_fails_at_our_speech_is_the_end(autojump_clock: MockClock) -> None:
    async with joined(FakeMember()) as channel:
        channel.speech_failed("OSError: no\nmore")
        assert events_of(channel) == [
            ChannelLost("Agora's SDK failed at our speech: OSError: no more")
        ]


# -- data ----------------------------------------------------------------------------------------


async def test_data_is_sent_once_where_it_is_taken(autojump_clock: MockClock) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        await channel.send_data("a|1|1|x")
    assert member.made("send") == [("send", "a|1|1|x")]


@pytest.mark.parametrize("code", [-113, -115, -116, -117, -1])
async def test_a_refused_message_is_sent_again(code: int, autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["send"] = [code, code]
    async with joined(member) as channel:
        await channel.send_data("a|1|1|x")
    assert member.made("send") == [("send", "a|1|1|x")] * 3
    assert trio.current_time() == pytest.approx(2 * DATA_RETRY_S)


async def test_a_message_that_is_always_refused_is_given_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    member = FakeMember()
    member.answers["send"] = [-115] * 1000
    async with joined(member) as channel:
        await channel.send_data("a|1|1|x")
    assert len(member.made("send")) == DATA_TRIES
    assert "too soon after others (-115)" in caplog.text


async def test_a_message_that_is_too_long_is_not_sent_twice(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    member = FakeMember()
    member.answers["send"] = [-114]
    async with joined(member) as channel:
        await channel.send_data("a|1|1|x")
    assert len(member.made("send")) == 1
    assert "1,024 bytes" in caplog.text


async def test_a_message_waits_for_the_end_of_an_outage(autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["send"] = [-113] * 400
    async with joined(member) as channel:
        channel.told("on_reconnecting", info(), 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send_data, "a|1|1|x")
            await trio.sleep(40)
            assert len(nursery.child_tasks) == 1  # it was not given up
            member.answers["send"] = []
            channel.told("on_connected", info(), 15)


async def test_a_message_for_a_lost_channel_is_an_error(autojump_clock: MockClock) -> None:
    member = FakeMember()
    member.answers["send"] = [-113] * 400
    async with joined(member) as channel:
        channel.told("on_disconnected", info(), 3)
        with pytest.raises(ChannelError, match="banned"):
            await channel.send_data("a|1|1|x")


async def test_a_message_that_the_sdk_never_answers_is_an_error(
    autojump_clock: MockClock,
) -> None:
    member = FakeMember()
    member.answers["send"] = [STUCK]
    async with joined(member) as channel:
        with pytest.raises(ChannelError, match="does not answer"):
            await channel.send_data("a|1|1|x")


async def test_data_comes_as_text_or_as_bytes(autojump_clock: MockClock) -> None:
    async with joined(FakeMember()) as channel:
        channel.told("on_stream_message", "7", 1, "a|1|1|x", 7)
        channel.told("on_stream_message", "7", 1, b"a|1|1|\xff", 7)
        channel.told("on_stream_message", "0", 1, "a|1|1|x", 7)
        assert events_of(channel) == [
            DataReceived(7, "a|1|1|x"),
            DataReceived(7, "a|1|1|\N{REPLACEMENT CHARACTER}"),
        ]


async def test_a_flood_of_data_hides_neither_people_nor_the_end(
    autojump_clock: MockClock,
) -> None:
    async with joined(FakeMember()) as channel:
        for _ in range(EVENTS * 2):
            channel.told("on_stream_message", "7", 1, "a|1|1|x", 7)
        for uid in range(2, EVENTS * 2):
            channel.told("on_user_joined", str(uid))
        channel.told("on_disconnected", info(), 3)
        found = events_of(channel)
        assert found[EVENTS // 2] == UserJoined(2)
        assert isinstance(found[-1], ChannelLost)


# -- leaving -------------------------------------------------------------------------------------


async def test_leaving_goes_in_order_and_waits_for_agoras_word(autojump_clock: MockClock) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        pass
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.leave)
        await wait_all_tasks_blocked()
        assert member.made("withdraw", "disconnect", "release") == [("withdraw",), ("disconnect",)]
        channel.told("on_disconnected", info(), 5)
    assert member.made("release") == [("release",)]
    assert trio.current_time() == 0
    assert events_of(channel) == []
    # Afterwards nothing reaches the SDK.
    channel.play(bytes(480))
    assert channel.clear() is None
    assert not member.pushed


@pytest.mark.parametrize("stuck", ["withdraw", "disconnect", "release"])
@pytest.mark.parametrize("fate", [STUCK, SdkFailed("the SDK does not answer: OSError")])
async def test_leaving_ends_though_the_sdk_is_stuck_or_fails(
    stuck: str, fate: object, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    member = FakeMember()
    member.answers[stuck] = [fate]
    async with joined(member) as channel:
        pass
    await channel.leave()
    assert trio.current_time() <= LEAVE_S
    assert "does not answer" in caplog.text
    assert member.made("abandon") == [("abandon",)]


async def test_leaving_without_agoras_word_releases_all_the_same(
    autojump_clock: MockClock,
) -> None:
    member = FakeMember()
    async with joined(member) as channel:
        pass
    with trio.CancelScope() as scope:
        scope.cancel()
        await channel.leave()
    assert member.made("release") == [("release",)]
    assert 0 < trio.current_time() < LEAVE_S


@pytest.mark.parametrize("fate", [STUCK, SdkFailed("no")])
async def test_what_began_to_connect_is_disconnected_whatever_became_of_the_call(
    fate: object, autojump_clock: MockClock
) -> None:
    member = FakeMember()
    member.answers["connect"] = [fate]
    channel = a_channel(member)
    with pytest.raises(ChannelError):
        await channel.join()
    await channel.leave()
    assert member.made("disconnect", "release") == [("disconnect",), ("release",)]


async def test_a_refusal_without_a_disconnect_is_left_as_ever(autojump_clock: MockClock) -> None:
    member = FakeMember()
    channel = a_channel(member)
    channel.told("on_connecting", info(), 8)
    with pytest.raises(ConfigError):
        await channel.join()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.leave)
        await trio.sleep(0.1)
        assert member.made("release") == []
        channel.told("on_disconnected", info(), 5)
    assert member.made("release") == [("release",)]


async def test_a_channel_that_never_joined_is_left_at_once(autojump_clock: MockClock) -> None:
    member = FakeMember()
    await a_channel(member).leave()
    assert member.made("disconnect", "release", "abandon") == [("release",)]
    assert trio.current_time() == 0


def test_every_bound_fits_in_what_a_supervisor_gives() -> None:
    from agent.rtc.asyncio_thread import CLOSE_S
    from agent.supervisor.process import TERMINATE_S

    assert agora_channel.LEAVE_S + CLOSE_S < TERMINATE_S - 2
