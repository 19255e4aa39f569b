"""One MCP server that the agent uses: connected to, called, and connected to again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define

from agent.errors import one_line
from agent.tools.mcp_config import McpServer
from agent.tools.mcp_http import open_http
from agent.tools.mcp_process import Ending, open_process
from agent.tools.run_context import Log

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp_types import CallToolResult, LoggingMessageNotificationParams
    from mcp_types import Tool as Listed

CLOSE_S: Final = 1.0
"""Within which an HTTP server is told that the session is over."""
MAX_PAGES: Final = 100
"""Of a server's list of tools."""


class McpError(Exception):
    """A server, or a tool of it, failed; the text is for the model."""


@define(eq=False)
class Connection:
    """A session, its end, and the tools that the server had when it began."""

    session: "ClientSession"
    ending: Ending
    tools: "list[Listed]"


class Link:
    """A server, and the connection to it that there is at the moment.

    A server that has ended is connected to again by the next call, but not more often than every
    few seconds: one that always dies would otherwise be launched without end.

    :param keeper: the nursery of the connections. Each outlives the call that opened it, and ends
        with `close` only, in order and within seconds, whatever is cancelled.
    :param restart_s: seconds from one attempt to connect to the next.
    """

    def __init__(self, server: McpServer, keeper: trio.Nursery, restart_s: float, log: Log) -> None:
        self.server = server
        self._keeper, self._restart_s, self._log = keeper, restart_s, log
        self._name = f"the MCP server {one_line(server.name)}"
        self._connection: Connection | None = None
        self._connecting = trio.Lock()
        self._tried = float("-inf")
        self._closed = False

    async def connect(self) -> Connection:
        """Open a connection.

        :raises McpError: the server is not there in time, or does not speak as it should.
        """
        self._tried = trio.current_time()
        within_s = self.server.connect_timeout_s
        try:
            with trio.fail_after(within_s):
                connected: Connection = await self._keeper.start(self._hold)
        except trio.TooSlowError:
            raise McpError(f"{self._name} was not there within {within_s:g} s") from None
        return connected

    async def call(self, tool: str, arguments: dict[str, Any]) -> "CallToolResult":
        """Have a tool called. Cancelled, the server is told to cancel it.

        :raises McpError: there is no connection, it ended meanwhile, or the server refused.
        """
        try:
            return await self._call(await self._connected(), tool, arguments)
        except _SessionForgotten:  # and so the tool was not called
            return await self._call(await self._connected(), tool, arguments)

    def close(self) -> None:
        """Have the connection closed, and open no other."""
        self._closed = True
        if self._connection is not None:
            self._connection.ending.come("is closed")

    async def _connected(self) -> Connection:
        async with self._connecting:
            current = self._connection
            if current is not None and not current.ending.came.is_set():
                return current
            if self._closed:
                raise McpError(f"{self._name} is closed")
            wait_s = self._tried + self._restart_s - trio.current_time()
            if current is not None and wait_s > 0:
                why = current.ending.why
                raise McpError(f"{self._name} {why}; it is tried again in {wait_s:.1f} s")
            return await self.connect()

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

    async def _hold(self, *, task_status: trio.TaskStatus[Connection]) -> None:
        ending = Ending()
        connected = False
        with trio.CancelScope() as scope:
            try:
                async with self._session(ending) as session:
                    connection = Connection(session, ending, await _list_tools(session))
                    if not self._closed:
                        scope.shield = connected = True
                        # Before anybody is told: `close` has to know of it.
                        self._connection = connection
                        task_status.started(connection)
                        await ending.came.wait()
                    scope.deadline = trio.current_time() + CLOSE_S
            # The package's and the server's faults, whatever they are, must not end a call; with
            # except*, Cancelled beside them goes on.
            except* Exception as group:  # noqa: BLE001
                ending.come(f"failed: {self._told(_first(group))}")
        if not connected:
            raise McpError(f"{self._name} {ending.why or 'is closed'}")
        if not self._closed:
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
            ) as session:
                await _shake_hands(session)
                yield session

    async def _logged(self, params: "LoggingMessageNotificationParams") -> None:
        self._log.debug("%s: %s", self._name, one_line(self.server.conceal(str(params.data))))

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
    from mcp_types import PaginatedRequestParams

    capabilities = session.server_capabilities
    if capabilities is None or capabilities.tools is None:
        return []
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
