"""The guard over all calls in the tests sees what the official types do not allow."""

import base64
import json
from typing import Any

import pytest
from trio.testing import MockClock

from agent.protocol.client_events import (
    ConversationItemTruncateEvent,
    InputAudioBufferAppendEvent,
    ResponseCreateEvent,
)
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.session import RealtimeSessionCreateRequest
from agent.streams.model import open_model
from tests.fakes.model import ScriptedModel, memory_websocket
from tests.official import official_client_event, official_server_event

AUDIO = base64.b64encode(bytes(4)).decode()


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.telepathy"},
        {"type": "input_audio_buffer.append", "audio": "@@"},
        {"type": "input_audio_buffer.append", "audio": AUDIO, "rate": 24000},
        {"type": "input_audio_buffer.append"},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0},
        {"type": "session.update", "session": {"audio": {}}},
        {"type": "session.update", "session": {"type": "realtime", "temperature": 0.8}},
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"x": 1}}}},
        {"type": "response.create", "response": {"output_modalities": ["smell"]}},
        {"type": "response.cancel", "response_id": 5},
    ],
)
def test_what_is_not_official_is_seen(event: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        official_client_event(json.dumps(event))


def test_what_is_official_is_let_pass() -> None:
    for event in (
        {"type": "input_audio_buffer.append", "audio": AUDIO},
        {"type": "input_audio_buffer.append", "audio": AUDIO, "event_id": "e"},
        {"type": "session.update", "session": {"type": "realtime", "max_output_tokens": "inf"}},
    ):
        assert official_client_event(json.dumps(event)) == event
    event = {"type": "input_audio_buffer.cleared", "event_id": "e"}
    assert official_server_event(json.dumps(event)) == event
    with pytest.raises(AssertionError, match="event_id"):
        official_server_event(json.dumps({"type": "input_audio_buffer.cleared"}))


@pytest.mark.parametrize(
    "event",
    [
        ConversationItemTruncateEvent(
            item_id="i", content_index=0, audio_end_ms=5, extra={"reason": "fun"}
        ),
        InputAudioBufferAppendEvent(audio=bytes(4), extra={"rate": 24000}),
        ResponseCreateEvent(response=RealtimeResponseCreateParams(output_modalities=("smell",))),
    ],
)
async def test_no_test_can_make_the_agent_send_what_is_not_official(
    event: Any, autojump_clock: MockClock
) -> None:
    session = RealtimeSessionCreateRequest(type="realtime")
    async with open_model(memory_websocket(ScriptedModel().serve), session) as connection:
        with pytest.raises(AssertionError, match="official"):
            await connection.send(event)
