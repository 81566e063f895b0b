"""`parallel`: branches that run at the same time, and how many of them it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentflow import ir
from agentflow.diagnostics import quoted
from agentflow.nodes.kind import Child, Context, Kind, Lowering, Nodes, union
from agentflow.spec.model import Body, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import ANY, NULL, Enumeration, Field, Nullable, Object, Type

Join = Literal["all", "any", "first"] | int


@dataclass(frozen=True)
class ParallelBody(Body):
    branches: tuple[NodeSpec, ...]
    join: Join
    on_failure: Literal["fail_fast", "collect"]


class ParallelKind(Kind[ParallelBody]):
    verb = "parallel"
    keys = ("join", "on_failure")
    model = ParallelBody

    def parse(self, reader: Reader, nodes: Nodes) -> ParallelBody | None:
        entries = reader.entries("parallel")
        if not entries and isinstance(reader.data.get("parallel"), dict):
            reader.error("empty-block", f"{reader.what} has no branches", reader.at("parallel"), key=True)
        branches = tuple(nodes.node(reader.at("parallel", name), name, data) for name, data in entries.items())
        join = _join(reader, len(branches))
        on_failure = reader.choice("on_failure", ("fail_fast", "collect"), "fail_fast")
        if join != "all" and reader.has("on_failure"):
            message = '"on_failure" has no meaning unless all branches are waited for'
            reader.error("misplaced-key", message, reader.at("on_failure"), key=True, help="it belongs to join: all")
        return ParallelBody(branches, join, "collect" if on_failure == "collect" else "fail_fast")

    def children(self, node: NodeSpec) -> Iterator[Child]:
        for branch in self.body(node).branches:
            yield Child(branch, branch.name)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        types = {branch.name: context.type_of(branch) for branch in body.branches}
        if body.join in ("any", "first"):
            return Object((Field("winner", Enumeration(tuple(types))), Field("value", union(types.values()))))
        may_lack = body.join != "all" or body.on_failure == "collect"
        return Object(tuple(Field(name, _nullable(type) if may_lack else type) for name, type in types.items()))

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Fan(tuple(context.lower_node(branch) for branch in body.branches), body.join, body.on_failure)


_WORDS: tuple[Literal["all", "any", "first"], ...] = ("all", "any", "first")


def _nullable(type: Type) -> Type:
    return type if isinstance(type, Nullable) or type in (ANY, NULL) else Nullable(type)


def _join(reader: Reader, branches: int) -> Join:
    value = reader.take("join") if reader.has("join") else "all"
    for word in _WORDS:
        if value == word:
            return word
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= max(branches, 1):
        return value
    shown = quoted(value) if isinstance(value, str | int | float) else "this"
    message = f'"join" is one of all, any, first, or a number of branches, and not {shown}'
    help = f"there are {branches} branches" if isinstance(value, int) else None
    reader.error("bad-choice", message, reader.at("join"), help=help)
    return "all"
