"""The relay's rules, without a socket: members' messages in, outboxes out."""

import itertools
from typing import Any

import orjson
import pytest

from agent.options import MAX_UID
from server.relay.channels import CHANNELS, MEMBERS, Relay
from server.relay.member import TEXTS_A_SECOND, TEXTS_AT_ONCE, Goodbye, Member
from server.relay.outbox import AUDIO_MESSAGES, TEXTS

PCM = b"\x01\x02" * 240


def make_relay() -> Relay:
    """A relay whose clock stands still and whose free uids are 100, 101, ..."""
    numbers = itertools.count(100)
    return Relay(lambda: next(numbers), lambda: 0.0)


def waiting(member: Member) -> list[Any]:
    """All that waits for a member: control as objects, the rest as it is."""
    messages: list[Any] = []
    while (message := member.outbox.pop(0.0)) is not None:
        is_control = isinstance(message, str) and message.startswith("{")
        messages.append(orjson.loads(message) if is_control else message)
    return messages


def fill(member: Member) -> None:
    """Let as much text wait for a member as may."""
    for _ in range(TEXTS):
        member.give_text("packet")


def joined(relay: Relay, *uids: str) -> list[Member]:
    """Members of one channel, with nothing waiting for them."""
    members = [relay.join("room", uid) for uid in uids]
    for member in members:
        waiting(member)
    return members


def test_a_member_is_told_who_is_there_and_they_are_told_of_it() -> None:
    relay = make_relay()
    ann = relay.join("room", "1")
    bob = relay.join("room", "2")
    assert waiting(ann) == [
        {"control": "members", "uid": 1, "uids": [], "agents": []},
        {"control": "joined", "uid": 2},
    ]
    assert waiting(bob) == [{"control": "members", "uid": 2, "uids": [1], "agents": []}]
    assert waiting(relay.join("elsewhere", "1"))[0]["uids"] == []


def test_agents_are_told_from_people() -> None:
    relay = make_relay()
    ann = relay.join("room", "1")
    agent = relay.join("room", "2", is_agent=True)
    bob = relay.join("room", "3")
    assert waiting(ann)[1:] == [
        {"control": "joined", "uid": 2, "agent": True},
        {"control": "joined", "uid": 3},
    ]
    assert waiting(agent)[0] == {"control": "members", "uid": 2, "uids": [1], "agents": []}
    assert waiting(bob) == [{"control": "members", "uid": 3, "uids": [1, 2], "agents": [2]}]


@pytest.mark.parametrize("asked", [None, "", "0"])
def test_a_free_uid_is_given_to_those_who_want_any(asked: str | None) -> None:
    relay = make_relay()
    relay.join("room", "100")
    assert relay.join("room", asked).uid == 101


def test_audio_goes_to_all_others_with_the_senders_own_uid() -> None:
    relay = make_relay()
    ann, bob, cas = joined(relay, "1", "2", str(MAX_UID))
    relay.receive(ann, (99).to_bytes(4, "big") + PCM)
    relay.receive(cas, b"\xff\xff\xff\xff" + PCM)
    assert waiting(ann) == [b"\xff\xff\xff\xff" + PCM]
    assert waiting(bob) == [b"\0\0\0\1" + PCM, b"\xff\xff\xff\xff" + PCM]
    assert waiting(cas) == [b"\0\0\0\1" + PCM]


@pytest.mark.parametrize("length", [0, 3, 4, 5, 7])
def test_audio_that_is_not_whole_samples_is_dropped_counted_and_told_once(
    length: int, caplog: pytest.LogCaptureFixture
) -> None:
    relay = make_relay()
    ann, bob = joined(relay, "1", "2")
    relay.receive(ann, b"x" * length)
    relay.receive(ann, b"x" * length)
    assert waiting(bob) == []
    assert ann.ignored["audio of a wrong length"] == 2
    assert len([line for line in caplog.messages if "wrong length" in line]) == 1


def test_clear_drops_what_waits_of_that_uid_and_is_passed_on_in_order() -> None:
    relay = make_relay()
    agent, bob, cas = joined(relay, "1", "2", "3")
    relay.receive(agent, agent.header + PCM)
    relay.receive(cas, cas.header + PCM)
    relay.receive(agent, "1|1|1|e30=")
    relay.receive(agent, '{"control": "clear"}')
    relay.receive(agent, agent.header + PCM)
    assert waiting(bob) == [
        cas.header + PCM,
        "1|1|1|e30=",
        {"control": "clear", "uid": 1},
        agent.header + PCM,
    ]


def test_a_clear_is_always_of_the_sender() -> None:
    relay = make_relay()
    ann, bob, cas = joined(relay, "1", "2", "3")
    relay.receive(cas, cas.header + PCM)
    relay.receive(ann, '{"control": "clear", "uid": 3}')
    assert waiting(bob) == [cas.header + PCM, {"control": "clear", "uid": 1}]


def test_a_receipt_goes_to_the_one_whose_audio_it_is_for() -> None:
    relay = make_relay()
    ann, bob, cas = joined(relay, "1", "2", "3")
    relay.receive(ann, '{"control": "played", "uid": 2, "samples": 480}')
    assert waiting(bob) == [{"control": "played", "uid": 2, "samples": 480, "by": 1}]
    assert waiting(cas) == []
    assert waiting(ann) == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"control": "dance"}',
        '{"control": "joined", "uid": 5}',
        '{"control": "left", "uid": 2, "reason": "quit"}',
        '{"control": "played", "uid": "2", "samples": 1}',
        '{"control": "played", "uid": 2, "samples": -1}',
        '{"control": "played", "uid": true, "samples": 1}',
        '{"control": "played", "uid": 2, "samples": 1.5}',
        '{"control": "played", "uid": 2}',
        '{"control": "data", "uid": 2, "packet": "1|1|1|e30="}',
        "",
        "x" * 1_025,
        "é" * 513,
    ],
)
def test_what_is_not_understood_is_dropped(text: str) -> None:
    relay = make_relay()
    ann, bob = joined(relay, "1", "2")
    relay.receive(ann, text)
    assert waiting(bob) == []
    assert ann.ignored.total() == 1


@pytest.mark.parametrize("packet", ["1|1|1|e30=", "x" * 1_024, "é" * 512])
def test_other_text_goes_to_all_others(packet: str) -> None:
    relay = make_relay()
    ann, bob, cas = joined(relay, "1", "2", "3")
    relay.receive(ann, packet)
    assert [waiting(ann), waiting(bob), waiting(cas)] == [[], [packet], [packet]]


@pytest.mark.parametrize(
    "packet", ["1|1|1|e30=", "\u00e9" * 512, "\1" * 1_024, 'a "b" \\ \u4f60\n']
)
def test_agents_are_told_who_has_sent_a_packet_and_people_are_not(packet: str) -> None:
    relay = make_relay()
    ann, bob = joined(relay, "1", "2")
    agents = [relay.join("room", uid, is_agent=True) for uid in ("3", "4")]
    for member in (ann, bob, *agents):
        waiting(member)
    for sender in (ann, agents[0]):
        relay.receive(sender, packet)
    of_ann = {"control": "data", "uid": 1, "packet": packet}
    assert [waiting(ann), waiting(bob)] == [[packet], [packet] * 2]
    assert waiting(agents[0]) == [of_ann]
    assert waiting(agents[1]) == [of_ann, of_ann | {"uid": 3}]


def test_leaving_is_told_once_and_an_empty_channel_is_gone() -> None:
    relay = make_relay()
    ann, bob = joined(relay, "1", "2")
    relay.leave(ann, "quit")
    relay.leave(ann, "lost")
    assert waiting(bob) == [{"control": "left", "uid": 1, "reason": "quit"}]
    assert relay.members("room") == [2]
    relay.leave(bob, "quit")
    assert relay.members("room") == []
    assert relay.join("room", "1").uid == 1


def test_a_late_leave_does_not_take_out_a_namesake() -> None:
    relay = make_relay()
    first = relay.join("room", "1")
    relay.leave(first, "lost")
    relay.join("room", "1")
    relay.leave(first, "lost")
    assert relay.members("room") == [1]


def test_a_member_that_does_not_read_is_put_out_and_the_others_hear_of_it() -> None:
    relay = make_relay()
    ann, bob, slow = joined(relay, "1", "2", "3")
    fill(slow)
    relay.receive(ann, "one too many")
    assert slow.put_out.is_set()
    assert slow.goodbye is not None
    assert slow.goodbye.code == 1008
    left = {"control": "left", "uid": 3, "reason": "slow"}
    assert waiting(ann) == [left]
    assert waiting(bob) == ["one too many", left]
    assert relay.members("room") == [1, 2]


def test_one_that_floods_the_channel_loses_its_own_messages_only() -> None:
    now = 0.0
    relay = Relay(lambda: 1, lambda: now)
    ann, bob, cas = joined(relay, "1", "2", "3")
    for number in range(2 * TEXTS_AT_ONCE):
        relay.receive(ann, str(number))
    assert not bob.put_out.is_set()
    assert waiting(bob) == waiting(cas) == [str(number) for number in range(TEXTS_AT_ONCE)]
    relay.receive(cas, "mine are still passed on")
    assert waiting(bob) == ["mine are still passed on"]
    now = 0.5
    for number in range(TEXTS_AT_ONCE):
        relay.receive(ann, str(number))
    assert len(waiting(bob)) == TEXTS_A_SECOND // 2


def test_a_newcomer_that_is_one_message_too_many_sees_the_slow_one_leave() -> None:
    relay = make_relay()
    _, slow = joined(relay, "1", "2")
    fill(slow)
    new = relay.join("room", "3")
    assert slow.put_out.is_set()
    assert waiting(new) == [
        {"control": "members", "uid": 3, "uids": [1, 2], "agents": []},
        {"control": "left", "uid": 2, "reason": "slow"},
    ]


@pytest.mark.parametrize(
    ("name", "uid", "code", "words"),
    [
        ("room", "1", 4409, "uid 1 is taken in this channel"),
        ("room", "-1", 4400, "uid must be a whole number"),
        ("room", "1.0", 4400, "uid must be a whole number"),
        ("room", " 2", 4400, "uid must be a whole number"),
        ("room", "1_0", 4400, "uid must be a whole number"),
        ("room", "\u0662", 4400, "uid must be a whole number"),
        ("room", str(MAX_UID + 1), 4400, "uid must be a whole number"),
        ("room", "9" * 5_000, 4400, "uid must be a whole number"),
        ("a/b", "2", 4400, "the channel's name must be"),
        ("", "2", 4400, "the channel's name must be"),
        ("x" * 65, "2", 4400, "the channel's name must be"),
        ("caf\u00e9", "2", 4400, "the channel's name must be"),
    ],
)
def test_who_may_not_join_is_told_why(name: str, uid: str, code: int, words: str) -> None:
    relay = make_relay()
    relay.join("room", "1")
    with pytest.raises(Goodbye) as refused:
        relay.join(name, uid)
    assert refused.value.code == code
    assert refused.value.reason.startswith(words)
    assert len(refused.value.reason.encode()) <= 123  # what a close frame can hold
    assert relay.members("room") == [1]


def test_members_and_channels_are_bounded() -> None:
    relay = make_relay()
    for _ in range(MEMBERS):
        relay.join("full", None)
    with pytest.raises(Goodbye, match="most") as crowded:
        relay.join("full", None)
    for number in range(CHANNELS - 1):
        relay.join(str(number), "1")
    with pytest.raises(Goodbye, match="in use") as many:
        relay.join("one more", "1")
    assert (crowded.value.code, many.value.code) == (1013, 1013)
    assert relay.join("0", "2").uid == 2  # an open channel stays open


def test_closing_puts_all_out_and_lets_nobody_in() -> None:
    relay = make_relay()
    ann, other = relay.join("room", "1"), relay.join("another", "1")
    relay.close()
    assert ann.put_out.is_set()
    assert other.put_out.is_set()
    with pytest.raises(Goodbye) as late:
        relay.join("room", "2")
    assert late.value.code == 1001


def test_audio_that_members_were_too_slow_for_is_counted_beyond_their_stay() -> None:
    relay = make_relay()
    ann, bob = joined(relay, "1", "2")
    for _ in range(AUDIO_MESSAGES + 3):
        relay.receive(ann, bytes(4) + PCM[:48])
    assert relay.dropped == 3
    relay.leave(bob, "quit")
    relay.leave(bob, "quit")
    assert relay.dropped == 3
    [bob] = joined(relay, "2")
    relay.receive(ann, bytes(4) + PCM)
    assert relay.dropped == 3
