"""What the models that are imitated take and give, as documented."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen


@frozen
class ModelLimits:
    """Tokens of one model.

    :ivar window: all that it has before it, its answer with it.
    :ivar output: of one answer.
    """

    window: int
    output: int

    @property
    def context(self) -> int:
        """What it takes; beyond it the oldest items are forgotten."""
        return self.window - self.output


USUAL: Final = ModelLimits(window=32_768, output=4_096)
_BY_MODEL: Final[Mapping[str, ModelLimits]] = {
    "gpt-realtime-2": ModelLimits(window=128_000, output=32_000),
}
"""By the beginning of the model's name."""


def limits_of(model: str) -> ModelLimits:
    """The limits of the model of this name; an unknown one has those of most."""
    found = (limits for name, limits in _BY_MODEL.items() if model.startswith(name))
    return next(found, USUAL)
