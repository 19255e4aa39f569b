"""What a fault plan can do to a session: one class for each effect."""

from typing import Final, TypeAlias

from attrs import field, frozen

from agent.checks import BadField, check, in_range, one_of

MAX_SECONDS: Final = 3600
"""The longest session, and so the longest wait."""
MAX_COPIES: Final = 100
NONSENSE: Final = ("truncated", "not_json", "wrong_types", "nested", "binary")

_SORRY: Final = "The server had an error while processing your request. Sorry about that!"
_RESERVED_CODES: Final = frozenset({1004, 1005, 1006})

_seconds: Final = in_range(0, MAX_SECONDS)
_close_code = check(
    lambda value: (1000 <= value <= 1014 and value not in _RESERVED_CODES) or 3000 <= value <= 4999,
    "must be a code that a close frame may carry: 1000 to 1014 but 1004 to 1006, or 3000 to 4999",
)
_close_reason = check(lambda value: len(value.encode()) <= 123, "must be 123 bytes or less")


@frozen
class Delay:
    """From now on every message leaves `seconds` after its time, in order; 0 ends that."""

    seconds: float = field(validator=_seconds)


@frozen
class Stall:
    """Nothing is sent for `seconds`, or for ever (None); the socket stays open.

    What a stall that ends has held back goes out at once then.
    """

    seconds: float | None = field(default=None, validator=_seconds)


@frozen
class Drop:
    """The connection is cut without a close frame."""


@frozen
class CloseSocket:
    """The server closes the WebSocket."""

    code: int = field(default=1011, validator=_close_code)
    reason: str = field(default="", validator=_close_reason)


@frozen
class Duplicate:
    """The message is sent again, `copies` times, at once."""

    copies: int = field(default=1, validator=in_range(1, MAX_COPIES))


@frozen
class Late:
    """The message is sent `seconds` later, out of order; `again`: now as well."""

    seconds: float = field(validator=_seconds)
    again: bool = False


@frozen
class Malformed:
    """Nonsense in the place of the message, or before it.

    :ivar kind: of what kind it is made up; None: the seed decides.
    :ivar text: the nonsense itself, in place of made up one.
    :ivar instead: whether the message itself is lost.
    """

    kind: str | None = field(default=None, validator=one_of(*NONSENSE))
    text: str | None = None
    instead: bool = True

    def __attrs_post_init__(self) -> None:
        if self.kind is not None and self.text is not None:
            raise BadField("kind", "must not stand beside text")


@frozen(kw_only=True)
class SendError:
    """An `error` event; without an `event_id` it answers the client's event that set it off."""

    type: str = "server_error"
    code: str | None = None
    message: str = _SORRY
    param: str | None = None
    event_id: str | None = None


@frozen(kw_only=True)
class Fail:
    """The response, or the transcription, fails: insufficient_quota, rate_limit_exceeded and such.

    :ivar type: of the error, as the rest.
    """

    type: str = "server_error"
    code: str | None = None
    message: str = _SORRY


@frozen
class Lose:
    """The message does not arrive."""


OnMessage: TypeAlias = Duplicate | Late | Malformed | Lose
Effect: TypeAlias = OnMessage | Delay | Stall | Drop | CloseSocket | SendError | Fail

EFFECTS: Final[dict[str, type]] = {
    "delay": Delay,
    "stall": Stall,
    "drop": Drop,
    "close": CloseSocket,
    "duplicate": Duplicate,
    "late": Late,
    "malformed": Malformed,
    "error": SendError,
    "fail": Fail,
    "lose": Lose,
}
