"""Profiles: what a file may say, what is wrong with it, and how a request goes over it."""

from pathlib import Path
from typing import Any

import pytest

import agent.__main__ as command
from agent.config import Settings
from agent.errors import ConfigError
from agent.options import AgentOptions, options_from_json
from agent.profiles import Profile, UnknownProfile, find_profile, read_profiles
from agent.session import Outcome

GOOD = """
[profiles.waiter]
voice = "coral"
speed = 1
transcription_model = "null"
model = ""
metadata = {house = "north"}
tools = ["agent.tools.builtin:hang_up"]
mcp = "mcp.json"
[profiles.waiter.turn_detection]
type = "semantic_vad"

[profiles."the second"]
"""
MCP = '{"mcpServers": {"far": {"url": "https://example.com", "headers": {"k": "${K}"}}}}'


def write(directory: Path, text: str) -> Path:
    (directory / "mcp.json").write_text(MCP)
    path = directory / "profiles.toml"
    path.write_text(text)
    return path


def test_a_profile_is_options_tools_and_servers(tmp_path: Path) -> None:
    profiles = read_profiles(write(tmp_path, GOOD), {"K": "secret"})
    assert list(profiles) == ["waiter", "the second"]
    assert profiles["the second"] == Profile()
    waiter = profiles["waiter"]
    assert waiter.options == {
        "voice": "coral",
        "speed": 1,
        "transcription_model": None,
        "metadata": {"house": "north"},
        "turn_detection": {"type": "semantic_vad"},
    }
    assert (waiter.modules, waiter.tools) == (("agent.tools.builtin:hang_up",), ("hang_up",))
    assert waiter.mcp == tmp_path / "mcp.json"
    assert waiter.has_tools


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ('voice = "coral"', False), ("tools = []", True), ('mcp = "mcp.json"', True)],
)
def test_a_profile_that_names_none_leaves_tools_to_the_server(
    tmp_path: Path, text: str, expected: bool
) -> None:
    path = write(tmp_path, f"[profiles.a]\n{text}")
    assert read_profiles(path, {"K": "secret"})["a"].has_tools is expected


BROKEN: dict[str, tuple[str, list[str]]] = {
    "syntax": ("[profiles.a\n", ["is not TOML"]),
    "not UTF-8": ("\udcff", ["is not TOML"]),
    "something else": ("[profile.a]", ["profile: unknown"]),
    "no table": ("profiles = 5", ["profiles: each must be a table"]),
    "no tables": ("[profiles]\na = 5", ["profiles: each must be a table"]),
    "unknown": ("[profiles.a]\nvolume = 1", ["profiles.a.volume: unknown field"]),
    "bad value": ("[profiles.a]\nspeed = 9", ["profiles.a.speed: must be 0.25 to 1.5"]),
    "bad type": ('[profiles.a]\nspeed = "1"', ["profiles.a.speed: expected a number"]),
    "null": ('[profiles.a]\nvoice = "null"', ["profiles.a.voice: expected text, not null"]),
    "infinity": ("[profiles.a]\ntemperature = inf", ["profiles.a.temperature: is nothing that"]),
    "a date": ("[profiles.a]\ntracing = 2026-11-28", ["profiles.a.tracing: is nothing that"]),
    "channel": ('[profiles.a]\nchannel_name = "c"', ["profiles.a.channel_name: cannot be"]),
    "uid": ("[profiles.a]\nuid = 1", ["profiles.a.uid: cannot be"]),
    "profile": ('[profiles.a]\nprofile = "b"', ["profiles.a.profile: cannot be"]),
    "tools": ('[profiles.a]\ntools = "x:y"', ["profiles.a.tools: must be a list"]),
    "no module": ('[profiles.a]\ntools = ["no.such:x"]', ["profiles.a.tools: tools no.such:x"]),
    "mcp": ("[profiles.a]\nmcp = 5", ["profiles.a.mcp: must be the name"]),
    "no mcp": ('[profiles.a]\nmcp = "no.json"', ["profiles.a.mcp:", "no.json"]),
    "two": (
        '[profiles.a]\nspeed = 9\n[profiles.b]\nvoice = "x"\n[profiles.c]\nuid = 1',
        ["profiles.a.speed: must be", "profiles.c.uid: cannot be"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, case: str) -> None:
    text, words = BROKEN[case]
    path = tmp_path / "profiles.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError) as caught:
        read_profiles(path, {})
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "\n" not in told
    assert all(word in told for word in words), told


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file"):
        read_profiles(tmp_path / "no.toml", {})


def test_a_module_that_exits_is_no_end_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "exits_when_imported.py").write_text("raise SystemExit(3)")
    path = write(tmp_path, '[profiles.a]\ntools = ["exits_when_imported:x"]')
    with pytest.raises(ConfigError, match=r"profiles\.a\.tools: .*SystemExit"):
        read_profiles(path, {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"voice": "coral", "language": "fr"}),
        ({"voice": "alloy"}, {"voice": "alloy", "language": "fr"}),
        ({"voice": ""}, {"voice": "coral", "language": "fr"}),
        ({"voice": None}, {"voice": None, "language": "fr"}),
        ({"tools": ["a"]}, {"tools": ["a"], "voice": "coral", "language": "fr"}),
    ],
)
def test_what_is_given_goes_over_the_profile(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert Profile(options={"voice": "coral", "language": "fr"}).under(given) == expected


def test_metadata_is_put_together_by_its_entries() -> None:
    profile = Profile(options={"metadata": {"house": "north", "floor": "1"}})
    given = {"channel_name": "c", "metadata": {"floor": "2", "table": "7"}}
    options = options_from_json(profile.under(given))
    assert options.metadata == {"house": "north", "floor": "2", "table": "7"}
    assert profile.options["metadata"] == {"house": "north", "floor": "1"}
    assert profile.under({"metadata": 5})["metadata"] == 5  # which the options' class refuses


@pytest.mark.parametrize(
    ("profiles", "words"),
    [({}, "there are none"), ({"a": Profile(), "b": Profile()}, "there are: a, b")],
)
def test_of_an_unknown_profile_it_is_told_which_there_are(
    profiles: dict[str, Profile], words: str
) -> None:
    with pytest.raises(UnknownProfile, match=f"there is no profile c; {words}"):
        find_profile(profiles, "c")


class Command:
    """`python -m agent` in this process, without the call itself.

    :ivar options: what the call was to be made with, and
    :ivar given: the rest of it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.options: AgentOptions | None = None
        self.given: dict[str, Any] = {}
        monkeypatch.chdir(directory)  # where no .env is
        monkeypatch.setattr(command, "hold_signals", lambda: None)
        monkeypatch.setattr(command, "setup_logging", lambda *_: None)
        monkeypatch.setattr(command, "run_agent", self._call)

    def __call__(self, *arguments: str) -> object:
        with pytest.raises(SystemExit) as caught:
            command.main(arguments)
        return caught.value.code

    async def _call(self, _: Settings, options: AgentOptions, **given: Any) -> Outcome:
        self.options, self.given = options, given
        return Outcome("over")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "no"], "error: --profile: there is no profile no; there are: waiter\n"),
        (
            ["--profile", "waiter", "--channel-name", "c", "--speed", "9"],
            "error: --speed: must be 0.25 to 1.5\n",
        ),
        (
            ["--profile", "waiter"],
            "error: --channel-name: missing; or name a recording with --wav-in\n",
        ),
    ],
)
def test_faults_on_the_command_line_are_told(
    tmp_path: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write(tmp_path, "[profiles.waiter]\nspeed = 1.5")
    agent = Command(monkeypatch, tmp_path)
    assert agent("--profiles", str(path), *arguments) == 2
    assert capsys.readouterr().err == words


def test_a_broken_file_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "[profiles.waiter]\nspeed = 9")
    monkeypatch.setenv("PROFILES_FILE", str(path))
    agent = Command(monkeypatch, tmp_path)
    assert agent("--channel-name", "c", "--profile", "waiter") == 2
    words = f"error: {path}: profiles.waiter.speed: must be 0.25 to 1.5\n"
    assert capsys.readouterr().err == words


def test_the_command_line_goes_over_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", "secret")
    monkeypatch.setenv("PROFILES_FILE", str(write(tmp_path, GOOD)))
    agent = Command(monkeypatch, tmp_path)
    arguments = ["--channel-name", "c", "--profile", "waiter"]
    assert agent(*arguments, "--voice", "alloy") == 0
    assert agent.options is not None
    told = agent.options.voice, agent.options.speed, agent.options.transcription_model
    assert told == ("alloy", 1.0, None)
    assert [tool.name for tool in agent.given["tools"]] == ["hang_up"]
    assert [server.name for server in agent.given["mcp"].servers] == ["far"]
    assert agent(*arguments, "--tools", "agent.tools.builtin:transfer_note") == 0
    assert [tool.name for tool in agent.given["tools"]] == ["transfer_note"]
    assert agent("--channel-name", "c") == 0
    assert [*agent.given["tools"], agent.given["mcp"]] == [None]
