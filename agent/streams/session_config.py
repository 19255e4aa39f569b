"""The options of an agent as the session that it asks the model for."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from agent.audio import SAMPLE_RATE
from agent.options import AgentOptions, default_instructions
from agent.protocol.base import UNSET
from agent.protocol.interruption import Interruptions
from agent.protocol.session import (
    AudioFormat,
    AudioTranscription,
    NoiseReduction,
    RealtimeAudioConfig,
    RealtimeAudioConfigInput,
    RealtimeAudioConfigOutput,
    RealtimeReasoning,
    RealtimeSessionCreateRequest,
    VoiceID,
)
from agent.protocol.tools import Tool

BETA_TEMPERATURE: Final = 0.8
"""What Agora's earlier sample asked for, and the beta interface's own default."""

_log = logging.getLogger(__name__)


def session_of(
    options: AgentOptions, *, dialect: str = "ga", tools: Sequence[Tool] = ()
) -> RealtimeSessionCreateRequest:
    """What `session.update` asks for. What is unset in the options is not sent.

    :param tools: what the model may call.
    :param dialect: of the server, `ga` or `beta`. Only beta knows a temperature; only GA has
        objects for custom voices.
    """
    return RealtimeSessionCreateRequest(
        type="realtime",
        instructions=options.system_instruction or default_instructions(options.language),
        output_modalities=_set(options.output_modalities),
        audio=RealtimeAudioConfig(input=_input(options), output=_output(options, dialect)),
        tools=tuple(tools) or UNSET,
        tool_choice=_set(options.tool_choice),
        max_output_tokens=_set(options.max_output_tokens),
        reasoning=_set(
            options.reasoning_effort and RealtimeReasoning(effort=options.reasoning_effort)
        ),
        prompt=_set(options.prompt),
        tracing=_set(options.tracing),
        truncation=_set(options.truncation),
        include=_set(options.include),
        extra=_temperature(options.temperature, dialect),
    )


def _temperature(wanted: float | None, dialect: str) -> dict[str, Any]:
    if dialect == "beta":
        return {"temperature": BETA_TEMPERATURE if wanted is None else wanted}
    if wanted is not None:
        _log.warning("temperature is left out: the GA interface does not know it")
    return {}


def _input(options: AgentOptions) -> RealtimeAudioConfigInput:
    transcription = options.transcription_model and AudioTranscription(
        model=options.transcription_model, language=options.language
    )
    return RealtimeAudioConfigInput(
        format=_format(options),
        transcription=transcription or None,
        turn_detection=Interruptions(options.turn_detection, options.least_speech).asked_for,
        noise_reduction=_set(
            options.noise_reduction and NoiseReduction(type=options.noise_reduction)
        ),
    )


def _output(options: AgentOptions, dialect: str) -> RealtimeAudioConfigOutput:
    # OpenAI's ids of custom voices begin so; a name stands for itself.
    is_custom = dialect == "ga" and options.voice.startswith("voice_")
    return RealtimeAudioConfigOutput(
        format=_format(options),
        voice=VoiceID(id=options.voice) if is_custom else options.voice,
        speed=_set(options.speed),
    )


def _format(options: AgentOptions) -> AudioFormat:
    # G.711 has one rate, which is not said.
    is_pcm = options.audio_format == "audio/pcm"
    return AudioFormat(type=options.audio_format, rate=SAMPLE_RATE if is_pcm else UNSET)


def _set(value: Any) -> Any:
    return UNSET if value is None else value
