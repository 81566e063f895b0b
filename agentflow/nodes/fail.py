"""`fail`: ends what it stands in with a terminal error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import NULL, STRING, Type

CONFLICT = 409  # the engine's own: cancelled, started already


@dataclass(frozen=True)
class FailBody(Body):
    message: str
    code: int


class FailKind(Kind[FailBody]):
    verb = "fail"
    keys = ("code",)
    model = FailBody
    described = Described(
        "Ends what it stands in, a branch, a group or the run, with an error that is not tried again.",
        {
            "fail": v.text("The error's message."),
            "code": {**v.integer("The error's code, like an HTTP status.", 400, 599, 500), "not": {"const": CONFLICT}},
        },
    )

    def parse(self, reader: Reader, nodes: Nodes) -> FailBody | None:
        message, code = reader.text("fail"), reader.integer("code", 400, 599)
        if code == CONFLICT:
            reader.error("out-of-range", "the code 409 is the engine's own: it means cancelled", reader.at("code"))
        return FailBody(message or "", code or 500)

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        yield Template((*node.path, "fail"), "text", self.body(node).message, expected=STRING)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return NULL

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Fail(ir.Text(body.message), body.code)
