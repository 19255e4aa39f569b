"""MCP servers that the model's own server calls: approvals once, and going on after a call."""

from typing import Any

import orjson
import pytest

from agent.protocol import decode_server_event, encode
from agent.protocol.actions import Action, Cause, Note, Send, StopPlayout, Warn
from agent.protocol.calls import MAX_RUNNING
from agent.protocol.conversation import Conversation
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.server_tools import NOT_ALLOWED, NOT_WANTED
from tests.official import official_client_event

REQUEST: dict[str, Any] = {
    "type": "mcp_approval_request",
    "id": "mcpr_1",
    "server_label": "files",
    "name": "delete",
    "arguments": "{}",
}

CALL: dict[str, Any] = {
    "type": "mcp_call",
    "id": "mcp_1",
    "server_label": "s",
    "name": "f",
    "arguments": "",
}


def conversation(*allowed: tuple[str, str]) -> Conversation:
    made = Conversation()
    made.server_tools.approves = lambda server, tool: (server, tool) in allowed
    return made


def receive(to: Conversation, **event: Any) -> list[Action]:
    return to.receive(decode_server_event(orjson.dumps(event)))


def sent(actions: list[Action], type_: str) -> list[Any]:
    return [a.event for a in actions if isinstance(a, Send) and a.event.type == type_]


def begin(to: Conversation, name: str = "resp_1") -> None:
    receive(to, type="response.created", response={"id": name, "status": "in_progress"})


def end(to: Conversation, name: str = "resp_1") -> list[Action]:
    return receive(to, type="response.done", response={"id": name, "status": "completed"})


@pytest.mark.parametrize("allowed", [True, False])
def test_an_approval_is_answered_once_by_the_policy(allowed: bool) -> None:
    talk = conversation(*[("files", "delete")] if allowed else [("files", "list")])
    begin(talk)
    actions = ask(talk)
    [create] = sent(actions, "conversation.item.create")
    official_client_event(encode(create))  # which want an id in this item, and in no other
    assert create.item.type == "mcp_approval_response"
    assert create.item.approval_request_id == "mcpr_1"
    assert create.item.approve is allowed
    assert (create.item.reason or "") == ("" if allowed else NOT_ALLOWED)
    assert any(isinstance(action, Note) for action in actions)
    again = ask(talk)
    assert sent(again, "conversation.item.create") == []
    # Where it is refused nothing else would have the model go on.
    assert len(sent(end(talk), "response.create")) == (not allowed)


def ask(talk: Conversation, item: dict[str, Any] = REQUEST) -> list[Action]:
    return receive(
        talk, type="response.output_item.done", response_id="resp_1", output_index=0, item=item
    )


def test_what_the_person_has_interrupted_is_not_approved() -> None:
    talk = conversation(("files", "delete"))
    begin(talk)
    for action in talk.interrupt(Cause.TEXT):
        assert isinstance(action, StopPlayout)
        talk.playout_stopped(action, [])
    actions = ask(talk)
    [create] = sent(actions, "conversation.item.create")
    assert (create.item.approve, create.item.reason) == (False, NOT_WANTED)
    assert sent(end(talk), "response.create") == []


def test_without_a_policy_nothing_is_approved() -> None:
    actions = ask(Conversation())
    [create] = sent(actions, "conversation.item.create")
    assert create.item.approve is False


@pytest.mark.parametrize("how", ["completed", "failed"])
def test_the_model_goes_on_once_after_a_call_when_its_response_is_over(how: str) -> None:
    talk = conversation()
    begin(talk)
    for name in ("mcp_1", "mcp_2"):
        call_begins(talk, name)
    ended = {"type": f"response.mcp_call.{how}", "output_index": 0}
    actions = receive(talk, **ended, item_id="mcp_1")
    actions += receive(talk, **ended, item_id="mcp_1")
    actions += end(talk)
    assert sent(actions, "response.create") == []
    # The last of them ends after its response.
    assert len(sent(receive(talk, **ended, item_id="mcp_2"), "response.create")) == 1


def call_begins(talk: Conversation, name: str, response: str = "resp_1") -> None:
    place = {"response_id": response, "output_index": 0}
    receive(talk, type="response.output_item.added", **place, item=CALL | {"id": name})


def call_ends(talk: Conversation, name: str) -> list[Action]:
    return receive(talk, type="response.mcp_call.completed", output_index=0, item_id=name)


def test_a_call_of_ours_with_the_name_of_one_of_the_servers_is_another() -> None:
    talk = conversation()
    begin(talk)
    call_begins(talk, "same")
    function = {"type": "function_call", "call_id": "same", "name": "f", "arguments": "{}"}
    ask(talk, function | {"id": "item_1"})
    assert sent(call_ends(talk, "same") + end(talk), "response.create") == []
    actions = talk.tool_finished("same", "1", wants_answer=True)
    assert len(sent(actions, "conversation.item.create")) == 1
    assert len(sent(actions, "response.create")) == 1


def test_a_call_is_begun_once() -> None:
    talk = conversation()
    begin(talk)
    call_begins(talk, "mcp_1")
    call_begins(talk, "mcp_1", "resp_2")
    actions = call_ends(talk, "mcp_1")
    call_begins(talk, "mcp_1")
    call_begins(talk, "")
    assert len(sent(actions + end(talk), "response.create")) == 1
    assert talk.calls._groups == {}
    assert not talk.calls.others_run


@pytest.mark.parametrize(
    "result", [{"output": ""}, {"error": {"type": "tool_execution_error", "message": "no"}}]
)
def test_a_call_has_ended_where_only_its_item_tells_so(result: dict[str, Any]) -> None:
    talk = conversation()
    begin(talk)
    call_begins(talk, "mcp_1")
    ask(talk, CALL)
    assert talk.calls.others_run
    ask(talk, CALL | result)
    assert len(sent(end(talk), "response.create")) == 1
    assert sent(call_ends(talk, "mcp_1"), "response.create") == []


def is_busy(talk: Conversation) -> bool:
    return talk.busy


def test_a_call_whose_end_is_lost_holds_up_nothing() -> None:
    talk = conversation()
    begin(talk)
    call_begins(talk, "mcp_1")
    ask(talk, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "i"})
    actions = talk.tool_finished("c", "1", wants_answer=True) + end(talk)
    assert sent(actions, "response.create") == []
    assert is_busy(talk)
    actions = talk.give_up_calls()
    assert any(isinstance(action, Warn) for action in actions)
    assert len(sent(actions, "response.create")) == 1
    begin(talk, "resp_2")
    end(talk, "resp_2")
    assert not is_busy(talk)
    assert len(sent(call_ends(talk, "mcp_1"), "response.create")) == 1  # late, and news


def test_a_refusal_after_its_response_was_given_up_is_answered() -> None:
    talk = conversation()
    begin(talk)
    talk.give_up()
    assert len(sent(ask(talk), "response.create")) == 1


def test_of_a_response_beside_the_conversation_nothing_follows_in_it() -> None:
    talk = conversation()
    talk.request_response(RealtimeResponseCreateParams(conversation="none"))
    response = {"id": "resp_1", "status": "in_progress", "conversation_id": None}
    receive(talk, type="response.created", response=response)
    call_begins(talk, "mcp_1")
    actions = ask(talk) + call_ends(talk, "mcp_1") + end(talk)
    assert sent(actions, "response.create") == []
    assert not talk.busy


def test_of_what_the_server_has_cancelled_for_speech_no_answer_is_asked_for() -> None:
    """It may be done before the server tells of the speech."""
    talk = conversation()
    begin(talk)
    call_begins(talk, "mcp_1")
    call_ends(talk, "mcp_1")
    details = {"type": "cancelled", "reason": "turn_detected"}
    response = {"id": "resp_1", "status": "cancelled", "status_details": details}
    assert sent(receive(talk, type="response.done", response=response), "response.create") == []


def interrupt(talk: Conversation) -> None:
    [stop] = talk.interrupt(Cause.PROGRAM)
    assert isinstance(stop, StopPlayout)
    talk.playout_stopped(stop, [])


def test_what_a_cancelled_response_began_to_call_is_not_waited_for() -> None:
    """The server may never run it, and tell of no end."""
    talk = conversation()
    begin(talk)
    call_begins(talk, "mcp_1")
    interrupt(talk)
    assert talk.busy
    receive(talk, type="response.done", response={"id": "resp_1", "status": "cancelled"})
    assert not is_busy(talk)
    assert sent(call_ends(talk, "mcp_1"), "response.create") == []


def test_a_call_that_the_person_interrupted_asks_for_no_answer_when_it_was_given_up() -> None:
    talk = conversation()
    begin(talk)
    call_begins(talk, "mcp_1")
    interrupt(talk)
    end(talk)
    assert talk.busy
    talk.give_up_calls()
    assert not is_busy(talk)
    assert sent(call_ends(talk, "mcp_1"), "response.create") == []


def test_of_very_many_calls_the_ends_of_the_oldest_are_not_waited_for() -> None:
    talk = conversation()
    begin(talk)
    names = [f"mcp_{number}" for number in range(MAX_RUNNING + 2)]
    for name in names:
        call_begins(talk, name)
    actions = end(talk)
    for name in [*names[3:], *names[:2]]:
        actions += call_ends(talk, name)
    assert sent(actions, "response.create") == []
    assert len(sent(call_ends(talk, names[2]), "response.create")) == 1
    assert not talk.calls._groups
    assert not talk.calls._others


def test_after_an_approval_the_call_is_in_no_response() -> None:
    talk = conversation()
    begin(talk)
    end(talk)
    actions = call_ends(talk, "mcp_1")
    assert len(sent(actions, "response.create")) == 1


def test_a_list_that_fails_is_told() -> None:
    actions = receive(conversation(), type="mcp_list_tools.failed", item_id="mcpl_1")
    assert any(isinstance(action, Warn) for action in actions)


def test_what_is_remembered_is_bounded() -> None:
    talk = conversation()
    for number in range(1000):
        ask(talk, REQUEST | {"id": f"mcpr_{number}"})
        receive(talk, type="response.mcp_call.failed", output_index=0, item_id=f"mcp_{number}")
    assert len(talk.server_tools._answered) == len(talk.server_tools._ended) == 256
