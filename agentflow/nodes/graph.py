"""`graph`: calls a graph of the project, in a run of its own, or starts one and goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agentflow import callees, ir
from agentflow.callees import Callee, NoCallee
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes import arguments, calls
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.tools.outside import open_signature, signature
from agentflow.tools.signature import Signature
from agentflow.types import ANY, Json, Object, Type


@dataclass(frozen=True)
class GraphBody(Body):
    graph: str
    args: Mapping[str, Json]
    sending: calls.Sending


class GraphKind(Kind[GraphBody]):
    verb = "graph"
    keys = calls.KEYS
    retries = True
    model = GraphBody
    described = Described(
        "Calls a graph of the project, in a run of its own; the value is its output.",
        {
            "graph": v.name("The graph that is called, which may be this one."),
            "with": v.values("Its input, by the names of its fields."),
            **calls.DESCRIBED,
        },
        rules=calls.RULES,
    )

    def parse(self, reader: Reader, nodes: Nodes) -> GraphBody | None:
        graph, args = reader.string("graph", "a graph's name"), reader.entries("with", "a mapping of its input")
        sending = calls.read_sending(reader)
        return GraphBody(graph, args, sending) if graph is not None else None

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body, callee = self.body(node), self._callee(node, graph)
        takes = input_of(callee) if isinstance(callee, Callee) else None
        yield from arguments.templates(body.args, (*node.path, "with"), takes)
        yield from body.sending.templates(node.path)

    def _callee(self, node: NodeSpec, graph: GraphSpec) -> Callee | NoCallee:
        return callees.find(self.body(node).graph, graph.source, graph.root)

    def acts_elsewhere(self, node: NodeSpec, graph: GraphSpec) -> tuple[str, Literal["write", "unknown"], bool] | None:
        callee = self._callee(node, graph)
        if not isinstance(callee, Callee) or not callee.acts.writes:
            return None
        sent = self.body(node).sending.mode == "send"  # what is sent goes on by itself
        return callee.name, "write", not (sent or callee.acts.leaves)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        graph, body, place = context.graph, self.body(node), (*node.path, "graph")
        callee = self._callee(node, graph)
        if isinstance(callee, NoCallee):
            yield callee.at(graph.source, place)
            return
        yield from arguments.check(body.args, (*node.path, "with"), place, body.graph, input_of(callee), graph, "graph")
        if body.sending.key is not None and callee.kind == "service":
            message = f"the graph {quoted(body.graph)} is of the kind service, whose runs have no key"
            yield graph.source.error("misplaced-key", message, (*node.path, "key"), key=True)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        callee = self._callee(node, context.graph)
        if isinstance(callee, NoCallee):
            return ANY
        return calls.sent_type(callee.kind != "service") if self.body(node).sending.mode == "send" else callee.output

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body, callee = self.body(node), self._callee(node, context.graph)
        assert isinstance(callee, Callee)
        return body.sending.lower(node.retry, ir.Graph(callee.name, callee.kind), ir.Value(dict(body.args)))


def input_of(callee: Callee) -> Signature:
    """What a graph takes, as what a tool takes."""
    return signature(callee.input, callee.output) if isinstance(callee.input, Object) else open_signature()
