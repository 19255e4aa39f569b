"""Where all annotations are strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from agent.tools import RunContext, tool
from tests.tools.test_schema import check_official


class Options(TypedDict):
    loud: bool
    name: NotRequired[str]


@dataclass
class Node:
    value: int
    next: Node | None = None


@tool
def strings(context: RunContext, node: Node, options: Options | None = None) -> None: ...


def test_they_are_read() -> None:
    check_official(strings)
    assert strings.context == "context"
    assert strings.parameters["required"] == ["node"]
    text = '{"node": {"value": 1, "next": {"value": 2}}, "options": {"loud": true}}'
    assert strings.decode(text) == {"node": Node(1, Node(2)), "options": {"loud": True}}
