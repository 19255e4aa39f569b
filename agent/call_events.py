"""The events of a call, as its operator gets them: JSON objects with a `type`.

- `transcript`: {speaker: `user` or `agent`, text, item_id}; an answer that was cut short has
  `interrupted` and ends where the person ceased to hear it; what was typed has `typed` in the place
  of an item.
- `tool_call`: {tool_call_id, name, arguments}, and `tool_result`: {tool_call_id, output}; these are
  JSON texts, of which the beginning is told.
- What tools report has the types that they give it, such as `transfer_note`; not one of these.
- `turn`: {latency_ms}, from the end of the person's turn to the first frame of its answer, and
  `barge_in`: {latency_ms, cause: `speech` or `text`}, from the event that interrupts to silence;
  what is in them: `agent.latency`.
- `metrics`: what was counted so far, see `agent.figures`; every few seconds, and at the end.
- `call_record`: how the call ended, once, the last event of all; see `agent.call_record`.
"""

from typing import Any, Final, TypeAlias

from agent.protocol.actions import CallTool, Cause

Event: TypeAlias = dict[str, Any]

MAX_TEXT: Final = 1000
"""Characters of arguments and outputs that are told."""
OWN_TYPES: Final = frozenset(
    {
        "transcript",
        "tool_call",
        "tool_result",
        "turn",
        "barge_in",
        "metrics",
        "call_record",
        "state",
        "events_dropped",
        "events_missed",
    }
)
"""What a tool may not report: records and figures are made of these, and the supervisor's own."""
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


def typed(text: str) -> Event:
    """The person has typed this."""
    return {"type": "transcript", "speaker": "user", "text": text, "typed": True}


def tool_call(call: CallTool) -> Event:
    """A tool is called."""
    return {
        "type": "tool_call",
        "tool_call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments[:MAX_TEXT],
    }


def tool_result(call_id: str, output: str) -> Event:
    """A call of a tool has its output."""
    return {"type": "tool_result", "tool_call_id": call_id, "output": output[:MAX_TEXT]}


def turn(latency_s: float) -> Event:
    """An answer begins to be heard, so long after the person's turn."""
    return {"type": "turn", "latency_ms": round(latency_s * 1000, 3)}


def barge_in(latency_s: float, cause: Cause) -> Event:
    """The person has interrupted the agent, which was silent so long after."""
    return {"type": "barge_in", "latency_ms": round(latency_s * 1000, 3), "cause": cause.value}
