"""`python -m agent --check`: each finding a line, the exit status that of the first failure."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent import check as checking
from agent.check import REACH_S, check
from agent.config import Settings
from agent.errors import ChannelError, ConfigError, ModelRefused
from agent.extras import EXTRAS, missing, require
from agent.options import AgentOptions
from agent.tools.builtin import hang_up
from agent.tools.context import ToolContext
from agent.tools.mcp import McpTools
from agent.tools.mcp_config import McpConfig, McpServer

OPTIONS = AgentOptions(channel_name="check", uid=4)
SECRET = "5cfd2fd1755d40ecb72977518be15d3b"


class Ends:
    """A model and a channel that open, fail or hang, as the test says.

    :ivar opened: the channel names that were joined.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.tools: list[str] = []
        self.model: Any = None
        self.channel: Any = None

    def model_for(self, _: Settings, __: AgentOptions, tools: Any, ___: Any) -> Any:
        self.tools = [tool.name for tool in tools]
        return self._open(self.model)

    def channel_for(self, _: Settings, options: AgentOptions) -> Any:
        self.opened.append((options.channel_name, options.uid))
        return self._open(self.channel)

    @asynccontextmanager
    async def _open(self, fate: Any) -> AsyncIterator[None]:
        if fate == "hangs":
            await trio.sleep_forever()
        if fate is not None:
            raise fate
        yield


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Ends:
    ends = Ends()
    monkeypatch.setattr(checking, "model_for", ends.model_for)
    monkeypatch.setattr(checking, "channel_for", ends.channel_for)
    return ends


async def findings(settings: Settings, **more: Any) -> tuple[int, dict[str, str]]:
    """The exit status, and what each line says of its subject."""
    lines: list[str] = []
    status = await check(settings, OPTIONS, lines.append, **more)
    assert all("\n" not in line for line in lines)
    return status, {line[8:24].strip(): f"{line[:8].strip()} {line[24:]}" for line in lines}


async def test_all_is_well(ends: Ends, autojump_clock: MockClock) -> None:
    status, found = await findings(Settings(agora_app_id=SECRET[::-1], agora_app_cert=SECRET))
    assert status == 0
    assert found["model"].startswith("ok embedded")
    assert found["channel"] == "ok agora: reached"
    assert "AGORA_APP_CERT too" in found["agora"]
    assert {f"extra {extra}" for extra in EXTRAS} < set(found)
    assert SECRET not in str(found)
    # Nobody is disturbed: the channel has a name that nobody else has.
    ((name, uid),) = ends.opened
    assert name.startswith("check-")
    assert uid == 0


@pytest.mark.parametrize(
    ("where", "fault", "status"),
    [
        ("model", ModelRefused("Incorrect API key", "invalid_api_key"), 1),
        ("channel", ConfigError("AGORA_APP_ID: Agora knows no such project"), 2),
        ("channel", ChannelError("banned"), 1),
        ("channel", ExceptionGroup("nursery", [ChannelError("banned")]), 1),
    ],
)
async def test_a_failure_is_told_and_the_rest_is_still_tried(
    where: str, fault: Exception, status: int, ends: Ends, autojump_clock: MockClock
) -> None:
    setattr(ends, where, fault)
    found_status, found = await findings(Settings())
    assert found_status == status
    assert found[where].startswith("FAILED")
    other = {"model": "channel", "channel": "model"}[where]
    assert found[other].startswith("ok")


async def test_what_can_be_no_project_is_a_failure(ends: Ends, autojump_clock: MockClock) -> None:
    status, found = await findings(Settings(agora_app_id=SECRET, agora_app_cert="hunter2"))
    assert status == 2
    assert found["agora"] == "FAILED AGORA_APP_CERT: must be 32 hexadecimal digits"


async def test_what_does_not_answer_is_a_failure(ends: Ends, autojump_clock: MockClock) -> None:
    ends.model = "hangs"
    status, found = await findings(Settings(openai_api_key="sk-1"))
    assert status == 1
    assert "no answer within 30 s" in found["model"]
    assert trio.current_time() == REACH_S


async def test_a_bug_is_not_taken_for_a_finding(ends: Ends, autojump_clock: MockClock) -> None:
    ends.channel = ExceptionGroup("nursery", [ZeroDivisionError()])
    with pytest.raises(ExceptionGroup):
        await findings(Settings())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the extra `vad` of other modules."""

    def set_(*modules: str) -> None:
        monkeypatch.setitem(EXTRAS, "vad", modules)

    return set_


def test_what_an_extra_lacks_is_named(installed: Callable[..., None]) -> None:
    installed("trio", "no_such_module", "email.message", "email.no_such", "no_such.part")
    assert missing("vad") == ["no_such_module", "email.no_such", "no_such.part"]
    with pytest.raises(ConfigError, match=r"pip install --editable '/.*\[vad\]', or do without"):
        require("vad", "or do without")
    installed("trio", "email.message")
    require("vad", "")


async def test_tools_are_told_of_and_their_servers_connected_to(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def opened(_: McpConfig) -> AsyncIterator[McpTools]:
        yield McpTools(tools=(), missing=("shed",))

    monkeypatch.setattr("agent.tools.mcp.open_mcp_tools", opened)
    servers = tuple(McpServer(name=name, command="x") for name in ("desk", "shed"))
    tools = ToolContext([hang_up])
    status, told = await findings(Settings(), tools=tools, mcp=McpConfig(servers))
    assert status == 1
    assert told["tools"] == "ok hang_up"
    assert told["mcp desk"] == "ok reached"
    assert told["mcp shed"].startswith("FAILED cannot be reached")
    assert ends.tools == ["hang_up"]
