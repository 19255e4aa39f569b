"""Tools: functions that the model may call, declared, collected and run.

`tool` declares one; a `ToolContext` holds those of an agent. A function that wants to know about
its call takes a `RunContext`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.tools.arguments import BadArguments
    from agent.tools.context import (
        LocalToolCallExecuted,
        ShouldPassThroughToolCall,
        ToolContext,
    )
    from agent.tools.declaring import ClientTool, Tool, tool
    from agent.tools.loading import load_tools
    from agent.tools.run_context import RunContext
    from agent.tools.schema import ToolError

__all__ = [
    "BadArguments",
    "ClientTool",
    "LocalToolCallExecuted",
    "RunContext",
    "ShouldPassThroughToolCall",
    "Tool",
    "ToolContext",
    "ToolError",
    "load_tools",
    "tool",
]

_HOMES = {
    "BadArguments": "arguments",
    "LocalToolCallExecuted": "context",
    "ShouldPassThroughToolCall": "context",
    "ToolContext": "context",
    "ClientTool": "declaring",
    "Tool": "declaring",
    "tool": "declaring",
    "load_tools": "loading",
    "RunContext": "run_context",
    "ToolError": "schema",
}


def __getattr__(name: str) -> Any:
    # Imported when first asked for: whoever imports one module of this package pays for no other.
    if name not in __all__:
        raise AttributeError(f"module 'agent.tools' has no attribute {name!r}")
    return getattr(import_module(f"agent.tools.{_HOMES[name]}"), name)
