"""What every object of the Realtime API's JSON has in common.

Three things must not be lost between decoding an object and encoding it again: a field that this
version does not know (`Model.extra`), the difference between a field that is absent and one that
is null (`UNSET` and None), and an enumeration's value that is newer than this code (which is why
enumerations are plain strings here).
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

from attrs import field, frozen


class Unset(enum.Enum):
    """The type of `UNSET`, the value of an optional field that is absent."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET

T = TypeVar("T")
Maybe: TypeAlias = T | Unset | None
"""A field that may hold a value, be null, or be absent."""


@frozen(kw_only=True)
class Model:
    """An object of the Realtime API.

    :ivar extra: the fields that came on the wire and are not known here, by name, as JSON.
    """

    extra: Mapping[str, Any] = field(factory=dict, repr=False)
