"""The options of an agent as the session that it asks the model for."""

import logging
from typing import Any

from agent.audio import SAMPLE_RATE
from agent.options import AgentOptions, default_instructions
from agent.protocol.base import UNSET
from agent.protocol.session import (
    AudioFormat,
    AudioTranscription,
    NoiseReduction,
    RealtimeAudioConfig,
    RealtimeAudioConfigInput,
    RealtimeAudioConfigOutput,
    RealtimeSessionCreateRequest,
)

_log = logging.getLogger(__name__)


def session_of(options: AgentOptions) -> RealtimeSessionCreateRequest:
    """What `session.update` asks for. What is unset in the options is not sent."""
    if options.temperature is not None:
        _log.warning("temperature is left out: the GA interface does not know it")
    return RealtimeSessionCreateRequest(
        type="realtime",
        instructions=options.system_instruction or default_instructions(options.language),
        output_modalities=_set(options.output_modalities),
        audio=RealtimeAudioConfig(input=_input(options), output=_output(options)),
        tool_choice=_set(options.tool_choice),
        max_output_tokens=_set(options.max_output_tokens),
        reasoning=_set(options.reasoning_effort and {"effort": options.reasoning_effort}),
        prompt=_set(options.prompt),
        tracing=_set(options.tracing),
        truncation=_set(options.truncation),
        include=_set(options.include),
    )


def _input(options: AgentOptions) -> RealtimeAudioConfigInput:
    transcription = options.transcription_model and AudioTranscription(
        model=options.transcription_model, language=options.language
    )
    return RealtimeAudioConfigInput(
        format=_PCM,
        transcription=transcription or None,
        turn_detection=options.turn_detection,
        noise_reduction=_set(
            options.noise_reduction and NoiseReduction(type=options.noise_reduction)
        ),
    )


def _output(options: AgentOptions) -> RealtimeAudioConfigOutput:
    # OpenAI's ids of custom voices begin so; a name stands for itself.
    voice = {"id": options.voice} if options.voice.startswith("voice_") else options.voice
    return RealtimeAudioConfigOutput(format=_PCM, voice=voice, speed=_set(options.speed))


_PCM = AudioFormat(type="audio/pcm", rate=SAMPLE_RATE)


def _set(value: Any) -> Any:
    return UNSET if value is None else value
