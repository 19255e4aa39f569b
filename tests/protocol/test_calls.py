"""The functions that the model calls: each is run once at most, has one output, and one request for
an answer follows the last of a response's.
"""

import itertools
import pickle
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from agent.protocol import decode_server_event
from agent.protocol.actions import (
    Action,
    CallTool,
    Cause,
    Fail,
    Heard,
    InterruptCalls,
    PartKey,
    Send,
    StopPlayout,
    Warn,
)
from agent.protocol.calls import MAX_ARGUMENTS, MAX_CALLS, MAX_RUNNING
from agent.protocol.conversation import Conversation
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.session import TurnDetection

VAD = TurnDetection(type="server_vad")
CREATE, ITEM = "response.create", "conversation.item.create"


def event(type_: str, **fields: Any) -> Any:
    return decode_server_event(orjson.dumps({"type": type_, **fields}))


def begun(response: str, conversation: str | None = "conv") -> Any:
    return event("response.created", response={"id": response, "conversation_id": conversation})


def ended(response: str, *items: Any, status: str = "completed", **more: Any) -> Any:
    told = {"id": response, "status": status, "output": list(items), **more}
    return event("response.done", response=told)


def function_call(call: str, name: str = "f", **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"item_{call}",
        "call_id": call,
        "name": name,
        "arguments": '{"x":1}',
        **more,
    }


def item_done(response: str, call: str, **more: Any) -> Any:
    item = function_call(call, **more)
    return event("response.output_item.done", response_id=response, output_index=0, item=item)


def arguments_done(response: str, call: str, **more: Any) -> Any:
    where = {"response_id": response, "item_id": f"item_{call}", "output_index": 0}
    told = {"call_id": call, "name": "f", "arguments": '{"x":1}'} | more
    return event("response.function_call_arguments.done", **where, **told)


def delta(response: str) -> Any:
    where = {"response_id": response, "item_id": "words", "output_index": 0, "content_index": 0}
    return event("response.output_audio.delta", **where, delta="AAAA" * 640)


SPEECH = event("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
TURN = event("input_audio_buffer.committed", item_id="u")


def added(**item: Any) -> Any:
    return event("conversation.item.added", item=item)


def output_added(call: str) -> Any:
    return added(type="function_call_output", call_id=call, output="1")


def called(actions: Iterable[Action]) -> list[str]:
    return [action.call_id for action in actions if isinstance(action, CallTool)]


def told_to_stop(actions: Iterable[Action]) -> set[str]:
    return {name for a in actions if isinstance(a, InterruptCalls) for name in a.call_ids}


def sent(actions: Iterable[Action]) -> list[str]:
    return [action.event.type for action in actions if isinstance(action, Send)]


def outputs(actions: Iterable[Action]) -> dict[str, Any]:
    """What was sent of calls' outputs, by their ids."""
    events: list[Any] = [action.event for action in actions if isinstance(action, Send)]
    items = [e.item for e in events if e.type == ITEM and e.item.type == "function_call_output"]
    found = {item.call_id: orjson.loads(item.output) for item in items}
    assert len(found) == len(items)
    return found


def finish(conversation: Conversation, call: str, *, wants_answer: bool = True) -> list[str]:
    """A call ends with a result; the types of what is sent."""
    actions = conversation.tool_finished(call, f'"{call}"', wants_answer=wants_answer)
    assert outputs(actions) in ({}, {call: call})
    return sent(actions)


def interrupt(conversation: Conversation, actions: list[Action], *heard: Heard) -> list[Action]:
    """What follows of these actions, which are to stop playout."""
    [stop] = [action for action in actions if isinstance(action, StopPlayout)]
    return conversation.playout_stopped(stop, heard)


def conversation_with(*calls: str, response: str = "r") -> Conversation:
    """A conversation whose response has called these and is under way."""
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun(response))
    for call in calls:
        assert called(conversation.receive(item_done(response, call))) == [call]
    return conversation


# What is a call, and when it is run.


@pytest.mark.parametrize("order", list(itertools.permutations(("arguments", "item", "response"))))
def test_a_call_that_is_told_of_three_times_is_run_once(order: tuple[str, ...]) -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    told = {
        "arguments": arguments_done("r", "c"),
        "item": item_done("r", "c"),
        "response": ended("r", function_call("c")),
    }
    actions = [action for name in order for action in conversation.receive(told[name])]
    [call] = [action for action in actions if isinstance(action, CallTool)]
    assert call == CallTool("c", "r", "f", '{"x":1}')


@pytest.mark.parametrize("name", [None, ""])
def test_a_name_that_is_missing_comes_with_the_item(name: str | None) -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    assert not called(conversation.receive(arguments_done("r", "c", name=name)))
    assert not list(conversation.calls)
    [call] = [a for a in conversation.receive(item_done("r", "c")) if isinstance(a, CallTool)]
    assert call.name == "f"


def test_calls_that_only_the_end_of_the_response_tells_of_are_run() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    done = ended("r", function_call("a"), {"type": "message", "id": "m"}, function_call("b"))
    assert called(conversation.receive(done)) == ["a", "b"]
    assert finish(conversation, "b") == [ITEM]
    assert finish(conversation, "a") == [ITEM, CREATE]


def test_a_call_of_a_response_that_nobody_announced_is_run_and_answered() -> None:
    conversation = Conversation(turn_detection=VAD)
    assert called(conversation.receive(ended("r", function_call("c")))) == ["c"]
    assert finish(conversation, "c") == [ITEM, CREATE]


@pytest.mark.parametrize("status", ["incomplete", "in_progress"])
def test_a_call_that_was_cut_short_is_none(status: str) -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    assert not called(conversation.receive(item_done("r", "c", status=status)))
    done = ended("r", function_call("c", status=status), status="cancelled")
    assert not called(conversation.receive(done))
    assert not conversation.busy
    assert finish(conversation, "c") == []


def test_an_item_that_says_that_it_is_complete_is_a_call() -> None:
    conversation = Conversation(turn_detection=VAD)
    assert called(conversation.receive(item_done("r", "c", status="completed"))) == ["c"]


def test_a_call_without_an_id_is_none() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    for told in (arguments_done("r", ""), item_done("r", ""), ended("r", function_call(""))):
        assert not called(conversation.receive(told))


def test_a_call_beside_the_conversation_is_not_run() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(RealtimeResponseCreateParams(conversation="none"))
    conversation.receive(begun("side", None))
    events = [arguments_done("side", "c"), item_done("side", "c"), ended("side")]
    actions = [action for each in events for action in conversation.receive(each)]
    assert not called(actions)
    assert not outputs(actions)
    assert any(isinstance(action, Warn) for action in actions)
    assert not conversation.busy


# Outputs, and the one request after them.


def test_outputs_go_as_they_come_and_one_request_follows_the_last() -> None:
    conversation = conversation_with("a", "b", "c")
    assert finish(conversation, "b") == [ITEM]  # in the midst of the response
    assert sent(conversation.receive(ended("r"))) == []
    assert finish(conversation, "c") == [ITEM]
    assert finish(conversation, "a") == [ITEM, CREATE]
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(ended("r2"))) == []


def test_outputs_before_the_end_of_the_response_are_answered_after_it() -> None:
    conversation = conversation_with("a", "b")
    assert finish(conversation, "a") == [ITEM]
    assert finish(conversation, "b") == [ITEM]
    assert sent(conversation.receive(ended("r"))) == [CREATE]


def test_a_call_that_comes_after_the_others_outputs_is_waited_for() -> None:
    conversation = conversation_with("a")
    assert finish(conversation, "a") == [ITEM]
    conversation.receive(item_done("r", "b"))
    assert sent(conversation.receive(ended("r"))) == []
    assert finish(conversation, "b") == [ITEM, CREATE]


@pytest.mark.parametrize("early", [True, False])
def test_where_no_tool_wants_an_answer_none_is_asked_for(early: bool) -> None:
    conversation = conversation_with("a", "b")
    if not early:
        conversation.receive(ended("r"))
    assert finish(conversation, "a", wants_answer=False) == [ITEM]
    assert finish(conversation, "b", wants_answer=False) == [ITEM]
    if early:
        assert sent(conversation.receive(ended("r"))) == []
    assert not conversation.busy


@pytest.mark.parametrize("first", [True, False])
def test_it_is_enough_that_one_of_the_calls_wants_an_answer(first: bool) -> None:
    conversation = conversation_with("a", "b")
    conversation.receive(ended("r"))
    assert finish(conversation, "a", wants_answer=first) == [ITEM]
    assert finish(conversation, "b", wants_answer=not first) == [ITEM, CREATE]


def test_the_calls_of_two_responses_are_answered_each_by_their_own() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    conversation.receive(begun("r2"))
    conversation.receive(item_done("r2", "b"))
    conversation.receive(ended("r2"))
    assert finish(conversation, "b") == [ITEM, CREATE]
    conversation.receive(begun("r3"))
    assert finish(conversation, "a") == [ITEM]
    assert sent(conversation.receive(ended("r3"))) == [CREATE]


def test_what_is_told_twice_of_a_calls_end_counts_once() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    assert finish(conversation, "a") == [ITEM, CREATE]
    assert finish(conversation, "a") == []
    assert finish(conversation, "never_called") == []


def test_a_call_that_is_told_of_again_when_it_is_over_is_not_run_again() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    finish(conversation, "a")
    conversation.receive(begun("r2"))
    late = [arguments_done("r", "a"), item_done("r", "a"), ended("r", function_call("a"))]
    actions = [action for each in late for action in conversation.receive(each)]
    assert not called(actions)
    assert sent(actions) == []
    assert sent(conversation.receive(ended("r2"))) == []


def test_a_call_that_comes_after_its_response_is_run_and_answered() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    finish(conversation, "a")
    conversation.receive(begun("r2"))
    conversation.receive(ended("r2"))
    assert called(conversation.receive(item_done("r", "late"))) == ["late"]
    assert finish(conversation, "late") == [ITEM, CREATE]


def test_the_output_is_what_came_of_the_call() -> None:
    conversation = conversation_with("a")
    actions = conversation.tool_finished("a", '{"sun":true}', wants_answer=True)
    assert outputs(actions) == {"a": {"sun": True}}
    assert [(c.id, c.name, c.output) for c in conversation.calls] == [("a", "f", '{"sun":true}')]


def test_the_conversation_is_busy_while_a_call_runs() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    assert not conversation.is_answered
    assert conversation.busy
    finish(conversation, "a", wants_answer=False)
    assert not conversation.busy


# The person.


def test_a_call_of_an_interrupted_response_is_told() -> None:
    conversation = conversation_with("a", "b")
    finish(conversation, "b")
    actions = interrupt(conversation, conversation.receive(SPEECH))
    assert told_to_stop(actions) == {"a"}
    assert not outputs(actions)  # it ends by its own policy
    assert finish(conversation, "a", wants_answer=False) == [ITEM]


def test_a_call_of_what_is_still_heard_is_told() -> None:
    conversation = conversation_with("a")
    conversation.receive(delta("r"))
    conversation.receive(ended("r"))
    key = PartKey("r", "words", 0)
    heard = Heard(key=key, received=960, played=480, whole=False)
    assert told_to_stop(interrupt(conversation, conversation.receive(SPEECH), heard)) == {"a"}


def test_speech_over_what_is_heard_is_told_to_all_calls() -> None:
    """The goodbye may be of an earlier response than the call that hangs up."""
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    conversation.receive(delta("r"))
    conversation.receive(ended("r"))
    conversation.receive(begun("r2"))
    conversation.receive(ended("r2", function_call("a")))
    key = PartKey("r", "words", 0)
    heard = Heard(key=key, received=960, played=480, whole=False)
    assert told_to_stop(interrupt(conversation, conversation.receive(SPEECH), heard)) == {"a"}


def test_a_call_of_the_answer_to_a_turn_is_not_what_that_turn_interrupts() -> None:
    """The words of the turn, which say that it interrupts, may be later than the answer."""
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    conversation.receive(delta("r"))
    conversation.receive(ended("r"))
    conversation.receive(begun("answer"))
    conversation.receive(ended("answer", function_call("a")))
    key = PartKey("r", "words", 0)
    heard = Heard(key=key, received=960, played=480, whole=False)
    stop = StopPlayout(Cause.SPEECH, spared=frozenset({"answer"}))
    assert not told_to_stop(conversation.playout_stopped(stop, [heard]))


def test_a_call_of_another_response_than_what_is_interrupted_goes_on() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    conversation.receive(begun("r2"))
    conversation.receive(item_done("r2", "b"))
    assert told_to_stop(interrupt(conversation, conversation.receive(SPEECH))) == {"b"}


def test_a_late_call_of_an_interrupted_response_is_not_run_and_has_its_output() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    interrupt(conversation, conversation.receive(SPEECH))
    actions = conversation.receive(item_done("r", "a"))
    assert not called(actions)
    assert outputs(actions) == {"a": {"error": "not run: the person interrupted"}}
    late = conversation.receive(ended("r", function_call("a"), status="cancelled"))
    assert not called(late)
    assert sent(late) == []
    conversation.receive(TURN)
    assert not conversation.busy


def test_a_call_of_what_the_server_has_cancelled_for_speech_is_not_run() -> None:
    """It may be done before the server tells of the speech, and only then tell of the call."""
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    details = {"type": "cancelled", "reason": "turn_detected"}
    done = ended("r", function_call("a"), status="cancelled", status_details=details)
    actions = conversation.receive(done)
    assert not called(actions)
    assert outputs(actions).keys() == {"a"}
    assert not told_to_stop(interrupt(conversation, actions))
    assert CREATE not in sent(conversation.receive(TURN))


def test_a_call_that_ended_before_the_server_cancelled_for_speech_asks_for_no_answer() -> None:
    """The server answers what the person says."""
    conversation = conversation_with("a")
    finish(conversation, "a")
    details = {"type": "cancelled", "reason": "turn_detected"}
    assert sent(conversation.receive(ended("r", status="cancelled", status_details=details))) == []
    conversation.receive(SPEECH)
    assert sent(conversation.receive(TURN)) == []


def test_arguments_that_wait_for_the_end_of_an_interrupted_response_are_bounded() -> None:
    conversation = conversation_with()
    interrupt(conversation, conversation.interrupt(Cause.PROGRAM))
    conversation.receive(arguments_done("r", "a", arguments="x" * 2 * MAX_ARGUMENTS))
    [(_, _, kept)] = conversation.calls._put_off.values()
    assert len(kept) == MAX_ARGUMENTS + 1


def test_what_ended_before_the_interruption_asks_for_no_answer_of_its_own() -> None:
    """The model knows of it when it answers the person."""
    conversation = conversation_with("a", "b")
    finish(conversation, "a")
    assert told_to_stop(interrupt(conversation, conversation.interrupt(Cause.PROGRAM))) == {"b"}
    conversation.receive(ended("r", status="cancelled"))
    assert finish(conversation, "b", wants_answer=False) == [ITEM]
    assert not conversation.busy


def test_a_call_that_is_to_be_reported_all_the_same_is_answered() -> None:
    conversation = conversation_with("a")
    interrupt(conversation, conversation.interrupt(Cause.PROGRAM))
    conversation.receive(ended("r", status="cancelled"))
    assert finish(conversation, "a") == [ITEM, CREATE]


def test_speech_while_a_tool_runs_and_nothing_is_heard_stops_nothing() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    actions = interrupt(conversation, conversation.receive(SPEECH))
    assert not told_to_stop(actions)
    assert sent(actions) == []
    assert finish(conversation, "a") == [ITEM]  # not into the person's turn
    assert sent(conversation.receive(TURN)) == []  # which the server answers by itself
    assert sent(conversation.receive(begun("r2"))) == []
    assert sent(conversation.receive(ended("r2"))) == [CREATE]


def test_without_turn_detection_the_result_is_answered_with_the_turn() -> None:
    by_hand = Conversation(turn_detection=None)
    by_hand.receive(begun("r"))
    by_hand.receive(item_done("r", "a"))
    by_hand.receive(ended("r"))
    by_hand.receive(SPEECH)
    assert finish(by_hand, "a") == [ITEM]
    assert sent(by_hand.receive(TURN)) == [CREATE]
    by_hand.receive(begun("r2"))
    assert sent(by_hand.receive(ended("r2"))) == []


def test_typed_text_while_a_tool_runs_is_answered_first() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    actions = conversation.user_text("hello")
    assert not told_to_stop(interrupt(conversation, actions))
    assert sent(actions) == [ITEM, CREATE]
    assert finish(conversation, "a") == [ITEM]
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(ended("r2"))) == [CREATE]


# What goes wrong.


def test_too_many_calls_at_a_time_are_not_run_and_have_their_outputs() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    names = [f"c{number}" for number in range(MAX_RUNNING + 2)]
    actions = conversation.receive(ended("r", *map(function_call, names)))
    assert called(actions) == names[:MAX_RUNNING]
    assert outputs(actions).keys() == set(names[MAX_RUNNING:])
    ends = [finish(conversation, name) for name in names[:MAX_RUNNING]]
    assert ends == [[ITEM]] * (MAX_RUNNING - 1) + [[ITEM, CREATE]]
    assert called(conversation.receive(item_done("r2", "next"))) == ["next"]


def test_where_all_are_too_many_the_model_is_asked_to_go_on() -> None:
    conversation = conversation_with(*(f"c{number}" for number in range(MAX_RUNNING)))
    conversation.receive(ended("r"))
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(item_done("r2", "more"))) == [ITEM]
    assert sent(conversation.receive(ended("r2"))) == [CREATE]


def test_a_response_whose_end_was_lost_is_given_up_and_its_calls_are_answered() -> None:
    conversation = conversation_with("a")
    finish(conversation, "a")
    assert conversation.waits_for_server
    assert sent(conversation.give_up()) == [CREATE]
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(ended("r"))) == []  # it was only late
    assert sent(conversation.receive(ended("r2"))) == []


def test_a_response_whose_end_was_lost_is_over_when_the_next_begins() -> None:
    conversation = conversation_with("a")
    finish(conversation, "a")
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(ended("r2"))) == [CREATE]


def test_an_output_that_the_server_does_not_want_harms_nothing() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    [output, _] = conversation.tool_finished("a", "1", wants_answer=True)
    assert isinstance(output, Send)
    error = {
        "type": "invalid_request_error",
        "code": "invalid_tool_call_id",
        "message": "Tool call ID 'a' not found in conversation.",
        "event_id": output.event.event_id,
    }
    actions = conversation.receive(event("error", error=error))
    assert not any(isinstance(action, Fail) for action in actions)
    assert sent(actions) == []
    assert conversation.busy  # the request is still outstanding
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(ended("r2"))) == []
    assert not conversation.busy


def test_a_request_that_meets_a_response_of_the_servers_own_is_sent_again() -> None:
    conversation = conversation_with("a")
    conversation.receive(ended("r"))
    create = conversation.tool_finished("a", "1", wants_answer=True)[-1]
    assert isinstance(create, Send)
    conversation.receive(begun("own"))
    error = {
        "type": "invalid_request_error",
        "code": "conversation_already_has_active_response",
        "message": "no",
        "event_id": create.event.event_id,
    }
    assert sent(conversation.receive(event("error", error=error))) == []
    assert sent(conversation.receive(ended("own"))) == [CREATE]


@pytest.mark.parametrize("new", ["call", "response", "unfinished response", "cut response"])
def test_ids_for_ever_cost_no_more(new: str) -> None:
    conversation = Conversation(turn_detection=VAD)
    sizes = []
    for number in range(3000):
        response = "r" if new == "call" else f"r{number:05}"
        if new in ("response", "cut response"):
            conversation.receive(begun(response))
        if new == "cut response":
            conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
        conversation.receive(item_done(response, f"c{number:05}"))
        finish(conversation, f"c{number:05}")
        if new == "response":
            conversation.receive(ended(response))
        if number % 1000 == 999:
            sizes.append(len(pickle.dumps(conversation.calls)))
            assert len(list(conversation.calls)) <= MAX_CALLS
    assert sizes[-1] < 1.1 * sizes[0]


def test_a_call_without_an_output_is_never_forgotten() -> None:
    conversation = conversation_with("first")
    for number in range(2 * MAX_CALLS):
        conversation.receive(item_done("r", f"c{number}"))
        finish(conversation, f"c{number}")
    assert [call.id for call in conversation.calls.running] == ["first"]
    conversation.receive(ended("r"))
    assert finish(conversation, "first") == [ITEM, CREATE]


def test_however_many_calls_a_response_has_none_is_run_or_told_of_twice() -> None:
    conversation = Conversation()
    conversation.receive(begun("r"))
    outputs: list[str] = []
    for _ in range(2):  # each is told of again
        for number in range(2 * MAX_CALLS):
            for action in conversation.receive(item_done("r", f"c{number}")):
                if isinstance(action, CallTool):
                    done = conversation.tool_finished(action.call_id, "1", wants_answer=True)
                    outputs += [told_of(a.event) for a in done if isinstance(a, Send)]
    assert len(outputs) == len(set(outputs)) == MAX_CALLS


def told_of(output: Any) -> str:
    """The call that an output is of."""
    return str(output.item.call_id)


def test_half_a_character_can_be_said() -> None:
    [create] = [a for a in Conversation().say("bad \ud800 word") if isinstance(a, Send)]
    event: Any = create.event
    assert "bad ? word" in event.response.instructions


# -- answers that the server begins by itself ---------------------------------------------------


def while_speaking() -> Conversation:
    """A tool, which reports whatever happens, has ended while the person speaks."""
    conversation = conversation_with("c")
    conversation.receive(ended("r"))
    conversation.receive(SPEECH)
    assert finish(conversation, "c") == [ITEM]
    return conversation


@pytest.mark.parametrize("is_beta", [False, True])
def test_an_answer_that_begins_with_the_output_in_view_is_the_only_one(is_beta: bool) -> None:
    conversation = while_speaking()
    told = output_added("c")
    if is_beta:
        item = {"type": "function_call_output", "call_id": "c", "output": "1"}
        told = event("conversation.item.created", item=item)
    conversation.receive(told)
    for each in (TURN, begun("own"), ended("own")):
        assert sent(conversation.receive(each)) == []


@pytest.mark.parametrize("told", [None, output_added("other"), added(type="message", role="user")])
def test_an_answer_that_begins_without_it_is_followed_by_another(told: Any) -> None:
    conversation = while_speaking()
    if told is not None:
        conversation.receive(told)
    assert sent(conversation.receive(TURN)) == []
    assert sent(conversation.receive(begun("own"))) == []
    conversation.receive(output_added("c"))  # too late for that one
    assert sent(conversation.receive(ended("own"))) == [CREATE]


def test_a_request_that_crosses_such_an_answer_is_not_repeated() -> None:
    conversation = conversation_with("c")
    conversation.receive(ended("r"))
    actions = conversation.tool_finished("c", "1", wants_answer=True)
    create: Any = next(a.event for a in actions if isinstance(a, Send) and a.event.type == CREATE)
    conversation.receive(output_added("c"))
    conversation.receive(begun("own"))
    code = "conversation_already_has_active_response"
    error = {"type": "x", "code": code, "message": "no", "event_id": create.event_id}
    assert sent(conversation.receive(event("error", error=error))) == []
    assert sent(conversation.receive(ended("own"))) == []


def test_two_outputs_of_which_one_is_in_view_are_answered_again() -> None:
    conversation = conversation_with("c", "d")
    conversation.receive(ended("r"))
    conversation.receive(SPEECH)
    finish(conversation, "c")
    conversation.receive(output_added("c"))
    finish(conversation, "d")
    conversation.receive(TURN)
    conversation.receive(begun("own"))
    assert sent(conversation.receive(ended("own"))) == [CREATE]


def test_what_is_to_be_said_is_said_whatever_the_server_answers() -> None:
    conversation = while_speaking()
    conversation.say("wait")
    conversation.receive(output_added("c"))
    conversation.receive(TURN)
    conversation.receive(begun("own"))
    assert sent(conversation.receive(ended("own"))) == [CREATE]
    conversation.receive(begun("said"))
    assert sent(conversation.receive(ended("said"))) == []


def test_a_text_typed_over_speech_is_answered_once() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(SPEECH)
    assert sent(conversation.user_text("hello")) == [ITEM]
    content = [{"type": "input_text", "text": "hello"}]
    conversation.receive(added(type="message", role="user", content=content))
    for each in (TURN, begun("own"), ended("own")):
        assert sent(conversation.receive(each)) == []


# -- calls that are cut short --------------------------------------------------------------------


def cut_short(conversation: Conversation, response: str, call: str) -> list[Action]:
    conversation.receive(begun(response))
    told = conversation.receive(item_done(response, call, status="incomplete"))
    assert not called(told)
    assert not outputs(told)
    items = [function_call(call, status="incomplete")]
    details = {"type": "incomplete", "reason": "max_output_tokens"}
    return conversation.receive(
        ended(response, *items, status="incomplete", status_details=details)
    )


def test_a_call_that_the_limit_of_output_cuts_short_has_an_output_and_another_try() -> None:
    conversation = Conversation(turn_detection=VAD)
    actions = cut_short(conversation, "r", "c")
    assert "cut short" in outputs(actions)["c"]["error"]
    assert sent(actions) == [ITEM, CREATE]


def test_there_is_one_other_try_until_a_response_is_complete() -> None:
    conversation = Conversation(turn_detection=VAD)
    cut_short(conversation, "r", "c")
    actions = cut_short(conversation, "r2", "d")
    assert sent(actions) == [ITEM]
    conversation.receive(begun("r3"))
    conversation.receive(ended("r3"))
    assert sent(cut_short(conversation, "r4", "e")) == [ITEM, CREATE]


def test_what_the_person_cuts_short_has_no_output() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    conversation.receive(item_done("r", "c", status="incomplete"))
    assert sent(conversation.receive(ended("r", status="cancelled"))) == []
