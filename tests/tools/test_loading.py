"""Tools that the operator names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.tools import load_tools

GOOD = '''
from agent.tools import ToolContext, tool

@tool
def declared(x: int) -> int:
    return x

def plain(x: int) -> int:
    """A function."""
    return x

class Thing:
    def method(self, x: int) -> int:
        return x

thing = Thing()

def several(): ...

some = [declared, plain]
context = ToolContext([declared])
context.register_client_function(name="page", parameters={"type": "object"})

class AgentTools(ToolContext):
    def __init__(self):
        super().__init__()
        self.register_function(name="own", parameters={"type": "object"}, fn=self.own)

    def own(self): ...

class Broken(ToolContext):
    def __init__(self):
        raise ValueError("no key")

every = [some, AgentTools, thing.method]
number = 5
def bad(x): ...
'''


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "good_tools.py").write_text(GOOD)
    (tmp_path / "raises.py").write_text("\n\nraise RuntimeError('no\\nluck')\n")
    (tmp_path / "imports_none.py").write_text("import there_is_no_such\n")
    (tmp_path / "no_python.py").write_text("def\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "__init__.py").write_text("")
    (tmp_path / "deep" / "inner.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("names", "tools"),
    [
        (["good_tools:declared"], ["declared"]),
        (["good_tools:plain"], ["plain"]),
        (["good_tools:thing.method"], ["method"]),
        (["good_tools:some"], ["declared", "plain"]),
        (["good_tools:context"], ["declared", "page"]),
        (["good_tools:AgentTools"], ["own"]),
        (["good_tools:every"], ["declared", "plain", "own", "method"]),
        (["deep.inner:plain"], ["plain"]),
        (["good_tools:context", "deep.inner:plain"], ["declared", "page", "plain"]),
        ([], []),
    ],
)
def test_what_is_loaded(names: list[str], tools: list[str]) -> None:
    assert [tool.name for tool in load_tools(*names)] == tools


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("good_tools", "tools good_tools: must be of the form package.module:name"),
        ("good_tools:", "must be of the form"),
        (":plain", "must be of the form"),
        ("nowhere:plain", "tools nowhere:plain: there is no module nowhere"),
        ("deep.nowhere:plain", "there is no module deep.nowhere"),
        ("nowhere.inner:plain", "there is no module nowhere"),
        ("good_tools.inner:plain", "there is no module good_tools.inner"),
        ("good_tools:nothing", "the module good_tools has no nothing"),
        ("raises:x", "tools raises:x: importing it raised RuntimeError: no luck (raises.py, line "),
        ("imports_none:x", "ModuleNotFoundError: No module named 'there_is_no_such' (imports_none"),
        ("no_python:x", "importing it raised SyntaxError: invalid syntax (no_python.py, line 1)"),
        ("good_tools:number", "tools good_tools:number: is neither a tool nor a function"),
        ("good_tools:Thing", "of the type type"),
        ("good_tools:Broken", "tools good_tools:Broken: making it raised ValueError: no key"),
        ("good_tools:bad", "the tool bad: the parameter x has no type"),
        (".good_tools:plain", "tools .good_tools:plain: importing it raised TypeError"),
    ],
)
def test_what_cannot_be_loaded(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools(name)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_two_of_one_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools("good_tools:plain", "deep.inner:plain")
    assert "the tool plain: there are two of this name" in str(caught.value)


def test_the_directory_stands_in_the_path_once(directory: Path) -> None:
    load_tools("good_tools:plain")
    load_tools("good_tools:plain")
    assert sys.path.count(str(directory)) == 1
