"""The operator's file of MCP servers."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigError
from agent.extras import EXTRAS
from agent.protocol.base import UNSET
from agent.tools.mcp_config import McpConfig, McpServer, ToolOptions, load_mcp

ENVIRON = {
    "PATH": "/bin",
    "OPENAI_API_KEY": "sk-key-of-the-agent",
    "TOKEN": "token-123",
    "EMPTY": "",
}


@pytest.fixture(autouse=True)
def an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "mcp", ("attrs",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


def load(path: Path, **servers: Any) -> McpConfig:
    path.write_text(json.dumps({"mcpServers": servers, "inputs": []}))
    return load_mcp(path, ENVIRON)


def one(path: Path, **fields: Any) -> McpServer:
    return load(path, s=fields).servers[0]


def complaint(path: Path, **fields: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path, s=fields)
    words = str(raised.value)
    assert "\n" not in words
    assert words.startswith(f"{path}: mcpServers.s")
    return words.removeprefix(f"{path}: mcpServers.s")


def test_a_file_of_another_programs(path: Path) -> None:
    server = one(
        path,
        type="stdio",
        command="npx",
        args=["-y", "notes"],
        env={"A": "b"},
        cwd="/tmp",
        autoApprove=["x"],
    )
    assert (server.command, server.args, server.cwd) == ("npx", ("-y", "notes"), "/tmp")
    assert (server.timeout_s, server.connect_timeout_s, server.run_by) == (10, 10, "agent")
    assert server.allows("anything")


def test_a_process_inherits_no_key(path: Path) -> None:
    assert one(path, command="x", env={"A": "b"}).env == {"PATH": "/bin", "A": "b"}
    assert one(path, command="x", env={"PATH": "/own"}).env == {"PATH": "/own"}


def test_options_of_tools(path: Path) -> None:
    server = one(path, command="x", tools={"a": {}, "b": {"timeout_s": 5, "responds": False}})
    assert server.allows("a")
    assert not server.allows("c")
    assert server.options("a") == one(path, command="x", tools=["a"]).options("a") == ToolOptions()
    assert server.options("b") == ToolOptions(timeout_s=5, responds=False)


def test_variables_of_the_environment(path: Path) -> None:
    server = one(path, command="x", args=["--t=${TOKEN}"], env={"T": "<${TOKEN}>"})
    assert server.args == ("--t=token-123",)
    assert server.env["T"] == "<token-123>"
    assert one(path, command="$TOKEN").command == "$TOKEN"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ".command: is missing: a server has a command or a url"),
        ({"command": "x", "url": "http://h"}, ".command: a server has a command, or a url"),
        ({"command": 5}, ".command: "),
        ({"command": "x", "args": "y"}, ".args: expected a list, not text"),
        ({"command": "x", "tool": ["a"]}, ".tool: unknown field"),
        ({"command": "x", "secrets": ["a"]}, ".secrets: unknown field"),
        ({"command": "x", "env": {"A=": "b"}}, ".env: a name is empty or holds a ="),
        ({"command": "x\0"}, ".command: holds a NUL character"),
        ({"command": "x", "timeout_s": 0}, ".timeout_s: must be more than 0"),
        ({"command": "x", "timeout_s": "5"}, ".timeout_s: expected a number, not text"),
        ({"command": "x", "run_by": "model"}, ".run_by: the model cannot run a command"),
        ({"command": "x", "tools": []}, ".tools: names none"),
        ({"command": "x", "tools": {}}, ".tools: names none"),
        ({"command": "x", "tools": "a"}, ".tools: expected a list of tools' names, or an object"),
        ({"command": "x", "tools": ["a", 1]}, ".tools: expected text, not a whole number"),
        ({"command": "x", "tools": {"a": 1}}, ".tools['a']: expected an object, not a whole"),
        ({"command": "x", "tools": {"a": {"b": 1}}}, ".tools['a'].b: unknown field"),
        (
            {"command": "x", "tools": {"a": {"timeout_s": 0}}},
            ".tools['a'].timeout_s: must be more than 0",
        ),
        (
            {"command": "x", "tools": {"a": {"responds": 1}}},
            ".tools['a'].responds: expected true or false, not a whole number",
        ),
        (
            {"command": "x", "tools": {"a": {"on_interruption": "stop"}}},
            ".tools['a'].on_interruption: must be one of cancel, finish, report",
        ),
        (
            {"command": "x", "on_interruption": "stop"},
            ".on_interruption: must be one of cancel, finish, report",
        ),
        (
            {"url": "http://h", "run_by": "model", "on_interruption": "finish"},
            ".on_interruption: is for servers that are run by the agent",
        ),
        (
            {"url": "http://h", "run_by": "model", "tools": {"a": {"responds": False}}},
            ".tools: options of tools are for servers that are run by the agent",
        ),
        ({"command": "x", "run_by": "me"}, ".run_by: must be one of agent, model"),
        ({"command": "x", "approve": True}, ".approve: is for servers that are run by the model"),
        ({"url": "ftp://secret"}, ".url: must be a URL such as https://host/mcp"),
        ({"url": "http://h", "args": ["a"]}, ".url: args, env and cwd belong to a command"),
        ({"url": "http://h", "type": "sse"}, ".type: must be one of stdio, http,"),
        ({"url": "http://h", "headers": {"A": "sec\nret"}}, ".headers: must be names and values"),
        ({"url": "http://h", "headers": {"A": "${NO}"}}, ".headers.A: the environment has no NO"),
        ({"url": "http://h/${EMPTY}"}, ".url: the environment has no EMPTY"),
        ({"command": "x", "args": ["a", "${env:A}"]}, ".args[1]: only ${NAME} can stand"),
        (
            {"url": "http://h", "run_by": "model", "tools": ["a"], "approve": ["b"]},
            ".approve: not among its tools: b",
        ),
        ({"url": "http://h", "run_by": "model", "approve": "a"}, ".approve: must be true, false"),
    ],
)
def test_what_is_wrong_is_named(path: Path, fields: dict[str, Any], words: str) -> None:
    told = complaint(path, **fields)
    assert told.startswith(words)
    assert "sec" not in told.removeprefix(words).replace("seconds", "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not JSON: "),
        (b"[]", "mcpServers: must be there, and an object"),
        (b'{"mcpServer": {}}', "mcpServers: must be there, and an object"),
        (b'{"mcpServers": {"s": 1}}', "mcpServers.s: expected an object, not a whole number"),
        (b" " * (2**20 + 1), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_none(path: Path, data: bytes, words: str) -> None:
    path.write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        load_mcp(path, ENVIRON)
    assert str(raised.value).startswith(f"{path}: {words}")


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mcp\.json: cannot be read: No such file"):
        load_mcp(path, ENVIRON)


def test_secrets_are_in_no_repr_and_concealed(path: Path) -> None:
    process = one(path, command="x", args=["${TOKEN}"], env={"B": "of-the-file"})
    far = one(path, url="http://h/?k=${TOKEN}", headers={"Authorization": "Bearer abcdef"})
    shown = f"{process!r} {far!r} {McpConfig((process, far))!r}"
    assert not [s for s in ("token-123", "of-the-file", "abcdef") if s in shown]
    assert process.conceal("a token-123 of-the-file") == "a *** ***"
    assert far.conceal("Bearer abcdef, abcdef, token-123") == "***, ***, ***"
    assert "/bin" not in process.secrets


def test_one_that_is_disabled_is_left_out_and_the_extra_is_not_needed_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "mcp", ("no_such_module",))
    assert load(path, s={"command": "x", "disabled": True}).servers == ()
    assert load(path, s={"url": "https://h", "run_by": "model"}).run_by_agent == ()
    with pytest.raises(ConfigError, match=r"the extra mcp is not installed .*or leave .* out"):
        load(path, s={"command": "x"})


def far(**fields: Any) -> dict[str, Any]:
    return {"url": "https://h/mcp", "run_by": "model", **fields}


def test_what_the_model_is_told_of_a_server_that_it_runs(path: Path) -> None:
    config = load(
        path,
        mine={"command": "x"},
        docs=far(
            tools={"search": {}}, headers={"Authorization": "Bearer abcdef"}, description="Docs."
        ),
        web=far(),
    )
    docs, web = config.declarations()
    assert [server.name for server in config.run_by_agent] == ["mine"]
    assert (docs.server_label, docs.server_url) == ("docs", "https://h/mcp")
    assert (docs.server_description, docs.allowed_tools) == ("Docs.", ("search",))
    assert docs.headers == {"Authorization": "Bearer abcdef"}
    assert (web.server_description, web.allowed_tools, web.headers) == (UNSET, UNSET, UNSET)


@pytest.mark.parametrize(
    ("fields", "asked", "approved"),
    [
        ({}, "always", set()),
        ({"approve": False, "tools": ["a", "b"]}, "always", set()),
        ({"approve": True}, "never", {"a", "b", "c"}),
        ({"approve": True, "tools": ["a", "b"]}, "never", {"a", "b"}),
        ({"approve": ["a"]}, "always", {"a"}),
        ({"approve": ["a"], "tools": ["a", "b"]}, "always", {"a"}),
        ({"approve": ["b", "a"], "tools": ["a", "b"]}, "never", {"a", "b"}),
        ({"tools": ["a", "b"]}, "never", {"a", "b"}),
    ],
)
def test_approvals(path: Path, fields: dict[str, Any], asked: str, approved: set[str]) -> None:
    config = load(path, web=far(**fields), mine={"command": "x"})
    assert config.declarations()[0].require_approval == asked
    assert {tool for tool in "abc" if config.approves("web", tool)} == approved
    assert not config.approves("mine", "a")
    assert not config.approves("other", "a")


def test_one_that_can_call_nothing_is_warned_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(path, web=far(), docs=far(tools=["a"]), other=far(approve=False))
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: mcpServers.web: no call is approved: name tools in approve, or say true there"
    ]


def test_a_label_that_the_model_does_not_take(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mcpServers\.my web\.run_by: the server's name must be"):
        load(path, **{"my web": far()})
