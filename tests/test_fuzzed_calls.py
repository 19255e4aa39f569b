"""A call lives through whatever a model's server sends, and what it keeps of that is bounded."""

import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.audio import FRAME_BYTES
from agent.protocol.sequencer import MAX_WAITING
from agent.protocol.tracking import MAX_ITEMS
from agent.rtc.channel import DataReceived
from agent.session import OVERDUE_S, REQUESTS
from agent.streams import chat
from agent.streams.chunks import to_chunks
from agent.streams.model import MAX_MESSAGE
from tests.fakes.call import Running, a_call
from tests.fuzzing import Json, Message, answers, hostile, nested, renamed
from tests.protocol.official import models, newer_instances, whole_instances

MANY = 100
"""Messages of one example: 100,000 where there are 1,000 examples."""
MESSAGES = max(1000, MANY * settings().max_examples // 2)
"""Messages of one kind that flood a call."""
KEPT = 100
"""What a container of a call has in it at most, where there is no word of another limit."""
NAMES = 256
"""Responses and events of ours that are remembered by name; a limit of the conversation's own."""
LIMITS = {
    "Call._chat._pending": chat.MAX_PENDING,
    "Call._chat._turns": chat.MAX_TURNS,
    "Call.conversation._responses._interrupted": NAMES,
    "Call.conversation.calls._calls": NAMES,
    "Call.conversation.calls._groups": NAMES,
    "Call.conversation.server_tools._answered": NAMES,
    "Call.conversation.server_tools._ended": NAMES,
    "Call.conversation._sent": NAMES,
    "bytes": 2**19,
}
SERVER_EVENTS: list[Json] = [
    event for model in models(RealtimeServerEvent) for event in whole_instances(model)
]
TOOL: Json = {"server_label": "s", "name": "f", "arguments": "{}"}
PLACE: Json = {"output_index": 0, "content_index": 0}
DELTA: Json = PLACE | {
    "type": "response.output_audio.delta",
    "response_id": "resp_0",
    "item_id": "item_0",
}


async def tell(call: Running, messages: Iterable[Message]) -> None:
    """The model's server sends these, and the agent has taken them all in when this returns."""
    for message in messages:
        await call.model.raw(message)
    await wait_all_tasks_blocked()


async def lives(call: Running) -> None:
    """A typed line is answered, the person is heard and can interrupt, and answers are played."""
    assert not call.over.is_set(), call.error
    asked = len(call.model.of_type("response.create"))
    await call.model.speech_stopped("item_before")
    [chunk] = to_chunks({"type": "text", "text": "hello"}, "hello")
    call.channel.tell.send_nowait(DataReceived(7, chunk))
    # What a server owes is given up after a while, and there may be some requests in a row.
    for _ in range(2 * MAX_WAITING):
        if len(call.model.of_type("response.create")) > asked:
            break
        await trio.sleep(OVERDUE_S)
    else:
        raise AssertionError("no response is asked for")
    frames = len(call.model.appends)
    await call.channel.speak(bytes(10 * FRAME_BYTES))
    assert len(call.model.appends) > frames
    await call.model.begin("resp_cut", "item_cut")
    await call.model.audio(1000, "resp_cut", "item_cut")
    cleared = len(call.channel.cleared)
    await call.model.speech_started("item_person")
    await call.model.speech_stopped("item_person")
    await trio.sleep(0.01)
    assert len(call.channel.cleared) == cleared + 1
    assert not call.call.downlink.playing
    handed_ms = call.channel.handed_ms()
    await call.model.answer(500, "resp_last", "item_last")
    await trio.sleep(2)
    assert call.channel.handed_ms() == handed_ms + 500
    assert not call.over.is_set(), call.error


@given(st.lists(newer_instances(RealtimeServerEvent), min_size=1), st.integers(0, 2**64))
def test_a_call_lives_through_hostile_messages(valid: list[Json], seed: int) -> None:
    async def talk() -> None:
        async with a_call() as call:
            await tell(call, hostile([*valid, *answers(3)], Random(seed), MANY))
            await lives(call)

    trio.run(talk, clock=MockClock(autojump_threshold=0))


def huge() -> Iterator[Message]:
    """As long as a message may be, or nearly."""
    text = "AQID" * ((MAX_MESSAGE - 500) // 4)
    for field in ("delta", "item_id", "type", "new"):
        yield json.dumps(DELTA | {"delta": ""} | {field: text})
    yield json.dumps({"type": "error", "error": {"message": text}})
    yield f'{{"type": "rate_limits.updated", "rate_limits": [{"5," * (MAX_MESSAGE // 3)}5]}}'


def deep() -> Iterator[Message]:
    for depth in (100, 127, 128, 253, 254, 255, 1000, 1023, 1024, 2000, 100_000):
        yield nested(DELTA | {"delta": ""}, depth)
        yield nested({"type": "new"}, depth, '{"a":', "}").replace(":}", ":0}")


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
@pytest.mark.parametrize("messages", [huge, deep])
async def test_huge_and_deep_messages_end_nothing_and_are_short_in_the_log(
    messages: Callable[[], Iterator[Message]],
    level: int,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    caplog.set_level(level)  # with DEBUG, whatever is on the wire is logged
    async with a_call() as call:
        await tell(call, messages())
        assert max(len(record.getMessage()) for record in caplog.records) < 70_000
        await lives(call)


async def test_hostile_messages_can_be_logged(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.DEBUG, "agent.wire")
    async with a_call() as call:
        await tell(call, hostile([*answers(3), *SERVER_EVENTS], Random(3), 500))
        await lives(call)
    assert sum(record.getMessage().startswith("<- ") for record in caplog.records) >= 500


# -- memory ----------------------------------------------------------------------------------


def kept(root: Any) -> Iterator[tuple[str, Any]]:
    """All containers and texts that our own objects hold, from this one on, with their paths."""
    seen: set[int] = set()
    found: deque[tuple[str, Any]] = deque([(type(root).__name__, root)])
    while found:
        path, value = found.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, str | bytes | memoryview):
            yield path, value
        elif isinstance(value, dict | list | tuple | set | frozenset | deque):
            yield path, value
            inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            found.extend((f"{path}[]", item) for item in inner)
        elif type(value).__module__.startswith("agent."):
            found.extend((f"{path}.{name}", item) for name, item in attributes(value))


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for cls in type(value).__mro__:
        for name in getattr(cls, "__slots__", ()):
            if hasattr(value, name):
                yield name, getattr(value, name)


def sizes(call: Running) -> dict[str, int]:
    """How much there is in each container, and how many bytes in all."""
    found = {"bytes": 0}
    for path, value in kept(call.call):
        if isinstance(value, str | bytes | memoryview):
            found["bytes"] += len(value)
        else:
            found[path] = max(len(value), found.get(path, 0))
    return found


def ever_new_names(number: int) -> Iterator[Json]:
    names = itertools.count()
    for event in itertools.islice(itertools.cycle(SERVER_EVENTS), number * 3 // 2):
        yield renamed(event, names)


def ever_new_types(number: int) -> Iterator[Json]:
    return ({"type": f"new.{at}.{'x' * 2000}"} for at in range(number))


def interrupted_answers(number: int) -> Iterator[Json]:
    return iter(answers(number // 10))


def items_of_one_answer(number: int) -> Iterator[Json]:
    for at in range(number):
        item = {"id": f"item_{at}", "type": "message", "role": "assistant", "content": []}
        place = {"response_id": "resp_0", "output_index": at}
        yield {"type": "response.output_item.added", **place, "item": item}
        part = place | {"item_id": item["id"], "content_index": 0}
        yield {"type": "response.output_audio.delta", **part, "delta": "AQIDBA=="}


def parts_of_one_item(number: int) -> Iterator[Json]:
    for at in range(number):
        yield DELTA | {"content_index": at, "delta": "AQI="}


def silent_deltas(number: int) -> Iterator[Json]:
    return itertools.repeat(DELTA | {"delta": ""}, number)


def deltas_of_one_sample(number: int) -> Iterator[Json]:
    return itertools.repeat(DELTA | {"delta": "AQI="}, number)


def endless_words(number: int) -> Iterator[Json]:
    words = DELTA | {"type": "response.output_audio_transcript.delta", "delta": "word " * 200}
    return itertools.repeat(words, number)


def endless_words_of_the_person(number: int) -> Iterator[Json]:
    for at in range(number):
        yield {
            "type": "conversation.item.input_audio_transcription.delta",
            "item_id": f"item_{at % 7}",
            "content_index": at,
            "delta": "word " * 200,
        }


def calls_of_the_server_without_an_end(number: int) -> Iterator[Json]:
    for at in range(number):
        item = {"id": f"mcp_{at}", "type": "mcp_call", **TOOL}
        place = {"response_id": f"resp_{at if at % 2 else 0}", "output_index": at}
        yield {"type": "response.output_item.added", **place, "item": item}


def requests_for_approvals(number: int) -> Iterator[Json]:
    """In one burst. Each is answered, and a call fails when too many answers wait to be sent."""
    yield {"type": "response.created", "response": {"id": "resp_0"}}
    for at in range(min(number, REQUESTS // 2)):
        item = {"id": f"mcpr_{at}", "type": "mcp_approval_request", **TOOL}
        place = {"response_id": "resp_0", "output_index": at}
        yield {"type": "response.output_item.done", **place, "item": item}


def errors(number: int) -> Iterator[Json]:
    for at in range(number):
        yield {"type": "error", "error": {"message": "m", "event_id": f"evt_{at}", "code": "c"}}


@pytest.mark.parametrize(
    "flood",
    [
        ever_new_names,
        ever_new_types,
        interrupted_answers,
        items_of_one_answer,
        parts_of_one_item,
        silent_deltas,
        deltas_of_one_sample,
        endless_words,
        endless_words_of_the_person,
        calls_of_the_server_without_an_end,
        requests_for_approvals,
        errors,
    ],
)
async def test_what_a_call_keeps_is_bounded(
    flood: Callable[[int], Iterator[Json]], autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await tell(call, map(json.dumps, flood(MESSAGES)))
        found = sizes(call)
        assert {path: size for path, size in found.items() if size > LIMITS.get(path, KEPT)} == {}
        await lives(call)


async def test_an_interruption_of_very_many_items_ends_nothing(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        for response in range(8):
            # The first four fill playout: of the others nobody knows that they were not heard.
            items = many_items(f"resp_{response}", done=response < 4)
            await tell(call, map(json.dumps, items))
        await call.model.speech_started()
        await call.model.speech_stopped()
        await lives(call)


def many_items(response: str, *, done: bool) -> Iterator[Json]:
    yield {"type": "response.created", "response": {"id": response}}
    for at in range(MAX_ITEMS - 1):
        item = {"id": f"{response}_{at}", "type": "message", "role": "assistant", "content": []}
        place = {"response_id": response, "output_index": at}
        yield {"type": "response.output_item.added", **place, "item": item}
        part = place | {"item_id": item["id"], "content_index": 0}
        yield {"type": "response.output_audio.delta", **part, "delta": "AQID" * 2000}
        if done:
            yield {"type": "response.output_item.done", **place, "item": item}
