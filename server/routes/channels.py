"""The WebSocket of a local channel."""

import trio
from quart import Blueprint

from server.connections.websockets import SocketClosed, Websocket, current_websocket
from server.relay.channels import MESSAGE_BYTES, Relay
from server.relay.member import Goodbye, Member


def channel_routes(relay: Relay) -> Blueprint:
    """`/channels/{name}?uid=N`, and `&agent=1` where the member is an agent."""
    routes = Blueprint("channels", __name__)

    # As a path, so that a name with a slash in it gets a close code and a reason like any bad name.
    @routes.websocket("/channels/<path:name>")
    async def channel(name: str) -> None:
        socket = current_websocket()
        await socket.accept_messages(MESSAGE_BYTES)
        try:
            is_agent = socket.args.get("agent") == "1"
            member = relay.join(name, socket.args.get("uid"), is_agent=is_agent)
        except Goodbye as goodbye:
            await socket.finish(goodbye.code, goodbye.reason)
            return
        await _attend(relay, member, socket)

    return routes


async def _attend(relay: Relay, member: Member, socket: Websocket) -> None:
    """See to one member until it leaves or is put out."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send, member, socket)
            nursery.start_soon(_receive, relay, member, socket, nursery.cancel_scope)
            await member.put_out.wait()
            nursery.cancel_scope.cancel()
    finally:
        relay.leave(member, "lost")
    if member.goodbye is not None:
        await socket.finish(member.goodbye.code, member.goodbye.reason)


async def _send(member: Member, socket: Websocket) -> None:
    while True:
        await socket.send_message(await member.next_message())


async def _receive(
    relay: Relay, member: Member, socket: Websocket, attendance: trio.CancelScope
) -> None:
    try:
        while True:
            relay.receive(member, await socket.receive())
    except SocketClosed as closed:
        # At once: the sending task can be stuck for a while on a socket that nobody reads.
        relay.leave(member, "quit" if closed.clean else "lost")
        attendance.cancel()
