"""A realtime model that needs no key.

It speaks OpenAI's Realtime protocol over a WebSocket, so that an agent cannot tell it from the real
service: sessions, voice activity detection, turns, responses in real time and their interruption,
truncation, errors in the service's own words. What it cannot do is understand: it recognises no
words, and says so. It is there for demos, for tests, and for working on an agent without paying
for it.

`serve_stream` is the model behind any Trio stream, `converse` behind any socket of messages,
`Engine` without I/O; `python -m agent.embedded` serves it by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.embedded.answers.speaking import SpeechRequest
    from agent.embedded.answers.voice import EchoVoice, EspeakVoice, Voice, VoiceError, find_voice
    from agent.embedded.answers.words import Understanding
    from agent.embedded.engine import Close, Engine
    from agent.embedded.faults.plan import FaultPlan, faults_from_json, read_faults
    from agent.embedded.person.vad import SileroProbability, SpeechProbability
    from agent.embedded.scripts import read_script, script
    from agent.embedded.wire.admission import Applicant, applicant
    from agent.embedded.wire.endpoint import ModelOptions, converse
    from agent.embedded.wire.model_socket import ModelSocket, SocketClosed
    from agent.embedded.wire.websocket import serve_stream

__all__ = [
    "Applicant",
    "Close",
    "EchoVoice",
    "Engine",
    "EspeakVoice",
    "FaultPlan",
    "ModelOptions",
    "ModelSocket",
    "SileroProbability",
    "SocketClosed",
    "SpeechProbability",
    "SpeechRequest",
    "Understanding",
    "Voice",
    "VoiceError",
    "applicant",
    "converse",
    "faults_from_json",
    "find_voice",
    "read_faults",
    "read_script",
    "script",
    "serve_stream",
]

_HOMES = {
    "Applicant": "wire.admission",
    "applicant": "wire.admission",
    "ModelOptions": "wire.endpoint",
    "converse": "wire.endpoint",
    "Close": "engine",
    "Engine": "engine",
    "FaultPlan": "faults.plan",
    "faults_from_json": "faults.plan",
    "read_faults": "faults.plan",
    "ModelSocket": "wire.model_socket",
    "SocketClosed": "wire.model_socket",
    "read_script": "scripts",
    "script": "scripts",
    "SpeechRequest": "answers.speaking",
    "SileroProbability": "person.vad",
    "SpeechProbability": "person.vad",
    "serve_stream": "wire.websocket",
    "Understanding": "answers.words",
}


def __getattr__(name: str) -> Any:
    # Imported when first asked for: the command must be able to say in one line what is not
    # installed, and to hold signals back, before the slow imports.
    if name not in __all__:
        raise AttributeError(f"module 'agent.embedded' has no attribute {name!r}")
    return getattr(import_module(f"agent.embedded.{_HOMES.get(name, 'answers.voice')}"), name)
