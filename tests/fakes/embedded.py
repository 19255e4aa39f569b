"""A whole call with the embedded model on a test's clock: the real WebSocket, streams in memory.

What either side sends is read along on the wire. Each utterance has samples of its own, so that the
far end of the channel knows what it hears, and what it must not hear any more.
"""

import base64
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import numpy as np
import orjson
import trio
from attrs import define, field, frozen
from trio.testing import wait_all_tasks_blocked
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage

from agent.audio import SAMPLE_RATE
from agent.embedded import serve_stream
from agent.embedded.answers.words import Understanding, understand_nothing
from agent.embedded.faults.plan import FaultPlan, faults_from_json
from agent.options import AgentOptions
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.session import RealtimeSessionCreateRequest
from agent.rtc.channel import DataReceived
from agent.session import Call
from agent.streams.chunks import to_chunks
from agent.streams.model import open_model
from agent.streams.recorder import Tap
from agent.streams.session_config import session_of
from agent.tools.context import ToolContext
from tests.embedded.driving import LOUD, LoudIsSpeech
from tests.fakes.call import OPTIONS
from tests.fakes.channel import PERSON, MemoryChannel
from tests.fakes.far_end import FarEnd, numbered
from tests.fakes.model import PATH, memory_websocket

MS_A_CHARACTER: Final = 40
"""As fast as anybody speaks; see `agent.protocol.alignment`."""
PIECE_S: Final = 0.02
"""In pieces of this length the person is heard."""
Json = dict[str, Any]
_LOUD: Final = array("h", [LOUD]).tobytes()
_QUIET: Final = bytes(2)


class NumberedVoice:
    """A voice whose utterances can be told apart by their samples; see `far_end.numbered`.

    :param thinks: how many seconds it thinks about the utterance of a number, where it does.
    :ivar texts: what it was given to say: first that of number 1.
    """

    def __init__(self, thinks: dict[int, float] | None = None) -> None:
        self.texts: list[str] = []
        self._thinks = thinks or {}

    async def speak(self, text: str, heard: bytes, speed: float) -> bytes:
        self.texts.append(text)
        number = len(self.texts)
        await trio.sleep(self._thinks.get(number, 0))
        return numbered(number, 0, len(text) * MS_A_CHARACTER * SAMPLE_RATE // 1000)


# -- the wire --------------------------------------------------------------------------------


@define
class Spoken:
    """A message of an answer, as it went over the wire.

    :ivar number: of the utterance; 0: no audio of it came.
    :ivar samples: of its audio that came.
    :ivar words: of it that came.
    """

    id: str
    number: int = 0
    samples: int = 0
    words: str = ""


@define
class Answer:
    """A response, as it went over the wire.

    :ivar items: its messages.
    :ivar calls: the names of the functions that it calls.
    :ivar status: how it ended.
    """

    id: str
    items: list[Spoken] = field(factory=list)
    calls: list[str] = field(factory=list)
    status: str | None = None


@frozen
class Message:
    """A message on the wire."""

    by: Literal["client", "server"]
    at: float
    event: Json


@define
class Wire:
    """What went over the wire, in order, but for the person's audio.

    :ivar answers: the responses, in the order in which they began.
    """

    messages: list[Message] = field(factory=list)
    answers: list[Answer] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)
    _numbers: dict[int, Answer] = field(factory=dict)

    def sent(self, type_: str) -> list[Json]:
        """The client's events of this type."""
        return [m.event for m in self.messages if m.by == "client" and m.event["type"] == type_]

    def came(self, type_: str) -> list[Json]:
        """The server's events of this type."""
        return [m.event for m in self.messages if m.by == "server" and m.event["type"] == type_]

    def times(self, type_: str) -> list[float]:
        """When events of this type were sent."""
        return [m.at for m in self.messages if m.event["type"] == type_]

    def answer_of(self, number: int) -> Answer:
        """The answer to which the utterance of this number belongs."""
        return self._numbers[number]

    def take(self, by: Literal["client", "server"], text: str) -> None:
        """Read a message along."""
        event = orjson.loads(text)
        if event["type"] == "input_audio_buffer.append":
            return
        self.messages.append(Message(by, trio.current_time(), event))
        if by == "server":
            self._follow(event)
        self._changed.set()

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until a condition on the wire holds; the call's own deadline bounds it."""
        while not wanted():
            self._changed = trio.Event()
            await self._changed.wait()

    def _follow(self, event: Json) -> None:
        match event["type"]:
            case "response.created":
                self._answer(event["response"]["id"])
            case "response.done":
                self._answer(event["response"]["id"]).status = event["response"]["status"]
            case "response.output_item.added":
                self._opened(event)
            case "response.output_audio_transcript.delta":
                self._item(event).words += event["delta"]
            case "response.output_audio.delta":
                samples = np.frombuffer(base64.b64decode(event.pop("delta")), "<u2")
                item = self._item(event)
                item.number = int(samples[0]) >> 8
                item.samples += len(samples)
                self._numbers[item.number] = self._answer(event["response_id"])

    def _answer(self, response_id: str) -> Answer:
        known = next((answer for answer in self.answers if answer.id == response_id), None)
        if known is None:
            known = Answer(response_id)
            self.answers.append(known)
        return known

    def _opened(self, event: Json) -> None:
        if event["item"]["type"] == "message":
            self._item({"item_id": event["item"]["id"], **event})
        else:
            self._answer(event["response_id"]).calls.append(event["item"]["name"])

    def _item(self, event: Json) -> Spoken:
        items = self._answer(event["response_id"]).items
        known = next((item for item in items if item.id == event["item_id"]), None)
        if known is None:
            known = Spoken(event["item_id"])
            items.append(known)
        return known


class _Tapped(trio.abc.Stream):
    """The server's end of a stream, whose messages are read along."""

    def __init__(self, stream: trio.abc.Stream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire
        self._client = _Reader(ConnectionType.SERVER)
        self._server = _Reader(ConnectionType.CLIENT)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        for text in self._client.read(bytes(data)):
            self._wire.take("client", text)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for text in self._server.read(bytes(data)):
            self._wire.take("server", text)
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Reader:
    """Finds the text messages in one direction of a WebSocket.

    :param side: whose side it reads for.
    """

    def __init__(self, side: ConnectionType) -> None:
        self._frames = Connection(side)
        self._head: bytes | None = b""
        self._text = ""
        self._closed = False

    def read(self, data: bytes) -> Iterator[str]:
        """The messages that these bytes complete."""
        if self._head is not None:
            self._head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
        if self._closed or not data:
            return
        self._frames.receive_data(data)
        for event in self._frames.events():
            self._closed |= isinstance(event, CloseConnection)
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    text, self._text = self._text, ""
                    yield text


# -- the channel -----------------------------------------------------------------------------


class ListeningChannel(MemoryChannel):
    """A channel at whose far end each utterance is told from the others.

    Once it was cleared, no sample may be handed to it of an answer that had begun by then.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._silenced: set[str] = set()
        self._first_handed: dict[int, float] = {}
        self._ear = FarEnd(trio.current_time, "nothing", 0.0, self._may_play)

    def play(self, pcm: bytes) -> None:
        number = int.from_bytes(pcm[:2], "little") >> 8
        self._first_handed.setdefault(number, trio.current_time())
        self._ear.play(pcm)
        super().play(pcm)

    def clear(self) -> None:
        super().clear()
        self._ear.clear()
        self._silenced |= {answer.id for answer in self._wire.answers}

    def heard(self, item: Spoken) -> int:
        """How many samples of this item have been heard."""
        self._ear.listen()
        return self._ear.heard.get(item.number, 0) if item.number else 0

    def heard_in_all(self) -> int:
        """How many samples have been heard."""
        self._ear.listen()
        return sum(self._ear.heard.values())

    def first_handed(self, item: Spoken) -> float | None:
        """When the first sample of this item was handed over."""
        return self._first_handed.get(item.number) if item.number else None

    def _may_play(self, number: int) -> bool:
        return self._wire.answer_of(number).id not in self._silenced


# -- the call --------------------------------------------------------------------------------


@define
class EmbeddedCall:
    """A call under way: the person is the test, the model is the embedded one."""

    call: Call
    channel: ListeningChannel
    wire: Wire
    voice: NumberedVoice
    _answers: int = 0

    # -- what the person does ------------------------------------------------------------------

    async def speak(self, seconds: float) -> None:
        """Speak."""
        await self._say(_LOUD, seconds)

    async def say_nothing(self, seconds: float) -> None:
        """Let the microphone hear silence."""
        await self._say(_QUIET, seconds)

    async def ask(self) -> Answer:
        """Speak, and be silent until the answer begins."""
        await self.speak(0.2)
        await self.say_nothing(0.2)
        return await self.next_answer()

    async def speak_over(self) -> float:
        """Speak until the agent is told of it, then mute the microphone; when it was told."""
        started = "input_audio_buffer.speech_started"
        before = len(self.wire.times(started))
        while len(self.wire.times(started)) == before:
            await self.speak(PIECE_S)
        return self.wire.times(started)[before]

    def type_text(self, text: str) -> float:
        """Type a message; when that was."""
        for chunk in to_chunks({"type": "text", "text": text}, f"m{len(text)}"):
            self.channel.tell.send_nowait(DataReceived(PERSON, chunk))
        return trio.current_time()

    def have_said(self, *words: str) -> None:
        """Have the model say this, each in an item of its own, as only its instructions can."""
        instructions = " Then say exactly: ".join(f'"{text}"' for text in words)
        wanted = RealtimeResponseCreateParams(instructions=f"Say exactly: {instructions}")
        self.call._perform(self.call.conversation.request_response(wanted))

    # -- what the test waits for ---------------------------------------------------------------

    async def next_answer(self) -> Answer:
        """The next response, when it has begun."""
        await self.wire.until(lambda: len(self.wire.answers) > self._answers)
        self._answers += 1
        return self.wire.answers[self._answers - 1]

    async def hear(self, answer: Answer, seconds: float, *, item: int = 0) -> None:
        """Hear so much of one item of an answer."""
        await self.wire.until(lambda: len(answer.items) > item)
        spoken = answer.items[item]
        await self.channel.until(lambda: self.channel.first_handed(spoken) is not None)
        await trio.sleep(sum(map(self.unheard, answer.items[:item])) / SAMPLE_RATE)
        await trio.sleep(seconds - self.channel.heard(spoken) / SAMPLE_RATE)

    async def hear_all(self, answer: Answer) -> None:
        """Hear an answer to its end, without a gap in it."""
        await self.wire.until(lambda: answer.status == "completed")
        await trio.sleep(sum(map(self.unheard, answer.items)) / SAMPLE_RATE)
        assert answer.items
        assert not any(map(self.unheard, answer.items))

    def unheard(self, item: Spoken) -> int:
        """How many samples of this item came and have not been heard."""
        return item.samples - self.channel.heard(item)

    # -- what came of it -----------------------------------------------------------------------

    def requests(self) -> list[str]:
        """The types of what the agent sent since its session was configured, but for audio."""
        return [m.event["type"] for m in self.wire.messages if m.by == "client"][1:]

    def text_of(self, item: Spoken) -> str:
        """All that this item would say."""
        return self.voice.texts[item.number - 1]

    def told(self, item: Spoken) -> list[Json]:
        """What the people in the channel were told of this item's words, but for deltas."""
        return [
            message
            for message in self.channel.messages
            if message["type"] == "response.audio_transcript.done" and message["item_id"] == item.id
        ]

    async def _say(self, sample: bytes, seconds: float) -> None:
        piece = sample * round(PIECE_S * SAMPLE_RATE)
        for _ in range(round(seconds / PIECE_S)):
            await trio.sleep(PIECE_S)
            self.channel.audio.put(piece)


@asynccontextmanager
async def an_embedded_call(
    *faults: tuple[Json, Json],
    options: AgentOptions = OPTIONS,
    session: RealtimeSessionCreateRequest | None = None,
    path: str = PATH,
    thinks: dict[int, float] | None = None,
    understand: Understanding = understand_nothing,
    errors: Sequence[str] = (),
    tools: ToolContext | None = None,
) -> AsyncIterator[EmbeddedCall]:
    """A call in which the person is already there.

    At its end it is held that the agent's account of the samples is that of the wire and of the far
    end, and that the server sent no errors but those that the test provokes.

    :param faults: what goes wrong: `when` and `do` of a fault plan.
    :param session: what the model is asked for, in place of what the options say.
    :param thinks: as for `NumberedVoice`.
    :param understand: what the person is taken to say.
    :param errors: the codes of the errors that the test provokes, in order.
    :param tools: what the agent has.
    """
    wire, voice = Wire(), NumberedVoice(thinks)
    channel = ListeningChannel(wire)

    async def serve(stream: trio.abc.Stream) -> None:
        await serve_stream(
            _Tapped(stream, wire),
            voice=voice,
            vad=LoudIsSpeech,
            understand=understand,
            faults=_plan(faults),
        )

    async with (
        open_model(memory_websocket(serve, path), session or session_of(options)) as model,
        trio.open_nursery() as nursery,
    ):
        call = Call(options, model, channel, tap=Tap(), chat_prefix="t", tools=tools)
        nursery.start_soon(call.run)
        channel.join()
        await wait_all_tasks_blocked()
        with trio.fail_after(120):
            yield EmbeddedCall(call, channel, wire, voice)
        await wait_all_tasks_blocked()
        _check_accounts(call, channel, wire)
        assert [event["error"]["code"] for event in wire.came("error")] == list(errors)
        nursery.cancel_scope.cancel()


def _plan(faults: Sequence[tuple[Json, Json]]) -> FaultPlan:
    return faults_from_json({"faults": [{"when": when, "do": do} for when, do in faults]})


def _check_accounts(call: Call, channel: ListeningChannel, wire: Wire) -> None:
    totals = call.downlink.totals()
    came = sum(item.samples for answer in wire.answers for item in answer.items)
    assert totals.received == came
    assert totals.played == channel.heard_in_all()
    assert totals.discarded == totals.received - totals.played
