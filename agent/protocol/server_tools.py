"""Tools of MCP servers that the model's own server calls: what we are asked, and what follows.

- A request for an approval is answered once, by the operator's policy; without one it is refused,
  and so it is where the person has interrupted the response that it is of.
- The model does not go on by itself when such a call has ended, whether it ended well or not: it is
  asked to, as after our own tools (OpenAI's own agents SDK does it so).
"""

from collections.abc import Callable, Iterable
from typing import Final

from attrs import define, evolve, field

from agent.protocol.actions import Action, Note, Send
from agent.protocol.client_events import ConversationItemCreateEvent
from agent.protocol.items import RealtimeMcpApprovalRequest, RealtimeMcpApprovalResponse
from agent.protocol.responses import keep_newest

MAX_NAMES: Final = 256
"""Requests and calls that are remembered, because the server tells of each several times."""
NOT_ALLOWED: Final = "the operator does not allow it"
NOT_WANTED: Final = "the person interrupted"


def approve_nothing(_: str, __: str) -> bool:
    """The policy where the operator has none."""
    return False


@define
class ServerTools:
    """The calls of one conversation's MCP servers.

    :param new_id: makes ids for the events and the items that are sent.
    :ivar approves: whether a tool (server's label, tool's name) may be called when we are asked.
    """

    new_id: Callable[[], str]
    approves: Callable[[str, str], bool] = approve_nothing
    _answered: dict[str, None] = field(factory=dict)
    _ended: dict[str, None] = field(factory=dict)

    def asked(
        self, item: RealtimeMcpApprovalRequest, *, is_wanted: bool
    ) -> tuple[list[Action], bool]:
        """A request for an approval.

        :param is_wanted: false: the person has interrupted what it is of.
        :returns: what to do, and whether it was refused just now.
        """
        if item.id in self._answered:
            return [], False
        self._answered[item.id] = None
        keep_newest(self._answered, MAX_NAMES)
        is_allowed = is_wanted and self.approves(item.server_label, item.name)
        event_id = self.new_id()
        answer = RealtimeMcpApprovalResponse(
            id=f"approval_{event_id}", approval_request_id=item.id, approve=is_allowed
        )
        if not is_allowed:
            answer = evolve(answer, reason=NOT_ALLOWED if is_wanted else NOT_WANTED)
        words = "approved" if is_allowed else "refused"
        told = Note(f"{item.name} of the MCP server {item.server_label}: {words}")
        create = ConversationItemCreateEvent(item=answer, event_id=event_id)
        return [told, Send(create)], not is_allowed

    def has_ended(self, item_id: str) -> bool:
        """Whether this call has ended; one without a name cannot be waited for."""
        return not item_id or item_id in self._ended

    def calls_ended(self, names: Iterable[str]) -> None:
        """The ends of these calls are no news any more."""
        for name in names:
            self.call_ended(name)

    def call_ended(self, item_id: str) -> bool:
        """A call has ended; whether that is news."""
        is_news = item_id not in self._ended
        self._ended[item_id] = None
        keep_newest(self._ended, MAX_NAMES)
        return is_news
