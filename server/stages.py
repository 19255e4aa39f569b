"""How far the server is on its way out; read by the routes, set by run.py."""

import trio
from attrs import Factory, frozen


@frozen
class Stages:
    """Two steps, each an event.

    :ivar stopping: the agents are being stopped; no new one may be started.
    :ivar closing: the agents are gone; WebSockets are to be closed.
    """

    stopping: trio.Event = Factory(trio.Event)
    closing: trio.Event = Factory(trio.Event)
