"""`nodes` and `steps`: a group with a scope of its own, in the order of its edges or of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Child, Context, Kind, Lowering, Nodes
from agentflow.spec.model import BlockSpec, Body, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import Type


@dataclass(frozen=True)
class GroupBody(Body):
    block: BlockSpec


class NodesKind(Kind[GroupBody]):
    verb = "nodes"
    keys = ("output",)
    model = GroupBody
    described = Described(
        "A group with a scope of its own, ordered by what its nodes refer to; the other keys apply to the whole.",
        {
            "nodes": v.nodes("The nodes of the group, which see outward."),
            "output": v.value("What the group yields; without it, the value of its one node, or of all by name."),
        },
    )

    def parse(self, reader: Reader, nodes: Nodes) -> GroupBody | None:
        return GroupBody(nodes.block(reader, self.verb))

    def children(self, node: NodeSpec) -> Iterator[Child]:
        yield Child(self.body(node).block, self.verb)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return context.type_of_block(self.body(node).block)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        block = self.body(node).block
        return ir.Group(context.lower_block(block), block.ordered)


class StepsKind(NodesKind):
    verb = "steps"
    described = Described(
        "A group whose nodes run one after the other, in the order of the file.",
        {"steps": v.nodes("The nodes of the group, in their order."), "output": NodesKind.described.keys["output"]},
    )
