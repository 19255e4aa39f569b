"""How what runs here is ended from outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def until(stopping: trio.Event | None) -> AsyncIterator[None]:
    """A block that is cancelled once the event is set; what follows the block goes on.

    :param stopping: None: it is never set.
    """
    async with trio.open_nursery() as nursery:
        if stopping is not None:
            nursery.start_soon(_cancel_after, stopping, nursery.cancel_scope)
        yield
        nursery.cancel_scope.cancel()


async def _cancel_after(stopping: trio.Event, block: trio.CancelScope) -> None:
    await stopping.wait()
    block.cancel()
