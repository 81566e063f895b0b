"""An MCP server for tests: `mcp_desk.py` speaks on stdin and stdout, `mcp_desk.py PORT` listens on loopback.

MCP_DESK_LOG names a file that gets a line for each call, with its key, and MCP_DESK_WITHOUT one whose first line names
a tool that the server does not have.
"""

from __future__ import annotations

import json
import os
import sys
import time

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("desk")


def _log(tool: str, ctx: Context) -> None:
    if path := os.environ.get("MCP_DESK_LOG"):
        key = (ctx.request_context.meta or {}).get("idempotency_key")
        with open(path, "a") as file:
            file.write(json.dumps({"tool": tool, "key": key}) + "\n")


@server.tool()
def add(a: int, b: int, ctx: Context) -> dict[str, int]:
    """Adds two numbers."""
    _log("add", ctx)
    return {"sum": a + b}


@server.tool(structured_output=False)
def look(name: str) -> str:
    """Looks at something."""
    return f"saw {name} as {os.environ.get('MCP_DESK_SECRET', 'nobody')}"


@server.tool(structured_output=False)
def book(name: str, ctx: Context, seconds: float = 0) -> str:
    """Books something."""
    _log("begin", ctx)
    time.sleep(seconds)
    _log("book", ctx)
    return f"booked {name}"


@server.tool()
def refuse(name: str) -> str:
    """Does not want to."""
    raise ValueError(f"no {name} today")


@server.tool()
def die() -> str:
    """Ends the server."""
    print("out of paper", file=sys.stderr, flush=True)
    os._exit(3)


def _without() -> str:
    path = os.environ.get("MCP_DESK_WITHOUT", "")
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.readline().strip()


if name := _without():
    server.remove_tool(name)

if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
