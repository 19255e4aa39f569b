"""MCP servers that a session declares: their tools are never run here.

The service connects to them by itself. The embedded model connects to nobody, and says of each
one that is new in the session what the service says of one that it cannot reach.
"""

from typing import Final

from agent.embedded.outbox import NewId, Outbox
from agent.embedded.settings import Json
from agent.protocol.server_events import McpListToolsFailed, McpListToolsInProgress

ASKED_AFTER: Final = 0.05
"""Seconds from the update to where the service begins to ask a server."""
FAILED_AFTER: Final = 0.25
"""Seconds from the update to where it gives up."""


def fail_mcp_servers(
    before: Json, session: Json, outbox: Outbox, new_id: NewId, now: float
) -> None:
    """Tell of the MCP servers that the session has now and had not before."""
    known = _labels(before)
    for label in _labels(session):
        if label not in known:
            item_id = new_id("mcpl_")
            outbox.send_later(McpListToolsInProgress(item_id=item_id), now + ASKED_AFTER)
            outbox.send_later(McpListToolsFailed(item_id=item_id), now + FAILED_AFTER)


def _labels(session: Json) -> list[str]:
    tools = session.get("tools") or []
    return [tool["server_label"] for tool in tools if tool["type"] == "mcp"]
