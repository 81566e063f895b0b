"""`service`: calls a Restate handler elsewhere: of a service, an object or a workflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes import calls
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import MISSING, Body, GraphSpec, Missing, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_type_at
from agentflow.types import ANY, Json, Nullable, Type

_TARGET = re.compile(r"((?:[a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9._-]*)/([a-zA-Z_][a-zA-Z0-9_]*)\Z")


@dataclass(frozen=True)
class ServiceBody(Body):
    service: str
    handler: str
    data: Json | Missing
    returns: Type
    sending: calls.Sending


class ServiceKind(Kind[ServiceBody]):
    verb = "service"
    keys = (*calls.KEYS, "returns")
    retries = True
    model = ServiceBody
    described = Described(
        "Calls any handler of the engine, a remote agent, say; the value is what it returns.",
        {
            "service": v.word(
                "The handler, as the engine knows it: Service/handler.",
                r"^[A-Za-z_][A-Za-z0-9._-]*/[A-Za-z_][A-Za-z0-9_]*$",
            ),
            "with": v.value("What it is given."),
            "returns": v.type("The type of what it returns, to which its answer is held."),
            **calls.DESCRIBED,
        },
        rules=(*calls.RULES, v.only_with("returns", "mode", "call", default=True)),
    )

    def parse(self, reader: Reader, nodes: Nodes) -> ServiceBody | None:
        target = read_target(reader)
        data = reader.take("with") if reader.has("with") else MISSING
        returns, sending = read_type_at(reader, "returns"), calls.read_sending(reader)
        if sending.mode == "send" and returns is not None:
            message = f"{reader.what} only sends, and nothing is returned to it"
            reader.error("misplaced-key", message, reader.at("returns"), key=True)
        return ServiceBody(*target, data, returns or ANY, sending) if target is not None else None

    def acts_elsewhere(self, node: NodeSpec, graph: GraphSpec) -> tuple[str, Literal["write", "unknown"], bool] | None:
        body = self.body(node)
        return f"{body.service}/{body.handler}", "unknown", False

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body = self.body(node)
        if not isinstance(body.data, Missing):
            yield Template((*node.path, "with"), "value", body.data, expected=Nullable(ANY))
        yield from body.sending.templates(node.path)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        return calls.sent_type(True) if body.sending.mode == "send" else body.returns

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        data = None if isinstance(body.data, Missing) else ir.Value(body.data)
        service = ir.Service(body.service, body.handler, None if body.returns == ANY else body.returns)
        return body.sending.lower(node.retry, service, data)


def read_target(reader: Reader) -> tuple[str, str] | None:
    """A service and a handler of it."""
    target = reader.string("service", "a service and its handler: Name/handler")
    if target is None:
        return None
    match = _TARGET.match(target)
    if match is None:
        message = "a handler is written Service/handler, as the engine knows it"
        help = f"write {target}/run" if _TARGET.match(f"{target}/run") else None
        reader.error("bad-service", message, reader.at("service"), help=help)
        return None
    return match[1], match[2]
