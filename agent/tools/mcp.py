"""Tools of MCP servers, as tools of the agent's."""

import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio
from attrs import frozen

from agent.errors import one_line
from agent.tools.declaring import Tool
from agent.tools.mcp_config import McpConfig, McpServer
from agent.tools.mcp_link import Link, McpError
from agent.tools.run_context import Log
from agent.tools.schema import ToolError

if TYPE_CHECKING:
    from mcp_types import CallToolResult
    from mcp_types import Tool as Listed

McpTool: TypeAlias = Tool[..., Any]

RESTART_S: Final = 5.0
MAX_NAME: Final = 64
MAX_DESCRIPTION: Final = 4000
"""Characters; the model reads every one of them, in every response."""
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]")

_log: Final = logging.getLogger(__name__)


@frozen
class McpTools:
    """What the servers brought.

    :ivar tools: to be registered. A name is the server's where no other tool has it, else it is
        the server's own name, `_` and that.
    :ivar missing: the names of the servers that could not be reached: any other tool may be theirs.
    """

    tools: tuple[McpTool, ...]
    missing: tuple[str, ...]


@asynccontextmanager
async def open_mcp_tools(
    config: McpConfig,
    *,
    taken: Iterable[str] = (),
    restart_s: float = RESTART_S,
    log: Log = _log,
) -> AsyncIterator[McpTools]:
    """Connect to the servers that the agent uses, all at once, and have their tools.

    Nothing that a server does is raised here, nor ends the context: one that cannot be reached is
    warned of, and its tools are missing; if one ends later, calls of its tools fail until it is
    there again, and a call tries that, though not more often than every `restart_s` seconds.

    The package that speaks with them takes a second or two to import, on a thread, by which the
    loop is held up for tenths of a second: this is for before the channel is joined.

    When the context exits, also by cancellation, the connections are closed and the processes of
    the servers are gone, within seconds.

    :param taken: names of other tools, which these then do not have.
    :param log: for what the servers write to standard error, too.
    """
    async with trio.open_nursery() as keeper:
        links = [Link(server, keeper, restart_s, log) for server in config.run_by_agent]
        try:
            reached = await _connect(links, log)
            missing = tuple(link.server.name for link in links if link not in reached)
            yield McpTools(tuple(_tools(reached, taken, log)), missing)
        finally:
            for link in links:
                link.close()


async def _connect(links: "list[Link]", log: Log) -> "dict[Link, list[Listed]]":
    listed: dict[Link, list[Listed]] = {}

    async def connect(link: Link) -> None:
        try:
            connection = await link.connect()
        except McpError as error:
            log.warning("%s: its tools are missing", error)
        else:
            listed[link] = list(_allowed(link.server, connection.tools, log))

    async with trio.open_nursery() as nursery:
        for link in links:
            nursery.start_soon(connect, link)
    # In the order of the file, not in that in which they came.
    return {link: listed[link] for link in links if link in listed}


def _allowed(server: McpServer, tools: "Iterable[Listed]", log: Log) -> "Iterator[Listed]":
    found = {tool.name: tool for tool in tools}  # of two of one name, only one can be called
    name = one_line(server.name)
    for wanted in server.tools or ():
        if wanted not in found:
            log.warning("the MCP server %s has no usable tool %s", name, one_line(wanted))
    allowed = [tool for tool in found.values() if server.allows(tool.name)]
    log.info("the MCP server %s: %d of %d tools", name, len(allowed), len(found))
    yield from allowed


def _tools(
    reached: "dict[Link, list[Listed]]", taken: Iterable[str], log: Log
) -> Iterator[McpTool]:
    taken = set(taken)
    listed = [(link, tool) for link, tools in reached.items() for tool in tools]
    often = Counter(_legal(tool.name) for _, tool in listed)
    for link, tool in listed:
        name = _legal(tool.name)
        if often[name] > 1 or name in taken:
            name = _legal(f"{link.server.name}_{tool.name}")
        name = _free(name, taken)
        try:
            made = _tool(link, tool, name)
        except ToolError as error:
            log.warning("the MCP server %s: %s", one_line(link.server.name), error)
        else:
            taken.add(name)
            yield made


def _legal(name: str) -> str:
    return _ILLEGAL.sub("_", name)[:MAX_NAME] or "_"


def _free(name: str, taken: set[str]) -> str:
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name[: MAX_NAME - 1 - len(str(count))]}_{count}"
    return free


def _tool(link: Link, tool: "Listed", name: str) -> McpTool:
    async def call(**arguments: Any) -> Any:
        result = await link.call(tool.name, arguments)
        try:
            return _output(result)
        except McpError as error:
            raise McpError(link.server.conceal(str(error))) from None

    options = link.server.options(tool.name)
    return Tool(
        name=name,
        description=(tool.description or tool.title or "")[:MAX_DESCRIPTION],
        parameters=tool.input_schema,
        fn=call,
        timeout_s=options.timeout_s or link.server.timeout_s,
        on_interruption=options.on_interruption or link.server.on_interruption,
        responds=options.responds,
    )


def _output(result: "CallToolResult") -> Any:
    """What the model is given of a result.

    :raises McpError: the tool failed; with its own words.
    """
    texts = [_part(part.model_dump(mode="json", by_alias=True)) for part in result.content]
    text = "\n".join(texts)
    if result.is_error:
        raise McpError(text or "the tool failed, and did not say why")
    if result.structured_content is not None:
        return result.structured_content
    return text if texts else None


def _part(part: dict[str, Any]) -> str:
    """A text as it is; of what a voice agent cannot use, its kind and size."""
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource", "resource": {"blob": str(data), **about}}:
            return f"[a resource, {about.get('mimeType')}, {_size(data)} bytes]"
        case {"type": "resource_link", "uri": uri, "name": name}:
            return f"[a link: {name}, {uri}]"
        case {"type": str(kind), "data": str(data), "mimeType": mime}:
            return f"[{kind}, {mime}, {_size(data)} bytes]"
    return f"[{part.get('type')}]"


def _size(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")
