"""Protected speech, the least speech that interrupts, and what events that are lost do to both."""

from typing import Any

import pytest
from attrs import define, evolve, field

from agent.protocol import server_events as server
from agent.protocol.actions import (
    Action,
    AwaitSpeech,
    Cause,
    EndOfAudio,
    EndOfResponse,
    Heard,
    PartKey,
    Play,
    Send,
    StopPlayout,
    TooLittle,
)
from agent.protocol.base import UNSET
from agent.protocol.conversation import Conversation
from agent.protocol.interruption import MAX_SPEECH, MAX_UNANSWERED, LeastSpeech
from agent.protocol.items import RealtimeConversationItemAssistantMessage
from agent.protocol.response import RealtimeResponse, RealtimeResponseCreateParams
from agent.protocol.sequencer import MAX_WAITING
from agent.protocol.session import (
    RealtimeAudioConfig,
    RealtimeAudioConfigInput,
    RealtimeSessionCreateRequest,
    TurnDetection,
)

VAD = TurnDetection(type="server_vad", prefix_padding_ms=300, silence_duration_ms=200)
ACTIVE = "conversation_already_has_active_response"


@define
class Talk:
    """A conversation whose playout hears nothing: every part is reported as it is told.

    :ivar played: samples of each part that count as heard when playout is stopped.
    :ivar actions: what was wanted, but for what is sent.
    """

    conversation: Conversation = field(factory=lambda: Conversation(VAD))
    played: dict[PartKey, int] = field(factory=dict)
    received: dict[PartKey, int] = field(factory=dict)
    sent: list[Any] = field(factory=list)
    actions: list[Action] = field(factory=list)

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(event):
                    self.sent.append(event)
                    continue
                case Play(key, _, pcm):
                    self.received[key] = self.received.get(key, 0) + len(pcm) // 2
                case StopPlayout():
                    cut = [key for key in self.received if key.response_id not in action.spared]
                    reports = [self.report(key) for key in cut]
                    self.actions.append(action)
                    self.do(self.conversation.playout_stopped(action, reports))
                    continue
            self.actions.append(action)

    def report(self, key: PartKey) -> Heard:
        received = self.received.pop(key)
        played = self.played.get(key, 0)
        return Heard(key=key, received=received, played=played, whole=played == received)

    def take(self, *events: Any) -> None:
        for event in events:
            self.do(self.conversation.receive(event))

    def creates(self) -> list[Any]:
        return [event for event in self.sent if event.type == "response.create"]

    def notices(self) -> list[Any]:
        return [event for event in self.creates() if event.response.metadata]

    def detections(self) -> list[TurnDetection]:
        """What the server was told of turns, by each update of the session."""
        updates = [event for event in self.sent if event.type == "session.update"]
        return [update.session.audio.input.turn_detection for update in updates]

    def say_notice(self) -> None:
        self.do(self.conversation.say("It is recorded.", allow_interruptions=False))

    def refuse(self, request: Any, code: str) -> None:
        error = server.RealtimeError(code=code, message="no", event_id=request.event_id)
        self.take(server.RealtimeErrorEvent(error=error))


def created(name: str, metadata: Any = None) -> server.ResponseCreatedEvent:
    return server.ResponseCreatedEvent(response=RealtimeResponse(id=name, metadata=metadata))


def done(name: str, status: str = "completed") -> server.ResponseDoneEvent:
    return server.ResponseDoneEvent(response=RealtimeResponse(id=name, status=status))


def audio(name: str, ms: int = 1000, *, index: int = 0) -> server.ResponseAudioDeltaEvent:
    return server.ResponseAudioDeltaEvent(
        response_id=name,
        item_id=f"item_{name}",
        output_index=0,
        content_index=index,
        delta=bytes(48 * ms),
    )


def item_done(name: str) -> server.ResponseOutputItemDoneEvent:
    item = RealtimeConversationItemAssistantMessage(id=f"item_{name}", content=())
    return server.ResponseOutputItemDoneEvent(response_id=name, output_index=0, item=item)


def started(item: str = "user", at_ms: int = 0) -> server.InputAudioBufferSpeechStartedEvent:
    return server.InputAudioBufferSpeechStartedEvent(audio_start_ms=at_ms, item_id=item)


def stopped(item: str = "user", at_ms: int = 0) -> server.InputAudioBufferSpeechStoppedEvent:
    return server.InputAudioBufferSpeechStoppedEvent(audio_end_ms=at_ms, item_id=item)


def committed(item: str = "user") -> server.InputAudioBufferCommittedEvent:
    return server.InputAudioBufferCommittedEvent(item_id=item)


def said(item: str, words: str) -> server.ConversationItemInputAudioTranscriptionCompletedEvent:
    return server.ConversationItemInputAudioTranscriptionCompletedEvent(
        item_id=item, content_index=0, transcript=words
    )


def updated(detection: Any) -> server.SessionUpdatedEvent:
    audio = RealtimeAudioConfig(input=RealtimeAudioConfigInput(turn_detection=detection))
    session = RealtimeSessionCreateRequest(type="realtime", audio=audio)
    return server.SessionUpdatedEvent(session=session)


def key(name: str, index: int = 0) -> PartKey:
    return PartKey(name, f"item_{name}", index)


# -- protected speech ------------------------------------------------------------------------


def test_what_is_restored_is_said_in_so_many_words() -> None:
    """An update is merged: what it leaves out stays as it was."""
    talk = Talk()
    talk.say_notice()
    talk.take(created("notice", talk.creates()[0].response.metadata), done("notice"))
    on = evolve(VAD, create_response=True, interrupt_response=True)
    off = evolve(VAD, create_response=False, interrupt_response=False)
    assert talk.detections() == [off, on]


@pytest.mark.parametrize("interrupts", ["speech", "text"])
def test_a_notice_that_crossed_the_servers_own_response_is_said_later(interrupts: str) -> None:
    talk = Talk()
    talk.say_notice()
    [create] = talk.creates()
    talk.take(created("own"))
    if interrupts == "speech":
        talk.take(started(), stopped(), committed())
    else:
        talk.do(talk.conversation.user_text("hello"))
    talk.refuse(create, ACTIVE)
    talk.take(done("own", "cancelled"))
    for _ in range(3):
        talk.take(created(f"r{len(talk.creates())}"), done(f"r{len(talk.creates())}"))
    assert len(talk.notices()) == 2


def test_many_requests_do_not_push_a_notice_out() -> None:
    talk = Talk()
    talk.take(created("own"))
    talk.say_notice()
    for number in range(2 * MAX_WAITING):
        talk.do(talk.conversation.say(f"{number}"))
    talk.take(done("own"))
    assert len(talk.notices()) == 1


@pytest.mark.parametrize("end", ["given up", "lost", "failed"])
def test_a_notice_without_a_sound_protects_nothing_any_more(end: str) -> None:
    talk = Talk()
    talk.say_notice()
    talk.take(created("notice", talk.creates()[0].response.metadata))
    match end:
        case "given up":
            talk.do(talk.conversation.give_up())
        case "lost":
            talk.take(created("next"), done("next"))
        case "failed":
            talk.take(done("notice", "failed"))
    assert not talk.conversation.protects("notice")
    assert talk.detections()[-1].interrupt_response is True


def test_a_turn_that_was_begun_under_a_guard_is_answered_under_it() -> None:
    talk = Talk()
    talk.say_notice()
    talk.take(updated(talk.detections()[-1]))
    talk.take(created("notice", talk.creates()[0].response.metadata))
    talk.take(started(), done("notice"))
    assert len(talk.detections()) == 1
    talk.take(stopped(), committed(), created("answer"), done("answer"))
    assert len(talk.creates()) == 2
    assert len(talk.detections()) == 2


def test_an_update_that_is_refused_is_sent_again_some_times() -> None:
    talk = Talk()
    talk.say_notice()
    for _ in range(20):
        talk.refuse([e for e in talk.sent if e.type == "session.update"][-1], "server_error")
    assert 2 <= len(talk.detections()) <= 6


def test_a_server_that_tells_little_of_its_turns_is_taken_to_do_what_it_was_told() -> None:
    talk = Talk()
    talk.say_notice()
    talk.take(updated(TurnDetection(type="server_vad")))
    talk.take(created("notice", None))  # it does not give metadata back either
    assert talk.conversation.protects("notice")


def test_the_program_gives_up_what_waits_to_be_said() -> None:
    talk = Talk()
    talk.do(talk.conversation.say("one"))
    talk.do(talk.conversation.say("two"))
    talk.say_notice()
    talk.do(talk.conversation.interrupt(Cause.PROGRAM))
    talk.take(created("one"), done("one", "cancelled"))
    assert len(talk.creates()) == 1


# -- the least speech that interrupts ----------------------------------------------------------


def with_least(*, milliseconds: int = 0, words: int = 0) -> Talk:
    least = LeastSpeech(milliseconds=milliseconds, words=words)
    talk = Talk(Conversation(VAD, least))
    talk.take(created("r"), audio("r", 5000))
    return talk


def stops(talk: Talk) -> int:
    return sum(isinstance(action, StopPlayout) for action in talk.actions)


def test_too_little_speech_is_told() -> None:
    talk = with_least(milliseconds=500)
    talk.take(started())
    assert AwaitSpeech(0.7) in talk.actions
    talk.take(stopped(at_ms=300 + 200 + 200))
    assert talk.actions[-1] == TooLittle()
    talk.do(talk.conversation.speech_goes_on())  # the alarm rings all the same
    assert stops(talk) == 0


def test_two_bursts_of_speech_are_judged_each_by_its_own_words() -> None:
    talk = with_least(words=2)
    talk.take(started("first"), stopped("first"), committed("first"))
    talk.take(started("second"), stopped("second"), committed("second"))
    talk.take(said("second", "Mhm."))
    assert stops(talk) == 0
    talk.take(said("first", "That is enough."))
    assert stops(talk) == 1


def test_without_a_transcript_the_length_has_to_do() -> None:
    talk = with_least(words=2)
    talk.take(started(), stopped(), committed())
    failed = server.ConversationItemInputAudioTranscriptionFailedEvent(
        item_id="user", content_index=0, error=server.TranscriptionError(message="no")
    )
    talk.take(failed)
    assert stops(talk) == 1


def test_what_is_kept_of_turns_without_words_is_bounded() -> None:
    talk = with_least(words=2)
    for number in range(1000):
        talk.take(started(f"user_{number}"))
    assert len(talk.conversation._interruptions._speeches) < 10


def test_what_is_kept_of_one_turn_of_endless_words_is_bounded() -> None:
    talk = with_least(words=2)
    talk.take(started())
    delta = server.ConversationItemInputAudioTranscriptionDeltaEvent(
        item_id="user", delta="a" * 100
    )
    talk.take(*[delta] * 100)
    [speech] = talk.conversation._interruptions._speeches.values()
    assert len(speech.text) == MAX_SPEECH


def test_what_a_server_is_asked_for_and_never_answers_is_bounded() -> None:
    talk = Talk()
    for number in range(MAX_UNANSWERED + 1):
        talk.take(created(f"r{number}", {"allow_interruptions": "false"}), done(f"r{number}"))
    assert len(talk.conversation._interruptions._unanswered) == MAX_UNANSWERED


# -- what is lost ------------------------------------------------------------------------------


def test_a_straggler_of_a_response_whose_end_was_lost_is_dropped() -> None:
    talk = Talk()
    talk.take(created("old"), audio("old"), created("new"))
    before = talk.actions.copy()
    talk.take(audio("old"))
    assert not any(isinstance(action, Play) for action in talk.actions[len(before) :])


def test_what_comes_of_a_response_that_was_given_up_keeps_nothing_waiting() -> None:
    talk = Talk()
    talk.take(created("slow"))
    talk.do(talk.conversation.give_up())
    talk.actions.clear()
    talk.take(audio("slow", 20))
    assert talk.actions == [Play(key("slow"), (0, 0), bytes(960)), EndOfResponse("slow")]


def test_speech_silences_a_response_that_was_given_up() -> None:
    talk = Talk()
    talk.take(created("slow"))
    talk.do(talk.conversation.give_up())
    talk.take(started())
    talk.actions.clear()
    talk.take(audio("slow"))
    assert not any(isinstance(action, Play) for action in talk.actions)


def test_a_long_answer_is_not_forgotten_behind_many_others() -> None:
    talk = Talk()
    talk.take(created("long"), audio("long", 60_000), item_done("long"), done("long"))
    for number in range(40):
        talk.take(created(f"r{number}"), done(f"r{number}"))
    talk.played[key("long")] = 24_000
    talk.take(started())
    [truncate] = [event for event in talk.sent if event.type == "conversation.item.truncate"]
    assert (truncate.item_id, truncate.audio_end_ms) == ("item_long", 1000)


def test_less_than_a_millisecond_of_a_second_part_does_not_delete_the_first() -> None:
    talk = Talk()
    talk.take(created("r"), audio("r", 2000), audio("r", 2000, index=1))
    talk.played = {key("r"): 48_000, key("r", 1): 10}
    talk.take(started())
    [truncate] = [event for event in talk.sent if event.type == "conversation.item.truncate"]
    assert (truncate.content_index, truncate.audio_end_ms) == (0, 2000)


def test_an_item_that_is_known_by_its_audio_alone_is_deleted_too() -> None:
    talk = Talk()
    talk.take(created("r"), started(), audio("r"), item_done("r"), done("r", "cancelled"))
    [delete] = [event for event in talk.sent if event.type == "conversation.item.delete"]
    assert delete.item_id == "item_r"


def test_the_end_of_a_part_is_told_once() -> None:
    talk = Talk()
    talk.take(created("r"), audio("r"))
    where: dict[str, Any] = {
        "response_id": "r",
        "item_id": "item_r",
        "output_index": 0,
        "content_index": 0,
    }
    talk.take(server.ResponseAudioDoneEvent(**where), item_done("r"))
    assert talk.actions.count(EndOfAudio(key("r"))) == 1


def test_a_response_beside_the_conversation_is_ended_when_it_is_given_up() -> None:
    talk = Talk()
    beside = RealtimeResponseCreateParams(conversation="none")
    talk.do(talk.conversation.request_response(beside))
    response = RealtimeResponse(id="side", conversation_id=None, metadata=UNSET)
    talk.take(server.ResponseCreatedEvent(response=response), audio("side"))
    assert talk.conversation.waits_for_server
    talk.do(talk.conversation.give_up())
    assert talk.actions[-1] == EndOfResponse("side")
    assert not talk.conversation.waits_for_server
