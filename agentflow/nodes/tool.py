"""`tool`: one call of a tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes import arguments
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.names import is_broken
from agentflow.spec.reader import Reader
from agentflow.spec.tools import acting
from agentflow.types import ANY, Json, Type


@dataclass(frozen=True)
class ToolBody(Body):
    tool: str
    args: Mapping[str, Json]


class ToolKind(Kind[ToolBody]):
    verb = "tool"
    keys = ("with",)
    retries = True
    model = ToolBody
    described = Described(
        "One call of a tool; the node's value is what the tool returns.",
        {
            "tool": v.word("The tool that is called: one of tools, or one tool of a set, as in crm.getCustomer."),
            "with": v.values("The arguments of the call, by the names of the tool's parameters."),
        },
    )

    def parse(self, reader: Reader, nodes: Nodes) -> ToolBody | None:
        tool, args = reader.string("tool", "a tool's name"), reader.entries("with", "a mapping of arguments")
        return ToolBody(tool, args) if tool is not None else None

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body = self.body(node)
        tool = graph.tools.get(body.tool)
        yield from arguments.templates(body.args, (*node.path, "with"), tool.signature if tool else None)

    def called_tool(self, node: NodeSpec) -> str | None:
        return self.body(node).tool

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        graph, body = context.graph, self.body(node)
        tool, place = graph.tools.get(body.tool), (*node.path, "tool")
        if tool is None:
            if not is_broken(body.tool, graph.broken):
                yield arguments.unknown_tool(body.tool, place, graph.tools, graph.agents, graph.source)
            return
        yield from arguments.check(body.args, (*node.path, "with"), place, body.tool, tool.signature, graph)
        undone = [tool, *acting(tool, graph.tools)]
        own = next((one for one in undone if one.compensate is not None), None)
        if node.compensate and own is not None and own.compensate is not None:
            yield graph.source.error(
                "second-compensation",
                f"the tool {quoted(own.name)} has a compensation of its own, so its node cannot have another",
                node.compensate.path,
                key=True,
                related=((graph.source.key_span(own.compensate.path), "the tool's"),),
            )

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        tool = context.graph.tools.get(self.body(node).tool)
        return tool.signature.returns if tool and tool.signature else ANY

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Step(body.tool, ir.Value(dict(body.args)), node.retry)
