"""The kind of a node of which nothing could be made: it has a name, and may be anything."""

from __future__ import annotations

from agentflow import ir
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes
from agentflow.spec.model import NodeSpec, Unread
from agentflow.spec.reader import Reader
from agentflow.types import ANY, Type


class UnreadKind(Kind[Unread]):
    verb = ""
    model = Unread

    def parse(self, reader: Reader, nodes: Nodes) -> Unread | None:
        return Unread()

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return ANY

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        raise AssertionError("a graph with mistakes is not lowered")
