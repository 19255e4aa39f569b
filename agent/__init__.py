"""A voice agent that joins an audio channel and speaks through a realtime model.

`run_agent` runs one agent, and an `Agent` is a hand on it while it runs; the rest is what it is
given and what it raises.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.config import Settings, load_settings
    from agent.errors import (
        AgentError,
        ChannelError,
        ConfigError,
        ModelError,
        ModelLost,
        ModelRefused,
        ModelUnreachable,
        NotInCall,
        RecordingError,
    )
    from agent.handle import Agent
    from agent.options import AgentOptions, OptionsError
    from agent.run import Recording, run_agent
    from agent.session import Outcome

__all__ = [
    "Agent",
    "AgentError",
    "AgentOptions",
    "ChannelError",
    "ConfigError",
    "ModelError",
    "ModelLost",
    "ModelRefused",
    "ModelUnreachable",
    "NotInCall",
    "OptionsError",
    "Outcome",
    "Recording",
    "RecordingError",
    "Settings",
    "load_settings",
    "run_agent",
]

_HOMES = {
    "Agent": "handle",
    "Settings": "config",
    "load_settings": "config",
    "AgentOptions": "options",
    "OptionsError": "options",
    "Recording": "run",
    "run_agent": "run",
    "Outcome": "session",
}


def __getattr__(name: str) -> Any:
    # Imported when first asked for: whoever imports one module of this package pays for no other.
    if name not in __all__:
        raise AttributeError(f"module 'agent' has no attribute {name!r}")
    return getattr(import_module(f"agent.{_HOMES.get(name, 'errors')}"), name)
