"""Fault plans: their JSON form, and what each does to a session, on a clock that jumps."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from agent.embedded.faults.effects import Drop, Effect
from agent.embedded.faults.line import MAX_WAITING, FaultLine
from agent.embedded.faults.plan import FaultPlan, faults_from_json, read_faults
from agent.embedded.wire.in_process import open_embedded
from agent.errors import ConfigError
from tests.embedded.driving import counted_ids
from tests.embedded.sockets import HummingVoice, hear, open_session, open_websocket
from tests.official import official_server_event

CREATED = {"sent": "session.created"}
DELTA = "response.output_audio.delta"


def plan(*faults: tuple[dict[str, Any], dict[str, Any]], **rest: Any) -> FaultPlan:
    return faults_from_json({"faults": [{"when": w, "do": d} for w, d in faults], **rest})


def message(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


# -- its form ------------------------------------------------------------------------------------

BAD: list[tuple[Any, str]] = [
    ([], "expected an object"),
    ({"fault": []}, "fault: unknown field"),
    ({"seed": "1"}, "seed: expected a whole number, not text"),
    ({"session_seconds": 0.5}, "session_seconds: must be 1 to 3600"),
    ({"faults": {}}, "faults: expected a list, not an object"),
    ({"faults": [1]}, "faults[0]: expected an object"),
    ({"faults": [{"when": CREATED}]}, "faults[0].do: missing"),
]
BAD_TRIGGERS: list[tuple[Any, str]] = [
    ({}, "must have exactly one of sent, received, seconds"),
    ({"sent": "a", "received": "b"}, "must have exactly one of sent, received, seconds"),
    ({"seconds": -1}, "must be 0 to 3600"),
    ({"sent": "a", "nth": 0}, "must be 1 or more"),
    ({"sent": 1}, "expected text, not a whole number"),
]
BAD_EFFECTS: list[tuple[Any, str]] = [
    ({}, "must be one of delay, stall, drop, close"),
    ({"effect": ["drop"]}, "must be one of delay, stall, drop, close"),
    ({"effect": "drop", "seconds": 1}, "seconds: unknown field"),
    ({"effect": "delay"}, "seconds: missing"),
    ({"effect": "delay", "seconds": 1e9}, "must be 0 to 3600"),
    ({"effect": "close", "code": 1006}, "must be a code that a close frame may carry"),
    ({"effect": "close", "reason": "é" * 62}, "must be 123 bytes or less"),
    ({"effect": "duplicate", "copies": 0}, "must be 1 to 100"),
    ({"effect": "late", "seconds": 1, "again": 1}, "expected true or false, not a whole number"),
    ({"effect": "malformed", "kind": "odd"}, "must be one of truncated"),
    ({"effect": "malformed", "kind": "binary", "text": "x"}, "must not stand beside text"),
]


@pytest.mark.parametrize(("value", "words"), BAD)
def test_a_bad_plan_is_told_with_its_path(value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        faults_from_json(value)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(("when", "words"), BAD_TRIGGERS)
def test_a_bad_trigger_is_told_with_its_path(when: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^faults\[1\]\.when") as refused:
        plan((CREATED, {"effect": "drop"}), (when, {"effect": "drop"}))
    assert words in str(refused.value)


@pytest.mark.parametrize(("do", "words"), BAD_EFFECTS)
def test_a_bad_effect_is_told_with_its_path(do: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^faults\[0\]\.do\.") as refused:
        plan((CREATED, do))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8 text"),
        (b" " * (2**20 + 1), "is longer than 1048576 bytes"),
        (b'{"faults": 1}', "faults: expected a list"),
    ],
)
def test_a_bad_file_is_told_with_its_name(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_faults(path)
    assert str(refused.value).startswith(f"{path}: {words}")


def test_every_effect_has_a_form(tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = [
        {"effect": "delay", "seconds": 0},
        {"effect": "stall"},
        {"effect": "drop"},
        {"effect": "close", "code": 4000, "reason": "why"},
        {"effect": "duplicate", "copies": 2},
        {"effect": "late", "seconds": 1.5, "again": True},
        {"effect": "malformed", "kind": "nested", "instead": False},
        {"effect": "error", "type": "t", "code": "c", "message": "m", "param": "p"},
        {"effect": "fail", "type": "t", "code": "c", "message": "m"},
        {"effect": "lose"},
    ]
    path = tmp_path / "plan.json"
    path.write_bytes(
        orjson.dumps({"faults": [{"when": {"received": "*", "nth": None}, "do": f} for f in forms]})
    )
    made = {type(fault.do) for fault in read_faults(path).faults}
    assert made == set(get_args(Effect))


# -- without a socket ----------------------------------------------------------------------------


def line(faults: FaultPlan) -> FaultLine:
    return FaultLine(faults, started_at=0.0, new_id=counted_ids())


def test_messages_keep_their_order_when_they_are_delayed() -> None:
    delayed = line(
        plan(
            ({"sent": "b"}, {"effect": "delay", "seconds": 2}),
            ({"sent": "d"}, {"effect": "delay", "seconds": 0}),
        )
    )
    for now, type_ in enumerate("abcd"):
        delayed.sent(message(type_), now)
    assert delayed.advance(3.0) == [message("a"), message("b")]
    assert delayed.next_deadline() == 4.0
    assert delayed.advance(4.0) == [message("c"), message("d")]


def test_a_stall_holds_everything_and_ends() -> None:
    stalled = line(plan(({"sent": "a", "nth": 2}, {"effect": "stall", "seconds": 10})))
    stalled.sent(message("a"), 0.0)
    assert stalled.advance(0.0) == [message("a")]
    stalled.sent(message("a"), 1.0)
    stalled.sent(message("b"), 2.0)
    assert stalled.advance(10.9) == []
    assert stalled.next_deadline() == 11.0
    assert stalled.advance(11.0) == [message("a"), message("b")]


def test_a_late_message_comes_out_of_order() -> None:
    late = line(
        plan(
            ({"sent": "a"}, {"effect": "late", "seconds": 5}),
            ({"sent": "b"}, {"effect": "late", "seconds": 3, "again": True}),
        )
    )
    for type_ in "abc":
        late.sent(message(type_), 0.0)
    assert late.advance(0.0) == [message("b"), message("c")]
    assert late.advance(5.0) == [message("b"), message("a")]


def test_a_time_sets_off_what_happens_to_the_next_message() -> None:
    timed = line(plan(({"seconds": 2}, {"effect": "lose"})))
    assert timed.next_deadline() == 2.0
    assert timed.advance(2.0) == []
    timed.sent(message("a"), 3.0)
    timed.sent(message("b"), 3.0)
    assert timed.advance(3.0) == [message("b")]


def test_an_event_of_the_clients_is_lost() -> None:
    losing = line(plan(({"received": "a", "nth": None}, {"effect": "lose"})))
    assert [losing.received(message(type_), 0.0) for type_ in "aba"] == [False, True, False]
    assert losing.received("not JSON", 0.0)
    losing.sent(message("x"), 0.0)
    assert losing.advance(0.0) == [message("x")]


def test_an_error_answers_the_event_that_set_it_off() -> None:
    failing = line(plan(({"received": "a"}, {"effect": "error", "code": "odd", "message": "m"})))
    failing.received(message("a", event_id="mine"), 0.0)
    [sent] = failing.advance(0.0)
    assert isinstance(sent, str)
    assert json.loads(sent)["error"] == {
        "type": "server_error",
        "code": "odd",
        "message": "m",
        "param": None,
        "event_id": "mine",
    }


def test_what_is_held_back_is_bounded() -> None:
    stalled = line(plan(({"sent": "a"}, {"effect": "stall", "seconds": 10})))
    for _ in range(MAX_WAITING):
        stalled.sent(message("a"), 0.0)
    assert stalled.advance(0.0) == []
    stalled.sent(message("a"), 0.0)
    assert stalled.advance(0.0) == [Drop()]
    assert stalled.over
    big = line(plan(({"sent": "a"}, {"effect": "stall", "seconds": 10})))
    big.sent(message("a", text="x" * 2**24), 0.0)
    assert big.advance(0.0) == [Drop()]


def test_what_was_sent_does_not_count_as_held_back() -> None:
    slow = line(plan(({"sent": "a"}, {"effect": "delay", "seconds": 1})))
    for now in range(20):
        slow.sent(message("a", text="x" * 2**20), now)
        assert len(slow.advance(now)) == (now > 0)
    assert not slow.over


def test_a_stall_without_end_keeps_nothing() -> None:
    stalled = line(plan(({"sent": "b"}, {"effect": "stall"})))
    for _ in range(3 * MAX_WAITING):
        stalled.sent(message("b"), 0.0)
    assert stalled.advance(3600.0) == []
    assert not stalled.over


@given(st.integers(), st.sampled_from([None, "truncated", "not_json", "wrong_types", "binary"]))
def test_nonsense_is_the_same_for_the_same_seed(seed: int, kind: str | None) -> None:
    good = message("a", text="words", number=3)
    spoiling = plan(
        ({"sent": "a", "nth": None}, {"effect": "malformed"} | ({"kind": kind} if kind else {})),
        seed=seed,
    )
    ways = []
    for _ in range(2):
        spoilt = line(spoiling)
        for _ in range(5):
            spoilt.sent(good, 0.0)
        ways.append(spoilt.advance(0.0))
    assert ways[0] == ways[1]
    assert len(ways[0]) == 5
    assert good not in ways[0]


# -- in a session --------------------------------------------------------------------------------


FAIL = {
    "effect": "fail",
    "type": "insufficient_quota",
    "code": "insufficient_quota",
    "message": "You exceeded your current quota.",
}
ERROR = {name: FAIL[name] for name in ("type", "code", "message")}


async def test_a_response_fails(autojump_clock: MockClock) -> None:
    failing = plan(({"received": "response.create"}, FAIL))
    async with open_session(HummingVoice(), faults=failing) as socket:
        socket.tell("response.create")
        done = official_server_event(json.dumps(await socket.hear("response.done")))
        assert done["response"]["status"] == "failed"
        assert done["response"]["status_details"] == {"type": "failed", "error": ERROR}
        # Once: the next one does not.
        socket.tell("response.create")
        assert (await socket.hear("response.done"))["response"]["status"] == "completed"


async def test_a_transcription_fails_and_the_answer_does_not(autojump_clock: MockClock) -> None:
    failing = plan(({"sent": "input_audio_buffer.committed"}, FAIL))
    async with open_session(HummingVoice(), faults=failing) as socket:
        listening = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
        socket.tell("session.update", session={"type": "realtime", "audio": {"input": listening}})
        socket.tell("input_audio_buffer.append", audio=b64encode(bytes(9_600)).decode())
        socket.tell("input_audio_buffer.commit")
        item_id = (await socket.hear("input_audio_buffer.committed"))["item_id"]
        heard = await socket.hear("conversation.item.input_audio_transcription.failed")
        told = official_server_event(json.dumps(heard))
        assert (told["item_id"], told["content_index"]) == (item_id, 0)
        assert told["error"] == ERROR | {"param": None}
        socket.tell("response.create")
        assert (await socket.hear("response.done"))["response"]["status"] == "completed"


def test_what_a_failure_becomes_other_effects_change() -> None:
    failing = line(
        plan(
            ({"sent": "response.done"}, {"effect": "duplicate"}),
            ({"sent": "*"}, {"effect": "fail"}),
        )
    )
    for type_ in ("response.created", "response.done"):
        failing.sent(message(type_, response={"status": "completed"}), 0.0)
    created, *dones = (json.loads(str(text)) for text in failing.advance(0.0))
    assert created["response"]["status"] == "completed"
    assert [done["response"]["status"] for done in dones] == ["failed", "failed"]


async def test_a_session_is_not_touched_by_faults_that_do_not_happen(
    autojump_clock: MockClock,
) -> None:
    never = plan(({"sent": "never"}, {"effect": "drop"}), ({"seconds": 3600}, {"effect": "drop"}))
    async with open_session(HummingVoice(seconds=60), faults=never) as socket:
        socket.tell("response.create")
        for _ in range(3):
            await socket.hear(DELTA)
        for _ in range(100):
            socket.tell("input_audio_buffer.clear")
        before = socket.received
        await trio.sleep(1_000)
        assert socket.received - before <= 3
        start = trio.current_time()
        for _ in range(20):
            await socket.hear(DELTA)
        assert trio.current_time() - start == pytest.approx(20 * 0.05, abs=0.11)


async def test_a_delayed_message_does_not_hold_up_the_model(autojump_clock: MockClock) -> None:
    slow = plan(({"sent": "response.created"}, {"effect": "delay", "seconds": 5}))
    async with open_session(HummingVoice(seconds=2.0), faults=slow) as socket:
        await socket.hear("session.created")
        socket.tell("response.create")
        await socket.hear("response.created")
        assert trio.current_time() == pytest.approx(5.0)
        await socket.hear("response.done")
        assert trio.current_time() == pytest.approx(5.7, abs=0.05)


async def test_a_stalled_session_still_listens(autojump_clock: MockClock) -> None:
    stalled = plan(({"sent": "response.created"}, {"effect": "stall", "seconds": 60}))
    async with open_session(HummingVoice(), faults=stalled) as socket:
        await socket.hear("session.created")
        socket.tell("response.create")
        socket.tell("response.cancel")
        await socket.hear("response.created")
        assert trio.current_time() == pytest.approx(60.0)
        assert (await socket.hear("response.done"))["response"]["status"] == "cancelled"


async def test_a_stall_without_end_lasts_as_long_as_the_session(autojump_clock: MockClock) -> None:
    stalled = plan((CREATED, {"effect": "stall"}), session_seconds=90)
    async with open_session(HummingVoice(), faults=stalled) as socket:
        with pytest.raises(trio.EndOfChannel):
            await socket.hear_raw()
        assert trio.current_time() == pytest.approx(90.0)
        assert socket.is_cut


async def test_a_client_may_leave_a_stalled_session(autojump_clock: MockClock) -> None:
    stalled = plan((CREATED, {"effect": "stall"}))
    async with open_session(HummingVoice(), faults=stalled) as socket:
        socket.tell("response.create")
        await trio.sleep(10)
    assert trio.current_time() == pytest.approx(10.0)


@pytest.mark.parametrize(
    "when", [{"seconds": 20}, {"received": "input_audio_buffer.clear"}, {"sent": DELTA, "nth": 2}]
)
async def test_a_dropped_session_ends(autojump_clock: MockClock, when: dict[str, Any]) -> None:
    async with open_session(HummingVoice(), faults=plan((when, {"effect": "drop"}))) as socket:
        socket.tell("input_audio_buffer.clear")
        socket.tell("response.create")
        with pytest.raises(trio.EndOfChannel):
            await socket.hear("nothing more")
        assert socket.is_cut
        assert socket.closed is None
    assert trio.current_time() <= 20


async def test_duplicates_and_losses(autojump_clock: MockClock) -> None:
    both = plan(
        ({"sent": "response.created"}, {"effect": "duplicate", "copies": 2}),
        ({"sent": "response.done"}, {"effect": "lose"}),
    )
    async with open_session(HummingVoice(), faults=both) as socket:
        socket.tell("response.create")
        events = [await socket.hear("response.created") for _ in range(3)]
        assert events[0] == events[1] == events[2]
        types = []
        while "rate_limits.updated" not in types:
            types.append((await socket.hear())["type"])
        assert "response.done" not in types
        assert "response.created" not in types


async def test_nonsense_before_a_message(autojump_clock: MockClock) -> None:
    spoilt = plan((CREATED, {"effect": "malformed", "text": "{", "instead": False}))
    async with open_session(HummingVoice(), faults=spoilt) as socket:
        assert await socket.hear_raw() == "{"
        assert (await socket.hear())["type"] == "session.created"


async def test_early_expiry(autojump_clock: MockClock) -> None:
    early = plan(session_seconds=90)
    async with open_session(HummingVoice(), faults=early, unix_time=lambda: 1e9) as socket:
        created = await socket.hear()
        assert created["session"]["expires_at"] == 1_000_000_090
        error = await socket.hear()
        assert trio.current_time() == pytest.approx(90)
        assert error["error"]["code"] == "session_expired"
        with pytest.raises(trio.EndOfChannel):
            await socket.hear()
        assert socket.closed == (1001, "Your session hit the maximum duration of 90 seconds.")


async def test_expiry_waits_behind_what_is_held_back(autojump_clock: MockClock) -> None:
    held = plan((CREATED, {"effect": "stall", "seconds": 100}), session_seconds=90)
    async with open_session(HummingVoice(), faults=held) as socket:
        assert (await socket.hear())["type"] == "session.created"
        assert trio.current_time() == pytest.approx(100)
        assert (await socket.hear())["error"]["code"] == "session_expired"
        with pytest.raises(trio.EndOfChannel):
            await socket.hear()
        assert socket.closed is not None
        assert socket.closed[0] == 1001


# -- over a WebSocket ----------------------------------------------------------------------------


async def test_a_plan_closes_a_websocket(autojump_clock: MockClock) -> None:
    closing = plan(({"seconds": 5}, {"effect": "close", "code": 1011, "reason": "sorry"}))
    async with open_websocket(faults=closing) as connection:
        await hear(connection)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.get_message()
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (1011, "sorry")
        assert trio.current_time() == pytest.approx(5)


async def test_a_plan_cuts_a_websocket(autojump_clock: MockClock) -> None:
    async with open_websocket(faults=plan(({"seconds": 5}, {"effect": "drop"}))) as connection:
        await hear(connection)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1006
        assert trio.current_time() == pytest.approx(5)


async def test_a_plan_sends_a_binary_message(autojump_clock: MockClock) -> None:
    binary = plan((CREATED, {"effect": "malformed", "kind": "binary"}))
    async with open_websocket(faults=binary) as connection:
        assert isinstance(await connection.get_message(), bytes)


async def test_the_model_inside_a_process_takes_a_plan() -> None:
    twice = plan((CREATED, {"effect": "duplicate"}))
    with trio.fail_after(30):
        async with open_embedded(voice=HummingVoice(), faults=twice) as connection:
            first = await connection.get_message()
            assert await connection.get_message() == first
