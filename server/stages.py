"""How far the server is on its way out; read by the routes, set by run.py."""

import trio
from attrs import Factory, frozen


@frozen
class Stages:
    """Steps, each an event.

    :ivar draining: no new agent may be started; those that run may go on.
    :ivar stopping: the agents are being stopped.
    :ivar closing: the agents are gone; WebSockets are to be closed.
    """

    draining: trio.Event = Factory(trio.Event)
    stopping: trio.Event = Factory(trio.Event)
    closing: trio.Event = Factory(trio.Event)
