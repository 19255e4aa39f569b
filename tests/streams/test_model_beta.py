"""A whole answer over a server that speaks the beta dialect, written out here as it was spoken."""

from contextlib import suppress
from functools import partial
from typing import Any

import orjson
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from agent.config import Settings, load_settings
from agent.handle import Agent
from agent.options import AgentOptions
from agent.protocol import UnknownEvent
from agent.protocol.client_events import InputAudioBufferAppendEvent, ResponseCreateEvent
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.server_events import ResponseDoneEvent
from agent.run import Recording, run_agent
from agent.streams.model import open_model
from agent.streams.session_config import session_of
from tests.fakes.model import memory_websocket
from tests.loopback import Model, serving

PLACE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
ANSWER: dict[str, Any] = {
    "id": "item_1",
    "object": "realtime.item",
    "type": "message",
    "role": "assistant",
    "status": "in_progress",
    "content": [],
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "realtime.response",
    "status": "in_progress",
    "modalities": ["text", "audio"],
    "output": [],
}
PART = {"type": "audio", "transcript": "hello"}
BETA_ANSWER: list[dict[str, Any]] = [
    {"type": "response.created", "response": RESPONSE},
    {
        "type": "response.output_item.added",
        "response_id": "resp_1",
        "output_index": 0,
        "item": ANSWER,
    },
    {"type": "conversation.item.created", "previous_item_id": None, "item": ANSWER},
    {"type": "response.content_part.added", **PLACE, "part": PART},
    {"type": "response.audio_transcript.delta", **PLACE, "delta": "hello"},
    {"type": "response.audio.delta", **PLACE, "delta": "AQI="},
    {"type": "response.audio.done", **PLACE},
    {"type": "response.audio_transcript.done", **PLACE, "transcript": "hello"},
    {
        "type": "response.done",
        "response": RESPONSE
        | {"status": "completed", "output": [ANSWER | {"status": "completed", "content": [PART]}]},
    },
]


class BetaServer:
    """Speaks the beta dialect of Agora's and OpenAI's earlier servers.

    :ivar got: the client's messages.
    """

    def __init__(self, session: dict[str, Any] | None = None) -> None:
        self.got: list[dict[str, Any]] = []
        self._session = {"id": "sess_1", "object": "realtime.session", "modalities": ["text"]}
        self._session |= session or {}

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            websocket = await (await wrap_server_stream(nursery, stream)).accept()
            conversation = {"id": "conv_1", "object": "realtime.conversation"}
            await self._send(websocket, {"type": "session.created", "session": self._session})
            created = {"type": "conversation.created", "conversation": conversation}
            await self._send(websocket, created)
            with suppress(ConnectionClosed):
                while True:
                    await self._take(websocket, orjson.loads(await websocket.get_message()))

    async def _take(self, websocket: WebSocketConnection, event: dict[str, Any]) -> None:
        self.got.append(event)
        if event["type"] == "session.update":
            told = {"type": "session.updated", "session": self._session | event["session"]}
            await self._send(websocket, told)
        if event["type"] == "response.create":
            for part in BETA_ANSWER:
                await self._send(websocket, part)

    async def _send(self, websocket: WebSocketConnection, event: dict[str, Any]) -> None:
        await websocket.send_message(orjson.dumps({"event_id": "e", **event}).decode())


async def test_a_beta_server_is_asked_and_answers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "agent.wire")
    server, options = BetaServer(), AgentOptions(channel_name="a", voice="echo")
    session = session_of(options, dialect="beta")
    events: list[Any] = []
    async with open_model(memory_websocket(server.serve), session, dialect="beta") as connection:
        assert connection.session.output_modalities == ("text",)
        assert connection.session.audio == session.audio
        await connection.send(InputAudioBufferAppendEvent(audio=b"\x01\x02"))
        params = RealtimeResponseCreateParams(output_modalities=("audio",))
        await connection.send(ResponseCreateEvent(response=params))
        while not (events and isinstance(events[-1], ResponseDoneEvent)):
            events.append(await connection.receive())
    update, append, create = server.got
    assert append == {"type": "input_audio_buffer.append", "audio": "AQI="}
    assert create == {"type": "response.create", "response": {"modalities": ["audio", "text"]}}
    del update["session"]["instructions"], update["event_id"]
    assert update == {
        "type": "session.update",
        "session": {
            "voice": "echo",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
            },
            "temperature": 0.8,
        },
    }
    assert [event.type for event in events] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.done",
    ]
    assert not any(isinstance(event, UnknownEvent) for event in events)
    assert events[5].delta == b"\x01\x02"
    assert events[8].response.output[0].content[0].type == "output_audio"
    shown = [line[:2] + orjson.loads(line[3:])["type"] for line in caplog.messages]
    assert "<-conversation.item.created" in shown
    assert "<-response.audio.delta" in shown
    assert "turn_detection" in orjson.loads(caplog.messages[1][3:])["session"]  # flat, as sent


async def test_an_agent_is_configured_for_a_beta_server(real_settings: Settings) -> None:
    model, agent = Model(), Agent()
    async with serving(model.serve) as url, trio.open_nursery() as nursery:
        settings = evolve(real_settings, realtime_api_base_uri=url)
        run = partial(run_agent, recording=Recording(bytes(48_000), None), agent=agent)
        nursery.start_soon(run, settings, AgentOptions(channel_name="a", temperature=0.6))
        await model.until(lambda: model.got)
        agent.stop("seen")
    headers = [(name.lower(), value) for name, value in model.requests[0].headers]
    assert (b"openai-beta", b"realtime=v1") in headers
    assert (b"authorization", b"Basic dXNlcjpzZWNyZXQ=") in headers
    session = model.got[0]["session"]
    assert (session["temperature"], session["input_audio_format"]) == (0.6, "pcm16")


@pytest.fixture
def real_settings() -> Settings:
    return load_settings(
        {
            "OPENAI_API_KEY": "user:secret",
            "REALTIME_API_AUTH": "basic",
            "REALTIME_API_DIALECT": "beta",
        },
        None,
    )
