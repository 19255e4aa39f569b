"""An MCP server that is reached by streamable HTTP, with the official package's client."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from agent.tools.mcp_config import McpServer
from agent.tools.mcp_process import MAX_MESSAGE, Ending


@asynccontextmanager
async def open_http(server: McpServer, ending: Ending) -> AsyncIterator[tuple[Any, Any]]:
    """Be ready to send to a server; nothing is sent yet.

    :param ending: told when the server does not know the session (any more).
    :returns: the messages from the server, and a way to send it some, as the package wants them.
    """
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async def seen(response: httpx2.Response) -> None:
        # By the protocol this says so; the package passes on whatever words come with it.
        if response.status_code == 404 and "mcp-session-id" in response.request.headers:
            ending.forgotten = True

    assert server.url is not None
    concealing = _Concealing(server)
    # Calls have timeouts of their own, and the stream of notifications may be silent for hours.
    timeout = httpx2.Timeout(server.connect_timeout_s, read=None)
    with concealing.on("httpx2"), concealing.on("mcp.client.streamable_http"):
        async with (
            httpx2.AsyncClient(
                headers=server.headers, timeout=timeout, event_hooks={"response": [seen]}
            ) as client,
            streamable_http_client(
                server.url, http_client=client, max_sse_event_size=MAX_MESSAGE
            ) as streams,
        ):
            yield streams


class _Concealing(logging.Filter):
    """Hides a server's secrets in what these libraries log: it holds all of the URL."""

    def __init__(self, server: McpServer) -> None:
        super().__init__()
        self._server = server

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._server.conceal(record.getMessage()), ()
        return True

    @contextmanager
    def on(self, logger: str) -> Iterator[None]:
        """While the context is open."""
        logging.getLogger(logger).addFilter(self)
        try:
            yield
        finally:
            logging.getLogger(logger).removeFilter(self)
