"""An agent, as far as MCP servers notice: it has those of a file, for tests that kill it.

What is logged goes to standard output, and `open` when the tools are there.
"""

import logging
import os
import sys
from pathlib import Path

import trio

from agent.tools.mcp import open_mcp_tools
from agent.tools.mcp_config import load_mcp


async def main(path: Path) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    async with open_mcp_tools(load_mcp(path, os.environ)):
        print("open", flush=True)
        await trio.sleep_forever()


trio.run(main, Path(sys.argv[1]))
