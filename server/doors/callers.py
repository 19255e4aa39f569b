"""Who calls: who holds a key, or a ticket, or where no key is needed anyone of this machine."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeAlias

from attrs import field, frozen
from quart import Request, Websocket

from server.doors.auth import Keys
from server.doors.tickets import PREFIX, TicketExpired, TicketInvalid, Tickets

Call: TypeAlias = Request | Websocket
# What people call a key in a URL. Said to be one, it is refused as such even if it is wrong.
_NAMES_OF_KEYS: Final = frozenset(
    {"key", "api_key", "apikey", "api-key", "token", "access_token", "authorization", "bearer"}
)
_QUERY_VALUES: Final = 8
_HOW: Final = "A valid key is needed: Authorization: Bearer KEY"


class Refused(Exception):
    """The caller may not do this.

    :ivar code: the answer's.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


@frozen
class Caller:
    """Who calls.

    :ivar key: what was sent, or what the ticket was minted with; None where none is needed.
    :ivar channel_name: of the ticket; None if it is no ticket.
    :ivar profile: of the agents that the ticket starts.
    :ivar is_own: an agent that this server has started.
    """

    key: str | None = field(default=None, repr=False)
    channel_name: str | None = None
    profile: str | None = None
    is_own: bool = False


class Callers:
    """Tells callers by what they send."""

    def __init__(self, keys: Keys, tickets: Tickets) -> None:
        self.keys, self.tickets = keys, tickets

    def admits(self, authorization: str | None) -> bool:
        """Whether a call with this header may be answered, and not only the page's own files."""
        try:
            self._of_header(authorization or "")
        except Refused:
            return not self.keys.needed
        return True

    def key_of(self, authorization: str | None) -> str:
        """The key that was sent; where none is needed, and none was, the server's own."""
        return self.keys.find(_bearer(authorization or "")) or self.keys.own

    def refuse_key_in_query(self, call: Call) -> None:
        """A URL ends up in logs and histories, and so would a key that is in one.

        :raises Refused: there is one that is right.
        """
        values = (value for each in call.args.listvalues() for value in each)
        # No call of ours has more; and each costs time, also of whoever has no key.
        if any(self.keys.find(value) for value in islice(values, _QUERY_VALUES)):
            raise _key_in_query()

    def identify(self, call: Call, *, by_query: bool) -> Caller:
        """Who calls.

        :param by_query: whether a ticket may be in the query: where browsers set no headers.
        :raises Refused: nobody whom we know.
        """
        sent = call.headers.getlist("Authorization")
        tickets = call.args.getlist("ticket") if by_query else []
        if not self.keys.needed and not _has_ticket(sent, tickets):
            return Caller(is_own=bool(sent) and self.keys.find(_bearer(sent[0])) == self.keys.own)
        if len(sent) > 1:
            # A proxy in front may have looked at the other.
            raise Refused(401, "unauthorized", "There is more than one Authorization header")
        if sent:
            return self._of_header(sent[0])
        if len(tickets) == 1:
            return self._of_ticket(tickets[0])
        if _NAMES_OF_KEYS & _folded(call.args):
            raise _key_in_query()
        raise Refused(401, "unauthorized", _HOW)

    def _of_header(self, authorization: str) -> Caller:
        given = _bearer(authorization)
        key = self.keys.find(given)
        if key is not None:
            return Caller(key, is_own=key == self.keys.own)
        if not given.startswith(PREFIX):
            raise Refused(401, "unauthorized", _HOW)
        return self._of_ticket(given)

    def _of_ticket(self, text: str) -> Caller:
        try:
            ticket = self.tickets.read(text)
        except TicketExpired:
            raise Refused(401, "ticket_expired", "The ticket has expired: get another") from None
        except TicketInvalid:
            raise Refused(401, "ticket_invalid", "The ticket is not valid: get another") from None
        return Caller(ticket.key, ticket.channel_name, ticket.profile)


def _has_ticket(sent: list[str], in_query: list[str]) -> bool:
    return bool(in_query) or any(_bearer(each).startswith(PREFIX) for each in sent)


def _bearer(authorization: str) -> str:
    """What a Bearer header holds; nothing if it is another."""
    scheme, _, given = authorization.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _folded(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names}


def _key_in_query() -> Refused:
    return Refused(401, "key_in_query", f"A key in a URL is refused. {_HOW}")
