"""Plans a response: what it answers, which functions it calls, and what it says.

A response that calls functions says nothing, but for models that reason: these say first that
they look. Once a turn had its calls, it has no more of them: the model tells what the functions
answered, or that it still waits. Only a `response.create` whose own `tool_choice` forces a call
has one again.
"""

from collections.abc import Sequence
from typing import Any, Final

from attrs import evolve

from agent.embedded.answers.calls import Asked, calls_for
from agent.embedded.answers.reply_objects import Calling, Plan, Planned, Saying
from agent.embedded.answers.words import LOOKING, Answered, Cue, Wording, say_exactly
from agent.embedded.forms.refusals import Refusal
from agent.embedded.history import Entry, History
from agent.embedded.items import entry_of
from agent.embedded.outbox import NewId
from agent.embedded.settings import Json, input_format
from agent.embedded.usage import Read, prompt_tokens
from agent.protocol.base import UNSET
from agent.protocol.codec import from_json, to_json
from agent.protocol.items import ResponseItemReference
from agent.protocol.response import RealtimeResponseCreateParams
from agent.protocol.session import RealtimeSessionCreateRequest
from agent.protocol.tools import Tool, ToolChoice

_REASONING_MODELS: Final = "gpt-realtime-2"
_CALL_ID_CHARACTERS: Final = 16


class Planner:
    """Plans the responses of one session.

    :param wording: finds the words of an answer.
    """

    def __init__(self, *, history: History, new_id: NewId, wording: Wording) -> None:
        self._history = history
        self._new_id = new_id
        self._wording = wording
        self._conversation_id = new_id("conv_")
        self._read = Read()

    def plan(
        self, params: RealtimeResponseCreateParams, session: Json, heard: bytes, answers: int
    ) -> Plan:
        """What the response to these parameters is to be.

        :param heard: the person's last turn, pcm16 24 kHz.
        :param answers: how many responses with words there were before.
        :raises Refusal: the input refers to an item that there is not.
        """
        context = self._context(params, session)
        own_audio: Any = to_json(params.audio) if params.audio else {}
        own_output = {k: v for k, v in own_audio.get("output", {}).items() if v is not None}
        output = session["audio"]["output"] | own_output
        reasons = session["model"].startswith(_REASONING_MODELS)
        return Plan(
            response_id=self._new_id("resp_"),
            conversation_id=None if params.conversation == "none" else self._conversation_id,
            outputs=self._outputs(params, session, context, answers, reasons=reasons),
            is_text=list(params.output_modalities or session["output_modalities"]) == ["text"],
            output={name: output[name] for name in ("format", "voice")},
            speed=output["speed"],
            heard=heard,
            limit=params.max_output_tokens or session["max_output_tokens"],
            metadata=params.metadata or None,
            # The service was seen to say null for the first answer of a session.
            tells_previous=answers > 0,
            read=self._reading(params, session, context),
            reasons=reasons,
        )

    def _context(self, params: RealtimeResponseCreateParams, session: Json) -> History:
        """What is answered: the conversation, or the input that came in its place."""
        if params.input is UNSET or params.input is None:
            return self._history
        context = History()
        for index, item in enumerate(params.input):
            if isinstance(item, ResponseItemReference):
                entry = self._referred(item.id, f"response.input[{index}].id")
            else:
                entry = entry_of(item, "", input_format(session))
            context.add(evolve(entry, id=str(index)))
        return context

    def _referred(self, item_id: str, path: str) -> Entry:
        entry = self._history.get(item_id)
        if entry is None:
            # The service's own code and words for this are not known.
            message = f"Item with id '{item_id}' not found in conversation."
            raise Refusal("item_not_found", message, path)
        return entry

    def _reading(
        self, params: RealtimeResponseCreateParams, session: Json, context: History
    ) -> Read:
        tools = to_json(params.tools) if _has_own_tools(params) else session["tools"]
        prompt = prompt_tokens(params.instructions or session["instructions"], tools)
        texts, audio = context.tokens()
        read = Read(texts + prompt, audio)
        if context is not self._history or params.instructions or _has_own_tools(params):
            # It begins with something else: nothing of that is cached.
            return read
        self._read, before = read, self._read
        return read.after(before)

    # -- what it is made of ----------------------------------------------------------------------

    def _outputs(
        self,
        params: RealtimeResponseCreateParams,
        session: Json,
        context: History,
        answers: int,
        *,
        reasons: bool,
    ) -> tuple[Planned, ...]:
        cue = self._cue(context, say_exactly(params.instructions or None))
        asked = _asked(params, session, cue)
        if asked and reasons:
            cue = Cue(heard=cue.heard, told=cue.told or (LOOKING,))
        utterances = self._wording(cue, answers) if reasons or not asked else ()
        phases: list[str | None] = [None] * len(utterances)
        if reasons:
            phases = ["commentary"] * len(utterances)
            phases[-1:] = ["commentary" if asked else "final_answer"]
        messages = [
            Saying(self._new_id("item_"), words, phase)
            for words, phase in zip(utterances, phases, strict=True)
        ]
        return (*messages, *map(self._calling, asked))

    def _calling(self, asked: Asked) -> Calling:
        call_id = f"call_{self._new_id('')[-_CALL_ID_CHARACTERS:]}"
        return Calling(self._new_id("item_"), call_id, asked.name, asked.arguments)

    def _cue(self, context: History, told: tuple[str, ...]) -> Cue:
        entries = context.unanswered()
        outputs = [entry for entry in entries if entry.role == "function_call_output"]
        if outputs:
            answered = [Answered(self._called(context, e.call_id), e.text) for e in outputs]
            return Cue(answered=tuple(answered), told=told)
        calls = [e for e in entries if e.role == "function_call" and e.is_complete]
        if calls:
            return Cue(awaited=tuple(entry.name or "" for entry in calls), told=told)
        if not entries or entries[0].role != "user":
            return Cue(told=told)
        newest = entries[0]
        if newest.speech_seconds is not None:
            return Cue(heard=newest.speech_seconds, said=newest.said, told=told)
        return Cue(typed=newest.text or None, told=told)

    def _called(self, context: History, call_id: str | None) -> str:
        return context.called(call_id) or self._history.called(call_id) or "The function"


def _has_own_tools(params: RealtimeResponseCreateParams) -> bool:
    return params.tools is not UNSET and params.tools is not None


def _asked(params: RealtimeResponseCreateParams, session: Json, cue: Cue) -> tuple[Asked, ...]:
    """The calls that the words, the tools and the choice among them want."""
    declared = from_json(
        {"tools": session["tools"], "tool_choice": session["tool_choice"]},
        RealtimeSessionCreateRequest,
    )
    tools: Sequence[Tool] = (params.tools if _has_own_tools(params) else declared.tools) or ()
    own_choice = params.tool_choice or None
    choice: ToolChoice = own_choice or declared.tool_choice or "auto"
    is_forced = own_choice not in (None, "auto")
    if (cue.answered or cue.awaited) and not is_forced:
        return ()
    if cue.told and choice == "auto":
        return ()
    asked = calls_for(cue.said or cue.typed or "", tools, choice)
    return asked[:1] if params.parallel_tool_calls is False else asked
