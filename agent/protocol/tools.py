"""Tools that a session or a response declares, and how the model is to choose among them.

Named as `openai.types.realtime` names them. A tool or a choice of a kind that is not known here
stays JSON.
"""

from typing import Any, ClassVar, TypeAlias

from attrs import field, frozen

from agent.protocol.base import UNSET, Maybe, Model


@frozen(kw_only=True)
class RealtimeFunctionTool(Model):
    """A function that the client runs.

    :ivar type: `function`; the reference lets it be absent.
    :ivar parameters: a JSON Schema.
    """

    type: Maybe[str] = UNSET
    name: Maybe[str] = UNSET
    description: Maybe[str] = UNSET
    parameters: Any = UNSET


@frozen(kw_only=True)
class McpToolFilter(Model):
    """Which tools of an MCP server are meant."""

    read_only: Maybe[bool] = UNSET
    tool_names: Maybe[tuple[str, ...]] = UNSET


@frozen(kw_only=True)
class McpToolApprovalFilter(Model):
    """Which tools of an MCP server always need an approval, and which never."""

    always: Maybe[McpToolFilter] = UNSET
    never: Maybe[McpToolFilter] = UNSET


@frozen(kw_only=True)
class Mcp(Model):
    """An MCP server whose tools the model's own server runs.

    :ivar require_approval: `always`, `never`, or by tool.
    """

    type: ClassVar[str] = "mcp"
    server_label: str
    allowed_callers: Maybe[tuple[str, ...]] = UNSET
    allowed_tools: Maybe[tuple[str, ...] | McpToolFilter] = UNSET
    authorization: Maybe[str] = field(default=UNSET, repr=False)
    connector_id: Maybe[str] = UNSET
    defer_loading: Maybe[bool] = UNSET
    headers: Maybe[dict[str, str]] = field(default=UNSET, repr=False)
    require_approval: Maybe[str | McpToolApprovalFilter] = UNSET
    server_description: Maybe[str] = UNSET
    server_url: Maybe[str] = field(default=UNSET, repr=False)
    tunnel_id: Maybe[str] = UNSET


@frozen(kw_only=True)
class ToolChoiceFunction(Model):
    """The model has to call this function."""

    type: ClassVar[str] = "function"
    name: str


@frozen(kw_only=True)
class ToolChoiceMcp(Model):
    """The model has to call a tool of this MCP server; `name` narrows it to one."""

    type: ClassVar[str] = "mcp"
    server_label: str
    name: Maybe[str] = UNSET


Tool: TypeAlias = RealtimeFunctionTool | Mcp | dict[str, Any]
ToolChoice: TypeAlias = str | ToolChoiceFunction | ToolChoiceMcp | dict[str, Any]
"""`none`, `auto`, `required`, or one that is named."""
