"""`loop`: rounds of the same nodes, until something holds or there have been too many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentflow import expressions, ir
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.for_each import INDEX
from agentflow.nodes.kind import Child, Context, Kind, Lowering, Nodes, Template, expression_text
from agentflow.spec.model import MISSING, BlockSpec, Body, GraphSpec, Missing, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import ANY, INTEGER, NULL, Json, Nullable, Type

PREVIOUS = "previous"
MOST_ROUNDS = 10_000


@dataclass(frozen=True)
class LoopBody(Body):
    block: BlockSpec
    until: str | int | bool
    max: int
    start: Json | Missing
    every: int | None  # ms
    on_max: Literal["fail", "continue"]


class LoopKind(Kind[LoopBody]):
    verb = "loop"
    keys = ("until", "max", "start", "every", "on_max", "output")
    depends_on_itself = True
    model = LoopBody
    described = Described(
        "Rounds of the same nodes, until a condition holds; the value is the last round's.",
        {
            "loop": v.nodes("The nodes of a round, which see index, from 1, and previous, the round before."),
            "until": v.expression("When it is done; it sees the round's nodes, index and previous."),
            "max": v.integer("The most rounds that there are.", 1, MOST_ROUNDS),
            "start": v.value("The first round's previous, of the type of a round's output; without it, null."),
            "every": v.duration("The pause between two rounds."),
            "on_max": v.choice("What follows when the last round was not the one.", "fail", "continue", default="fail"),
            "output": v.value("What a round yields; without it, the value of its one node, or of all by name."),
        },
        required=("until", "max"),
    )

    def parse(self, reader: Reader, nodes: Nodes) -> LoopBody | None:
        help = "say when it is done: until: critic.content"
        until = reader.take("until") if reader.require("until", help) else INDEX
        if not isinstance(until, str | bool | int):
            reader.reading.wrong(reader.at("until"), "an expression", until)
            until = INDEX
        most = reader.integer("max", 1, MOST_ROUNDS) if reader.require("max", "bound it: max: 5") else None
        start = reader.take("start") if reader.has("start") else MISSING
        every, on_max = reader.duration("every"), reader.choice("on_max", ("fail", "continue"), "fail")
        block = nodes.block(reader, self.verb, until, reader.at("until"))
        return LoopBody(block, until, most or MOST_ROUNDS, start, every, "continue" if on_max == "continue" else "fail")

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        start = self.body(node).start
        if start is not MISSING:
            yield Template((*node.path, "start"), "value", start, expected=Nullable(ANY))

    def children(self, node: NodeSpec) -> Iterator[Child]:
        yield Child(self.body(node).block, self.verb, {INDEX: INTEGER}, inferred=(PREVIOUS,))

    def type_inside(self, node: NodeSpec, name: str, context: Context) -> Type:
        """Of `previous`: what a round yields, or null in the first one where nothing is given for it."""
        body = self.body(node)
        output = context.type_of_block(body.block)
        if body.start is not MISSING and context.value(body.start) != NULL:
            return output
        return output if isinstance(output, Nullable) or output in (ANY, NULL) else Nullable(output)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        body, source = self.body(node), context.graph.source
        if body.start is not MISSING:
            output = context.type_of_block(body.block)
            if reason := context.misfit(context.value(body.start), output):
                message = f'"start" does not fit what a round yields: {reason}'
                help = "it is the first round's previous, and of the type of the loop's output"
                yield source.error("wrong-start", message, (*node.path, "start"), help=help)
        names = _names_in(expression_text(body.until))
        if names is not None and names.isdisjoint({*body.block.nodes, INDEX, PREVIOUS}):
            message = "the condition is the same in every round: it depends on nothing in the loop"
            help = f"it sees the round's nodes: {', '.join(map(quoted, body.block.nodes))}"
            yield source.error("constant-until", message, body.block.until_path, help=help)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return context.type_of_block(self.body(node).block)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Loop(
            body=context.lower_block(body.block),
            until=ir.Expr(expressions.literal(body.until)),
            max=body.max,
            start=None if body.start is MISSING else ir.Value(body.start),
            every=body.every,
            on_max=body.on_max,
        )


def _names_in(text: str) -> frozenset[str] | None:
    """The names that a condition uses; None where it cannot be read, which is reported elsewhere."""
    leaf = expressions.read("expr", (), text)
    return None if leaf.tree is None else frozenset(each.name for each in expressions.references(leaf.tree))
