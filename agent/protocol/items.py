"""Conversation items and their content parts, named as `openai.types.realtime` names them."""

from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model, Unset


@frozen(kw_only=True)
class Content(Model):
    """One content part of a message.

    :ivar type: input_text, input_audio, input_image, output_text, output_audio; `text` and
        `audio` in content_part events.
    :ivar audio: pcm16 or G.711 in base64, as it is on the wire: only who wants it pays for it.
    :ivar image_url: a data URL.
    :ivar detail: how closely an image is looked at: auto, low, high.
    """

    type: Maybe[str] = UNSET
    text: Maybe[str] = UNSET
    audio: Maybe[str] = UNSET
    transcript: Maybe[str] = UNSET
    image_url: Maybe[str] = UNSET
    detail: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeConversationItemUserMessage(Model):
    """What the person said or typed."""

    type: ClassVar[str] = "message"
    role: ClassVar[str] = "user"
    content: tuple[Content, ...]
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    status: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeConversationItemAssistantMessage(Model):
    """What the model said.

    :ivar phase: `commentary` or `final_answer`, of models that reason; captured, and not in the
        reference's types.
    """

    type: ClassVar[str] = "message"
    role: ClassVar[str] = "assistant"
    content: tuple[Content, ...]
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    phase: Maybe[str] = UNSET
    status: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeConversationItemSystemMessage(Model):
    """Instructions in the midst of a conversation."""

    type: ClassVar[str] = "message"
    role: ClassVar[str] = "system"
    content: tuple[Content, ...]
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    status: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeConversationItemFunctionCall(Model):
    """The model calls a function; `arguments` is JSON text."""

    type: ClassVar[str] = "function_call"
    name: str
    arguments: str
    call_id: Maybe[str] = UNSET
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    status: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeConversationItemFunctionCallOutput(Model):
    """The answer to a function call, as text."""

    type: ClassVar[str] = "function_call_output"
    call_id: str
    output: str
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    status: Maybe[str] = UNSET


@frozen(kw_only=True)
class ListedTool(Model):
    """A tool that an MCP server offers; `Tool` in the reference, beside the list of them.

    :ivar input_schema: a JSON Schema.
    """

    name: str
    input_schema: Any
    annotations: Any = UNSET
    description: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeMcpListTools(Model):
    """What an MCP server offers."""

    type: ClassVar[str] = "mcp_list_tools"
    server_label: str
    tools: tuple[ListedTool, ...]
    id: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeMcpProtocolError(Model):
    """An MCP server broke its protocol."""

    type: ClassVar[str] = "protocol_error"
    code: int
    message: str


@frozen(kw_only=True)
class RealtimeMcpToolExecutionError(Model):
    """A tool of an MCP server failed."""

    type: ClassVar[str] = "tool_execution_error"
    message: str


@frozen(kw_only=True)
class RealtimeMcphttpError(Model):
    """An MCP server answered with an HTTP status of failure."""

    type: ClassVar[str] = "http_error"
    code: int
    message: str


McpError: TypeAlias = (
    RealtimeMcpProtocolError | RealtimeMcpToolExecutionError | RealtimeMcphttpError | dict[str, Any]
)


@frozen(kw_only=True)
class RealtimeMcpToolCall(Model):
    """A call of an MCP server's tool, by the model's server; `arguments` is JSON text."""

    type: ClassVar[str] = "mcp_call"
    id: str
    arguments: str
    name: str
    server_label: str
    approval_request_id: Maybe[str] = UNSET
    error: Maybe[McpError] = UNSET
    output: Maybe[str] = UNSET


@frozen(kw_only=True)
class RealtimeMcpApprovalRequest(Model):
    """The model's server asks whether it may call a tool."""

    type: ClassVar[str] = "mcp_approval_request"
    id: str
    arguments: str
    name: str
    server_label: str


@frozen(kw_only=True)
class RealtimeMcpApprovalResponse(Model):
    """The client's answer to that.

    :ivar id: the official types want one of the client, as in no other item that it makes.
    """

    type: ClassVar[str] = "mcp_approval_response"
    approval_request_id: str
    approve: bool
    id: Maybe[str] = UNSET
    reason: Maybe[str] = UNSET


@frozen(kw_only=True)
class ResponseItemReference(Model):
    """An item that the conversation has, as input of a response beside the conversation."""

    type: ClassVar[str] = "item_reference"
    id: str


@frozen(kw_only=True)
class UnknownItem:
    """An item of a type (or a message of a role) that is not known here, kept whole.

    :ivar data: the item's JSON object.
    """

    type: str
    data: dict[str, Any]

    @property
    def id(self) -> str | Unset | None:
        """The item's id, where it has one."""
        value = self.data.get("id", UNSET)
        return value if isinstance(value, str) else UNSET


ConversationItem: TypeAlias = (
    RealtimeConversationItemUserMessage
    | RealtimeConversationItemAssistantMessage
    | RealtimeConversationItemSystemMessage
    | RealtimeConversationItemFunctionCall
    | RealtimeConversationItemFunctionCallOutput
    | RealtimeMcpListTools
    | RealtimeMcpToolCall
    | RealtimeMcpApprovalRequest
    | RealtimeMcpApprovalResponse
    | ResponseItemReference
    | UnknownItem
)
