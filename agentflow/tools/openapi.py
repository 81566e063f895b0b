"""`openapi`: the operations of a specification in the project, of which the graph names some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import choices_help, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Template
from agentflow.spec.model import Body, GraphSpec, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools import documents, outside
from agentflow.tools.kind import Member, ToolSetKind
from agentflow.tools.specification import Operation, Specification, Unsupported
from agentflow.types import ANY, Field, Object, Type


@dataclass(frozen=True)
class OpenApiBody(Body):
    api: ir.Api
    operation: Operation


class OpenApiKind(ToolSetKind[OpenApiBody]):
    key = "openapi"
    keys = ("operations", "base_url", "headers", "effects")
    members = "operations"
    model = OpenApiBody
    described = Described(
        "Operations of an OpenAPI specification, each a tool of its own: NAME.operation.",
        {
            "openapi": v.word("The specification, a file of the project."),
            "operations": v.names("The operations that there are, by their operationId.", least=1),
            "base_url": v.ref("address", "Where the server is, in the place of what the specification says."),
            "headers": v.ref("headers", "The headers of every request, each a template over args, or {env: NAME}."),
            "effects": v.ref("effects", "The effects of single operations, in the place of effect."),
        },
        required=("operations",),
    )
    timeout = outside.TIMEOUT

    def read_all(self, reader: Reader, name: str) -> list[Member] | None:
        specification = _specification(reader)
        names, headers = self.names(reader), outside.read_headers(reader)
        base = outside.read_address(reader, "base_url") if reader.has("base_url") else None
        if specification is None or (base is None and reader.has("base_url")):
            return None
        base = base or _server(reader, specification)
        if base is None:
            return None
        address = base.rstrip("/") if isinstance(base, str) else base
        api = ir.Api(name, address, headers, outside.hosts_of(reader, base))
        given = frozenset(header.lower() for header, _ in headers)
        return list(_members(reader, specification, names, api, given))

    def templates(self, tool: ToolSpec, graph: GraphSpec) -> Iterator[Template]:
        """Those of the whole set, once; whose arguments are any, where it has several tools."""
        headers = self.body(tool).api.headers
        members = graph.tool_sets[self.body(tool).api.name]
        if tool.name == members[0]:
            signature = tool.signature if len(members) == 1 else outside.open_signature()
            yield from outside.header_templates((*tool.path, "headers"), headers, signature)

    def lower(self, tool: ToolSpec) -> ir.Does:
        body, signature = self.body(tool), tool.signature
        operation = body.operation
        assert signature is not None, tool.name
        fields = tuple(Field(p.name, p.type, not p.required, p.description) for p in operation.parameters)
        args: Type | None = Object(fields) if fields else None
        return ir.ApiOperation(
            body.api,
            operation.method,
            operation.path,
            args,
            operation.query,
            operation.header,
            operation.cookie,
            operation.joined,
            operation.body,
            operation.media,
            None if operation.returns == ANY else operation.returns,
        )


def _specification(reader: Reader) -> Specification | None:
    """The specification that the key names; None, and reported, where it cannot be used."""
    name, path = reader.string("openapi", "the path of a specification in the project"), reader.at("openapi")
    if name is None:
        return None
    found = reader.reading.in_project(path, name, "a specification is read from a file")
    if found is None:
        return None
    if not found.is_file():
        message = f"there is no file {quoted(name)}"
        help = "download the specification into the project: it is read when the graph is compiled"
        reader.error("unreadable-file", message, path, help=help if "://" in name else None)
        return None
    try:
        return Specification(documents.read(found))
    except (documents.Unreadable, Unsupported) as problem:
        reader.error("bad-specification", f"{quoted(name)} cannot be used: {problem}", path)
        return None


def _server(reader: Reader, specification: Specification) -> str | None:
    server, path = specification.server, reader.at("openapi")
    if server is None:
        message = "the specification does not say where its server is"
        reader.error("missing-key", message, path, help="add base_url: https://...")
        return None
    return server if outside.check_url(reader, path, server) is not None else None


def _members(
    reader: Reader, specification: Specification, names: tuple[str, ...], api: ir.Api, given: frozenset[str]
) -> Iterator[Member]:
    for index, name in enumerate(names):
        place = reader.at("operations", index)
        try:
            operation = specification.operation(name, given)
        except Unsupported as problem:
            reader.error("bad-specification", f"the operation {quoted(name)} cannot be used: {problem}", place)
            continue
        if operation is None:
            help = choices_help(name, specification.names())
            reader.error("unknown-operation", f"the specification has no operation {quoted(name)}", place, help=help)
            continue
        signature = outside.signature_of(operation.parameters, operation.returns, operation.description)
        yield Member(name, OpenApiBody(api, operation), signature, operation.description)
