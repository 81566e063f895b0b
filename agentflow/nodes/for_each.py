"""`for_each`: the same node for every item of a list, so many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import expressions, ir
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes import joins
from agentflow.nodes.kind import Child, Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.names import bad_name
from agentflow.spec.reader import Reader
from agentflow.types import ANY, INTEGER, Field, Json, ListOf, Object, Type

ITEM, INDEX = "item", "index"
MAX_PARALLEL = 10
MOST_PARALLEL = 1000


@dataclass(frozen=True)
class ForEachBody(Body):
    over: str | list[Json]  # an expression, or the list itself
    item: str
    do: NodeSpec
    max_parallel: int
    join: joins.Join
    on_failure: joins.OnFailure


class ForEachKind(Kind[ForEachBody]):
    verb = "for_each"
    keys = ("as", "do", "max_parallel", *joins.KEYS)
    model = ForEachBody
    described = Described(
        "The same node for every item of a list; the value is the list of its values, in the order of the items.",
        {
            "for_each": {
                "anyOf": [{"$ref": "#/definitions/expression"}, {"type": "array"}],
                "description": "An expression that yields a list, or the list itself.",
            },
            "as": v.name("What an item is called inside; without it, item."),
            "do": v.node("The node that runs for each item; it sees the item and index, from 1."),
            "max_parallel": v.integer("How many run at a time.", 1, MOST_PARALLEL, MAX_PARALLEL),
            **joins.described("items"),
        },
        required=("do",),
        rules=joins.RULES,
    )

    def parse(self, reader: Reader, nodes: Nodes) -> ForEachBody | None:
        over = reader.take("for_each")
        if not isinstance(over, str | list):
            reader.reading.wrong(reader.at("for_each"), "an expression that yields a list, or a list", over)
            over = []
        item = reader.string("as", "a name") or ITEM
        if item != ITEM and (problem := bad_name(item, "an item")):
            reader.error("bad-name", problem[0], reader.at("as"), help=problem[1])
        help = "say what is done with each item: do: {tool: ...}"
        do = nodes.node(reader.at("do"), "do", reader.take("do")) if reader.require("do", help) else None
        most = reader.integer("max_parallel", 1, MOST_PARALLEL) or MAX_PARALLEL
        join, on_failure = joins.read(reader, len(over) if isinstance(over, list) else None)
        return ForEachBody(over, item, do, most, join, on_failure) if do is not None else None

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        over = self.body(node).over
        yield Template(
            (*node.path, "for_each"), "expr" if isinstance(over, str) else "value", over, expected=ListOf(ANY)
        )

    def children(self, node: NodeSpec) -> Iterator[Child]:
        body = self.body(node)
        yield Child(body.do, "do", {INDEX: INTEGER}, inferred=(body.item,), runs="maybe")

    def type_inside(self, node: NodeSpec, name: str, context: Context) -> Type:
        over = self.body(node).over
        return context.element_of(context.expression(over) if isinstance(over, str) else context.value(over))

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        item = self.body(node).item
        if item != ITEM and bad_name(item, "an item") is None and context.name(item) is not None:
            message = f"{quoted(item)} hides a name from outside"
            help = "call the item something else: names are seen from inside, and none has two meanings"
            yield context.graph.source.error("hidden-name", message, (*node.path, "as"), help=help)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        value = context.type_of(body.do)
        if body.join in ("any", "first"):
            return Object((Field("winner", INTEGER), Field("value", value)))
        return ListOf(joins.nullable(value) if joins.may_lack(body.join, body.on_failure) else value)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        over = ir.Expr(expressions.literal(body.over)) if isinstance(body.over, str) else ir.Value(body.over)
        return ir.Each(over, body.item, context.lower_node(body.do), body.max_parallel, body.join, body.on_failure)
