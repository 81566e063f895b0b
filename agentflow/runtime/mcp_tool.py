"""Tools of an MCP server: each call opens a session, calls one tool, and closes it.

A session of its own for every call: nothing of one call is left to another, and a try again begins afresh. The `mcp`
package speaks the protocol. What a server offers is asked once in each invocation of a run and kept in its journal (see
`Server.listed`), so that a server which changes its tools cannot change what a replay sees.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentflow import ToolError
from agentflow.runtime import network, requests
from agentflow.runtime.arguments import AnyArguments, ListedArguments
from agentflow.runtime.command_tool import environment
from agentflow.runtime.errors import NodeError, ToolUnavailable
from agentflow.runtime.operations import Listed, Listing, Operation, Parameters
from agentflow.runtime.secrets import Env, mask, mask_json, resolved
from agentflow.types import Json

if TYPE_CHECKING:
    import httpx2
    from mcp import Client
    from mcp.types import CallToolResult, Tool

for _name in ("mcp", "client"):  # what they tell of a failed call, the call's own error tells
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_PAGES = 100
_TAIL = 2000  # bytes of what a server that failed has said


@dataclass(frozen=True, eq=False)
class Server(Listing):
    """A server that is started for each call (`command`), or listens (`url`)."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str | Env] = field(default_factory=dict)
    url: str | Env | None = None
    headers: Mapping[str, str | Env] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def tool(self, name: str) -> Operation:
        return McpTool(self, name)

    async def listed(self) -> Json:
        """What the allowed tools take and do: `{name: {description, schema}}`. One try."""
        async with self._session(_Sending()) as client:
            tools = await _tools(client)
        missing = [name for name in self.allow if name not in tools]
        if missing:
            raise _unknown_tool(missing[0], tools)
        kept = [(name, tools[name]) for name in self.allow]
        return {name: {"description": tool.description or "", "schema": _schema(tool)} for name, tool in kept}

    async def call(self, tool: str, args: Mapping[str, Json], key: str) -> Json:
        """Calls a tool once. The server finds the call's key under `idempotency_key` in its `_meta`."""
        if tool not in self.allow:
            raise NodeError("tool", f"the tool {tool} is not in allow", code=403)
        meta: Any = {"idempotency_key": key}
        sending = _Sending()
        async with self._session(sending) as client:
            tools = await _tools(client)
            if tool not in tools:
                raise _unknown_tool(tool, tools)
            sending.sent = True
            result = await client.call_tool(tool, dict(args), meta=meta)
        return mask_json(_value(tool, result))

    @contextlib.asynccontextmanager
    async def _session(self, sending: _Sending) -> AsyncIterator[Client]:
        """A session. What goes wrong with it comes out as NodeError, ToolError or ToolUnavailable."""
        from mcp import Client, StdioServerParameters, stdio_client
        from mcp.client.streamable_http import streamable_http_client

        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    if self.url is not None:
                        url = resolved(self.url, "its address")
                        http = await stack.enter_async_context(network.client(self.hosts))
                        http.event_hooks = {"response": [sending.heard]}
                        for name, value in self.headers.items():
                            http.headers[name] = requests.header(resolved(value, f"the header {name}"), name)
                        transport = streamable_http_client(url, http_client=http)
                    else:
                        program, *words = self.command
                        started = StdioServerParameters(command=program, args=words, env=environment(self.env))
                        transport = stdio_client(started, errlog=said)
                    yield await stack.enter_async_context(Client(transport, cache=None))
            except Exception as error:  # also groups, in which the protocol's tasks wrap what went wrong in them
                raise _mapped(error, self._name(), _tail(said), sending) from None

    def _name(self) -> str:
        return self.command[0] if self.command else "the MCP server"


def mcp_server(
    command: Sequence[str] = (),
    *,
    env: Mapping[str, str | Env] | None = None,
    url: str | Env | None = None,
    headers: Mapping[str, str | Env] | None = None,
    allow: Sequence[str],
    hosts: Sequence[str] = (),
) -> Server:
    """An MCP server, of which only the tools in `allow` are listed and called."""
    return Server(tuple(command), env or {}, url, headers or {}, tuple(allow), tuple(hosts))


@dataclass(frozen=True, eq=False)
class McpTool(Listed):
    server: Server
    tool: str
    told: Parameters = field(default_factory=AnyArguments)

    @property
    def parameters(self) -> Parameters:
        return self.told

    @property
    def listing(self) -> Listing:
        return self.server

    def pinned(self, listed: Json) -> Operation:
        if listed is None:
            return self
        about = listed.get(self.tool) if isinstance(listed, dict) else None
        if not isinstance(about, dict) or not isinstance(schema := about.get("schema"), dict):
            raise NodeError("tool", f"the MCP server told nothing of the tool {self.tool}", code=404)
        return McpTool(self.server, self.tool, ListedArguments(schema, str(about.get("description") or "")))

    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        return await self.server.call(self.tool, args, key)


async def _tools(client: Client) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor)
        found |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _schema(tool: Tool) -> dict[str, Any]:
    return dict(tool.input_schema or {"type": "object", "properties": {}})


def _unknown_tool(name: str, tools: Mapping[str, object]) -> NodeError:
    near = difflib.get_close_matches(name, tools, 1)
    help = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(tools)) or 'none'}"
    return NodeError("tool", f"the MCP server has no tool {name}: {help}", code=404)


def _value(tool: str, result: CallToolResult) -> Json:
    """What a call gave: structured where it is, else its texts. An error is told to the model."""
    from mcp.types import EmbeddedResource, TextContent, TextResourceContents

    texts: list[str] = []
    other: list[str] = []
    for block in result.content:
        if isinstance(block, TextContent):
            texts.append(block.text)
        elif isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
            texts.append(block.resource.text)
        else:
            other.append(block.type)
    text = "\n".join(texts)
    if result.is_error:
        raise ToolError(mask(f"{tool}: {text or 'the tool failed, and does not say why'}"))
    if result.structured_content is not None:
        value: Json = result.structured_content
        return value
    if other and not texts:
        raise NodeError("tool", f"{tool} answered with {' and '.join(other)}, which is no text", unknown=True)
    return text


@dataclass
class _Sending:
    """How far a call has come: once it was sent, it may have taken effect. `refused`: the status of the last answer."""

    sent: bool = False
    refused: int | None = None

    async def heard(self, response: httpx2.Response) -> None:
        if response.request.method == "POST":
            self.refused = response.status_code if response.status_code >= 400 else None


def _mapped(error: BaseException, name: str, said: str, sending: _Sending) -> Exception:
    """What a session's failure is to the tool's step."""
    from mcp import MCPError
    from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, NodeError | ToolError | ToolUnavailable):
        return error
    text = str(error).strip() or type(error).__name__
    message = mask(f"{name}: {text}" + (f": {said}" if said else ""))
    if isinstance(error, MCPError) and error.code == INVALID_PARAMS:
        return ToolError(message)
    if (status := sending.refused) is not None:
        about = f"{name} answered {status}"
        if status in (408, 429) or status >= 500:
            return ToolUnavailable(about, code=status, unknown=sending.sent and status >= 500)
        return NodeError("tool", about, code=status)
    if isinstance(error, MCPError) and error.code == METHOD_NOT_FOUND:
        return NodeError("tool", message, code=404)
    return ToolUnavailable(message, code=502, unknown=sending.sent)


def _tail(said: Any) -> str:
    """The end of what a server has written to its log, on one line."""
    with contextlib.suppress(OSError, ValueError):
        said.seek(0, 2)
        said.seek(max(0, said.tell() - _TAIL))
        lines = [line.strip() for line in said.read().splitlines() if line.strip()]
        return " / ".join(lines[-3:])
    return ""
