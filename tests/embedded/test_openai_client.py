"""OpenAI's own client, as it is, in conversation with `python -m agent.embedded`.

The client takes whatever comes, so each message is also held against the package's types here,
strictly. A client that waits in vain is closed after a while, and its test fails.
"""

import asyncio
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from websockets.exceptions import ConnectionClosed

from tests.embedded.processes import PATIENCE_S, ModelProcess, running_model
from tests.official import official_server_event
from tests.speech import AUDIBLE, silence, speech

KEY = "sk-a-key-that-is-long-enough"
SAID = "What is the time?"
LONG = "one two three four five six seven eight nine ten eleven twelve " * 4
STEP = 48_000 // 10

Event = dict[str, Any]


class Conversation:
    """A connection of the official client.

    :ivar log: all that came.
    """

    def __init__(self, connection: RealtimeConnection) -> None:
        self.connection = connection
        self.log: list[Event] = []

    def hear(self, type_: str | None = None) -> Event:
        """The next event (of a type)."""
        while True:
            data = self.connection.recv_bytes()
            event = official_server_event(data)
            assert self.connection.parse_event(data).type == event["type"]
            self.log.append(event)
            if type_ in (None, event["type"]):
                return event

    def update(self, **session: Any) -> Event:
        """Update the session, and see that it is."""
        wanted: Any = {"type": "realtime", **session}
        self.connection.session.update(session=wanted)
        updated: Event = self.hear("session.updated")["session"]
        return updated

    def say(self, pcm: bytes) -> None:
        """Speak, faster than anybody can."""
        for at in range(0, len(pcm), STEP):
            audio = b64encode(pcm[at : at + STEP]).decode()
            self.connection.input_audio_buffer.append(audio=audio)

    def write(self, text: str) -> None:
        """Write a message; it is not answered."""
        self.connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": text}],
            }
        )

    def dictate(self, text: str) -> None:
        """Have the model say it."""
        self.connection.response.create(response={"instructions": f'Say exactly: "{text}"'})

    def heard(self) -> bytes:
        """All the model's audio."""
        deltas = [e["delta"] for e in self.log if e["type"] == "response.output_audio.delta"]
        return b"".join(map(b64decode, deltas))


@contextmanager
def connected(
    model: ModelProcess, *, key: str = KEY, name: str = "embedded"
) -> Iterator[Conversation]:
    """The client, connected, which is closed when it has waited for too long."""
    client = OpenAI(base_url=f"http://{model.authority}/v1", api_key=key)
    with client, client.realtime.connect(model=name) as connection:
        watchdog = threading.Timer(PATIENCE_S, connection.close)
        watchdog.start()
        try:
            yield Conversation(connection)
        finally:
            watchdog.cancel()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelProcess]:
    """A model that wants a key, and knows the first thing that is said."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "script.txt").write_text(f"{SAID}\n")
    with running_model(directory, "--script", "script.txt", EMBEDDED_API_KEY=KEY) as process:
        yield process
        assert process.stop() == 0
        assert "Traceback" not in process.log.read_text()


@pytest.fixture
def talk(model: ModelProcess) -> Iterator[Conversation]:
    with connected(model) as conversation:
        conversation.hear("session.created")
        yield conversation


def test_it_hears_and_answers(talk: Conversation) -> None:
    transcription = {"transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"}}
    session = talk.update(audio={"input": transcription}, instructions="Be brief.")
    assert session["instructions"] == "Be brief."
    talk.say(silence(0.5) + speech("Good morning, how are you today?") + silence(1.0))
    item_id = talk.hear("input_audio_buffer.speech_started")["item_id"]
    assert talk.hear("input_audio_buffer.committed")["item_id"] == item_id
    done = talk.hear("response.done")["response"]
    assert done["status"] == "completed"
    transcript = done["output"][0]["content"][0]["transcript"]
    assert SAID in transcript
    talk.hear("rate_limits.updated")
    [completed] = [e for e in talk.log if e["type"].endswith("input_audio_transcription.completed")]
    assert (completed["item_id"], completed["transcript"]) == (item_id, SAID)
    deltas = [e for e in talk.log if e["type"] == "response.output_audio_transcript.delta"]
    assert "".join(e["delta"] for e in deltas) == transcript
    samples = memoryview(talk.heard()).cast("h")
    assert len(samples) > 24_000
    assert max(samples) > AUDIBLE


def test_it_reads_and_writes(talk: Conversation) -> None:
    talk.update(output_modalities=["text"])
    talk.write("Is anybody there?")
    assert talk.hear("conversation.item.done")["item"]["role"] == "user"
    talk.connection.response.create()
    done = talk.hear("response.output_text.done")
    assert "Is anybody there?" in done["text"]
    written = [e["delta"] for e in talk.log if e["type"] == "response.output_text.delta"]
    assert "".join(written) == done["text"]
    assert talk.hear("response.done")["response"]["usage"]["output_tokens"] > 0
    assert talk.heard() == b""


def test_it_is_interrupted(talk: Conversation) -> None:
    talk.dictate(LONG)
    talk.hear("response.output_audio.delta")
    talk.say(silence(0.5) + speech("Stop, please, that is enough."))
    talk.hear("input_audio_buffer.speech_started")
    done = talk.hear("response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"]["reason"] == "turn_detected"
    assert done["output"][0]["status"] == "incomplete"


def test_what_was_not_heard_is_taken_back(talk: Conversation) -> None:
    talk.dictate("one two three four five six")
    item_id = talk.hear("response.output_item.done")["item"]["id"]
    talk.hear("response.done")
    truncate = talk.connection.conversation.item.truncate
    truncate(item_id=item_id, content_index=0, audio_end_ms=500)
    truncated = talk.hear("conversation.item.truncated")
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, 500)
    truncate(item_id=item_id, content_index=0, audio_end_ms=60_000, event_id="beyond")
    error = talk.hear("error")["error"]
    assert (error["code"], error["event_id"]) == ("invalid_value", "beyond")
    talk.connection.conversation.item.delete(item_id=item_id)
    assert talk.hear("conversation.item.deleted")["item_id"] == item_id


def test_it_is_cancelled(talk: Conversation) -> None:
    talk.dictate(LONG)
    response_id = talk.hear("response.created")["response"]["id"]
    talk.hear("response.output_audio.delta")
    talk.connection.response.cancel(response_id=response_id)
    done = talk.hear("response.done")["response"]
    assert (done["id"], done["status"]) == (response_id, "cancelled")
    assert done["status_details"]["reason"] == "client_cancelled"
    talk.connection.response.cancel(event_id="late")
    error = talk.hear("error")["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "late")


def test_audio_is_committed_by_hand(talk: Conversation) -> None:
    talk.update(audio={"input": {"turn_detection": None}})
    talk.say(speech("Good morning."))
    talk.connection.input_audio_buffer.commit()
    item_id = talk.hear("input_audio_buffer.committed")["item_id"]
    assert talk.hear("conversation.item.done")["item"]["id"] == item_id
    talk.connection.response.create()
    assert talk.hear("response.done")["response"]["status"] == "completed"
    talk.connection.input_audio_buffer.clear()
    talk.hear("input_audio_buffer.cleared")


def test_it_calls_a_function(talk: Conversation) -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The city."}},
        "required": ["city"],
    }
    weather = {
        "type": "function",
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": parameters,
    }
    talk.update(tools=[weather], output_modalities=["text"])
    talk.write("What is the weather in Paris?")
    talk.connection.response.create()
    called = talk.hear("response.function_call_arguments.done")
    assert (called["name"], orjson.loads(called["arguments"])) == ("get_weather", {"city": "Paris"})
    deltas = [e for e in talk.log if e["type"] == "response.function_call_arguments.delta"]
    assert "".join(e["delta"] for e in deltas) == called["arguments"]
    [call] = talk.hear("response.done")["response"]["output"]
    assert (call["type"], call["call_id"]) == ("function_call", called["call_id"])
    talk.connection.conversation.item.create(
        item={
            "type": "function_call_output",
            "call_id": called["call_id"],
            "output": '{"sky": "clear"}',
        }
    )
    talk.connection.response.create()
    assert "clear" in talk.hear("response.output_text.done")["text"]
    assert talk.hear("response.done")["response"]["status"] == "completed"


WRONG: list[tuple[Event, str, str | None]] = [
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    (
        {"type": "session.update", "session": {"type": "realtime", "foo": 1}},
        "unknown_parameter",
        "session.foo",
    ),
    (
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}},
            },
        },
        "integer_below_min_value",
        "session.audio.input.format.rate",
    ),
    ({"type": "nope"}, "invalid_value", "type"),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    (
        {
            "type": "conversation.item.truncate",
            "item_id": "item_x",
            "content_index": 0,
            "audio_end_ms": 0,
        },
        "item_truncate_invalid_item_id",
        None,
    ),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    (
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "call_x", "output": "{}"},
        },
        "invalid_tool_call_id",
        None,
    ),
]


@pytest.mark.parametrize(("event", "code", "param"), WRONG, ids=[code for _, code, _ in WRONG])
def test_what_it_refuses(talk: Conversation, event: Any, code: str, param: str | None) -> None:
    talk.connection.send(event | {"event_id": "mine"})
    error = talk.hear("error")["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["event_id"] == "mine"
    if param is not None:
        assert error["param"] == param
    talk.update()


def test_a_second_response_is_refused_while_one_is_there(talk: Conversation) -> None:
    talk.dictate(LONG)
    response_id = talk.hear("response.created")["response"]["id"]
    talk.connection.response.create(event_id="second")
    error = talk.hear("error")["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert response_id in error["message"]
    talk.hear("response.output_audio.delta")
    talk.connection.send(
        {
            "type": "session.update",
            "session": {"type": "realtime", "audio": {"output": {"voice": "ash"}}},
        }
    )
    assert talk.hear("error")["error"]["code"] == "cannot_update_voice"


@pytest.mark.parametrize(
    ("key", "name", "error_code", "close_code"),
    [
        ("sk-some-other-key-altogether", "embedded", "invalid_api_key", 3000),
        (KEY, "gpt-4o", "invalid_model", 4000),
    ],
)
def test_who_is_turned_away(
    model: ModelProcess, key: str, name: str, error_code: str, close_code: int
) -> None:
    with connected(model, key=key, name=name) as conversation:
        error = conversation.hear()["error"]
        assert error["code"] == error_code
        assert key not in error["message"]
        with pytest.raises(ConnectionClosed) as closed:
            conversation.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == close_code
        assert closed.value.rcvd.reason == f"invalid_request_error.{error_code}"


def test_the_asynchronous_client(model: ModelProcess) -> None:
    """On its own event loop, which is no concern of the model's."""

    async def converse() -> str:
        async with (
            asyncio.timeout(PATIENCE_S),
            AsyncOpenAI(base_url=f"http://{model.authority}/v1", api_key=KEY) as client,
            client.realtime.connect(model="embedded") as connection,
        ):
            official_server_event(await connection.recv_bytes())
            await connection.session.update(
                session={"type": "realtime", "output_modalities": ["text"]}
            )
            await connection.response.create(response={"instructions": 'Say exactly: "Hello."'})
            while (event := official_server_event(await connection.recv_bytes()))[
                "type"
            ] != "response.done":
                pass
            text: str = event["response"]["output"][0]["content"][0]["text"]
            return text

    assert asyncio.run(converse()).endswith("Hello.")


def test_a_session_that_expires(tmp_path: Path) -> None:
    with (
        running_model(tmp_path, "--session-seconds", 1) as short,
        connected(short) as conversation,
    ):
        conversation.hear("session.created")
        assert conversation.hear()["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed) as closed:
            conversation.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


def test_a_connection_that_is_cut(tmp_path: Path) -> None:
    drop = {"when": {"received": "response.create"}, "do": {"effect": "drop"}}
    (tmp_path / "faults.json").write_bytes(orjson.dumps({"faults": [drop]}))
    with (
        running_model(tmp_path, "--faults", "faults.json") as faulty,
        connected(faulty) as conversation,
    ):
        conversation.hear("session.created")
        conversation.connection.response.create()
        with pytest.raises(ConnectionClosed) as closed:
            conversation.hear()
        assert closed.value.rcvd is None
