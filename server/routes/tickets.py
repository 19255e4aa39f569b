"""Tickets: a backend asks for one with its key, and gives it to its user's browser."""

from typing import TypedDict

from quart import Blueprint, Response, request

from server.answers import answer
from server.bodies import TicketRequest, read_ticket_request
from server.doors.callers import Callers
from server.openapi.operations import Says, Takes, describes
from server.starting import Starter


class Ticket(TypedDict):
    """What a browser gets in place of a key.

    :ivar expires_at: seconds since 1970.
    """

    ticket: str
    channel_name: str
    expires_at: int


def ticket_routes(callers: Callers, starter: Starter) -> Blueprint:
    """`/tickets`. The guard lets no ticket ask for another."""
    routes = Blueprint("tickets", __name__)

    @routes.post("/tickets")
    @describes(
        "Makes a ticket for a browser",
        {200: Says("it is good for that channel", Ticket)},
        (400, "invalid_request"),
        body=Takes(TicketRequest),
    )
    async def tickets() -> Response:
        wanted = await read_ticket_request(request)
        profile = wanted.profile or None
        await starter.profile(profile)
        key = callers.key_of(request.headers.get("Authorization"))
        ticket, expires_at = callers.tickets.mint(
            key, wanted.channel_name, wanted.ttl_s, profile=profile
        )
        told = Ticket(ticket=ticket, channel_name=wanted.channel_name, expires_at=expires_at)
        return answer(told)

    return routes
