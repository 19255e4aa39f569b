"""The conversation's rules, in any order of events that a server or a race may bring."""

import base64
import pickle
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import decode_server_event
from agent.protocol.actions import (
    Action,
    Cause,
    Discard,
    Fail,
    Heard,
    PartKey,
    Play,
    Send,
    StopPlayout,
    Warn,
)
from agent.protocol.conversation import Conversation
from agent.protocol.session import TurnDetection

VAD = TurnDetection(type="server_vad")


def event(type_: str, **fields: Any) -> Any:
    return decode_server_event(orjson.dumps({"type": type_, **fields}))


def sent(actions: list[Action]) -> list[str]:
    return [action.event.type for action in actions if isinstance(action, Send)]


def about(response: str, item: str = "item") -> dict[str, Any]:
    return {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}


def test_a_second_request_waits_for_the_first_response() -> None:
    conversation = Conversation(turn_detection=VAD)
    assert sent(conversation.request_response()) == ["response.create"]
    assert sent(conversation.request_response()) == []
    assert sent(conversation.receive(event("response.created", response={"id": "r"}))) == []
    assert sent(conversation.receive(event("response.done", response={"id": "r"}))) == [
        "response.create"
    ]


def test_without_turn_detection_the_client_cancels() -> None:
    conversation = Conversation(turn_detection=None)
    conversation.receive(event("response.created", response={"id": "r"}))
    assert sent(conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])) == ["response.cancel"]
    assert sent(conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])) == []  # once is enough


def test_a_text_only_answer_is_never_cut_or_deleted() -> None:
    conversation = Conversation(turn_detection=VAD)
    item = {"type": "message", "role": "assistant", "content": [], "id": "item"}
    conversation.receive(event("response.created", response={"id": "r"}))
    conversation.receive(
        event("response.output_item.added", response_id="r", output_index=0, item=item)
    )
    conversation.receive(event("response.output_text.delta", **about("r"), delta="Hi"))
    conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
    done = event("response.output_item.done", response_id="r", output_index=0, item=item)
    assert sent(conversation.receive(done)) == []
    assert sent(conversation.receive(event("response.done", response={"id": "r"}))) == []


def test_a_function_call_of_a_cut_response_is_not_deleted() -> None:
    conversation = Conversation(turn_detection=VAD)
    call = {"type": "function_call", "id": "call", "name": "f", "arguments": "", "call_id": "c"}
    conversation.receive(event("response.created", response={"id": "r"}))
    added = event("response.output_item.added", response_id="r", output_index=0, item=call)
    conversation.receive(added)
    conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
    assert sent(conversation.receive(event("response.done", response={"id": "r"}))) == []


def test_an_event_of_a_response_that_nobody_announced_is_played() -> None:
    conversation = Conversation(turn_detection=VAD)
    [play] = conversation.receive(event("response.output_audio.delta", **about("r"), delta="AAA="))
    assert isinstance(play, Play)


def test_a_late_delta_of_a_part_that_was_heard_whole_is_not_played() -> None:
    conversation = Conversation(turn_detection=VAD)
    delta = event("response.output_audio.delta", **about("r"), delta="AAAA" * 640)
    conversation.receive(event("response.created", response={"id": "r"}))
    conversation.receive(delta)
    conversation.receive(event("response.output_audio.done", **about("r")))
    item = {"type": "message", "role": "assistant", "content": [], "id": "item"}
    conversation.receive(
        event("response.output_item.done", response_id="r", output_index=0, item=item)
    )
    key = PartKey("r", "item", 0)
    heard = [Heard(key=key, received=960, played=960, whole=True)]
    # All was heard: nothing is said.
    assert conversation.playout_stopped(StopPlayout(Cause.SPEECH), heard) == []
    assert conversation.receive(delta) == [Discard(960)]


def test_an_interrupted_response_that_was_forgotten_stays_silent() -> None:
    conversation = Conversation(turn_detection=VAD)
    delta = event("response.output_audio.delta", **about("r0"), delta="AAAA" * 640)
    for number in range(40):
        conversation.receive(event("response.created", response={"id": f"r{number}"}))
        if number == 0:
            conversation.receive(delta)
            conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
        conversation.receive(event("response.done", response={"id": f"r{number}"}))
    assert conversation.receive(delta) == [Discard(960)]
    assert not conversation.busy  # a late event opens nothing


def test_a_response_whose_end_was_lost_blocks_nothing() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(event("response.created", response={"id": "r1"}))
    conversation.receive(event("response.created", response={"id": "r2"}))
    conversation.receive(event("response.done", response={"id": "r2"}))
    assert not conversation.busy


def test_what_waits_is_asked_for_when_the_request_before_it_is_refused() -> None:
    conversation = Conversation(turn_detection=VAD)
    [create] = conversation.request_response()
    assert isinstance(create, Send)
    assert conversation.request_response() == []
    error = {"type": "server_error", "message": "why", "event_id": create.event.event_id}
    assert sent(conversation.receive(event("error", error=error))) == ["response.create"]


def test_nothing_is_asked_for_while_the_person_speaks() -> None:
    conversation = Conversation(turn_detection=VAD)
    speech = event("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
    conversation.receive(event("response.created", response={"id": "r"}))
    assert sent(conversation.user_text("hello")) == ["conversation.item.create"]
    conversation.receive(speech)
    assert sent(conversation.receive(event("response.done", response={"id": "r"}))) == []
    conversation.receive(event("input_audio_buffer.committed", item_id="u"))
    conversation.receive(event("response.created", response={"id": "r2"}))  # the server's own
    assert sent(conversation.receive(event("response.done", response={"id": "r2"}))) == [
        "response.create"
    ]


def test_failures_are_told_apart() -> None:
    conversation = Conversation(turn_detection=VAD)

    def failed(code: str) -> list[type]:
        error = {"type": "x", "code": code, "message": "why"}
        response = {"id": code, "status": "failed", "status_details": {"error": error}}
        actions = conversation.receive(event("response.done", response=response))
        return [type(action) for action in actions if isinstance(action, Warn | Fail)]

    assert failed("rate_limit_exceeded") == [Warn]
    assert failed("model_not_found") == [Fail]


@pytest.mark.parametrize("new", ["response", "item", "part", "words", "interruption"])
def test_a_server_that_names_ever_new_things_costs_no_more(new: str) -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(event("response.created", response={"id": "r"}))
    sizes = []
    for number in range(12_000 if new == "words" else 1200):
        name = f"{number:05}"
        where = about(name if new == "response" else "r", name if new == "item" else "i")
        where["content_index"] = number if new == "part" else 0
        conversation.receive(event("response.output_audio.delta", **where, delta="AAAA"))
        words = event("response.output_audio_transcript.delta", **where, delta="word ")
        conversation.receive(words)
        if new == "interruption":
            conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
            conversation.receive(event("response.created", response={"id": name}))
        if number % 400 == 399:
            sizes.append(len(pickle.dumps(conversation._responses)))
    assert sizes[-1] < 1.2 * sizes[len(sizes) // 2]


def test_samples_that_are_cut_between_two_deltas_are_put_together() -> None:
    conversation = Conversation(turn_detection=VAD)
    pcm = (1000).to_bytes(2, "little") * 8
    played = b""
    for piece in (pcm[:5], pcm[5:6], pcm[6:6], pcm[6:11], pcm[11:]):
        delta = base64.b64encode(piece).decode()
        actions = conversation.receive(
            event("response.output_audio.delta", **about("r"), delta=delta)
        )
        played += b"".join(action.pcm for action in actions if isinstance(action, Play))
    assert played == pcm


def test_speech_while_nothing_is_heard_interrupts_nothing() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(event("response.created", response={"id": "r"}))
    conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
    assert conversation.tally.interruptions == 0


def test_what_a_server_leaves_out_of_an_error_is_not_made_up() -> None:
    conversation = Conversation(turn_detection=VAD)
    for told in (
        event("error", error={}),
        event("response.done", response={"id": "r", "status": "failed"}),
        event("response.done", response={"id": "s", "status": "failed", "status_details": {}}),
        event(
            "response.done",
            response={"id": "t", "status": "failed", "status_details": {"error": {}}},
        ),
    ):
        [warning] = [a for a in conversation.receive(told) if isinstance(a, Warn)]
        assert "no reason given" in warning.text
        assert "UNSET" not in warning.text


RESPONSES = ("r1", "r2", "r3")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["created", "item", "audio", "words", "item done", "done", "speech", "text", "ask"]
        ),
        st.sampled_from(RESPONSES),
        st.integers(0, 100),
    ),
    max_size=40,
)


class Playout:
    """A stand-in for playout that has played some part of what it was given."""

    def __init__(self) -> None:
        self.queue: dict[Any, int] = {}

    def perform(self, actions: list[Action], conversation: Conversation, percent: int) -> list[Any]:
        """Do what is asked; returns what was sent."""
        events = []
        for action in actions:
            if isinstance(action, Play):
                self.queue[action.key] = self.queue.get(action.key, 0) + len(action.pcm) // 2
            elif isinstance(action, Send):
                events.append(action.event)
            elif isinstance(action, StopPlayout):
                reports = [
                    Heard(key=key, received=samples, played=samples * percent // 100, whole=False)
                    for key, samples in self.queue.items()
                ]
                self.queue.clear()
                more = conversation.playout_stopped(action, reports)
                events += self.perform(more, conversation, percent)
        return events


def incoming(step: str, response: str) -> Any:
    item = {"type": "message", "role": "assistant", "content": [], "id": f"item_{response}"}
    where = about(response, f"item_{response}")
    in_response = {"response_id": response, "output_index": 0, "item": item}
    match step:
        case "created" | "done":
            return event(f"response.{step}", response={"id": response})
        case "item":
            return event("response.output_item.added", **in_response)
        case "item done":
            return event("response.output_item.done", **in_response)
        case "audio":
            return event("response.output_audio.delta", **where, delta="AAAA" * 640)
        case "words":
            return event("response.output_audio_transcript.delta", **where, delta="word ")
    return event("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")


@given(STEPS)
def test_what_holds_in_any_order(steps: list[tuple[str, str, int]]) -> None:
    """No zombie is played; each item is cut or deleted at most once; never two requests open."""
    conversation, playout = Conversation(turn_detection=VAD), Playout()
    received: dict[str, int] = {}
    interrupted: set[str] = set()
    announced: set[str] = set()
    told: list[str] = []
    creates = created = 0
    for step, response, percent in steps:
        item_id = f"item_{response}"
        match step:
            case "text":
                actions = conversation.user_text("hello")
            case "ask":
                actions = conversation.request_response()
            case _:
                actions = conversation.receive(incoming(step, response))
        if any(isinstance(action, Play) for action in actions):
            assert response not in interrupted
            received[item_id] = received.get(item_id, 0) + 960
        if step == "created" or (step == "done" and response not in announced):
            created = creates
            announced.add(response)
        if step in ("speech", "text"):
            interrupted |= {key.response_id for key in playout.queue}
        for request in playout.perform(actions, conversation, percent):
            if request.type == "response.create":
                creates += 1
                assert creates - created <= 1
            elif request.type == "conversation.item.truncate":
                told.append(request.item_id)
                assert 0 < request.audio_end_ms * 24 <= received[request.item_id]
            elif request.type == "conversation.item.delete":
                told.append(request.item_id)
    assert len(told) == len(set(told))
