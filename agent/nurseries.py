"""Who owns what when a call is cancelled, and what tasks wait for."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import trio

T = TypeVar("T")


@asynccontextmanager
async def outliving(
    keeper: trio.Nursery, resource: AbstractAsyncContextManager[T]
) -> AsyncIterator[T]:
    """Hold a resource in a task of another nursery, so that it can close in order.

    A WebSocket needs its reader task for the closing handshake. Entered in the caller's own scope
    the reader would die in the moment that the scope is cancelled, and the close would run into
    its timeout. Here the resource is entered and left by a task of `keeper`; cancelling the caller
    leaves the resource as ever, and waits for that. The resource bounds its own closing.

    :param keeper: a nursery outside of the scopes that the caller may be cancelled by.
    """
    release, released = trio.Event(), trio.Event()

    async def hold(*, task_status: trio.TaskStatus[T]) -> None:
        try:
            async with resource as held:
                task_status.started(held)
                await release.wait()
        finally:
            released.set()

    held: T = await keeper.start(hold)
    try:
        yield held
    finally:
        release.set()
        with trio.CancelScope(shield=True):
            await released.wait()


async def first_of(*events: trio.Event) -> None:
    """Wait until one of these has happened."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)
