"""A shopping list, as an MCP server: any program that speaks MCP can have it."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("shopping")
wanted: list[str] = []


@server.tool()
def add_to_shopping_list(thing: str) -> list[str]:
    """Put a thing on the shopping list; what is on it then."""
    wanted.append(thing)
    return wanted


@server.tool()
def read_shopping_list() -> list[str]:
    """What is on the shopping list."""
    return wanted


if __name__ == "__main__":
    server.run()
