"""`switch`: one of several nodes, chosen by a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Child, Context, Guard, Kind, Lowering, Nodes, Template, expression_text, union
from agentflow.scalars import Truth
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import Json, Type

Key = str | int | bool


@dataclass(frozen=True)
class CaseSpec:
    value: Key
    node: NodeSpec


@dataclass(frozen=True)
class SwitchBody(Body):
    subject: str | int | bool
    cases: tuple[CaseSpec, ...]
    default: NodeSpec | None

    def guards(self) -> Iterator[tuple[NodeSpec, Guard]]:
        subject = expression_text(self.subject)
        for case in self.cases:
            yield case.node, Guard(subject, (case.value,), True)
        if self.default is not None:
            yield self.default, Guard(subject, tuple(case.value for case in self.cases), False)


class SwitchKind(Kind[SwitchBody]):
    verb = "switch"
    keys = ("cases", "default")
    model = SwitchBody
    described = Described(
        "One of several nodes, chosen by a value; the node's value is that of the one chosen.",
        {
            "switch": v.expression("The expression whose value chooses."),
            "cases": v.each("The nodes by the values for which they run.", {"$ref": "#/definitions/node"}, least=1),
            "default": v.node("The node that runs for every other value."),
        },
        required=("cases",),
    )

    def parse(self, reader: Reader, nodes: Nodes) -> SwitchBody | None:
        subject = reader.take("switch")
        if not isinstance(subject, str | int) or (isinstance(subject, str) and not subject.strip()):
            reader.reading.wrong(reader.at("switch"), "an expression", subject)
            subject = None
        entries = reader.entries("cases") if reader.require("cases") else {}
        if not entries and isinstance(reader.data.get("cases"), dict):
            reader.error("empty-block", f"{reader.what} has no cases", reader.at("cases"), key=True)
        names = _names(list(entries))
        cases = tuple(
            CaseSpec(_value(key), nodes.node((*reader.path, "cases", key), names[key], data))
            for key, data in entries.items()
        )
        default = None
        if reader.has("default"):
            default = nodes.node(reader.at("default"), "default", reader.take("default"))
        return SwitchBody(subject, cases, default) if subject is not None else None

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        yield Template((*node.path, "switch"), "expr", self.body(node).subject)

    def children(self, node: NodeSpec) -> Iterator[Child]:
        for inner, guard in self.body(node).guards():
            yield Child(inner, inner.name, guard=guard, runs="maybe")

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        chosen = [inner for inner, _ in self.body(node).guards()]
        # A case that fails ends the whole, so that nothing comes of it.
        return union(context.type_of(inner) for inner in chosen if not _fails(inner) or all(map(_fails, chosen)))

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Choice(
            ir.Expr(expression_text(body.subject)),
            tuple(ir.Case(case.value, context.lower_node(case.node)) for case in body.cases),
            context.lower_node(body.default) if body.default is not None else None,
        )


def _fails(node: NodeSpec) -> bool:
    return node.kind == "fail" and node.when is None and node.on_error is None


def _value(key: Json) -> Key:
    assert isinstance(key, str | int)
    return key.value if isinstance(key, Truth) else key


def _names(keys: list[Json]) -> dict[Key, str]:
    """A name for each case, for addresses: its value as text, apart from `default` and from each other."""
    found: dict[Key, str] = {}
    taken = {"default", "on_error"}
    for key in keys:
        assert isinstance(key, str | int)
        name = str(key)
        while name in taken:
            name += "_"
        taken.add(name)
        found[key] = name
    return found
