"""Request bodies: JSON objects, whatever the Content-Type says they are."""

from typing import Any, Final

import orjson
from attrs import frozen
from cattrs.errors import BaseValidationError
from quart import Request

from agent.options import AgentOptions, OptionsError, options_from_json
from agent.strict import faults, strict_converter

BODY_BYTES: Final = 64 * 1024
"""The longest body; long enough for any instructions."""
# No option is nested as deep. Far deeper ones would exhaust Python's stack where they are copied.
_DEPTH: Final = 32
_CONVERTER: Final = strict_converter(forbid_extra_keys=True)


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


async def read_options(request: Request) -> AgentOptions:
    """The body of `POST /start_agent`: any option of an agent, and `uid` must be there.

    :raises BadBody: it is something else.
    """
    body = await _read_object(request)
    # On the command line 0 (any uid) is a good default. A client must know whom to expect.
    # Empty means unset, as it does for all options.
    missing = [("uid", "missing")] if body.get("uid", "") == "" else []
    try:
        options = options_from_json(body)
    except OptionsError as error:
        raise BadBody(error.faults + missing) from error
    if missing:
        raise BadBody(missing)
    return options


async def read_stop(request: Request) -> StopRequest:
    """The body of `POST /stop_agent`.

    :raises BadBody: it is something else.
    """
    try:
        return _CONVERTER.structure(await _read_object(request), StopRequest)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise BadBody(faults(error)) from error


async def _read_object(request: Request) -> dict[str, Any]:
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
