"""Whatever bytes a client sends, the model's end of the stream ends in order and raises nothing."""

import random
from base64 import b64encode
from functools import partial
from typing import Any, Final

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from agent.embedded.wire.endpoint import ModelOptions
from agent.embedded.wire.websocket import serve_stream
from tests.embedded.driving import LoudIsSpeech, loud, quiet
from tests.embedded.sockets import HummingVoice
from tests.embedded.test_wire import REQUEST, frame

GA: Final = REQUEST
BETA: Final = REQUEST[:-2] + b"OpenAI-Beta: realtime=v1\r\n\r\n"

_DEEP: Final[list[Any]] = []
for _ in range(200):
    _DEEP[:] = [list(_DEEP)]
TOOL: Final = {
    "type": "function",
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Rome", "Oslo"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "names": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        },
        "required": ["city", "days", "names"],
    },
}
EVENTS: Final[list[dict[str, Any]]] = [
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["text"],
            "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}},
            "tools": [TOOL],
            "tool_choice": "auto",
        },
    },
    {
        "type": "session.update",
        "session": {
            "modalities": ["text"],
            "tools": [TOOL],
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 200},
            "temperature": 0.8,
        },
    },
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Look up Rome for 3 days."}],
        },
    },
    {
        "type": "response.create",
        "response": {
            "instructions": 'Say exactly: "hello"',
            "output_modalities": ["text"],
            "tools": [TOOL],
        },
    },
    {"type": "response.create", "response": {"instructions": 'Say exactly: "hello"'}},
    {
        "type": "input_audio_buffer.append",
        "audio": b64encode(quiet(10) + loud(20) + quiet(30)).decode(),
    },
    {"type": "input_audio_buffer.commit"},
    {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1},
    {"type": "response.cancel", "response_id": "x", "event_id": "y"},
]
ODD: Final[list[Any]] = [
    None,
    True,
    -1,
    2**63,
    1e308,
    "",
    "\0",
    "\\ud800",
    "😀{" * 50,
    "realtime",
    "x" * 5000,
    [],
    {},
    [[]],
    {"type": None},
    {"$ref": "#"},
    *[_DEEP, 'Say exactly: "\\ud800 x"'] * 3,
]
ODD_VALUES: Final = [
    b"",
    b" ",
    b",",
    b"\xe9",
    b"a..b",
    b"xn--999999999",
    b"x" * 64,
    b"realtime, realtime",
    b"permessage-deflate; =",
    b"Basic \xff",
    b"13, 8",
]


def changed(event: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """An event one of whose values, names or list lengths is another."""
    event = orjson.loads(orjson.dumps(event))
    place: Any = event
    while True:
        at = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if isinstance(place[at], dict | list) and place[at] and dice.random() < 0.8:
            place = place[at]
            continue
        match dice.randrange(4):
            case 0:
                del place[at]
            case 1 if isinstance(place, dict):
                place[dice.choice(["type", "id", "odd", ""])] = place.pop(at)
            case _:
                place[at] = dice.choice(ODD)
        return event


def message(dice: random.Random) -> bytes:
    """A client's message as a frame: mostly an event that is almost right."""
    event = dice.choice(EVENTS)
    text = orjson.dumps(changed(event, dice) if dice.random() < 0.8 else event)
    match dice.randrange(12):
        case 0:
            return frame(text[: dice.randrange(len(text))])
        case 1:
            return frame(text, 0x82)
        case 2:
            return frame(text.replace(b"e", b"\\ud800"))
        case _:
            return frame(text)


def spoilt(data: bytes, dice: random.Random) -> bytes:
    """The bytes with some of them gone, doubled or exchanged."""
    for _ in range(dice.randrange(1, 5)):
        at = dice.randrange(len(data))
        part = dice.choice(
            [b"", b"\xe9", b"\0", b"\r\n", b" ", dice.randbytes(3), data[at : at + 9]]
        )
        data = data[:at] + part + data[at + dice.randrange(3) :]
    return data


def odd_request(request: bytes, dice: random.Random) -> bytes:
    """A request some of whose headers say something else."""
    first, *headers = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers += [b"Sec-WebSocket-Protocol: realtime", b"Sec-WebSocket-Extensions: x", b"api-key: x"]
    for _ in range(dice.randrange(1, 3)):
        at = dice.randrange(len(headers))
        headers[at] = headers[at].partition(b":")[0] + b": " + dice.choice(ODD_VALUES)
    return b"\r\n".join((first, *headers, b"", b""))


def served(*chunks: bytes) -> None:
    """Send the chunks to a model, listen for a minute, and leave."""

    async def main() -> None:
        ours, theirs = memory_stream_pair()
        options = ModelOptions(voice=HummingVoice(), vad=LoudIsSpeech, admits_beta=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve_stream, theirs, **options))
            nursery.start_soon(_drop_all, ours)
            for chunk in chunks:
                # The model may have hung up already.
                try:
                    await ours.send_all(chunk)
                except trio.BrokenResourceError:
                    break
                await trio.sleep(0.5)
            await trio.sleep(60)
            await ours.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def _drop_all(stream: trio.abc.ReceiveStream) -> None:
    try:
        while await stream.receive_some(65536):
            pass
    except trio.ClosedResourceError:
        return


@pytest.mark.parametrize("request_", [GA, BETA], ids=["ga", "beta"])
@given(dice=st.randoms(use_true_random=False))
def test_any_request(request_: bytes, dice: random.Random) -> None:
    odd = odd_request(request_, dice)
    served(odd if dice.random() < 0.7 else spoilt(odd, dice), frame(b"{}"))


@pytest.mark.parametrize("request_", [GA, BETA], ids=["ga", "beta"])
@given(dice=st.randoms(use_true_random=False))
def test_any_frames(request_: bytes, dice: random.Random) -> None:
    frames = b"".join(message(dice) for _ in range(3))
    served(request_ + spoilt(frames, dice))


@pytest.mark.parametrize("request_", [GA, BETA], ids=["ga", "beta"])
@given(dice=st.randoms(use_true_random=False))
def test_any_messages(request_: bytes, dice: random.Random) -> None:
    served(request_, *(message(dice) for _ in range(30)))
