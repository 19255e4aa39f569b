"""Conversation, playout and ledger in any interleaving of what a server, a person, a program and a
clock may do.

The server here is a few lines of its own, as is the person's end, which counts the samples that it
hears: neither knows how the agent keeps its accounts. Events and requests cross on the way.

An ordinary run tries some dozens of interleavings, `make prove` tens of thousands.
"""

import itertools
from collections import deque
from typing import Any, Final

from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.audio import FRAME_SAMPLES, SAMPLE_RATE, ms_to_bytes
from agent.protocol import server_events as server
from agent.protocol.actions import (
    Action,
    AwaitSpeech,
    Cause,
    Discard,
    EndOfAudio,
    EndOfResponse,
    Play,
    Send,
    StopPlayout,
)
from agent.protocol.base import UNSET
from agent.protocol.conversation import Conversation
from agent.protocol.interruption import LeastSpeech, is_protected
from agent.protocol.items import (
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
)
from agent.protocol.response import RealtimeResponse
from agent.protocol.session import TurnDetection
from agent.streams.downlink import Downlink
from tests.fakes.far_end import PARTS, Counts, FarEnd, numbered

MANY: Final = 40 if settings().max_examples < 1000 else 20_000
STEPS: Final = 60
LEAD_MS, STEP_MS = 60, 40


@define
class Part:
    """A content part as its server knows it."""

    number: int
    item: "Item"
    index: int
    sent: int = 0
    ended: bool = False


@define
class Item:
    """An output item as its server knows it."""

    id: str
    response: "Response"
    index: int
    is_message: bool
    parts: list[Part] = field(factory=list)
    done: bool = False


@define
class Response:
    """A response as its server knows it.

    :ivar is_stopping: it was cancelled; nothing but its end is sent any more, and stragglers.
    """

    id: str
    protected: bool
    items: list[Item] = field(factory=list)
    is_stopping: bool = False
    done: bool = False


@define
class Cut:
    """What has to become of an item of an interrupted response.

    :ivar heard: samples that the person's end had counted, by content part.
    """

    item: Item
    heard: dict[int, int]
    sent: dict[int, int]
    is_whole: bool


class Interleavings(RuleBasedStateMachine):
    """One call; each rule is one thing that may happen next."""

    # -- the beginning -------------------------------------------------------------------------

    @initialize(
        counts=st.sampled_from(["nothing", "what it gives up", "what was heard"]),
        delay_ms=st.integers(0, 200),
        cancels=st.booleans(),
        answers=st.booleans(),
        by_hand=st.sampled_from([False, False, False, True]),
        least_ms=st.sampled_from([0, 0, 0, 300]),
    )
    def begin_call(
        self,
        *,
        counts: Counts,
        delay_ms: int,
        cancels: bool,
        answers: bool,
        by_hand: bool,
        least_ms: int,
    ) -> None:
        self.now = 1000.0
        detection = TurnDetection(
            type="server_vad",
            silence_duration_ms=200,
            interrupt_response=cancels and UNSET,
            create_response=answers and UNSET,
        )
        self.conversation = Conversation(
            None if by_hand else detection, LeastSpeech(milliseconds=least_ms)
        )
        # What the session was configured with.
        self.detection = self.conversation._interruptions.asked_for
        self.far_end = FarEnd(lambda: self.now, counts, delay_ms / 1000, self.may_play)
        self.downlink = Downlink(
            self.far_end,
            lead_ms=LEAD_MS,
            step_ms=STEP_MS,
            clock=lambda: self.now,
            on_over=lambda name: self.perform(self.conversation.playout_over(name)),
        )
        self.names = itertools.count(1)
        self.parts: dict[int, Part] = {}
        self.responses: list[Response] = []
        self.requests: deque[Any] = deque()
        self.silenced: set[str] = set()
        self.cuts: list[Cut] = []
        self.told: dict[str, list[Any]] = {}
        self.delivered = 0
        self.speaks = self.spoke = False
        self.speech_alarm = self.resume_alarm = float("inf")
        self.asked: set[str] = set()
        self.unwanted: set[str] = set()
        self.protected: set[str] = set()
        self.announced: set[str] = set()
        self.ended: set[str] = set()

    # -- what the agent does -------------------------------------------------------------------

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Play(key, order, pcm):
                    self.downlink.play(key, pcm, order)
                case Discard(samples):
                    self.downlink.ledger.refuse(samples)
                case EndOfAudio(key):
                    self.downlink.finish(key)
                case EndOfResponse(name):
                    self.downlink.finish_response(name)
                case AwaitSpeech(seconds):
                    self.speech_alarm = self.now + seconds
                case Send(request):
                    self.send(request)
                case StopPlayout():
                    self.expect_silence(action)
                    heard = self.downlink.stop(action.spared)
                    self.perform(self.conversation.playout_stopped(action, heard))

    def send(self, request: Any) -> None:
        self.requests.append(request)
        if request.type == "response.create":
            # Never more than one response in progress, as far as the client can know.
            assert not self.asked, "a response is asked for while one is asked for"
            assert self.announced <= self.ended, "a response is asked for while one is open"
            self.asked.add(request.event_id)
            if is_protected(request.response.metadata):
                self.protected.add(request.event_id)
        elif request.type in ("conversation.item.truncate", "conversation.item.delete"):
            self.told.setdefault(request.item_id, []).append(request)

    def may_play(self, part: int) -> bool:
        return self.parts[part].item.response.id not in self.silenced

    def expect_silence(self, stop: StopPlayout) -> None:
        """By the person's own account: which responses are silenced, and what was heard of them."""
        self.far_end.listen()
        by_program = stop.cause is Cause.PROGRAM
        # Where a turn is found to have been an interruption only when it is over, what was asked
        # for since it began is wanted.
        if stop.cause is not Cause.SPEECH or self.spoke or self.conversation.person_speaks:
            kept = set() if by_program else self.protected
            self.unwanted |= self.asked - kept
        for response in self.responses:
            if response.id in self.silenced or response.id in stop.spared:
                continue
            known = [item for item in response.items if item.is_message]
            is_open = response.id in self.announced and response.id not in self.ended
            if not is_open and all(map(self.is_heard, known)):
                continue
            assert not response.protected or by_program
            self.silenced.add(response.id)
            self.cuts += [self.cut(item) for item in known]

    def is_heard(self, item: Item) -> bool:
        """Whether all that the client has of it was heard, and it has all."""
        is_cancelled = item.response.is_stopping and item.response.id in self.ended
        if is_cancelled and not any(part.sent for part in item.parts):
            return False  # it was cancelled before it had anything
        return item.done and all(
            self.far_end.heard.get(part.number, 0) == part.sent for part in item.parts
        )

    def cut(self, item: Item) -> Cut:
        heard = {part.index: self.far_end.heard.get(part.number, 0) for part in item.parts}
        sent = {part.index: part.sent for part in item.parts}
        return Cut(item, heard, sent, self.is_heard(item))

    def receive(self, event: Any) -> None:
        """The client gets an event of the server's."""
        if isinstance(event, server.ResponseCreatedEvent):
            self.announced.add(str(event.response.id))
            if self.asked and self.asked <= self.unwanted:
                self.silenced.add(str(event.response.id))
            self.asked.clear()
        elif isinstance(event, server.ResponseDoneEvent):
            self.ended.add(str(event.response.id))
        elif isinstance(event, server.RealtimeErrorEvent):
            self.asked.discard(str(event.error.event_id))
        self.spoke = self.conversation.person_speaks
        self.perform(self.conversation.receive(event))

    # -- the server ----------------------------------------------------------------------------

    @property
    def active(self) -> Response | None:
        return next((response for response in self.responses if not response.done), None)

    def begin_response(self, metadata: Any = UNSET) -> None:
        response = Response(f"resp_{next(self.names)}", is_protected(metadata))
        self.responses.append(response)
        told = RealtimeResponse(id=response.id, status="in_progress", metadata=metadata)
        self.receive(server.ResponseCreatedEvent(response=told))

    @precondition(lambda self: self.active is None)
    @rule(
        ms=st.sampled_from([0, 250, 1001, 3000, 3000, 8000]),
        then_ms=st.sampled_from([0, 50, 433, 1500]),
    )
    def server_answers(self, ms: int, then_ms: int) -> None:
        """By itself; perhaps with the beginning of its speech, and perhaps that is heard."""
        self.begin_response()
        if ms:
            self.begin_item(is_message=True)
            self.send_audio(24 * ms)
            self.pass_time(then_ms / 1000)

    @precondition(lambda self: self.active and not self.active.is_stopping)
    @rule(is_message=st.sampled_from([True, True, True, False]))
    def item_begins(self, is_message: bool) -> None:
        self.begin_item(is_message=is_message)

    def begin_item(self, *, is_message: bool) -> None:
        response = self.active
        assert response is not None
        if response.items and not response.items[-1].done and is_message:
            self.end_item(response.items[-1])
        item = Item(f"item_{next(self.names)}", response, len(response.items), is_message)
        response.items.append(item)
        told = (
            RealtimeConversationItemAssistantMessage(id=item.id, content=())
            if is_message
            else RealtimeConversationItemFunctionCall(id=item.id, name="f", arguments="")
        )
        self.receive(
            server.ResponseOutputItemAddedEvent(
                response_id=response.id, output_index=item.index, item=told
            )
        )
        if response.id in self.silenced and is_message:
            self.cuts.append(Cut(item, {}, {}, is_whole=False))

    @precondition(lambda self: self.spoken())
    @rule(samples=st.one_of(st.integers(1, 1000), st.sampled_from([6000, 24_000, 120_001])))
    def delta(self, samples: int) -> None:
        self.send_audio(samples)

    def late_delta(self, samples: int) -> None:
        """Of the last item that is over, in any way."""
        items = [item for response in self.responses for item in response.items if item.parts]
        over = [
            item for item in items if item.done or item.response.is_stopping or item.parts[-1].ended
        ]
        if over:
            self.deliver(over[-1].parts[-1], samples)

    @staticmethod
    def is_wanted(part: Part) -> bool:
        """Whether the client has no reason to drop more of this part."""
        return not (part.ended or part.item.done or part.item.response.done)

    def spoken(self) -> list[Item]:
        """Items that may get audio: the newest message of the response, where it is not done."""
        response = self.active
        if response is None or response.is_stopping:
            return []
        open_items = [item for item in response.items if item.is_message and not item.done]
        return open_items[-1:]

    def send_audio(self, samples: int) -> None:
        [item] = self.spoken()
        if not item.parts:
            self.new_part(item)
        part = item.parts[-1]
        if not part.ended:
            self.deliver(part, samples)

    def new_part(self, item: Item) -> None:
        if len(self.parts) < PARTS and len(item.parts) < 3:
            part = Part(len(self.parts) + 1, item, len(item.parts))
            self.parts[part.number] = part
            item.parts.append(part)

    def deliver(self, part: Part, samples: int) -> None:
        self.delivered += samples
        pcm = numbered(part.number, part.sent, samples)
        if self.is_wanted(part) and part.item.response.id not in self.silenced:
            part.sent += samples
        self.receive(server.ResponseAudioDeltaEvent(**self.place(part), delta=pcm))

    def place(self, part: Part) -> dict[str, Any]:
        item = part.item
        return {
            "response_id": item.response.id,
            "item_id": item.id,
            "output_index": item.index,
            "content_index": part.index,
        }

    @precondition(lambda self: self.spoken() and self.spoken()[0].parts)
    @rule()
    def next_part(self) -> None:
        item = self.spoken()[0]
        self.end_part(item.parts[-1])
        self.new_part(item)

    def end_part(self, part: Part) -> None:
        if not part.ended:
            part.ended = True
            self.receive(server.ResponseAudioDoneEvent(**self.place(part)))

    def end_item(self, item: Item, *, loses_end_of_audio: bool = False) -> None:
        if item.done:
            return
        for part in item.parts:
            if loses_end_of_audio:
                part.ended = True
            self.end_part(part)
        item.done = True
        told = (
            RealtimeConversationItemAssistantMessage(id=item.id, content=())
            if item.is_message
            else RealtimeConversationItemFunctionCall(id=item.id, name="f", arguments="")
        )
        self.receive(
            server.ResponseOutputItemDoneEvent(
                response_id=item.response.id, output_index=item.index, item=told
            )
        )

    @precondition(lambda self: self.active and any(not i.done for i in self.active.items))
    @rule(loses_end_of_audio=st.booleans())
    def item_ends(self, loses_end_of_audio: bool) -> None:
        assert self.active is not None
        item = next(item for item in self.active.items if not item.done)
        self.end_item(item, loses_end_of_audio=loses_end_of_audio)

    @precondition(lambda self: self.active)
    @rule()
    def response_ends(self) -> None:
        response = self.active
        assert response is not None
        for item in response.items:
            self.end_item(item)
        response.done = True
        status = "cancelled" if response.is_stopping else "completed"
        self.receive(
            server.ResponseDoneEvent(response=RealtimeResponse(id=response.id, status=status))
        )

    @precondition(lambda self: self.requests)
    @rule(refuses=st.sampled_from([False, False, False, True]))
    def server_takes(self, refuses: bool) -> None:
        request = self.requests.popleft()
        match request.type:
            case "response.create" if self.active is not None:
                self.refuse(request, "conversation_already_has_active_response")
            case "response.create" if refuses:
                self.refuse(request, "rate_limit_exceeded")
            case "response.create":
                self.begin_response(request.response.metadata or None)
            case "response.cancel":
                response = self.active
                if response is None or response.id != request.response_id:
                    self.refuse(request, "response_cancel_not_active")
                else:
                    response.is_stopping = True
            case "session.update":
                self.take_update(request.session.audio.input.turn_detection)
                self.receive(server.SessionUpdatedEvent(session=request.session))
            case "conversation.item.truncate" | "conversation.item.delete" if refuses:
                self.refuse(request, "invalid_value")

    def take_update(self, new: TurnDetection) -> None:
        """What an update does not name stays as it was."""
        old = self.detection
        assert old is not None
        self.detection = evolve(
            new,
            create_response=_merged(new.create_response, old.create_response),
            interrupt_response=_merged(new.interrupt_response, old.interrupt_response),
        )

    def refuse(self, request: Any, code: str) -> None:
        error = server.RealtimeError(
            type="invalid_request_error", code=code, message="no", event_id=request.event_id
        )
        self.receive(server.RealtimeErrorEvent(error=error))

    def server_fails(self) -> None:
        error = server.RealtimeError(type="server_error", message="oops", event_id="evt_of_others")
        self.receive(server.RealtimeErrorEvent(error=error))

    @precondition(lambda self: self.active is None and not self.speaks)
    @rule(then_ms=st.sampled_from([0, 433, 1500]))
    def protected_speech_begins(self, then_ms: int) -> None:
        self.perform(self.conversation.say("It is recorded.", allow_interruptions=False))
        while self.active is None and self.requests:
            self.server_takes(refuses=False)
        if self.active is not None and not self.active.is_stopping:
            self.begin_item(is_message=True)
            self.send_audio(3 * SAMPLE_RATE)
            self.pass_time(then_ms / 1000)

    # -- the person and the program --------------------------------------------------------------

    @precondition(lambda self: self.conversation.turn_detection is not None)
    @rule(length_ms=st.sampled_from([100, 1000]), is_whole_turn=st.booleans())
    def person_speaks(self, length_ms: int, is_whole_turn: bool) -> None:
        if not self.speaks:
            self.begin_turn()
            if not is_whole_turn:
                return
            self.pass_time((length_ms + 200) / 1000)
        self.end_turn(length_ms)

    def begin_turn(self) -> None:
        self.speaks = True
        if self.active and self.detection and self.detection.interrupt_response is not False:
            self.active.is_stopping = True
        self.receive(server.InputAudioBufferSpeechStartedEvent(audio_start_ms=0, item_id="user"))

    def end_turn(self, length_ms: int) -> None:
        self.speaks = False
        self.receive(
            server.InputAudioBufferSpeechStoppedEvent(audio_end_ms=length_ms + 200, item_id="user")
        )
        self.receive(server.InputAudioBufferCommittedEvent(item_id="user"))
        answers = self.detection is not None and self.detection.create_response is not False
        if self.active is None and answers:
            self.begin_response()

    @rule(
        what=st.sampled_from(
            ["types", "interrupts", "says", "protects", "pauses", "pauses", "stalls", "fails"]
        )
    )
    def something_else_happens(self, what: str) -> None:
        match what:
            case "types":
                self.perform(self.conversation.user_text("hello"))
            case "interrupts":
                self.perform(self.conversation.interrupt(Cause.PROGRAM))
            case "says" | "protects":
                words = self.conversation.say("It is so.", allow_interruptions=what == "says")
                self.perform(words)
            case "pauses":
                protected = self.conversation.protects(self.downlink.heard_now())
                if not protected and self.downlink.pause():
                    self.resume_alarm = self.now + 0.5
            case "stalls":
                self.stand_still(333)
            case "fails":
                self.server_fails()

    @rule(samples=st.integers(1, 5000))
    def something_comes_late(self, samples: int) -> None:
        self.late_delta(samples)

    # -- the clock -------------------------------------------------------------------------------

    @rule(ms=st.integers(0, 100))
    def wait(self, ms: int) -> None:
        self.pass_time(ms / 1000)

    @rule(ms=st.one_of(st.integers(100, 3000), st.sampled_from([250, 500, 1000, 2000])))
    def wait_long(self, ms: int) -> None:
        self.pass_time(ms / 1000)

    def stand_still(self, ms: int) -> None:
        """The machine is busy elsewhere: playout's task wakes too late."""
        self.now += ms / 1000

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.next_time()) <= end:
            self.now = max(self.now, due)
            if self.speech_alarm <= self.now:
                self.speech_alarm = float("inf")
                self.perform(self.conversation.speech_goes_on())
            if self.resume_alarm <= self.now:
                self.resume_alarm = float("inf")
                self.downlink.resume()
        self.now = end

    def next_time(self) -> float:
        """When the next thing is due that the agent does by itself."""
        due = self.downlink.step()
        assert due is None or due > self.now, "playout's task spins"
        return min(self.speech_alarm, self.resume_alarm, float("inf") if due is None else due)

    # -- what holds ------------------------------------------------------------------------------

    @invariant()
    def samples_are_conserved(self) -> None:
        position = self.downlink.position
        outstanding = 0
        for entry in self.downlink.ledger:
            assert entry.received == entry.waiting + entry.handed + entry.discarded
            assert 0 <= entry.played(position) <= entry.handed
            outstanding += entry.waiting + entry.handed - entry.played(position)
        totals = self.downlink.totals()
        assert totals.received == self.delivered
        assert totals.received == totals.played + totals.discarded + outstanding

    @invariant()
    def what_is_played_was_heard(self) -> None:
        self.far_end.listen()
        heard = sum(self.far_end.heard.values())
        # Half a sample of rounding for each piece that is being heard.
        assert abs(self.downlink.totals().played - heard) <= 2

    @invariant()
    def corrections_are_right_and_single(self) -> None:
        assert set(self.told) <= {cut.item.id for cut in self.cuts if not cut.is_whole}
        for cut in self.cuts:
            for request in self.told.get(cut.item.id, []):
                self.check_correction(cut, request)
        assert all(len(requests) == 1 for requests in self.told.values())

    def check_correction(self, cut: Cut, request: Any) -> None:
        heard = [(index, samples) for index, samples in cut.heard.items() if samples]
        if request.type == "conversation.item.delete":
            assert sum(samples for _, samples in heard) <= FRAME_SAMPLES
            return
        index, samples = heard[-1]
        assert request.content_index == index
        end = ms_to_bytes(request.audio_end_ms) // 2
        assert end <= cut.sent[index], "more than was received"
        assert abs(end - samples) <= FRAME_SAMPLES, "not what was heard"

    def teardown(self) -> None:
        """Let everything come to its end; then each item that was cut has had its correction."""
        if not hasattr(self, "downlink"):
            return
        for _ in range(200):
            if self.active:
                self.response_ends()
            elif self.requests:
                self.server_takes(refuses=False)
            else:
                break
        self.downlink.resume()
        self.pass_time(1000)
        self.samples_are_conserved()
        self.corrections_are_right_and_single()
        assert not self.downlink.playing
        assert not list(self.downlink.ledger)
        for cut in self.cuts:
            assert len(self.told.get(cut.item.id, [])) == (not cut.is_whole), cut


def _merged(new: Any, old: Any) -> Any:
    """An update leaves as it was what it does not name."""
    return old if new is UNSET else new


def test_all_interleavings() -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(max_examples=MANY, stateful_step_count=STEPS),
    )
