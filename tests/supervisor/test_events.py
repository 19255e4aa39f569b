"""What real agents tell their supervisor of a call, and how long it is kept."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from attrs import evolve
from trio_websocket import WebSocketConnection

from agent.options import OptionsError
from agent.supervisor.event_log import EventLog
from agent.supervisor.supervisor import NotRunning, StartFailed, Tools, open_supervisor
from tests.loopback import SESSION, Model, RefusingModel, send
from tests.supervisor.test_supervisor import options, world

NOTE = Tools(modules=("agent.tools.builtin:transfer_note",), names=("transfer_note",))
ARGUMENTS = '{"summary":"a refund","to":"billing"}'


class NotingModel(Model):
    """A model that leaves a note as soon as it is ready."""

    async def talk(self, websocket: WebSocketConnection) -> None:
        await send(websocket, "session.created", session=SESSION)
        await websocket.get_message()
        await send(websocket, "session.updated", session=SESSION)
        about = {"id": "r", "conversation_id": "c"}
        await send(websocket, "response.created", response=about)
        call = {"type": "function_call", "id": "i", "call_id": "call_1", "arguments": ARGUMENTS}
        where = {"response_id": "r", "output_index": 0, "item": call | {"name": "transfer_note"}}
        await send(websocket, "response.output_item.done", **where)
        await send(websocket, "response.done", response=about | {"status": "completed"})
        while True:
            self.got.append({"text": await websocket.get_message()})


async def until(log: EventLog, type_: str) -> list[dict[str, Any]]:
    """All events to the first of this type."""
    reader = log.reader()
    found: list[dict[str, Any]] = []
    with trio.fail_after(60):
        while True:
            event = await reader.next()
            assert event is not None, found
            found.append({key: value for key, value in event[1].items() if key != "at"})
            if found[-1]["type"] == type_:
                return found


async def test_what_tools_do_and_report_is_told_and_kept_beyond_the_end() -> None:
    async with world(NotingModel()) as w, open_supervisor(w.settings) as supervisor:
        await supervisor.start(options(), tools=NOTE)
        log = supervisor.events("lobby")
        told = await until(log, "tool_result")
        assert told == [
            {"type": "state", "state": "starting"},
            {"type": "state", "state": "running", "uid": 99},
            {
                "type": "tool_call",
                "tool_call_id": "call_1",
                "name": "transfer_note",
                "arguments": ARGUMENTS,
            },
            {"type": "transfer_note", "summary": "a refund", "to": "billing"},
            {"type": "tool_result", "tool_call_id": "call_1", "output": '"noted"'},
        ]
        await supervisor.stop("lobby")
        assert supervisor.events("lobby") is log
        assert [event["state"] for event in await rest(log) if event["type"] == "state"] == [
            "starting",
            "running",
            "stopping",
            "ended",
        ]
        await supervisor.start(options())
        assert supervisor.events("lobby") is not log


async def rest(log: EventLog) -> list[dict[str, Any]]:
    reader = log.reader()
    found: list[dict[str, Any]] = []
    while (event := await reader.next()) is not None:
        found.append(event[1])
    return found


async def test_a_start_that_fails_is_told_and_kept() -> None:
    async with world(RefusingModel()) as w, open_supervisor(w.settings) as supervisor:
        with pytest.raises(NotRunning):
            supervisor.events("lobby")
        with pytest.raises(StartFailed):
            await supervisor.start(options())
        _, failed = await rest(supervisor.events("lobby"))
        assert failed["state"] == "failed"
        assert failed["kind"] == "model"
        assert "invalid_api_key" in failed["reason"]


# -- tools that only the agent knows -------------------------------------------------------------


def mcp_file(path: Path, **server: Any) -> Tools:
    path.write_bytes(orjson.dumps({"mcpServers": {"desk": server}}))
    return Tools(names=("hang_up",), mcp=str(path))


async def test_a_tool_that_no_server_has_is_the_requests_fault(tmp_path: Path) -> None:
    """Though nobody but the agent can tell."""
    tools = mcp_file(
        tmp_path / "mcp.json", url="https://x.invalid/mcp", run_by="model", tools=["a"]
    )
    async with world() as w, open_supervisor(w.settings, tools) as supervisor:
        with pytest.raises(OptionsError) as caught:
            await supervisor.start(evolve(options(), tools=("nope",)))
    assert caught.value.faults == [("tools", "there is no tool nope; there are: none")]


async def test_a_tool_of_a_server_that_is_down_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tools = mcp_file(tmp_path / "mcp.json", command="false")
    async with world() as w, open_supervisor(w.settings, tools) as supervisor:
        info = await supervisor.start(evolve(options(), tools=("book",)))
        assert info.state == "running"
    assert "done without book: desk cannot be reached" in caplog.text
