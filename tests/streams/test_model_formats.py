"""The formats of audio on the model's line: asked for, told, and converted nowhere else."""

from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, wrap_server_stream

from agent.options import AgentOptions
from agent.protocol.client_events import InputAudioBufferAppendEvent
from agent.protocol.server_events import ResponseAudioDeltaEvent, ResponseAudioDoneEvent
from agent.streams.model import open_model
from agent.streams.session_config import session_of
from tests.fakes.model import memory_websocket

PLACE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("ga", {}),
        ("ga", {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}),
        ("beta", {}),
        ("beta", {"output_audio_format": "g711_ulaw"}),
    ],
)
async def test_g711_is_spoken_on_the_wire_only(
    dialect: str, said: dict[str, Any], autojump_clock: MockClock
) -> None:
    """Whether the server tells the formats, or leaves out those that were asked for."""
    got: list[dict[str, Any]] = []
    name = "response.audio" if dialect == "beta" else "response.output_audio"
    silence = b64encode(b"\xff" * 8000).decode()

    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            websocket = await (await wrap_server_stream(nursery, stream)).accept()
            for event in (
                {"type": "session.created", "session": {}},
                {"type": "session.updated", "session": said},
                {"type": f"{name}.delta", **PLACE, "delta": silence},
                {"type": f"{name}.done", **PLACE},
            ):
                await websocket.send_message(orjson.dumps(event).decode())
            with suppress(ConnectionClosed):
                while True:
                    got.append(orjson.loads(await websocket.get_message()))

    options = AgentOptions(channel_name="a", audio_format="audio/pcmu")
    session, samples = session_of(options, dialect=dialect), 0
    async with open_model(memory_websocket(serve), session, dialect=dialect) as connection:
        for _ in range(100):
            await connection.send(InputAudioBufferAppendEvent(audio=bytes(480)))
        while isinstance(event := await connection.receive(), ResponseAudioDeltaEvent):
            samples += len(event.delta) // 2
            assert set(event.delta) == {0}
        assert isinstance(event, ResponseAudioDoneEvent)
    assert samples == 24_000
    appends = [b64decode(event["audio"]) for event in got if "append" in event["type"]]
    assert all(appends)
    assert set(b"".join(appends)) == {0xFF}
    assert 7_500 < sum(map(len, appends)) <= 8_000


async def test_the_format_that_the_server_tells_counts(autojump_clock: MockClock) -> None:
    pcm = {"format": {"type": "audio/pcm", "rate": 24000}}
    told = {"type": "session.updated", "session": {"audio": {"input": pcm, "output": pcm}}}

    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            websocket = await (await wrap_server_stream(nursery, stream)).accept()
            delta = {"type": "response.output_audio.delta", **PLACE, "delta": "AQI="}
            for event in ({"type": "session.created", "session": {}}, told, delta):
                await websocket.send_message(orjson.dumps(event).decode())
            await trio.sleep_forever()

    asked = session_of(AgentOptions(channel_name="a", audio_format="audio/pcma"))
    async with open_model(memory_websocket(serve), asked) as connection:
        event = await connection.receive()
        assert isinstance(event, ResponseAudioDeltaEvent)
        assert event.delta == b"\x01\x02"
