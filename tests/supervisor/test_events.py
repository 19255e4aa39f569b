"""What real agents tell their supervisor of a call, and how long it is kept."""

from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection

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
    async with world(NotingModel()) as w, open_supervisor(w.settings, NOTE) as supervisor:
        await supervisor.start(options())
        log = supervisor.events("lobby")
        told = await until(log, "tool_result")
        assert told == [
            {"type": "state", "state": "running", "uid": 99},
            {
                "type": "tool_call",
                "call_id": "call_1",
                "name": "transfer_note",
                "arguments": ARGUMENTS,
            },
            {"type": "transfer_note", "summary": "a refund", "to": "billing"},
            {"type": "tool_result", "call_id": "call_1", "output": '"noted"'},
        ]
        await supervisor.stop("lobby")
        assert supervisor.events("lobby") is log
        assert [event["state"] for event in await rest(log) if event["type"] == "state"] == [
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
        stops, ended = await rest(supervisor.events("lobby"))
        assert "invalid_api_key" in stops["reason"]
        assert ended["state"] == "ended"
