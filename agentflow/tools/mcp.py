"""`mcp`: the tools of a server that speaks the Model Context Protocol, of which the graph allows some."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.spec.model import Body, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools import outside
from agentflow.tools.command import read_words
from agentflow.tools.kind import Member, ToolSetKind


@dataclass(frozen=True)
class McpBody(Body):
    server: ir.McpServer
    tool: str


class McpKind(ToolSetKind[McpBody]):
    key = "mcp"
    keys = ("allow", "effects")
    members = "allow"
    model = McpBody
    described = Described(
        "Tools of a server that speaks the Model Context Protocol, each a tool of its own: NAME.tool.",
        {
            "mcp": {
                "description": "The server: a command that starts it, or the address where it listens.",
                "anyOf": [
                    v.mapping(
                        Described(
                            "A server that is started.",
                            {
                                "command": v.ref("command", "The program and its arguments, never a shell."),
                                "env": v.ref("environment", "Variables of its environment, texts or {env: NAME}."),
                            },
                            required=("command",),
                        )
                    ),
                    v.mapping(
                        Described(
                            "A server that listens.",
                            {
                                "url": v.ref("address", "Its address."),
                                "headers": v.ref(
                                    "fixed_headers", "The headers of every request, texts or {env: NAME}."
                                ),
                            },
                            required=("url",),
                        )
                    ),
                ],
            },
            "allow": v.names("The tools of the server that may be called.", least=1),
            "effects": v.ref("effects", "The effects of single tools, in the place of effect."),
        },
        required=("allow",),
    )
    timeout = outside.TIMEOUT

    def read_all(self, reader: Reader, name: str) -> list[Member] | None:
        inner = reader.mapping("mcp", "write {command: [...]} or {url: ...}")
        allow = self.names(reader)
        if inner is None:
            return None
        server = _server(inner, name, tuple(allow))
        if server is None:
            return None
        return [Member(tool, McpBody(server, tool), outside.open_signature()) for tool in allow]

    def lower(self, tool: ToolSpec) -> ir.Does:
        body = self.body(tool)
        return ir.McpTool(body.server, body.tool)


def _server(reader: Reader, name: str, allow: tuple[str, ...]) -> ir.McpServer | None:
    command: tuple[str, ...] | None = ()
    url: str | ir.Secret | None = None
    env: tuple[tuple[str, str | ir.Secret], ...] = ()
    headers: list[tuple[str, str | ir.Secret]] = []
    if reader.has("command") and reader.has("url"):
        related = [(reader.at("command"), "a command is given here")]
        message = "a server is started by a command, or listens at an address"
        reader.error("several-verbs", message, reader.at("url"), key=True, related=related)
        return None
    if reader.has("url"):
        url = outside.read_address(reader, "url")
        for header, value in outside.read_headers(reader, templates=False):
            if isinstance(value, str | ir.Secret):
                headers.append((header, value))
        reader.finish(known=("url", "headers"), elsewhere={"env": "a server that listens has its own environment"})
        if url is None:
            return None
    elif reader.require("command", "write {command: [...]} or {url: ...}"):
        command, env = read_words(reader, "command", templates=False), outside.read_env(reader)
        reader.finish(known=("command", "env", "url"), elsewhere={"headers": "headers go to an address"})
    else:
        reader.finish(known=("command", "env", "url", "headers"))
        return None
    if command is None:
        return None
    return ir.McpServer(name, command, env, url, tuple(headers), allow, outside.hosts_of(reader, url))
