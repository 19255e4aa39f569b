"""What a server says of the MCP servers that it calls by itself."""

from typing import ClassVar

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model


@frozen(kw_only=True)
class McpListToolsInProgress(Model):
    """An MCP server is being asked for its tools."""

    type: ClassVar[str] = "mcp_list_tools.in_progress"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class McpListToolsCompleted(Model):
    """An MCP server told its tools."""

    type: ClassVar[str] = "mcp_list_tools.completed"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class McpListToolsFailed(Model):
    """An MCP server did not tell its tools."""

    type: ClassVar[str] = "mcp_list_tools.failed"
    item_id: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseMcpCallArgumentsDelta(Model):
    """More of an MCP call's arguments, which are JSON text."""

    type: ClassVar[str] = "response.mcp_call_arguments.delta"
    response_id: str
    item_id: str
    output_index: int
    delta: str
    obfuscation: Maybe[str] = UNSET
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseMcpCallArgumentsDone(Model):
    """All of an MCP call's arguments."""

    type: ClassVar[str] = "response.mcp_call_arguments.done"
    response_id: str
    item_id: str
    output_index: int
    arguments: str
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseMcpCallInProgress(Model):
    """An MCP server is being called."""

    type: ClassVar[str] = "response.mcp_call.in_progress"
    item_id: str
    output_index: int
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseMcpCallCompleted(Model):
    """An MCP server answered a call."""

    type: ClassVar[str] = "response.mcp_call.completed"
    item_id: str
    output_index: int
    event_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseMcpCallFailed(Model):
    """A call of an MCP server failed."""

    type: ClassVar[str] = "response.mcp_call.failed"
    item_id: str
    output_index: int
    event_id: Maybe[str] = UNSET
