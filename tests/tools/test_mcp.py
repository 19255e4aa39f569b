"""Tools of MCP servers: real ones, in processes of their own, that come and go as they like."""

import json
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run
from typing import Any, TypeAlias

import orjson
import pytest
import trio

from agent.extras import EXTRAS
from agent.tools import LocalToolCallExecuted, ToolContext
from agent.tools import mcp_process as process
from agent.tools.mcp import McpTool, open_mcp_tools
from agent.tools.mcp_config import McpConfig, load_mcp

# The package and its HTTP client leave generators to the collector; on Trio that is told.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Async generator '(httpcore2|httpx2|mcp):ResourceWarning"
)

HERE = Path(__file__).parent
Tools: TypeAlias = tuple[McpTool, ...]
ROOT = HERE.parents[1]
REAL = [str(HERE / "mcp_server.py")]
FAULTY = ["-E", "-s", "-S", str(HERE / "mcp_faulty.py")]


class Lines(logging.Handler):
    """What is logged, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[str] = []
        self._new = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record.getMessage())
        self._new.set()
        self._new = trio.Event()

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, line) is not None for line in self.all)

    async def have(self, pattern: str) -> re.Match[str]:
        with trio.fail_after(10):
            while True:
                for line in self.all:
                    if match := re.search(pattern, line):
                        return match
                await self._new.wait()

    async def pid(self) -> int:
        return int((await self.have(r"pid (\d+)"))[1])


@pytest.fixture(autouse=True)
def an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "mcp", ("mcp",))


@pytest.fixture(scope="module", autouse=True)
def http() -> Iterator[Popen[bytes]]:
    """A real server, which takes seconds to start: it does so while other tests run."""
    with Popen([sys.executable, *REAL, "http"], stdout=PIPE, stderr=DEVNULL) as server:
        yield server
        server.kill()


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("agent.tools.mcp")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def config(tmp_path: Path, **servers: dict[str, Any]) -> McpConfig:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    return load_mcp(path, os.environ)


def faulty(way: str, **more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [*FAULTY, way], **more}


@asynccontextmanager
async def open_tools(servers: McpConfig, **options: Any) -> AsyncIterator[Tools]:
    async with open_mcp_tools(servers, **options) as found:
        assert found.missing == ()
        yield found.tools


async def call(tools: Tools, name: str, /, **arguments: Any) -> Any:
    done = await ToolContext(tools).execute_tool(name, json.dumps(arguments))
    assert isinstance(done, LocalToolCallExecuted)
    value = orjson.loads(done.json_encoded_output)
    if done.failed:
        raise AssertionError(value["error"])
    return value


async def failure(tools: Tools, name: str, /, **arguments: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        await call(tools, name, **arguments)
    return str(raised.value)


def named(tools: Tools) -> list[str]:
    return [tool.name for tool in tools]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody waits for stays a zombie, where init is something else, as in a container.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def is_reaped(pid: int) -> bool:
    """Whether not even a zombie is left of a child of ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


async def gone(pid: int) -> None:
    """Wait for the end of a process that was sent SIGKILL, but is not our child."""
    for _ in range(1000):
        if not is_alive(pid):
            return
        await trio.sleep(0.01)
    pytest.fail(f"the process {pid} is still there")


async def cancelled(tools: Tools, lines: Lines, name: str) -> int:
    """Have `stay` called, and cancel that as soon as it is there; the process that it was in."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(tool_of(tools, "stay"), name=name))
        pid = int((await lines.have(f"{name} stays in (\\d+)"))[1])
        nursery.cancel_scope.cancel()
    return pid


async def until(tools: Tools, name: str, value: Any) -> None:
    """Call a tool until its result is this."""
    with trio.fail_after(10):
        while await call(tools, name) != {"result": value}:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def kill_when_begun(server: Popen[bytes], tools: Tools) -> None:
    await until(tools, "begun", ["first", "second"])
    server.kill()


async def kill_when(lines: Lines, pattern: str) -> None:
    os.kill(int((await lines.have(pattern))[1]), signal.SIGKILL)


def tool_of(tools: Tools, name: str) -> McpTool:
    return next(tool for tool in tools if tool.name == name)


async def test_a_server_in_a_process(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY_OF_THE_AGENTS", "x")
    allowed = ["add", "words", "fail", "environment", "stay", "tell", "forgo", "gone"]
    server = {
        "command": sys.executable,
        "args": REAL,
        "tools": allowed,
        "env": {"OWN": "1"},
        # It takes seconds to start, and more on a machine that is busy.
        "connect_timeout_s": 60,
        "timeout_s": 60,
    }
    async with open_tools(config(tmp_path, real=server), restart_s=0) as tools:
        assert named(tools) == allowed[:-1]
        assert tools[0].description == "Add two numbers."
        assert tools[0].parameters["required"] == ["a", "b"]
        assert lines.count("no usable tool gone") == 1

        assert await call(tools, "add", a=1, b=2) == {"result": 3}
        assert await call(tools, "words") == "one\ntwo\n[image, image/png, 9 bytes]"
        assert "no such city" in await failure(tools, "fail")
        assert "valid integer" in await failure(tools, "add", a="x", b=2)
        assert await call(tools, "tell") == {"result": "told"}
        there = (await call(tools, "environment"))["result"]
        assert {"OWN", "PATH"} <= set(there)
        assert "A_KEY_OF_THE_AGENTS" not in there

        assert await call(tools, "forgo", name="words") == {"result": "words"}
        await lines.have(r"^the MCP server real has changed its tools: ")
        assert await failure(tools, "words") == "McpError: Unknown tool: words"
        assert lines.count("has changed") == 1

        pid = await cancelled(tools, lines, "first")
        await lines.have("first was cancelled")
        assert await call(tools, "add", a=1, b=2) == {"result": 3}

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_when, lines, r"second stays in (\d+)")
            with trio.fail_after(20):  # the call's own timeout is 60
                words = await failure(tools, "stay", name="second")
        assert words == (
            "McpError: the MCP server real was killed by SIGKILL, in the midst of the call"
        )
        assert not is_alive(pid)

        assert await call(tools, "add", a=2, b=2) == {"result": 4}
        again = await cancelled(tools, lines, "third")
        assert again != pid
    assert not is_alive(again)


async def test_a_server_over_http(
    tmp_path: Path,
    http: Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OUR_TOKEN", "abc-123-def")
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, logger="httpx2")  # our own logging has it quieter
    assert http.stdout is not None
    port = int(await trio.to_thread.run_sync(http.stdout.readline))
    server = {
        "url": f"http://127.0.0.1:{port}/mcp?key=${{OUR_TOKEN}}",
        "headers": {"Authorization": "Bearer ${OUR_TOKEN}"},
    }
    async with open_tools(config(tmp_path, far=server), restart_s=0) as tools:
        assert await call(tools, "add", a=1, b=2) == {"result": 3}
        assert "no such city" in await failure(tools, "fail")
        assert await call(tools, "tell") == {"result": "told"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(tool_of(tools, "stay"), name="first"))
            await until(tools, "begun", ["first"])
            nursery.cancel_scope.cancel()
        await until(tools, "cancelled", ["first"])

        # As one that is started anew does. The call is not lost.
        assert await call(tools, "forget") == {"result": 1}
        assert await call(tools, "add", a=2, b=2) == {"result": 4}

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_when_begun, http, tools)
            with trio.fail_after(8):  # the call's own timeout is 10
                words = await failure(tools, "stay", name="second")
        assert "the MCP server far" in words
        assert "in the midst of the call" in words
        with trio.fail_after(8):
            words = await failure(tools, "add", a=1, b=2)
        assert "the MCP server far failed: all attempts to connect to 127.0.0.1" in words
    assert "mcp?key=***" in caplog.text
    assert "abc-123" not in caplog.text


async def test_names_are_unique_and_legal_and_bad_schemas_are_left_out(
    tmp_path: Path, lines: Lines
) -> None:
    both = config(tmp_path, one=faulty("good"), two=faulty("other", tools=["search", "crash"]))
    async with open_tools(both, taken=["files_r_d"]) as tools:
        assert named(tools) == [
            "one_search",
            "one_files_r_d",
            "one_crash",
            "two_search",
            "two_crash",
        ]
        assert tool_of(tools, "one_search").description == "The later."
        assert await call(tools, "one_search") == "from good"
        assert await call(tools, "two_search") == "from other"
    assert lines.count("has changed its tools") == 0


async def test_calls_are_treated_as_the_file_has_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {"search": {}, "crash": {"timeout_s": 90, "responds": False}}
    options["files/räd"] = {"on_interruption": "report"}
    server = faulty("good", tools=options, timeout_s=20, on_interruption="finish")
    async with open_tools(config(tmp_path, s=server)) as tools:
        treated = [(t.name, t.timeout_s, t.on_interruption, t.responds) for t in tools]
    assert treated == [
        ("search", 20, "finish", True),
        ("files_r_d", 20, "report", True),
        ("crash", 90, "finish", False),
    ]


async def test_a_server_that_dies_is_not_started_at_once(tmp_path: Path, lines: Lines) -> None:
    async with open_tools(config(tmp_path, frail=faulty("good")), restart_s=1000) as tools:
        words = await failure(tools, "crash")
        assert "frail exited with status 3: dying, in the midst of the call" in words
        words = await failure(tools, "crash")
        assert re.search(
            r"frail exited with status 3: dying; it is tried again in \d+\.\d s", words
        )
    assert lines.count("pid") == 1


async def test_a_server_that_died_is_started_by_the_next_call(tmp_path: Path, lines: Lines) -> None:
    async with open_tools(config(tmp_path, frail=faulty("good")), restart_s=0) as tools:
        assert "in the midst of the call" in await failure(tools, "crash")
        assert await call(tools, "search") == "from good"
        assert lines.count("pid") == 2

        # It dies while nobody calls: the next call does not notice.
        os.kill(int(re.findall(r"pid (\d+)", "\n".join(lines.all))[-1]), signal.SIGKILL)
        await lines.have("frail was killed by SIGKILL")
        assert await call(tools, "search") == "from good"
        assert lines.count("pid") == 3


async def test_servers_that_cannot_be_reached_are_warned_of_and_the_rest_is_there(
    tmp_path: Path, lines: Lines
) -> None:
    servers = config(
        tmp_path,
        missing={"command": "no-such-program-here"},
        nowhere={"url": "http://127.0.0.1:1/mcp"},
        dead=faulty("dies"),
        hung=faulty("hangs", connect_timeout_s=0.5),
        good=faulty("good"),
    )
    with trio.fail_after(20):
        async with open_mcp_tools(servers) as found:
            assert found.missing == ("missing", "nowhere", "dead", "hung")
            assert await call(found.tools, "search") == "from good"
            assert len(found.tools) == 3
    missing = [line for line in lines.all if line.endswith(": its tools are missing")]
    assert len(missing) == 4
    for words in (
        "the MCP server missing failed: .*No such file",
        "the MCP server nowhere failed: all attempts to connect to",
        "the MCP server dead exited with status 4: no such database",
        r"the MCP server hung was not there within 0\.5 s",
    ):
        assert any(re.match(words, line) for line in missing), (words, missing)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_server_that_will_not_end_is_killed_with_its_children(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    monkeypatch.setattr(process, "EXIT_S", 0.1)
    monkeypatch.setattr(process, "TERMINATE_S", 0.1)
    with trio.fail_after(10), trio.CancelScope() as scope:
        async with open_tools(config(tmp_path, bad=faulty("stubborn"))) as tools:
            pid, child = await lines.pid(), int((await lines.have(r"child (\d+)"))[1])
            assert await call(tools, "search") == "from stubborn"
            assert is_alive(child)
            if is_cancelled:
                scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught == is_cancelled
    assert not is_alive(pid)
    await gone(child)


async def test_a_death_is_noticed_though_a_child_holds_the_pipes(
    tmp_path: Path, lines: Lines
) -> None:
    async with open_tools(config(tmp_path, bad=faulty("stubborn"))) as tools:
        child = int((await lines.have(r"child (\d+)"))[1])
        watcher = int((await lines.have(r"group (\d+)"))[1])
        with trio.fail_after(8):  # the call's own timeout is 10
            words = await failure(tools, "crash")
        assert "bad exited with status 3" in words
        # Also before the agent ends: there may be many a crash.
        await gone(child)
        await gone(watcher)
    assert is_reaped(watcher)
    assert is_reaped(await lines.pid())


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[tuple[Popen[bytes], dict[str, int]]]:
    """An agent and its supervisor, in a group of their own, and what the agent's servers are.

    These ignore the end of their input and SIGTERM, and have children; one has left its group.
    """
    config(tmp_path, near=faulty("stubborn"), far=faulty("apart"))
    agent = [sys.executable, "-m", "tests.tools.mcp_agent", str(tmp_path / "mcp.json")]
    supervisor = ["/bin/sh", "-c", '"$@"; exit', "sh", *agent]
    with Popen(supervisor, cwd=ROOT, stdout=PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        logged = b"".join(iter(process.stdout.readline, b"open\n")).decode()
        found = re.findall(r"MCP server (\w+: \w+) (\d+)$", logged, re.MULTILINE)
        pids = {what: int(pid) for what, pid in found}
        yield process, pids
        for pid in (-process.pid, *pids.values()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_nothing_of_a_server_outlives_an_agent_that_is_killed(
    doomed: tuple[Popen[bytes], dict[str, int]],
) -> None:
    agent, pids = doomed
    assert len(pids) == 6
    assert all(map(is_alive, pids.values()))
    # The worst moment: just when the agent has them end, which they ignore.
    for server in ("near", "far"):
        os.killpg(pids[f"{server}: group"], signal.SIGTERM)
    os.killpg(agent.pid, signal.SIGKILL)
    for pid in pids.values():
        await gone(pid)


async def test_what_a_server_prints_is_logged_within_bounds(tmp_path: Path, lines: Lines) -> None:
    async with open_tools(config(tmp_path, bad=faulty("noisy"))) as tools:
        assert await call(tools, "search") == "from noisy"
    # On a machine that is busy it may take longer than the time that the bound is of.
    logged = lines.count("^MCP server bad: (err|out) ")
    assert 0 < logged <= 3 * process.LINES


async def test_results_that_are_too_long_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "EXIT_S", 0.1)  # it cannot end while it writes
    both = config(tmp_path, big=faulty("huge", tools=["search"]), odd=faulty("mad"))
    async with open_tools(both) as tools:
        words = await failure(tools, "big_search")
        assert "big sent a message of more than 4194304 bytes, in the midst of the call" in words
        assert "the MCP server odd gave a bad result" in await failure(tools, "odd_search")


async def test_secrets_are_neither_logged_nor_told(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_TOKEN", "abc-123-def")
    server = faulty("secret", env={"TOKEN": "${OUR_TOKEN}"})
    async with open_tools(config(tmp_path, spy=server)) as tools:
        await lines.have(r"my token is \*\*\*$")
        assert await call(tools, "search") == "from secret"
    assert not any("abc-123" in line for line in lines.all)


async def test_nothing_of_it_is_open_when_it_is_cancelled_while_it_starts(
    tmp_path: Path, lines: Lines
) -> None:
    with trio.fail_after(8), trio.CancelScope() as scope:

        async def cancel() -> None:
            await lines.pid()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            async with open_tools(config(tmp_path, slow=faulty("hangs"))):
                pytest.fail("it is not there")
    assert not is_alive(await lines.pid())


def test_a_call_without_mcp_loads_nothing_of_it() -> None:
    program = (
        "import sys, agent.tools.mcp, agent.tools.mcp_config\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert {"mcp", "anyio", "httpx2", "pydantic"}.isdisjoint(done.stdout.decode().split())
