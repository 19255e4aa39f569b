"""Conversation items and their content parts, named as `openai.types.realtime` names them."""

from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from agent.protocol.base import UNSET, Maybe, Model, Unset


@frozen(kw_only=True)
class Content(Model):
    """One content part of a message.

    :ivar type: input_text, input_audio, input_image, output_text, output_audio; `text` and
        `audio` in content_part events.
    :ivar audio: pcm16 or G.711 bytes; base64 on the wire.
    """

    type: str
    text: Maybe[str] = UNSET
    audio: Maybe[bytes] = UNSET
    transcript: Maybe[str] = UNSET


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
    """What the model said."""

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
    | UnknownItem
)
