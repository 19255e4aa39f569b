"""Opening a session with a model: its deadlines on the mock clock, its errors in their words."""

from base64 import b64encode
from collections.abc import Awaitable, Callable

import orjson
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import WebSocketConnection, wrap_server_stream

from agent.errors import ModelError, ModelFormatUnknown, ModelLost, ModelRefused, ModelUnreachable
from agent.protocol.client_events import InputAudioBufferAppendEvent
from agent.protocol.server_events import RealtimeErrorEvent, ResponseContentPartAddedEvent
from agent.protocol.session import RealtimeSessionCreateRequest
from agent.streams.model import ANSWER_S, open_model
from agent.streams.model_address import model_address
from tests.fakes.model import ScriptedModel, memory_websocket

SESSION = RealtimeSessionCreateRequest(type="realtime")
CREATED = orjson.dumps({"type": "session.created", "session": {}}).decode()
Script = Callable[[WebSocketConnection], Awaitable[None]]


async def open_against(script: Script, *, dialect: str = "ga") -> ModelError:
    """The error of opening a session with a server that does this."""

    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            await script(await request.accept())

    with pytest.RaisesGroup(ModelError, flatten_subgroups=True, allow_unwrapped=True) as caught:
        async with open_model(memory_websocket(serve), SESSION, dialect=dialect):
            raise AssertionError("it opened")
    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, ModelError)
    return found


def refusal(code: str | None, message: str) -> str:
    error = {"type": "invalid_request_error", "code": code, "message": message}
    return orjson.dumps({"type": "error", "error": error}).decode()


@pytest.mark.parametrize(
    ("code", "message", "close_code"),
    [
        ("invalid_api_key", "Incorrect API key provided: sk-abc***.", 3000),
        (None, "Missing bearer or basic authentication in header", 3000),
        ("invalid_model", 'Model "x" is not supported in realtime mode.', 4000),
        ("beta_api_shape_disabled", "The Realtime Beta API is no longer supported.", 4000),
    ],
)
async def test_a_refusal_after_101_is_told_in_the_servers_words(
    code: str | None, message: str, close_code: int, autojump_clock: MockClock
) -> None:
    async def script(websocket: WebSocketConnection) -> None:
        await websocket.send_message(refusal(code, message))
        await websocket.aclose(close_code, f"invalid_request_error.{code}")

    error = await open_against(script)
    assert isinstance(error, ModelRefused)
    assert message in str(error)
    assert error.code == code
    assert error.exit_status == 1


async def test_a_refused_session_is_told_in_the_servers_words(autojump_clock: MockClock) -> None:
    async def script(websocket: WebSocketConnection) -> None:
        await websocket.send_message(CREATED)
        await websocket.get_message()
        await websocket.send_message(refusal("unknown_parameter", "Unknown parameter: 'x'."))

    error = await open_against(script)
    assert isinstance(error, ModelRefused)
    assert "Unknown parameter: 'x'." in str(error)


async def _silent(websocket: WebSocketConnection) -> None:
    await trio.sleep_forever()


async def _silent_after_created(websocket: WebSocketConnection) -> None:
    await websocket.send_message(CREATED)
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("script", "missing"),
    [(_silent, "session.created"), (_silent_after_created, "session.updated")],
)
async def test_each_answer_has_a_deadline(
    script: Script, missing: str, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    error = await open_against(script)
    assert isinstance(error, ModelUnreachable)
    assert missing in str(error)
    assert ANSWER_S <= trio.current_time() - began <= ANSWER_S + 5


async def _gone(websocket: WebSocketConnection) -> None:
    await websocket.aclose(1011, "overloaded")


async def test_a_server_that_hangs_up_is_told_in_its_words(autojump_clock: MockClock) -> None:
    error = await open_against(_gone)
    assert isinstance(error, ModelUnreachable)
    assert "overloaded" in str(error)


async def test_rubbish_before_the_session_is_ready_ends_nothing(autojump_clock: MockClock) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            websocket = await (await wrap_server_stream(nursery, stream)).accept()
            await websocket.send_message("rubbish")
            await websocket.send_message(CREATED)
            await websocket.send_message('{"type": "session.updated", "session": 5}')
            await websocket.send_message(CREATED.replace("created", "updated"))
            await trio.sleep_forever()

    async with open_model(memory_websocket(serve), SESSION) as connection:
        assert connection.session == RealtimeSessionCreateRequest()


async def test_the_wire_log_cuts_audio_short(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "agent.wire")
    model = ScriptedModel()
    async with open_model(memory_websocket(model.serve), SESSION) as connection:
        await model.audio(100)
        await connection.receive()
        await connection.send(InputAudioBufferAppendEvent(audio=bytes(960)))
    sent, got = (
        next(line for line in caplog.messages if line.startswith(arrow) and name in line)
        for arrow, name in (("->", "append"), ("<-", "delta"))
    )
    assert sent.endswith(f'"audio":"{"A" * 128}..."}}')
    assert len(orjson.loads(got[3:])["delta"]) == 131


async def test_the_socket_is_closed_with_1000(autojump_clock: MockClock) -> None:
    model = ScriptedModel()
    async with open_model(memory_websocket(model.serve), SESSION):
        pass
    assert model.closed_with == 1000


async def test_the_end_of_the_connection_is_told_to_both_directions(
    autojump_clock: MockClock,
) -> None:
    model = ScriptedModel()
    async with open_model(memory_websocket(model.serve), SESSION) as connection:
        await model.close(1001, "Your session hit the maximum duration of 60 minutes.")
        with pytest.raises(ModelLost, match="60 minutes"):
            await connection.receive()


async def test_a_server_that_only_transcribes_is_refused(autojump_clock: MockClock) -> None:
    async def script(websocket: WebSocketConnection) -> None:
        await websocket.send_message(CREATED)
        await websocket.get_message()
        updated = {"type": "session.updated", "session": {"type": "transcription"}}
        await websocket.send_message(orjson.dumps(updated).decode())

    error = await open_against(script)
    assert isinstance(error, ModelRefused)
    assert "only transcribes" in str(error)


async def test_azures_twin_of_a_part_does_no_harm(autojump_clock: MockClock) -> None:
    """Its content_part events say `part` a second time, as `content` (captured in 2026)."""
    model, part = ScriptedModel(), {"type": "audio", "transcript": ""}
    place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    async with open_model(memory_websocket(model.serve), SESSION) as connection:
        await model.send("response.content_part.added", **place, part=part, content=part)
        event = await connection.receive()
        assert isinstance(event, ResponseContentPartAddedEvent)
        assert event.part.type == "audio"
        assert event.extra == {"content": part}
        assert connection.malformed == 0


async def test_a_refusal_in_the_beta_dialect_is_told(autojump_clock: MockClock) -> None:
    async def script(websocket: WebSocketConnection) -> None:
        await websocket.send_message(refusal("beta_api_shape_disabled", "No longer supported."))

    error = await open_against(script, dialect="beta")
    assert isinstance(error, ModelRefused)
    assert error.code == "beta_api_shape_disabled"


@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_an_unknown_format_is_named(dialect: str, autojump_clock: MockClock) -> None:
    told = {
        "ga": {"audio": {"output": {"format": {"type": "opus"}}}},
        "beta": {"output_audio_format": "opus"},
    }[dialect]

    async def script(websocket: WebSocketConnection) -> None:
        await websocket.send_message(CREATED)
        await websocket.get_message()
        updated = {"type": "session.updated", "session": told}
        await websocket.send_message(orjson.dumps(updated).decode())

    error = await open_against(script, dialect=dialect)
    assert isinstance(error, ModelFormatUnknown)
    assert "opus" in str(error)


async def test_an_error_about_something_else_does_not_refuse_the_session(
    autojump_clock: MockClock,
) -> None:
    error = {"type": "server_error", "message": "Sorry.", "event_id": "evt_of_nobody"}

    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            websocket = await (await wrap_server_stream(nursery, stream)).accept()
            await websocket.send_message(CREATED)
            assert orjson.loads(await websocket.get_message())["event_id"]
            await websocket.send_message(orjson.dumps({"type": "error", "error": error}).decode())
            await websocket.send_message(CREATED.replace("created", "updated"))
            await trio.sleep_forever()

    async with open_model(memory_websocket(serve), SESSION):
        pass


async def test_an_error_about_our_update_refuses_the_session(autojump_clock: MockClock) -> None:
    async def script(websocket: WebSocketConnection) -> None:
        await websocket.send_message(CREATED)
        ours = orjson.loads(await websocket.get_message())["event_id"]
        error = {"type": "x", "code": "unknown_parameter", "message": "No.", "event_id": ours}
        await websocket.send_message(orjson.dumps({"type": "error", "error": error}).decode())

    assert isinstance(await open_against(script), ModelRefused)


async def test_a_key_that_the_server_echoes_is_not_shown(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = "sk-hunter2-secret"
    secrets = model_address("wss://host", "m", key=key, auth="basic").secrets
    model = ScriptedModel()
    async with open_model(memory_websocket(model.serve), SESSION, secrets=secrets) as connection:
        for said in (key, b64encode(f":{key}".encode()).decode()):
            await model.send("error", error={"type": "x", "message": f"Incorrect key {said}"})
            event = await connection.receive()
            assert isinstance(event, RealtimeErrorEvent)
            assert event.error.message == "Incorrect key ***"
        await model.close(3000, f"bad key {key}")
        with pytest.raises(ModelLost, match=r"bad key \*\*\*"):
            await connection.receive()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("agent")]
    assert ours
    assert key not in "".join(ours)


async def test_a_server_cannot_write_lines_of_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    model = ScriptedModel()
    caplog.set_level("INFO")
    async with open_model(memory_websocket(model.serve), SESSION) as connection:
        await model.send("new\n2026 - agent - ERROR - \x1b[31mforged")
        await connection.receive()
        await model.close(4000, "over\nERROR - forged")
        with pytest.raises(ModelLost) as caught:
            await connection.receive()
    assert "forged" in caplog.text
    assert "forged" in str(caught.value)
    for said in (*caplog.messages, str(caught.value)):
        assert said.isprintable()


async def test_the_wire_log_cuts_audio_however_deep(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "agent.wire")
    model = ScriptedModel()
    item = {"type": "message", "role": "user", "content": [{"audio": "A" * 5000}]}
    async with open_model(memory_websocket(model.serve), SESSION) as connection:
        await model.send("conversation.item.retrieved", item=item)
        await connection.receive()
    assert max(len(line) for line in caplog.messages) < 1000
