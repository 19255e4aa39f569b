"""The embedded model as the operator has set it."""

from pathlib import Path

from agent.config import Settings
from agent.embedded.faults.plan import read_faults
from agent.embedded.scripts import read_script
from agent.embedded.wire.endpoint import ModelOptions
from agent.errors import ConfigError


def options_of(settings: Settings) -> ModelOptions:
    """The script and the fault plan that the settings name, read now.

    :raises ConfigError: one cannot be read, or is bad; the text names the setting.
    """
    options = ModelOptions()
    try:
        name = "EMBEDDED_SCRIPT"
        if settings.embedded_script is not None:
            options["understand"] = read_script(Path(settings.embedded_script))
        name = "EMBEDDED_FAULTS"
        if settings.embedded_faults is not None:
            options["faults"] = read_faults(Path(settings.embedded_faults))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    return options
