"""`set`: writes the object's state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import Diagnostic, choices_help, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.fit import misfit
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import ANY, Field, Json, Object, Type


@dataclass(frozen=True)
class SetBody(Body):
    values: Mapping[str, Json]


class SetKind(Kind[SetBody]):
    verb = "set"
    model = SetBody
    described = Described(
        "Writes the object's state; the value is what it wrote.",
        {"set": v.values("What is written, by the names under state.", least=1)},
    )

    def parse(self, reader: Reader, nodes: Nodes) -> SetBody | None:
        values = reader.entries("set", "a mapping of names to values")
        if not values and isinstance(reader.data.get("set"), dict):
            reader.error("empty-block", f"{reader.what} sets nothing", reader.at("set"), key=True)
        return SetBody(values)

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        for name, value in self.body(node).values.items():
            field = graph.state.field(name) if graph.state is not None else None
            yield Template((*node.path, "set", name), "value", value, expected=field.type if field else ANY)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        graph, place = context.graph, (*node.path, "set")
        if graph.kind != "object":
            message = f"set writes the state of an object, and this graph is a {graph.kind}"
            help = "write kind: object, or keep it in a value node"
            yield graph.source.error("misplaced-key", message, place, key=True, help=help)
            return
        for name, value in self.body(node).values.items():
            field = graph.state.field(name) if graph.state is not None else None
            if field is None:
                yield self._unknown(graph, (*place, name), name)
            elif reason := misfit(value, field.type, graph.types):
                message = f"the value of {quoted(name)} does not fit: {reason}"
                related = ((graph.source.span(("state", name)), "its type"),)
                yield graph.source.error("wrong-type", message, (*place, name), related=related)

    def _unknown(self, graph: GraphSpec, path: tuple[str | int, ...], name: str) -> Diagnostic:
        names = [field.name for field in graph.state.fields] if graph.state is not None else []
        help = choices_help(name, names) if names else f"declare it: state: {{{name}: string}}"
        return graph.source.error("unknown-state", f"the state has no {quoted(name)}", path, key=True, help=help)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        state = context.graph.state or Object(())
        return Object(
            tuple(Field(name, field.type if (field := state.field(name)) else ANY) for name in self.body(node).values)
        )

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        return ir.Put(ir.Value(dict(self.body(node).values)))
