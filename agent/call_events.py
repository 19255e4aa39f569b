"""The events of a call, as its operator gets them: JSON objects with a `type`.

- `transcript`: {speaker: `user` or `agent`, text, item_id}; an answer that was cut short has
  `interrupted` and ends where the person ceased to hear it.
- `tool_call`: {call_id, name, arguments}, and `tool_result`: {call_id, output}; these are JSON
  texts, of which the beginning is told.
- What tools report has the types that they give it, such as `transfer_note`.
"""

from typing import Any, Final, TypeAlias

from agent.protocol.actions import CallTool

Event: TypeAlias = dict[str, Any]

MAX_TEXT: Final = 1000
"""Characters of arguments and outputs that are told."""
_SPEAKERS: Final = {
    "conversation.item.input_audio_transcription.completed": "user",
    "response.audio_transcript.done": "agent",
}


def transcript(message: dict[str, Any]) -> Event | None:
    """The event of a data message of the transcripts; None: it is not the last one of its turn."""
    speaker = _SPEAKERS.get(message["type"])
    if speaker is None:
        return None
    event = {"type": "transcript", "speaker": speaker, "text": message["transcript"]}
    event["item_id"] = message["item_id"]
    return event | ({"interrupted": True} if message.get("interrupted") else {})


def tool_call(call: CallTool) -> Event:
    """A tool is called."""
    arguments = call.arguments[:MAX_TEXT]
    return {"type": "tool_call", "call_id": call.call_id, "name": call.name, "arguments": arguments}


def tool_result(call_id: str, output: str) -> Event:
    """A call of a tool has its output."""
    return {"type": "tool_result", "call_id": call_id, "output": output[:MAX_TEXT]}
