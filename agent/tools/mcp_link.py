"""One MCP server that the agent uses: connected to, called, and connected to again."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define, field

from agent.errors import one_line
from agent.tools.mcp_config import McpServer
from agent.tools.mcp_http import open_http
from agent.tools.mcp_process import Ending, open_process
from agent.tools.run_context import Log

if TYPE_CHECKING:
    from mcp.client.session import ClientSession, IncomingMessage
    from mcp_types import CallToolResult, LoggingMessageNotificationParams
    from mcp_types import Tool as Listed

CLOSE_S: Final = 1.0
"""Within which an HTTP server is told that the session is over."""
MAX_PAGES: Final = 100
"""Of a server's list of tools."""
_CHANGED: Final = (
    "has changed its tools: the agent keeps those of its start, and a call of one that is gone "
    "fails with the server's own words"
)


class McpError(Exception):
    """A server, or a tool of it, failed; the text is for the model."""


@define(eq=False)
class Connection:
    """A session, its end, and the tools that the server had when it began."""

    session: "ClientSession"
    ending: Ending
    tools: "list[Listed]"


@define(eq=False)
class Attempt:
    """An attempt to connect, and what comes of it.

    :ivar again: whether there were others before.
    :ivar settled: it has succeeded, or failed.
    :ivar ending: the end of the connection, or of the attempt that led to none.
    """

    again: bool
    began: float = field(factory=trio.current_time)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    settled: trio.Event = field(factory=trio.Event)
    ending: Ending = field(factory=Ending)
    connection: Connection | None = None


class Link:
    """A server, and the connection to it that there is at the moment.

    A server that has ended is connected to again when a call wants it, but not more often than
    every few seconds: one that always dies would otherwise be launched without end.

    :param keeper: the nursery of the connections. Each outlives the call that wanted it, and ends
        with `close` only, in order and within seconds, whatever is cancelled.
    :param restart_s: seconds from one attempt to connect to the next.
    """

    def __init__(self, server: McpServer, keeper: trio.Nursery, restart_s: float, log: Log) -> None:
        self.server = server
        self._keeper, self._restart_s, self._log = keeper, restart_s, log
        self._name = f"the MCP server {one_line(server.name)}"
        self._attempt: Attempt | None = None
        self._closed = self._has_told_of_change = False

    async def connect(self) -> Connection:
        """Have the connection that there is, or wait for one, with all others who want it.

        Cancelled, the connecting goes on, within its own time: that may be longer than a call's.

        :raises McpError: the server is not there in time, or does not speak as it should.
        """
        attempt = self._attempt
        if attempt is None or attempt.ending.came.is_set():
            self._check_may_try()
            attempt = self._attempt = Attempt(again=attempt is not None)
            self._keeper.start_soon(self._hold, attempt)
        await attempt.settled.wait()
        if attempt.connection is None:
            raise McpError(f"{self._name} {attempt.ending.why}")
        return attempt.connection

    async def call(self, tool: str, arguments: dict[str, Any]) -> "CallToolResult":
        """Have a tool called. Cancelled, the server is told to cancel it.

        :raises McpError: there is no connection, it ended meanwhile, or the server refused.
        """
        try:
            return await self._call(await self.connect(), tool, arguments)
        except _SessionForgotten:  # and so the tool was not called
            return await self._call(await self.connect(), tool, arguments)

    def close(self) -> None:
        """Have the connection closed, or what connects, and open no other."""
        self._closed = True
        if self._attempt is not None:
            self._attempt.ending.come("is closed")
            if self._attempt.connection is None:
                self._attempt.scope.cancel()

    def _check_may_try(self) -> None:
        if self._closed:
            raise McpError(f"{self._name} is closed")
        if self._attempt is None:
            return
        wait_s = self._attempt.began + self._restart_s - trio.current_time()
        if wait_s > 0:
            why = self._attempt.ending.why
            raise McpError(f"{self._name} {why}; it is tried again in {wait_s:.1f} s")

    async def _call(
        self, connection: Connection, tool: str, arguments: dict[str, Any]
    ) -> "CallToolResult":
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        try:
            return await connection.session.call_tool(tool, arguments)
        except MCPError as error:
            # From None, here and below: a traceback would tell what is concealed.
            if connection.ending.forgotten:
                connection.ending.come("has forgotten the session")
                raise _SessionForgotten(f"{self._name} has forgotten the session") from None
            if error.code == CONNECTION_CLOSED:
                connection.ending.come("was lost")
                why = connection.ending.why
                raise McpError(f"{self._name} {why}, in the midst of the call") from None
            raise McpError(self._told(error)) from None
        except (RuntimeError, ValueError) as error:  # it is not of the form that it has to be
            raise McpError(f"{self._name} gave a bad result: {self._told(error)}") from None

    async def _hold(self, attempt: Attempt) -> None:
        """Connect, and keep the connection until its end."""
        within_s, ending = self.server.connect_timeout_s, attempt.ending
        attempt.scope.deadline = trio.current_time() + within_s
        with attempt.scope as scope:
            try:
                async with self._session(ending) as session:
                    connection = Connection(session, ending, await _list_tools(session))
                    if not scope.cancel_called:
                        scope.shield, scope.deadline = True, math.inf
                        attempt.connection = connection
                        attempt.settled.set()
                        await ending.came.wait()
                        scope.deadline = trio.current_time() + CLOSE_S
            # The package's and the server's faults, whatever they are, must not end a call; with
            # except*, Cancelled beside them goes on.
            except* Exception as group:  # noqa: BLE001
                ending.come(f"failed: {self._told(_first(group))}")
            finally:
                ending.come(f"was not there within {within_s:g} s")
                attempt.settled.set()
        if not self._closed and (attempt.again or attempt.connection is not None):
            self._log.warning("%s %s", self._name, ending.why)

    @asynccontextmanager
    async def _session(self, ending: Ending) -> "AsyncIterator[ClientSession]":
        if self.server.command is not None:
            transport = open_process(self.server, ending, self._log, _load)
        else:
            await _load()
            transport = open_http(self.server, ending)
        async with transport as (read, write):
            from mcp.client.session import ClientSession
            from mcp_types import Implementation

            async with ClientSession(
                _Vetted(read),
                write,
                client_info=Implementation(name="trio-voice-agent", version="1"),
                logging_callback=self._logged,
                message_handler=self._notified,
            ) as session:
                await _shake_hands(session)
                yield session

    async def _logged(self, params: "LoggingMessageNotificationParams") -> None:
        self._log.debug("%s: %s", self._name, one_line(self.server.conceal(str(params.data))))

    async def _notified(self, message: "IncomingMessage") -> None:
        from mcp_types import ToolListChangedNotification

        if not isinstance(message, ToolListChangedNotification) or self._has_told_of_change:
            return
        if self._attempt is not None and self._attempt.connection is not None:
            self._has_told_of_change = True  # once: there may be a flood of them
            self._log.warning("%s %s", self._name, _CHANGED)

    def _told(self, error: BaseException) -> str:
        return one_line(self.server.conceal(str(error))) or type(error).__name__


class _SessionForgotten(McpError):
    """An HTTP server was started anew, and knows nothing of us."""


async def _load() -> None:
    # It takes more than a second, in which the agent's loop must go on; jsonschema the package
    # would import in the midst of the first call.
    for module in ("mcp", "jsonschema"):
        await trio.to_thread.run_sync(import_module, module)


async def _shake_hands(session: "ClientSession") -> None:
    """The way that all servers know, and then the one of those that only know the newest."""
    from mcp import MCPError
    from mcp_types import METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION

    try:
        await session.initialize()
    except MCPError as error:
        if error.code not in (METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION):
            raise
        await session.discover()


async def _list_tools(session: "ClientSession") -> "list[Listed]":
    capabilities = session.server_capabilities
    if capabilities is None or capabilities.tools is None:
        return []
    from mcp_types import PaginatedRequestParams

    found: list[Listed] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


class _Vetted:
    """The messages of a server, without tools that would have the package refuse all of a list."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> "_Vetted":
        return self

    async def __aenter__(self) -> "_Vetted":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stream.__aexit__(*error)

    async def __anext__(self) -> Any:
        message = await self._stream.__anext__()
        result = getattr(getattr(message, "message", None), "result", None)
        if isinstance(result, dict) and isinstance(tools := result.get("tools"), list):
            result["tools"] = [tool for tool in tools if _is_tool(tool)]
        return message


def _is_tool(tool: Any) -> bool:
    schema = tool.get("inputSchema") if isinstance(tool, dict) else None
    return isinstance(schema, dict) and schema.get("type") == "object"


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
