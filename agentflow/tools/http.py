"""`http`: one request, written out in the graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import choices_help, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Template
from agentflow.spec.model import MISSING, Body, GraphSpec, Missing, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools import outside
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.signature import Signature
from agentflow.types import ANY, Enumeration, Json, Named, Object, Primitive, Type

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class HttpBody(Body):
    method: str
    url: str
    args: Type | None
    headers: outside.Given
    body: Json | Missing
    returns: Type | None
    hosts: tuple[str, ...]


class HttpKind(SingleToolKind[HttpBody]):
    key = "http"
    keys = ("args", "headers", "body", "returns")
    model = HttpBody
    described = Described(
        "One HTTP request, written out in the graph.",
        {
            "http": v.word(
                "The method and the address; {name} after the host stands for an argument.",
                rf"^({'|'.join(METHODS)}) https?://[^\s/?#{{}}@]+([/?]\S*)?$",
            ),
            "args": v.object_type("What a call is given, as a mapping of fields."),
            "headers": v.ref("headers", "The headers, each a template over args, or {env: NAME}."),
            "body": v.value("The body in the place of the arguments, with templates over args and idempotency_key."),
            "returns": v.type("The type to which the answer is held."),
        },
    )
    timeout = outside.TIMEOUT

    def read(self, reader: Reader) -> tuple[HttpBody, Signature | None] | None:
        request = reader.string("http", "a method and an address: GET https://...")
        args, fields = outside.read_args(reader)
        headers, returns = outside.read_headers(reader), outside.read_returns(reader)
        body = reader.take("body") if reader.has("body") else MISSING
        if not isinstance(body, Missing):
            outside.misplaced_secrets(reader, reader.at("body"), body, "a body")
        if request is None:
            return None
        method, _, url = request.partition(" ")
        if not _checked(reader, request, method, url, fields):
            return None
        hosts = outside.hosts_of(reader, url)
        read = HttpBody(method, url, args, headers, body, returns, hosts)
        return read, outside.signature(fields, ANY if returns is None else returns)

    def templates(self, tool: ToolSpec, graph: GraphSpec) -> Iterator[Template]:
        body = self.body(tool)
        yield from outside.header_templates((*tool.path, "headers"), body.headers, tool.signature)
        if not isinstance(body.body, Missing):
            yield outside.value_template((*tool.path, "body"), body.body, tool.signature)

    def lower(self, tool: ToolSpec) -> ir.Does:
        body = self.body(tool)
        data = None if isinstance(body.body, Missing) else ir.Value(body.body)
        return ir.Http(body.method, body.url, body.args, body.headers, data, body.returns, body.hosts)


def _checked(reader: Reader, request: str, method: str, url: str, fields: Object) -> bool:
    """Whether the request can be made; what is wrong with it is reported."""
    path = reader.at("http")
    if method not in METHODS:
        listed = ", ".join(METHODS)
        message = f"a request begins with its method, one of {listed}, and not with {quoted(method)}"
        help = f"write GET {request}" if request.startswith("http") else choices_help(method.upper(), METHODS)
        reader.error("bad-url", message, path, part=(0, len(method)), help=help)
        return False
    offset = len(method) + 1
    if outside.check_url(reader, path, url, offset, query=True) is None:
        return False
    right = True
    rest = _PLACEHOLDER.sub("", url)
    if "{" in rest or "}" in rest:
        reader.error(
            "bad-url", "a { or } in an address stands around an argument's name", path, part=(offset, len(url))
        )
        return False
    for match in _PLACEHOLDER.finditer(url):
        right = _check_placeholder(reader, match, offset, fields) and right
    return right


def _check_placeholder(reader: Reader, match: re.Match[str], offset: int, fields: Object) -> bool:
    name, part = match[1], (offset + match.start(), len(match[0]))
    found = fields.field(name)
    if found is None:
        message = f"the address has {quoted(match[0])}, and args has no {quoted(name)}"
        help = choices_help(name, [one.name for one in fields.fields])
        reader.error("unknown-parameter", message, reader.at("http"), part=part, help=help)
        return False
    if found.optional or not _fits_an_address(found.type, reader):
        why = "may be left out" if found.optional else "is neither text, a number nor a boolean"
        message = f"{quoted(name)} {why}, and so cannot fill a part of the address"
        reader.error("bad-url", message, reader.at("http"), part=part)
        return False
    return True


def _fits_an_address(type: Type, reader: Reader) -> bool:
    types = dict(reader.reading.types)
    while isinstance(type, Named):
        type = types.pop(type.name, ANY)
    return isinstance(type, Enumeration) or (isinstance(type, Primitive) and type.name != "null")
