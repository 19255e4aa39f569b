"""What holds for any client, whatever it sends and when."""

import itertools
import json
from base64 import b64encode
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from agent.embedded.forms.requests import EVENTS
from agent.protocol.codec import UnknownEvent, decode_server_event
from tests.embedded.driving import Driver, Event, hum, loud, quiet

BLOCKS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=4)


def heard_in_chunks(pcm: bytes, sizes: list[int]) -> list[tuple[str, Any, Any]]:
    """What is said of turns when the audio comes in pieces of so many samples, in rotation."""
    driver = Driver()
    start = 0
    for samples in itertools.cycle(sizes):
        if start >= len(pcm):
            break
        size = samples * 2
        piece = b64encode(pcm[start : start + size]).decode()
        driver.send("input_audio_buffer.append", audio=piece)
        driver.pass_time(0)
        start += size
    return [
        (event["type"], event.get("audio_start_ms"), event.get("audio_end_ms"))
        for _, event in driver.log
        if event["type"].startswith("input_audio_buffer")
    ]


@given(blocks=BLOCKS, sizes=st.lists(st.integers(100, 20_000), min_size=1, max_size=10))
def test_turns_do_not_depend_on_how_the_audio_is_cut(
    blocks: list[tuple[int, int]], sizes: list[int]
) -> None:
    pcm = b"".join(quiet(pause) + loud(words) for pause, words in blocks) + quiet(20)
    whole = heard_in_chunks(pcm, [480])
    assert heard_in_chunks(pcm, sizes) == whole
    found = any(name == "input_audio_buffer.speech_started" for name, _, _ in whole)
    assert found == any(words > 1 for _, words in blocks)


# -- any client events in any order --------------------------------------------------------------

DETECTIONS: list[Event | None] = [
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "idle_timeout_ms": 5_000},
    {"type": "semantic_vad"},
]
FORMATS: list[Event] = [{"type": f"audio/{name}"} for name in ("pcm", "pcmu", "pcma")]
TOOLS: list[Event] = [
    {"type": "function", "name": "get_weather"},
    {"type": "function", "name": "set_timer", "parameters": {"properties": {"n": {}}}},
]
SHORT = {
    "type": "retention_ratio",
    "retention_ratio": 0.5,
    "token_limits": {"post_instructions": 50},
}
SESSIONS: list[Event] = [
    *({"audio": {"input": {"turn_detection": detection}}} for detection in DETECTIONS),
    *({"audio": {"input": {"format": name}, "output": {"format": name}}} for name in FORMATS),
    *({"truncation": truncation} for truncation in ("auto", "disabled", SHORT)),
    {"tools": TOOLS, "tool_choice": "auto"},
    {"tools": TOOLS, "tool_choice": "required"},
    {"tools": [], "tool_choice": "none"},
]
RESPONSES: list[Event] = [
    *({"conversation": conversation} for conversation in ("auto", "none")),
    *({"conversation": name, "output_modalities": ["text"]} for name in ("auto", "none")),
    {"instructions": 'Say exactly: "Let me look." Then say exactly: "There it is."'},
    {"tools": TOOLS, "tool_choice": "required"},
    {"tools": TOOLS, "output_modalities": ["text"]},
    {"max_output_tokens": 20},
    {"conversation": "none", "input": []},
    {"conversation": "none", "input": [{"type": "item_reference", "id": "mine"}]},
    {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
]
ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.2, 0.35, 1.0, 4.0, 8.0])),
    st.tuples(st.just("speak"), st.integers(1, 20)),
    st.tuples(st.just("hush"), st.integers(1, 20)),
    st.tuples(st.just("voice"), st.sampled_from([0.0, 0.1, 2.0, 20.0])),
    st.tuples(st.just("hoarse"), st.none()),
    st.tuples(st.just("type"), st.sampled_from(["", "hello", "weather", "set timer, weather"])),
    st.tuples(st.just("respond"), st.sampled_from(RESPONSES)),
    st.tuples(st.just("output"), st.integers(0, 1)),
    st.tuples(st.just("cancel"), st.booleans()),
    st.tuples(st.just("commit"), st.none()),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("truncate"), st.integers(0, 3_000)),
    st.tuples(st.just("delete"), st.integers(0, 3)),
    st.tuples(st.just("retrieve"), st.integers(0, 3)),
    st.tuples(st.just("update"), st.sampled_from(SESSIONS)),
)


def act(driver: Driver, action: str, value: Any) -> None:
    """Do one thing that a client, the clock or the voice may do."""
    match action:
        case "wait":
            driver.pass_time(value)
        case "speak":
            driver.append(loud(value))
        case "hush":
            driver.append(quiet(value))
        case "voice" | "hoarse":
            give_voice(driver, value)
        case "type":
            content = [{"type": "input_text", "text": value}]
            item = {"type": "message", "role": "user", "content": content}
            driver.send("conversation.item.create", item=item)
        case "respond":
            driver.send("response.create", response=value)
        case "output":
            give_output(driver, value)
        case "cancel":
            created = driver.events("response.created")
            named = {"response_id": created[-1]["response"]["id"]} if value and created else {}
            driver.send("response.cancel", **named)
        case "commit" | "clear":
            driver.send(f"input_audio_buffer.{action}")
        case "truncate" | "delete" | "retrieve":
            change_item(driver, action, value)
        case "update":
            driver.update(**value)


def give_voice(driver: Driver, seconds: float | None) -> None:
    """Answer the oldest request for a voice, or fail to."""
    if not driver.requests:
        return
    request = driver.requests.pop(0)
    if seconds is None:
        driver.engine.speech_failed(request.response_id, "hoarse", driver.now)
    else:
        driver.engine.speech_ready(request.response_id, hum(seconds), driver.now)


def give_output(driver: Driver, back: int) -> None:
    """Answer one of the newest calls."""
    items = [event["item"] for event in driver.events("response.output_item.added")]
    calls = [item for item in items if item["type"] == "function_call"]
    if len(calls) > back:
        call_id = calls[-1 - back]["call_id"]
        item = {"type": "function_call_output", "call_id": call_id, "output": "fine"}
        driver.send("conversation.item.create", item=item)


def change_item(driver: Driver, action: str, value: int) -> None:
    """Truncate the newest item, or delete or retrieve one of the newest."""
    added = driver.events("conversation.item.added")
    if action == "truncate" and added:
        item_id = added[-1]["item"]["id"]
        driver.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=value
        )
    elif len(added) > value:
        driver.send(f"conversation.item.{action}", item_id=added[-1 - value]["item"]["id"])


def end(driver: Driver) -> None:
    """Let everything that is open come to its end."""
    driver.update(audio={"input": {"turn_detection": None}})
    while driver.requests:
        give_voice(driver, 0.5)
        # Until the next utterance of the same response wants its voice.
        driver.pass_time(1)
    driver.pass_time(60)


@given(st.lists(ACTIONS, max_size=25), st.sampled_from(["embedded", "gpt-realtime-2.1"]))
def test_every_session_keeps_the_rules(actions: list[tuple[str, Any]], model: str) -> None:
    driver = Driver(voice_seconds=None, model=model)
    for action, value in actions:
        act(driver, action, value)
    end(driver)
    events = [event for _, event in driver.log]
    check_ids(events)
    check_responses(events)
    check_outputs(events)
    check_items(events)
    check_decoding(events)


def check_ids(events: list[Event]) -> None:
    assert len({event["event_id"] for event in events}) == len(events)


def check_responses(events: list[Event]) -> None:
    opened: set[str] = set()
    done: set[str] = set()
    active: str | None = None
    for event in events:
        response = event.get("response", {})
        response_id = event.get("response_id", response.get("id"))
        if event["type"] == "response.created":
            assert response_id not in opened
            opened.add(response_id)
            if response["conversation_id"] is not None:
                assert active is None
                active = response_id
        elif response_id is not None:
            assert response_id in opened
            assert response_id not in done
        if event["type"] == "response.done":
            done.add(response_id)
            active = None if active == response_id else active
    assert opened == done
    limits = [event for event in events if event["type"] == "rate_limits.updated"]
    assert len(limits) == len(done)


def check_outputs(events: list[Event]) -> None:
    """Every item of a response is opened and closed once, and is in its end what was told of it."""
    opened: dict[tuple[str, int], str] = {}
    closed: dict[str, list[Event]] = {}
    for event in events:
        where = (event.get("response_id", ""), event.get("output_index", -1))
        if event["type"] == "response.output_item.added":
            assert where not in opened
            opened[where] = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert opened.pop(where) == event["item"]["id"]
            closed.setdefault(where[0], []).append(event["item"])
        elif "output_index" in event:
            assert opened[where] == event["item_id"]
        elif event["type"] == "response.done":
            assert event["response"]["output"] == closed.get(event["response"]["id"], [])
    assert not opened


def check_items(events: list[Event]) -> None:
    added = [e["item"]["id"] for e in events if e["type"] == "conversation.item.added"]
    done = [e["item"]["id"] for e in events if e["type"] == "conversation.item.done"]
    assert len(set(added)) == len(added)
    assert sorted(added) == sorted(done)
    committed = [e["item_id"] for e in events if e["type"] == "input_audio_buffer.committed"]
    assert len(set(committed)) == len(committed)
    assert set(committed) <= set(added)


def check_decoding(events: list[Event]) -> None:
    for event in events:
        assert not isinstance(decode_server_event(orjson.dumps(event)), UnknownEvent)


# -- anything at all -----------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "type",
        "event_id",
        "session",
        "audio",
        "input",
        "output",
        "format",
        "rate",
        "turn_detection",
        "threshold",
        "item",
        "role",
        "content",
        "id",
        "text",
        "response",
        "conversation",
        "metadata",
        "instructions",
        "item_id",
        "audio_end_ms",
    ]
)
VALUES = st.sampled_from(
    ["message", "user", "input_text", "realtime", "server_vad", "none", "AAA="]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.one_of(
    st.binary(),
    st.text(),
    st.builds(
        lambda type_, fields: json.dumps({**fields, "type": type_}),
        # But for the one that ends the session.
        st.sampled_from([*(name for name in EVENTS if name != "session.close"), "nope"]),
        st.dictionaries(NAMES, JSON, max_size=4),
    ),
)


@given(st.lists(MESSAGES, max_size=5))
def test_no_message_breaks_a_session(messages: list[str | bytes]) -> None:
    driver = Driver()
    for message in messages:
        driver.send_raw(message)
    driver.pass_time(60)
    assert not driver.engine.closing
    check_responses([event for _, event in driver.log])
    check_decoding([event for _, event in driver.log])
