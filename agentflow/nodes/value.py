"""`value`: something computed from what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import ANY, Json, Nullable, Type


@dataclass(frozen=True)
class ValueBody(Body):
    value: Json


class ValueKind(Kind[ValueBody]):
    verb = "value"
    model = ValueBody
    described = Described(
        "Something computed from what is there.",
        {"value": v.value("The value: one {{ expression }} keeps its type, anything around it makes it text.")},
    )

    def parse(self, reader: Reader, nodes: Nodes) -> ValueBody | None:
        return ValueBody(reader.take("value"))

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        yield Template((*node.path, "value"), "value", self.body(node).value, expected=Nullable(ANY))

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return context.value(self.body(node).value)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        return ir.Let(ir.Value(self.body(node).value))
