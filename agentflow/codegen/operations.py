"""What tools do that are no functions of the user's: requests, commands, tools of servers; and those servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from agentflow import ir
from agentflow.codegen.writer import Arguments, Call, DictOf, Expression, ListOf, data, duration, literal, literals
from agentflow.types import Json, Type

if TYPE_CHECKING:
    from agentflow.codegen.types import Types

Shared = ir.Api | ir.McpServer


def shared(tools: Sequence[ir.Tool]) -> dict[str, Shared]:
    """What the tools of each set share, by the set's name, in file order."""
    found: dict[str, Shared] = {}
    for tool in tools:
        match tool.does:
            case ir.ApiOperation(api=api):
                found.setdefault(api.name, api)
            case ir.McpTool(server=server):
                found.setdefault(server.name, server)
    return found


def declared(one: Shared) -> Expression:
    match one:
        case ir.Api():
            arguments: Arguments = [_given(one.base_url)]
            arguments += _headers(one.headers)
            return Call("af.Api", [*arguments, *_hosts(one.hosts)])
        case ir.McpServer():
            arguments = [literals(one.command)] if one.command else []
            arguments += [("env", _mapping(one.env))] if one.env else []
            arguments += [("url", _given(one.url))] if one.url is not None else []
            arguments += _headers(one.headers)
            arguments.append(("allow", literals(one.allow)))
            return Call("af.mcp_server", [*arguments, *_hosts(one.hosts)])


def http(types: Types, name: str, does: ir.Http) -> Expression:
    arguments: Arguments = [literal(f"{does.method} {does.url}"), *_args(types, name, does.args)]
    arguments += _headers(does.headers)
    if does.body is not None:
        arguments.append(("body", data(does.body.data)))
    return Call("af.http", [*arguments, *_returns(types, name, does.returns), *_hosts(does.hosts)])


def operation(types: Types, name: str, does: ir.ApiOperation, api: str) -> Expression:
    arguments: Arguments = [literal(f"{does.method} {does.path}"), *_args(types, name, does.args)]
    for key in ("query", "header", "cookie", "joined"):
        if names := getattr(does, key):
            arguments.append((key, literals(names)))
    if does.body is not None:
        arguments.append(("body", literal(does.body)))
    if does.media != "json":
        arguments.append(("media", literal(does.media)))
    return Call(f"{api}.operation", [*arguments, *_returns(types, name, does.returns)])


def mcp_tool(does: ir.McpTool, server: str) -> Expression:
    return Call(f"{server}.tool", [literal(does.tool)])


def command(types: Types, name: str, does: ir.Command) -> Expression:
    arguments: Arguments = [literals(does.words), *_args(types, name, does.args)]
    if does.env:
        arguments.append(("env", _mapping(does.env)))
    return Call("af.command", [*arguments, *_returns(types, name, does.returns)])


def remote(types: Types, name: str, does: ir.CalledGraph | ir.CalledService | ir.Asking) -> Expression:
    args = list(_args(types, name, does.args))
    if isinstance(does, ir.CalledGraph):
        graph = Call("af.CalledGraph", [literal(does.graph), ("kind", literal(does.kind))])
        return Call("af.graph_tool", [graph, *args])
    if isinstance(does, ir.CalledService):
        handler: Arguments = [literal(f"{does.service.name}/{does.service.handler}")]
        handler += _returns(types, name, does.service.returns)
        return Call("af.service_tool", [Call("af.CalledService", handler), *args])
    arguments: Arguments = [literal(does.message.template), *args, ("to", data(does.to.data))]
    if does.form is not None:
        arguments.append(("form", types.annotation(does.form, name, "form")))
    if does.timeout is not None:
        arguments.append(("timeout", duration(does.timeout)))
    if does.on_timeout is not None:
        arguments.append(("on_timeout", literal(does.on_timeout)))
    return Call("af.approval_tool" if does.form is None else "af.ask_tool", arguments)


def together(types: Types, name: str, does: ir.Together, tools: Mapping[str, str]) -> Expression:
    members = [
        Call("af.Member", [tools[member], *([] if takes is None else [literals(takes)])])
        for member, takes in does.members
    ]
    return Call("af.parallel_tool", [ListOf(members), *_args(types, name, does.args)])


def _args(types: Types, name: str, args: Type | None) -> Iterator[tuple[str, Expression]]:
    if args is not None:
        yield "args", types.annotation(args, name, "args")


def _returns(types: Types, name: str, returns: Type | None) -> Iterator[tuple[str, Expression]]:
    if returns is not None:
        yield "returns", types.annotation(returns, name, "returns")


def _headers(headers: Sequence[tuple[str, Json | ir.Secret]]) -> Iterator[tuple[str, Expression]]:
    if headers:
        yield "headers", _mapping(headers)


def _hosts(hosts: Sequence[str]) -> Iterator[tuple[str, Expression]]:
    if hosts:
        yield "hosts", literals(hosts)


def _mapping(pairs: Sequence[tuple[str, Json | ir.Secret]]) -> Expression:
    return DictOf([(literal(name), _given(value)) for name, value in pairs])


def _given(value: Json | ir.Secret) -> Expression:
    return Call("af.Env", [literal(value.name)]) if isinstance(value, ir.Secret) else data(value)
