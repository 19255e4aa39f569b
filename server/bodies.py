"""Request bodies: JSON objects, whatever the Content-Type says they are."""

from typing import Any, Final, TypeVar

import orjson
from attrs import field, fields, frozen
from cattrs.errors import BaseValidationError
from quart import Request

from agent.checks import check, in_range
from agent.options import MAX_UID, AgentOptions, OptionsError, options_from_json
from agent.strict import faults, strict_converter

BODY_BYTES: Final = 64 * 1024
"""The longest body; long enough for any instructions."""
TICKET_S: Final = 300
"""How long a ticket is good for: the page has to be loaded, and a person has to press Start."""
# An hour is no short life any more: then get one when it is needed.
_TICKET_RANGE_S: Final = (10, 3600)
# No option is nested as deep. Far deeper ones would exhaust Python's stack where they are copied.
_DEPTH: Final = 32
_CONVERTER: Final = strict_converter(forbid_extra_keys=True)
_T = TypeVar("_T")
# Of two users with the same uid Agora puts one out.
_one_user = check(
    lambda uid: 1 <= uid <= MAX_UID,
    f"must be 1 to {MAX_UID}; a token for 0, which is any uid, could put the agent out",
)


class BadBody(Exception):
    """A body is at fault.

    :ivar details: (path, message) pairs.
    """

    def __init__(self, details: list[tuple[str, str]]) -> None:
        super().__init__(str(details))
        self.details = details


@frozen(kw_only=True)
class StopRequest:
    """The body of `POST /stop_agent`."""

    channel_name: str


@frozen(kw_only=True)
class TokenRequest:
    """The body of `POST /agora_token`."""

    channel_name: str = field(validator=fields(AgentOptions).channel_name.validator)
    uid: int = field(validator=_one_user)


@frozen(kw_only=True)
class TicketRequest:
    """The body of `POST /tickets`.

    :ivar profile: of an agent that is started by the ticket, which cannot name one itself.
    """

    channel_name: str = field(validator=fields(AgentOptions).channel_name.validator)
    ttl_s: int = field(default=TICKET_S, validator=in_range(*_TICKET_RANGE_S))
    profile: str | None = None


def check_options(body: dict[str, Any], given: dict[str, Any]) -> AgentOptions:
    """An agent's options, where `uid` must be in the request itself.

    :param body: the request's.
    :param given: the same, with what else there is: a profile's options.
    :raises BadBody: they are something else.
    """
    # On the command line 0 (any uid) is a good default. A client must know whom to expect.
    # Empty means unset, as it does for all options.
    missing = [("uid", "missing")] if body.get("uid", "") == "" else []
    try:
        options = options_from_json(given)
    except OptionsError as error:
        raise BadBody(error.faults + missing) from error
    if missing:
        raise BadBody(missing)
    return options


async def read_stop(request: Request) -> StopRequest:
    """The body of `POST /stop_agent`.

    :raises BadBody: it is something else.
    """
    return await _read(request, StopRequest)


async def read_token_request(request: Request) -> TokenRequest:
    """The body of `POST /agora_token`.

    :raises BadBody: it is something else.
    """
    return await _read(request, TokenRequest)


async def read_ticket_request(request: Request) -> TicketRequest:
    """The body of `POST /tickets`.

    :raises BadBody: it is something else.
    """
    return await _read(request, TicketRequest)


async def _read(request: Request, wanted: type[_T]) -> _T:
    try:
        return _CONVERTER.structure(await read_object(request), wanted)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise BadBody(faults(error)) from error


async def read_object(request: Request) -> dict[str, Any]:
    """The body of any request.

    :raises BadBody: it is no JSON object.
    """
    try:
        body = orjson.loads(await request.get_data())
    except orjson.JSONDecodeError as error:
        raise BadBody([("", f"not JSON: {error}")]) from None
    if not isinstance(body, dict):
        raise BadBody([("", "expected an object")])
    if not _is_shallow(body, _DEPTH):
        raise BadBody([("", f"nested deeper than {_DEPTH} levels")])
    return body


def _is_shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in inner)
