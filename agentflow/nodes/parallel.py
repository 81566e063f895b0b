"""`parallel`: branches that run at the same time, and how many of them it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes import joins
from agentflow.nodes.kind import Child, Context, Kind, Lowering, Nodes, union
from agentflow.spec.model import Body, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import Enumeration, Field, Object, Type


@dataclass(frozen=True)
class ParallelBody(Body):
    branches: tuple[NodeSpec, ...]
    join: joins.Join
    on_failure: joins.OnFailure


class ParallelKind(Kind[ParallelBody]):
    verb = "parallel"
    keys = joins.KEYS
    model = ParallelBody
    described = Described(
        "Branches that run side by side, each a node; the value holds theirs by name.",
        {"parallel": v.ref("branches", "The branches by name."), **joins.described("branches")},
        rules=joins.RULES,
    )

    def parse(self, reader: Reader, nodes: Nodes) -> ParallelBody | None:
        entries = reader.entries("parallel")
        if not entries and isinstance(reader.data.get("parallel"), dict):
            reader.error("empty-block", f"{reader.what} has no branches", reader.at("parallel"), key=True)
        branches = tuple(nodes.node(reader.at("parallel", name), name, data) for name, data in entries.items())
        return ParallelBody(branches, *joins.read(reader, len(branches)))

    def children(self, node: NodeSpec) -> Iterator[Child]:
        for branch in self.body(node).branches:
            yield Child(branch, branch.name)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        types = {branch.name: context.type_of(branch) for branch in body.branches}
        if body.join in ("any", "first"):
            return Object((Field("winner", Enumeration(tuple(types))), Field("value", union(types.values()))))
        may_lack = joins.may_lack(body.join, body.on_failure)
        return Object(tuple(Field(name, joins.nullable(type) if may_lack else type) for name, type in types.items()))

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Fan(tuple(context.lower_node(branch) for branch in body.branches), body.join, body.on_failure)
