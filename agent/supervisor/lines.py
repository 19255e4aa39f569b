"""JSON objects, a line each, over a stream: how a supervisor and its agent speak."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import orjson
import trio

MAX_LINE: Final = 2**20
"""Settings and options are a few kilobytes; the largest text in them is the instructions."""


async def send_line(stream: trio.abc.SendStream, value: dict[str, Any]) -> None:
    """Send one object.

    :raises trio.BrokenResourceError: the other side is gone.
    """
    await stream.send_all(orjson.dumps(value) + b"\n")


async def text_lines(stream: trio.abc.ReceiveStream, limit: int) -> AsyncGenerator[str, None]:
    """The lines of a stream, without their ends, until it ends.

    :param limit: bytes of a line; a longer one comes in pieces of that size.
    """
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        while len(rest) >= limit:
            yield rest[:limit].decode(errors="replace")
            rest = rest[limit:]
    if rest:
        yield rest.decode(errors="replace")


async def receive_lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[dict[str, Any], None]:
    """The objects that come, until the other side has gone.

    Both sides are ours: a line that is cut short by the other's death is all that can be amiss.
    """
    try:
        async with aclosing(text_lines(stream, MAX_LINE)) as lines:
            async for line in lines:
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError:
                    return
                if isinstance(value, dict):
                    yield value
    except trio.BrokenResourceError:
        return
