"""Profiles over HTTP: chosen by a request, and read again when their file changes."""

import logging
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio
from quart_trio import QuartTrio
from trio.testing import MockClock

from agent.errors import ConfigError
from agent.supervisor.supervisor import Tools
from server import __main__ as command
from server.profiles import ProfilesFile
from tests.conftest import MainOf
from tests.server.helpers import FakeAgents, make_app
from tests.server.test_resources import ROOM, send

FIRST = """
[profiles.waiter]
voice = "coral"
metadata = {house = "north"}
tools = ["agent.tools.builtin:hang_up"]
[profiles.plain]
language = "fr"
"""


class Served:
    """An application with a file of profiles."""

    def __init__(self, path: Path, text: str = FIRST) -> None:
        self.path, self.agents = path, FakeAgents()
        self._written = 0
        self.write(text)
        self.app: QuartTrio = make_app(agents=self.agents, profiles=ProfilesFile(path))

    def write(self, text: str) -> None:
        # By another length, so that it is another file even to a clock that stands still.
        self._written += 1
        self.path.write_text(text + "\n" * self._written)

    async def put(self, profile: str, **more: Any) -> tuple[int, Any]:
        await self.stop()
        status, answer, _ = await send(self.app, "PUT", ROOM, {"uid": 7, "profile": profile} | more)
        return status, answer

    async def voice(self, profile: str = "waiter") -> str:
        status, _ = await self.put(profile)
        assert status == 201
        return self.agents.started[-1].voice

    async def stop(self) -> None:
        if self.agents.agents():
            await self.agents.stop("room")


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path / "profiles.toml")


async def test_a_profile_goes_under_the_request(served: Served) -> None:
    status, _ = await served.put("waiter", metadata={"table": "7"}, language="de")
    assert status == 201
    [options], [tools] = served.agents.started, served.agents.tools
    assert (options.voice, options.language, options.profile) == ("coral", "de", "waiter")
    assert options.metadata == {"house": "north", "table": "7"}
    assert tools == Tools(("agent.tools.builtin:hang_up",), ("hang_up",))


@pytest.mark.parametrize("profile", ["plain", "", None])
async def test_without_tools_of_its_own_the_servers_are_there(served: Served, profile: Any) -> None:
    assert (await served.put(profile))[0] == 201
    assert served.agents.tools == [None]


async def test_the_old_way_to_start_knows_profiles_too(served: Served) -> None:
    body = {"channel_name": "room", "uid": 7, "profile": "waiter"}
    assert (await send(served.app, "POST", "/start_agent", body))[0] == 200
    assert served.agents.started[0].voice == "coral"


@pytest.mark.parametrize(
    ("body", "at", "words"),
    [
        (
            {"uid": 7, "profile": "no"},
            "profile",
            "there is no profile no; there are: waiter, plain",
        ),
        ({"uid": 7, "profile": 5}, "profile", "expected text, not a whole number"),
        ({"profile": "waiter"}, "uid", "missing"),
        ({"uid": 7, "profile": "waiter", "tools": "os:system"}, "tools", "expected a list"),
    ],
)
async def test_a_bad_request_is_told_where(
    served: Served, body: dict[str, Any], at: str, words: str
) -> None:
    status, answer, _ = await send(served.app, "PUT", ROOM, body)
    assert (status, answer["details"][0]["path"]) == (400, at)
    assert answer["details"][0]["message"].startswith(words)
    assert served.agents.started == []


async def test_without_a_file_there_are_none() -> None:
    status, answer, _ = await send(make_app(), "PUT", ROOM, {"uid": 7, "profile": "a"})
    detail = {"path": "profile", "message": "there is no profile a; there are none"}
    assert (status, answer["details"]) == (400, [detail])


async def test_a_file_that_changes_is_read_again(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert await served.voice() == "coral"
    served.write('[profiles.waiter]\nvoice = "verse"')
    assert await served.voice() == "verse"
    assert await served.voice() == "verse"
    assert (await served.put("plain"))[0] == 400
    assert caplog.text.count("PROFILES_FILE: read again: waiter") == 1


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("[profiles", "is not TOML"),
        ('[profiles.waiter]\nvoice = "verse"\nvolume = 1', "profiles.waiter.volume: unknown field"),
        (
            '[profiles.waiter]\nvoice = "verse"\n[profiles.b]\nspeed = 9',
            "profiles.b.speed: must be",
        ),
        ('[profiles.waiter]\ntools = ["no.such:x"]', "profiles.waiter.tools: tools no.such:x"),
        ('[profiles.waiter]\nmcp = "no.json"', "profiles.waiter.mcp: "),
        (None, "cannot be read"),
    ],
)
async def test_a_broken_file_is_refused_and_the_old_profiles_stay(
    served: Served, caplog: pytest.LogCaptureFixture, broken: str | None, words: str
) -> None:
    if broken is None:
        served.path.unlink()
    else:
        served.write(broken)
    assert await served.voice() == "coral"
    assert await served.voice() == "coral"
    [record] = [record for record in caplog.records if "PROFILES_FILE" in record.message]
    assert f"the old profiles stay: {served.path}: " in record.message
    assert words in record.message
    served.write('[profiles.waiter]\nvoice = "verse"')  # mended
    assert await served.voice() == "verse"


def test_at_the_start_a_broken_file_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], main_of: MainOf
) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text("[profiles.a]\nspeed = 9")
    with pytest.raises(ConfigError, match=r"profiles\.a\.speed"):
        ProfilesFile(path)
    with pytest.raises(SystemExit) as caught:
        main_of(command, ["--port", "0", "--profiles", "profiles.toml"], {})
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told == f"error: PROFILES_FILE: {path}: profiles.a.speed: must be 0.25 to 1.5\n"


class Gate(ModuleType):
    """What a module imports that is slow to import.

    :ivar entered: its import has begun.
    :ivar was_opened: whether `opened` was set before its patience was over.
    """

    def __init__(self) -> None:
        super().__init__("gate")
        self.entered, self.opened = threading.Event(), threading.Event()
        self.was_opened: bool | None = None

    def wait(self) -> None:
        self.entered.set()
        self.was_opened = self.opened.wait(5)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate, and a module `slow_to_import` that waits for it."""
    there = Gate()
    monkeypatch.setitem(sys.modules, "gate", there)
    monkeypatch.delitem(sys.modules, "slow_to_import", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    text = "import gate\ngate.wait()\ndef look() -> str:\n    '''Look.'''\n    return ''\n"
    (tmp_path / "slow_to_import.py").write_text(text)
    return there


SLOW = '[profiles.waiter]\nvoice = "verse"\ntools = ["slow_to_import:look"]'


async def test_nobody_else_waits_for_a_module_that_is_slow_to_import(
    served: Served, gate: Gate
) -> None:
    served.write(SLOW)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.put, "waiter")
        await trio.to_thread.run_sync(gate.entered.wait)
        assert (await send(served.app, "GET", "/healthz"))[0] == 200
        gate.opened.set()
    assert gate.was_opened
    assert served.agents.started[0].voice == "verse"
    assert served.agents.tools == [Tools(("slow_to_import:look",), ("look",))]


async def test_a_module_that_takes_too_long_is_refused(
    served: Served, gate: Gate, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    served.write(SLOW)
    # This clock does not see the thread: its time is over at once.
    assert await served.voice() == "coral"
    assert "the old profiles stay" in caplog.text
    assert "take more than 10 s" in caplog.text
    gate.opened.set()
