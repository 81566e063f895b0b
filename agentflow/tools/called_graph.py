"""`graph`: a graph of the project as a tool, in a run of its own."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow import callees, ir
from agentflow.callees import Callee, NoCallee
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.spec.model import Body, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.outside import open_signature, signature_of
from agentflow.tools.signature import Parameter, Signature
from agentflow.types import Object

REMOTE = ("waits in an invocation of its own", "undo with a tool that is one step")


@dataclass(frozen=True)
class CalledGraphBody(Body):
    callee: Callee


class GraphToolKind(SingleToolKind[CalledGraphBody]):
    key = "graph"
    elsewhere = {
        "args": "what a graph takes is its input",
        "returns": "what a graph gives is its output",
        "retry": "a graph tries again what fails inside it",
        "timeout": "the limits of a graph are its own",
    }
    model = CalledGraphBody
    described = Described(
        "A graph of the project as a tool, which takes its input and gives its output.",
        {"graph": v.name("The graph that is called.")},
    )

    def read(self, reader: Reader) -> tuple[CalledGraphBody, Signature | None] | None:
        name = reader.string("graph", "a graph's name")
        if name is None:
            return None
        callee = callees.find(name, reader.reading.source, reader.reading.root)
        if isinstance(callee, NoCallee):
            reader.reading.problems.append(callee.at(reader.reading.source, reader.at("graph")))
            return None
        return CalledGraphBody(callee), _signature(callee)

    def more_than_one_step(self, tool: ToolSpec) -> tuple[str, str]:
        return REMOTE

    def lower(self, tool: ToolSpec) -> ir.Does:
        callee = self.body(tool).callee
        takes = callee.input if not isinstance(callee.input, Object) or callee.input.fields else None
        return ir.CalledGraph(callee.name, callee.kind, takes)


def _signature(callee: Callee) -> Signature:
    if not isinstance(callee.input, Object):
        return open_signature()
    parameters = [Parameter(one.name, one.type, not one.optional, one.description) for one in callee.input.fields]
    return signature_of(parameters, callee.output, callee.description)
