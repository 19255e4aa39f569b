"""Requests for responses against a server that holds to the API's rule: one at a time.

The server here is a few lines of its own: it refuses a second response of the conversation,
begins one by itself when the person's turn ends, and its events and ours cross on the way.
"""

import itertools
from collections import deque
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.protocol import decode_server_event, encode
from agent.protocol.actions import Action, Cause, Discard, Play, Send, StopPlayout, Warn
from agent.protocol.conversation import Conversation
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.sequencer import MAX_ABOUT, MAX_WAITING, Sequencer
from agent.protocol.session import TurnDetection

VAD = TurnDetection(type="server_vad")
BESIDE = RealtimeResponseCreateParams(conversation="none")


def event(type_: str, **fields: Any) -> Any:
    return decode_server_event(orjson.dumps({"type": type_, **fields}))


def sent(actions: list[Action]) -> list[Any]:
    return [action.event for action in actions if isinstance(action, Send)]


def saying(words: str) -> RealtimeResponseCreateParams:
    return RealtimeResponseCreateParams(instructions=words)


def begun(name: str, conversation: str | None = "conv") -> Any:
    return event("response.created", response={"id": name, "conversation_id": conversation})


def ended(name: str) -> Any:
    return event("response.done", response={"id": name, "status": "completed"})


def refusal(request: Any, code: str) -> Any:
    error = {"type": "x", "code": code, "message": "no", "event_id": request.event_id}
    return event("error", error=error)


def test_requests_wait_in_order_and_none_is_lost() -> None:
    conversation = Conversation(turn_detection=VAD)
    [first] = sent(conversation.request_response(saying("one")))
    assert sent(conversation.request_response(saying("two"))) == []
    assert sent(conversation.request_response(saying("three"))) == []
    asked = [first.response.instructions]
    for name in ("r1", "r2"):
        assert sent(conversation.receive(begun(name))) == []
        [create] = sent(conversation.receive(ended(name)))
        asked.append(create.response.instructions)
    assert asked == ["one", "two", "three"]


def test_two_requests_for_any_answer_are_one() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    assert sent(conversation.request_response()) == []
    assert sent(conversation.request_response()) == []
    assert len(sent(conversation.receive(ended("r")))) == 1
    conversation.receive(begun("r2"))
    assert sent(conversation.receive(ended("r2"))) == []


@pytest.mark.parametrize("lines", [1, MAX_ABOUT, MAX_ABOUT + 1])
def test_an_answer_to_very_many_lines_is_asked_for_in_any_case(lines: int) -> None:
    ids = map(str, itertools.count())
    sequencer = Sequencer(lambda: next(ids))
    sequencer.want(saying("one"))
    assert sequencer.next()
    for line in range(lines):
        sequencer.want(RealtimeResponseCreateParams(), frozenset([f"line {line}"]))
    assert len(sequencer._about or ()) <= MAX_ABOUT
    sequencer.answered(unseen=())  # a response of the server's own, which has them all in view
    sequencer.began()
    assert (sequencer.next() is not None) == (lines > MAX_ABOUT)


def test_an_answer_to_very_many_items_at_once_is_asked_for_in_any_case() -> None:
    sequencer = Sequencer(lambda: "evt_1")
    sequencer.want(RealtimeResponseCreateParams(), frozenset(map(str, range(MAX_ABOUT + 1))))
    sequencer.answered(unseen=())
    assert sequencer.next()


def test_too_many_requests_lose_the_oldest_with_a_warning() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    actions = [
        action
        for number in range(MAX_WAITING + 1)
        for action in conversation.request_response(saying(str(number)))
    ]
    assert [type(action) for action in actions] == [Warn]
    [create] = sent(conversation.receive(ended("r")))
    assert create.response.instructions == "1"


def test_a_request_that_the_server_was_faster_than_follows_its_answer() -> None:
    conversation = Conversation(turn_detection=VAD)
    [create] = sent(conversation.request_response(saying("hello")))
    conversation.receive(begun("own"))
    refused = conversation.receive(refusal(create, "conversation_already_has_active_response"))
    assert sent(refused) == []
    [again] = sent(conversation.receive(ended("own")))
    assert again.response == create.response
    assert again.event_id != create.event_id


def test_a_request_that_is_refused_for_itself_is_not_repeated() -> None:
    conversation = Conversation(turn_detection=VAD)
    [create] = sent(conversation.request_response(saying("x")))
    assert sent(conversation.receive(refusal(create, "invalid_value"))) == []
    assert not conversation.busy


def test_a_response_that_is_only_said_to_be_done_was_the_one_asked_for() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(saying("one"))
    conversation.request_response(saying("two"))
    [create] = sent(conversation.receive(ended("never_created")))
    assert create.response.instructions == "two"
    # Said twice, it does not release the next one too.
    conversation.request_response(saying("three"))
    assert sent(conversation.receive(ended("never_created"))) == []


def test_an_error_about_another_event_of_ours_releases_nothing() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response()
    error = {"type": "x", "message": "y", "event_id": "evt_of_something_else"}
    conversation.receive(event("error", error=error))
    assert conversation.busy
    assert sent(conversation.request_response()) == []


def test_the_servers_own_failure_ends_what_was_asked_for() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(saying("one"))
    conversation.request_response(saying("two"))
    failure = {"type": "server_error", "message": "y", "event_id": None}
    [create] = sent(conversation.receive(event("error", error=failure)))
    assert create.response.instructions == "two"


def test_the_servers_own_failure_is_none_of_an_open_response() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(saying("one"))
    conversation.receive(begun("r"))
    conversation.request_response(saying("two"))
    failure = {"type": "server_error", "message": "y", "event_id": None}
    assert sent(conversation.receive(event("error", error=failure))) == []


def test_a_cancellation_of_what_is_over_says_that_it_is_over() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))  # whose end is lost
    assert isinstance(conversation.user_text("hello")[0], StopPlayout)
    [cancel] = sent(conversation.playout_stopped(StopPlayout(Cause.TEXT), []))
    assert cancel.type == "response.cancel"
    over = conversation.receive(refusal(cancel, "response_cancel_not_active"))
    assert [e.type for e in sent(over)] == ["response.create"]


def test_a_response_that_is_created_twice_is_one() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r"))
    conversation.receive(ended("r"))
    assert conversation.receive(begun("r")) == []
    assert not conversation.busy
    [create] = sent(conversation.request_response())
    assert conversation.receive(begun("r")) == []
    assert sent(conversation.request_response()) == []  # the first is still outstanding
    assert create.type == "response.create"


def test_a_response_beside_that_is_only_said_to_be_done_ends_no_other() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(BESIDE)
    conversation.request_response(saying("one"))
    conversation.request_response(saying("two"))
    done = event("response.done", response={"id": "side", "conversation_id": None})
    assert sent(conversation.receive(done)) == []
    assert sent(conversation.receive(begun("main", None))) == []
    assert len(sent(conversation.receive(ended("main")))) == 1


def test_after_a_refusal_two_requests_for_any_answer_are_still_one() -> None:
    conversation = Conversation(turn_detection=VAD)
    [create] = sent(conversation.request_response())
    conversation.request_response()
    conversation.receive(begun("own"))
    conversation.receive(refusal(create, "conversation_already_has_active_response"))
    assert len(sent(conversation.receive(ended("own")))) == 1
    conversation.receive(begun("r"))
    assert sent(conversation.receive(ended("r"))) == []


def test_what_the_server_owes_can_be_given_up() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(saying("one"))
    conversation.request_response(saying("two"))
    [create] = sent(conversation.give_up())
    assert create.response.instructions == "two"
    conversation.receive(begun("r"))
    assert sent(conversation.give_up()) == []
    assert not conversation.waits_for_server
    # What comes late of it is still taken.
    where = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    late = event("response.output_audio.delta", **where, delta="AAAA" * 640)
    assert isinstance(conversation.receive(late)[0], Play)


def test_an_answer_that_the_server_begins_by_itself_ends_the_persons_turn() -> None:
    conversation = Conversation(turn_detection=VAD)
    speech = event("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
    conversation.receive(speech)  # whose end is lost
    conversation.receive(begun("r"))
    conversation.request_response()
    assert len(sent(conversation.receive(ended("r")))) == 1


def test_a_response_beside_the_conversation_waits_for_nothing_and_blocks_nothing() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("main"))
    [beside] = sent(conversation.request_response(BESIDE))
    assert beside.response.conversation == "none"
    assert sent(conversation.request_response()) == []
    conversation.receive(begun("side", None))
    [create] = sent(conversation.receive(ended("main")))
    assert create.response.conversation != "none"
    conversation.receive(ended("side"))


def test_a_server_that_names_no_conversation_is_understood() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response()
    conversation.receive(begun("r", None))
    assert sent(conversation.request_response()) == []
    assert len(sent(conversation.receive(ended("r")))) == 1


def test_speech_silences_a_response_beside_but_corrects_nothing_of_it() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(BESIDE)
    conversation.receive(begun("side", None))
    where = {"response_id": "side", "item_id": "i", "output_index": 0, "content_index": 0}
    delta = event("response.output_audio.delta", **where, delta="AAAA" * 640)
    assert isinstance(conversation.receive(delta)[0], Play)
    # The server cancels the conversation's own response only: this one has to be cancelled.
    stopped = conversation.playout_stopped(StopPlayout(Cause.SPEECH), [])
    assert [request.type for request in sent(stopped)] == ["response.cancel"]
    assert conversation.receive(delta) == [Discard(960)]


def test_speech_lets_a_silent_response_beside_go_on() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.request_response(BESIDE)
    conversation.receive(begun("side", None))
    assert conversation.playout_stopped(StopPlayout(Cause.SPEECH), []) == []


def test_the_end_of_a_response_that_was_lost_is_told_to_playout() -> None:
    conversation = Conversation(turn_detection=VAD)
    conversation.receive(begun("r1"))
    [end] = conversation.receive(begun("r2"))
    assert getattr(end, "response_id", None) == "r1"


class Server:
    """The API's rule, and nothing else; what it says is on its way until `deliver`."""

    def __init__(self) -> None:
        self.active: str | None = None
        self.asked: list[str] = []
        self.refused = self.own = 0
        self.inbox: deque[Any] = deque()
        self.outbox: deque[Any] = deque()
        self._number = 0

    def take(self) -> None:
        """Take one event of the client's."""
        request = orjson.loads(encode(self.inbox.popleft()))
        if request["type"] == "response.create":
            if self.active is None:
                self.asked.append(request["response"].get("instructions", ""))
                self._begin()
            else:
                self.refused += 1
                code = "conversation_already_has_active_response"
                error = {"type": "x", "code": code, "message": "m"}
                self.outbox.append(event("error", error=error | {"event_id": request["event_id"]}))
        elif request["type"] == "response.cancel" and self.active == request["response_id"]:
            self.end("cancelled")

    def begin(self) -> None:
        """Begin a response by itself, where none is active."""
        if self.active is None:
            self.own += 1
            self._begin()

    def _begin(self) -> None:
        self._number += 1
        self.active = f"r{self._number}"
        self.outbox.append(begun(self.active))

    def end(self, status: str = "completed") -> None:
        """End what is active."""
        if self.active is not None:
            response = {"id": self.active, "status": status}
            self.outbox.append(event("response.done", response=response))
            self.active = None

    def speech(self) -> None:
        """The person speaks: the server cancels, and answers by itself."""
        self.end("cancelled")
        self.outbox.append(
            event("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
        )

    def turn(self) -> None:
        """The person has spoken."""
        self.outbox.append(event("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="u"))
        self.outbox.append(event("input_audio_buffer.committed", item_id="u"))
        self.begin()


STEPS = st.lists(
    st.sampled_from(["ask", "take", "deliver", "deliver", "begin", "end", "turn", "speech"]),
    max_size=60,
)


def perform(server: Server, conversation: Conversation, actions: list[Action]) -> None:
    for action in actions:
        if isinstance(action, Send):
            server.inbox.append(action.event)
        elif isinstance(action, StopPlayout):
            perform(server, conversation, conversation.playout_stopped(action, []))


@given(STEPS)
@example(["ask", "ask", "begin", "end", "begin"])
@example(["ask", "ask", "begin", "end", "deliver", "deliver"])
def test_every_request_is_answered_once_in_any_interleaving(steps: list[str]) -> None:
    server, conversation = Server(), Conversation(turn_detection=VAD)
    asked: list[str] = []
    spoke = False
    for step in [*steps, *["take", "deliver", "end"] * (3 * len(steps) + 30)]:
        match step:
            case "ask":
                asked.append(f"{len(asked)}")
                perform(server, conversation, conversation.request_response(saying(asked[-1])))
            case "take" if server.inbox:
                server.take()
            case "deliver" if server.outbox:
                perform(server, conversation, conversation.receive(server.outbox.popleft()))
            case "begin" | "end":
                getattr(server, step)()
            case "speech" | "turn":
                # A turn that was begun is ended, or nothing may be asked for.
                spoke = True
                server.speech()
                server.turn()
        # A client cannot tell a response of the server's own from the one that it asked for.
        assert server.refused <= server.own
    assert not server.inbox
    assert not server.outbox
    if spoke:
        # What was outstanding when the person spoke is not wanted any more.
        assert len(server.asked) == len(set(server.asked))
        assert set(server.asked) <= set(asked)
    elif server.own:
        # One that crossed the server's own may come after the next.
        assert sorted(server.asked, key=int) == asked
    else:
        assert server.asked == asked
    assert not conversation.busy
