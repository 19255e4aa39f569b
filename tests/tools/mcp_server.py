"""An MCP server for tests, made with the official package.

Without arguments it speaks on standard input and output. With `http` it listens at a port of
127.0.0.1 that the system chooses, or the one that is given, and writes the port's number.
"""

import os
import sys
from typing import Any

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("tests")
began: list[str] = []
ended: list[str] = []


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(structured_output=False)
def words() -> list[Any]:
    """A text and a picture."""
    return ["one", "two", Image(data=b"\x89PNG12345", format="png")]


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("there is no such city")


@server.tool()
def environment() -> list[str]:
    """The names of the variables of the environment."""
    return sorted(os.environ)


@server.tool()
async def stay(name: str) -> str:
    """Say that it is there, and never return."""
    print(f"{name} stays in {os.getpid()}", file=sys.stderr, flush=True)
    began.append(name)
    try:
        await anyio.sleep_forever()
    finally:
        ended.append(name)
        print(f"{name} was cancelled", file=sys.stderr, flush=True)
    return name


@server.tool()
def begun() -> list[str]:
    """Whose calls of `stay` have begun."""
    return began


@server.tool()
def cancelled() -> list[str]:
    """Whose calls of `stay` were cancelled."""
    return ended


@server.tool()
async def tell(ctx: Context) -> str:
    """Tell of progress, and write to the client's log."""
    for step in range(3):
        await ctx.report_progress(step, 3, "going on")
        await ctx.log("info", f"step {step}")
    return "told"


@server.tool()
async def forgo(ctx: Context, name: str) -> str:
    """Have a tool no more, and say twice that there is a change."""
    server.remove_tool(name)
    for _ in range(2):
        await ctx.session.send_tool_list_changed()
    return name


@server.tool()
def forget() -> int:
    """Forget all sessions over HTTP; how many there were."""
    sessions = server.session_manager._server_instances
    there = len(sessions)
    sessions.clear()
    return there


def listen(port: int) -> None:
    import socket

    import uvicorn

    found = socket.create_server(("127.0.0.1", port))
    print(found.getsockname()[1], flush=True)
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[found])


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        listen(int(sys.argv[2]) if sys.argv[2:] else 0)
    else:
        server.run()
