"""How the SDK's classes take calls: each is noted, may be refused, and may take its time."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar, cast

from . import CLOUD

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Released")
RELEASED = -1


class Released:
    """What has a `release`, after which it may not be used.

    :ivar is_released: whether that was called.
    """

    is_released = False


def sdk_call(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that programs call. The SDK's own code calls what is behind it instead."""
    name = method.__qualname__

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        arguments = (*args, *kwargs.values())
        CLOUD.enter(name, arguments, is_released=self.is_released)
        if self.is_released:
            return cast("R", RELEASED)
        if name in CLOUD.plan.returns:
            return cast("R", CLOUD.plan.returns[name])
        return method(self, *args, **kwargs)

    return call
