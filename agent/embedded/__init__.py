"""A realtime model that needs no key.

It speaks OpenAI's Realtime protocol (GA) over a WebSocket, so that an agent cannot tell it from
the real service: sessions, voice activity detection, turns, responses in real time and their
interruption, truncation, errors in the service's own words. What it cannot do is understand: it
recognises no words, and says so. It is there for demos, for tests, and for working on an agent
without paying for it.

`serve_stream` is the model behind any Trio stream, `converse` behind any socket of messages,
`Engine` without I/O.
"""

from agent.embedded.endpoint import ModelSocket, SocketClosed, converse
from agent.embedded.engine import Close, Engine
from agent.embedded.speaking import SpeechRequest
from agent.embedded.vad import SileroProbability, SpeechProbability
from agent.embedded.voice import EchoVoice, EspeakVoice, Voice, VoiceError, find_voice
from agent.embedded.websocket import serve_stream
from agent.embedded.words import Understanding

__all__ = [
    "Close",
    "EchoVoice",
    "Engine",
    "EspeakVoice",
    "ModelSocket",
    "SileroProbability",
    "SocketClosed",
    "SpeechProbability",
    "SpeechRequest",
    "Understanding",
    "Voice",
    "VoiceError",
    "converse",
    "find_voice",
    "serve_stream",
]
