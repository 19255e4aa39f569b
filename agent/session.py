"""One call: the nursery that joins its tasks.

    channel.audio -> uplink -> model
    model -> events -> conversation -> downlink -> channel
                                    -> requests -> model
                                    -> chat -> channel
                                    -> tools -> conversation
    channel.events -> people, tools of the client

The events task never waits for anything but the model's next event: whatever an action makes
necessary is queued. So the person's voice silences the agent however long an answer is and
however slow the channel's data messages are.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson
import trio
from attrs import frozen

from agent.alarm import Alarm
from agent.call_events import (
    OWN_TYPES,
    Event,
    barge_in,
    tool_call,
    tool_result,
    transcript,
    turn,
    typed,
)
from agent.errors import ChannelError, ModelLost, ModelRefused, one_line
from agent.figures import TELL_EVERY_S, Figures
from agent.latency import Latencies
from agent.options import AgentOptions
from agent.outlet import MAX_BYTES
from agent.people import People
from agent.protocol.actions import (
    Action,
    AwaitSpeech,
    CallTool,
    Cause,
    Discard,
    EndOfAudio,
    EndOfResponse,
    Fail,
    InterruptCalls,
    Note,
    Play,
    Publish,
    Send,
    StopPlayout,
    TooLittle,
    Warn,
)
from agent.protocol.client_events import RealtimeClientEvent
from agent.protocol.codec import UnknownEvent
from agent.protocol.conversation import Conversation
from agent.protocol.server_events import (
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    InputAudioBufferSpeechStoppedEvent,
    RealtimeServerEvent,
    ResponseCreatedEvent,
    SessionUpdatedEvent,
)
from agent.protocol.server_tools import approve_nothing
from agent.protocol.session import TurnDetection
from agent.rtc.channel import (
    ChannelEvent,
    ChannelLost,
    DataReceived,
    RecordingOver,
    RtcChannel,
    UserLeft,
)
from agent.streams.barge_in import LocalBargeIn
from agent.streams.chat import Chat
from agent.streams.chunks import Reassembler
from agent.streams.downlink import Downlink
from agent.streams.model import ModelConnection
from agent.streams.pace import Pace
from agent.streams.recorder import Tap
from agent.streams.uplink import run_uplink
from agent.tools.client import ClientCalls
from agent.tools.context import ToolContext
from agent.tools.run_context import RunContext
from agent.tools.running import ToolRunner

REQUESTS: Final = 2048
"""Requests that wait for the model's socket. They are few and small: when so many wait, the
socket has stood still for long, and the call has failed. An interruption of all the items that a
conversation keeps track of makes about a thousand at once."""
QUIET_S: Final = 2.0
"""A recording's call ends when the agent has been silent for so long."""
LAST_WORD_S: Final = 0.5
"""So long after the agent's last word nobody has said anything: a server tells of speech some 0.3 s
after it begins."""
LOOK_EVERY_S: Final = 0.1
"""How often it is looked whether the call is quiet."""
OVERDUE_S: Final = 30.0
"""An answer of which nothing comes for so long is given up. The slowest models think for some ten
seconds; a person who has waited for thirty has spoken again."""
TURN_OVERDUE_S: Final = 120.0
"""The same for the end of the person's turn: while a person speaks, the server says nothing."""
CALLS_OVERDUE_S: Final = 120.0
"""The same for the calls that the model's server runs at MCP servers, of which it tells that they
are in progress, once, and that they end. Few take a minute; a person who has waited for two has
given them up."""
FILL_MARGIN_MS: Final = 1000
"""Silence that is sent into a gap beyond what the server wants for the end of a turn."""
SEMANTIC_FILL_MS: Final = 10_000
"""The same for semantic_vad, which waits for up to 8 seconds where it is least eager."""
MAX_TEXT: Final = 10_000
"""Characters of a typed message."""

_log = logging.getLogger(__name__)


@frozen
class Outcome:
    """How a call ended: why, and the exit status that says so."""

    reason: str
    exit_status: int = 0


class _Spoken:
    """The channel as playout's line; the tap is told of what it is handed."""

    def __init__(self, channel: RtcChannel, tap: Tap) -> None:
        self._channel, self._tap = channel, tap
        self.clear, self.played = channel.clear, channel.played

    def play(self, pcm: bytes) -> None:
        self._channel.play(pcm)
        self._tap.to_rtc(pcm)


def _ignore(_: Event) -> None:
    pass


class Call:
    """One call between a joined channel and a configured model.

    :param tap: is told of the audio of both directions.
    :param tools: what the model may call; the model has been told of them.
    :param elapsed_s: of it, before: counts towards `max_duration_s`.
    :param approves: whether the model's server may call a tool (MCP server's label, tool's name).
    :param on_event: is told what happens, see `agent.call_events`, and what tools report.
    :param chat_prefix: makes the ids of our data messages unique in the channel.
    :raises ConfigError: the agent is to listen for itself, and what that needs is not installed.
    """

    def __init__(
        self,
        options: AgentOptions,
        model: ModelConnection,
        channel: RtcChannel,
        *,
        tap: Tap,
        chat_prefix: str,
        warn_at: int = 5,
        tools: ToolContext | None = None,
        approves: Callable[[str, str], bool] = approve_nothing,
        elapsed_s: float = 0.0,
        on_event: Callable[[Event], None] = _ignore,
    ) -> None:
        self._on_event = on_event
        self._options, self._elapsed_s = options, elapsed_s
        self._model = model
        self._channel = channel
        self._tap = tap
        self.conversation = Conversation(options.turn_detection, options.least_speech)
        self.conversation.server_tools.approves = approves
        # As the server says that it is: what was not asked for has its own defaults.
        self.conversation.receive(SessionUpdatedEvent(session=model.session))
        self.downlink = Downlink(
            _Spoken(channel, tap),
            lead_ms=options.playout_lead_ms,
            step_ms=options.playout_step_ms,
            on_over=self._playout_over,
            on_first=self._answer_begins,
        )
        self.barge_in = self._local_barge_in() if options.local_barge_in else None
        self._speech_alarm = Alarm(self._speech_goes_on)
        pace = Pace(options.data_packets_per_s, options.data_bytes_per_s)
        self._chat = Chat(channel.send_data, chat_prefix, pace=pace, warn_at=warn_at)
        self._reassembler = Reassembler(trio.current_time)
        self._client = ClientCalls(self._chat.put, partial(self._chat.withdraw, "tool_call_id"))
        self._tools = ToolRunner(
            tools if tools is not None else ToolContext(),
            self._client,
            self._run_context,
            self._tool_finished,
        )
        self._people = People(options.subscribe_uid)
        self._latencies = Latencies()
        self._tool_calls = 0
        self._requests_in, self._requests = trio.open_memory_channel[RealtimeClientEvent](REQUESTS)
        self._scope = trio.CancelScope()
        self._outcome = Outcome("the call ended")
        self._somebody_came = trio.Event()
        self._heard_at = self._answered_at = self._called_at = trio.current_time()

    async def run(self) -> Outcome:
        """Run the call to its end.

        Cancelled, it falls silent; channel and model are the caller's to close.

        :raises ModelLost: the model's connection ended.
        :raises ModelRefused: the model said that it cannot go on.
        :raises ChannelError: the channel was lost.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_requests)
                    nursery.start_soon(self._take_events)
                    nursery.start_soon(self.downlink.run)
                    nursery.start_soon(self._chat.run)
                    nursery.start_soon(self._tools.run)
                    nursery.start_soon(self._uplink)
                    nursery.start_soon(self._speech_alarm.run)
                    if self.barge_in is not None:
                        nursery.start_soon(self.barge_in.run)
                    nursery.start_soon(self._give_up_what_is_lost)
                    nursery.start_soon(self._tell_figures)
                    nursery.start_soon(self._limit_duration)
                    nursery.start_soon(self._limit_idleness)
                    nursery.start_soon(self._watch_people, nursery)
        finally:
            self.downlink.stop()
            self._channel.clear()
        return self._outcome

    def interrupt(self) -> None:
        """Fall silent now, as if the person had spoken; protected speech too."""
        self._perform(self.conversation.interrupt(Cause.PROGRAM))

    def say(self, words: str, *, allow_interruptions: bool = True) -> None:
        """Have the model say these words; see `agent.handle.Agent.say`."""
        self._perform(self.conversation.say(words, allow_interruptions=allow_interruptions))

    def figures(self) -> Figures:
        """What was counted so far."""
        tally = self.conversation.tally
        return Figures(
            turns=tally.turns,
            answers=tally.responses,
            interruptions=tally.interruptions,
            tool_calls=self._tool_calls,
            tokens=tally.tokens,
            input_tokens=tally.input_tokens,
            output_tokens=tally.output_tokens,
            audio_dropped=self._channel.audio.dropped,
            data_dropped=self._chat.dropped,
            malformed_events=self._model.malformed,
            underruns=self.downlink.underruns,
            longest_audio_queue=self._channel.audio.longest,
            longest_data_queue=self._chat.longest,
        )

    # -- tasks -----------------------------------------------------------------------------

    async def _uplink(self) -> None:
        await run_uplink(
            self._channel.audio.receive,
            self._model.send,
            self._tap.to_model,
            fill_ms=_silence_that_ends_a_turn(self._options.turn_detection),
            hear=self._hear,
        )

    def _hear(self, pcm: bytes) -> None:
        if self.barge_in is not None:
            self.barge_in.hear(pcm)

    async def _take_events(self) -> None:
        while True:
            event = await self._model.receive()
            self._heard_at = trio.current_time()
            # While an answer is due, nothing but its own events is a sign of it.
            if event.type.startswith("response.") or not self.conversation.is_answered:
                self._answered_at = self._heard_at
            if event.type.startswith("response.mcp_call") or not self.conversation.calls.others_run:
                self._called_at = self._heard_at
            self._time(event)
            self._perform(self.conversation.receive(event))

    def _time(self, event: RealtimeServerEvent | UnknownEvent) -> None:
        latencies, now = self._latencies, self._heard_at
        latencies.happens(now)
        match event:
            case InputAudioBufferSpeechStartedEvent():
                latencies.goes_on()
            case InputAudioBufferSpeechStoppedEvent():
                latencies.turn_ended(now)
            case InputAudioBufferCommittedEvent():
                latencies.committed(now)
            case ResponseCreatedEvent():
                latencies.response_began(event.response.id or "")

    async def _give_up_what_is_lost(self) -> None:
        while True:
            await trio.sleep(1)
            now = trio.current_time()
            if self.conversation.person_speaks:
                if now - self._heard_at >= TURN_OVERDUE_S:
                    self._perform(self.conversation.give_up_turn())
            elif self.conversation.waits_for_server and now - self._answered_at >= OVERDUE_S:
                self._answered_at = now
                self._perform(self.conversation.give_up())
            if self.conversation.calls.others_run and now - self._called_at >= CALLS_OVERDUE_S:
                self._perform(self.conversation.give_up_calls())

    async def _send_requests(self) -> None:
        async for request in self._requests:
            await self._model.send(request)

    async def _watch_people(self, nursery: trio.Nursery) -> None:
        people = self._people
        deadline = trio.current_time() + self._patience(people)
        while True:
            event: ChannelEvent | None = None
            with trio.move_on_at(deadline):
                event = await self._channel.events.receive()
            if isinstance(event, UserLeft):
                self._reassembler.forget(event.uid)
                self._client.left(event.uid)
            if event is None:
                self._end(self._nobody_left(people))
            elif isinstance(event, ChannelLost):
                raise ChannelError(f"the channel was lost: {event.reason}")
            elif isinstance(event, DataReceived):
                self._take_data(event)
            elif isinstance(event, RecordingOver):
                nursery.start_soon(self._end_when_quiet, QUIET_S, "the recording is over")
            elif people.take(event):
                deadline = trio.current_time() + self._patience(people)
                self._listen(people)

    async def _tell_figures(self) -> None:
        while True:
            await trio.sleep(TELL_EVERY_S)
            self._on_event(self.figures().event())

    async def _limit_duration(self) -> None:
        if self._options.max_duration_s is not None:
            await trio.sleep(max(0.0, self._options.max_duration_s - self._elapsed_s))
            self._end(Outcome(f"the limit of {self._options.max_duration_s:g} s was reached"))

    async def _limit_idleness(self) -> None:
        seconds = self._options.idle_timeout_s
        if seconds is not None:
            await self._somebody_came.wait()
            await self._end_when_quiet(seconds, f"nothing was said for {seconds:g} s")

    async def _end_when_quiet(self, seconds: float, reason: str) -> None:
        quiet_since = trio.current_time()
        while trio.current_time() - quiet_since < seconds:
            await trio.sleep(LOOK_EVERY_S)
            if self.conversation.busy or self.downlink.playing:
                quiet_since = trio.current_time()
        self._end(Outcome(reason))

    # -- actions ---------------------------------------------------------------------------

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(event):
                    self._send(event)
                case Publish(message):
                    self._publish(message)
                case Warn(text):
                    _log.warning("%s", one_line(text))
                case Note(text):
                    _log.info("%s", one_line(text))
                case CallTool():
                    self._tool_calls += 1
                    self._on_event(tool_call(action))
                    self._tools.start(action)
                case InterruptCalls(call_ids):
                    self._tools.interrupt(call_ids)
                case Fail(message, code):
                    raise ModelRefused(message, code)
                case _:
                    self._perform_on_playout(action)

    def _perform_on_playout(self, action: Action) -> None:
        match action:
            case Play(key, order, pcm):
                self.downlink.play(key, pcm, order)
            case Discard(samples):
                self.downlink.ledger.refuse(samples)
            case EndOfAudio(key):
                self.downlink.finish(key)
            case EndOfResponse(response_id):
                self.downlink.finish_response(response_id)
            case StopPlayout():
                self._stop_playout(action)
            case AwaitSpeech(seconds):
                self._await_speech(seconds)
            case TooLittle():
                if self.barge_in is not None:
                    self.barge_in.go_on()

    def _stop_playout(self, action: StopPlayout) -> None:
        was_silent, tally = self.downlink.paused, self.conversation.tally
        heard = self.downlink.stop(action.spared)
        latency_s = 0.0 if was_silent else self._latencies.silent(trio.current_time())
        interruptions = tally.interruptions
        self._perform(self.conversation.playout_stopped(action, heard))
        if tally.interruptions > interruptions and action.cause is not Cause.PROGRAM:
            self._on_event(barge_in(latency_s, action.cause))

    def _answer_begins(self, response_id: str) -> None:
        latency_s = self._latencies.first_frame(response_id, trio.current_time())
        if latency_s is not None:
            self._on_event(turn(latency_s))

    def _publish(self, message: dict[str, Any]) -> None:
        self._chat.put(message)
        event = transcript(message)
        if event is not None:
            self._on_event(event)

    def _playout_over(self, response_id: str) -> None:
        self._perform(self.conversation.playout_over(response_id))

    def _await_speech(self, seconds: float) -> None:
        if seconds < float("inf"):
            self._speech_alarm.set(seconds)
        if self.barge_in is not None:
            self.barge_in.wait(seconds)

    def _speech_goes_on(self) -> None:
        self._latencies.happens(trio.current_time())
        self._perform(self.conversation.speech_goes_on())

    def _send(self, event: RealtimeClientEvent) -> None:
        # Nothing can have come of it yet.
        self._heard_at = trio.current_time()
        if not self.conversation.is_answered:
            self._answered_at = self._heard_at
        try:
            self._requests_in.send_nowait(event)
        except trio.WouldBlock:
            raise ModelLost(f"the model's server takes nothing: {REQUESTS} requests wait") from None

    def _local_barge_in(self) -> LocalBargeIn:
        from agent.streams.local_vad import LocalVad

        return LocalBargeIn(
            LocalVad(),
            self.downlink,
            window_s=self._options.false_interruption_timeout_ms / 1000,
            may_pause=lambda: not self.conversation.protects(self.downlink.heard_now()),
        )

    # -- tools -----------------------------------------------------------------------------

    def _run_context(self) -> RunContext:
        """What a tool may know of a call that begins now."""
        return RunContext(
            channel_name=self._options.channel_name,
            uid=self._people.current,
            metadata=self._options.metadata,
            log=logging.getLogger("agent.tools"),
            say=self.say,
            heard=self._all_is_heard,
            end_call=lambda reason: self._end(Outcome(reason)),
            report=self._report,
        )

    def _report(self, event: Event) -> None:
        if event.get("type") in OWN_TYPES:
            raise ValueError(f"a report may not be of the type {event['type']}")
        size = len(orjson.dumps(event))  # what is no JSON is the tool's fault, and raises in it
        if size > MAX_BYTES:
            raise ValueError(f"a report may have {MAX_BYTES} bytes of JSON; this one has {size}")
        _log.info("a tool reports: %s", one_line(orjson.dumps(event).decode()))
        self._on_event(event)

    def _tool_finished(self, call_id: str, output: str, *, wants_answer: bool) -> None:
        self._on_event(tool_result(call_id, output))
        self._perform(self.conversation.tool_finished(call_id, output, wants_answer=wants_answer))

    async def _all_is_heard(self) -> None:
        quiet_since = trio.current_time()
        while trio.current_time() - quiet_since < LAST_WORD_S:
            waits = self.conversation.waits_for_server or self.conversation.person_speaks
            if waits or self.downlink.playing:
                quiet_since = trio.current_time()
            await trio.sleep(LOOK_EVERY_S)

    # -- people ----------------------------------------------------------------------------

    def _listen(self, people: People) -> None:
        if people.current is None:
            _log.info("%d left; waiting for a return", people.last)
            return
        self._channel.listen_to(people.current)
        _log.info("listening to %d", people.current)
        if self._options.greeting and not self._somebody_came.is_set():
            self.say(
                self._options.greeting,
                allow_interruptions=self._options.greeting_allow_interruptions,
            )
        self._somebody_came.set()

    def _patience(self, people: People) -> float:
        if people.current is not None:
            return float("inf")
        grace = people.last is not None
        return self._options.user_rejoin_grace_s if grace else self._options.wait_for_user_s

    def _nobody_left(self, people: People) -> Outcome:
        if people.last is not None:
            return Outcome("the person left")
        return Outcome(f"nobody came within {self._options.wait_for_user_s:g} s", 3)

    def _take_data(self, event: DataReceived) -> None:
        try:
            message = self._reassembler.feed(event.uid, event.packet)
        except ValueError as error:
            _log.warning("a data message was dropped: %s", error)
            return
        if message is None:
            return
        if "tool_call_id" in message:
            self._client.answer(event.uid, message)
            return
        text = message.get("text")
        if message.get("type") == "text" and isinstance(text, str) and 0 < len(text) <= MAX_TEXT:
            now = trio.current_time()
            self._latencies.happens(now)
            self._latencies.turn_ended(now)
            self._on_event(typed(text))
            self._perform(self.conversation.user_text(text))
        else:
            _log.warning("a data message is of no use here: dropped")

    def _end(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._scope.cancel()


def _silence_that_ends_a_turn(detection: TurnDetection | None) -> int:
    if detection is None:
        return 0
    if detection.type == "semantic_vad":
        return SEMANTIC_FILL_MS
    return (detection.silence_duration_ms or 0) + FILL_MARGIN_MS
