"""`python`: a function of the user's, whose source says what it takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.spec.model import Body, GraphSpec, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools.endings import may_end
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.python import Problem, signature
from agentflow.tools.signature import Signature


@dataclass(frozen=True)
class PythonBody(Body):
    reference: str  # as written: `tools.insurance:pay`
    module: str
    function: str


class PythonKind(SingleToolKind[PythonBody]):
    key = "python"
    elsewhere = {
        "args": "the parameters of a function are read from its source",
        "returns": "what a function returns is read from its source",
    }
    model = PythonBody
    described = Described(
        "A function of Python, whose signature and docstring are read from its source.",
        {"python": v.ref("reference", "The function, as module:function.")},
    )

    def read(self, reader: Reader) -> tuple[PythonBody, Signature | None] | None:
        reference = reader.string("python", "a function: module:function")
        found = signature(reference, reader.reading.root, reader.reading.stateful) if reference else None
        if isinstance(found, Problem):
            reader.error(found.code, found.message, reader.at("python"), part=found.part, help=found.help)
            found = None
        module, _, function = (reference or "").partition(":")
        return PythonBody(reference or "", module, function), found

    def more_than_one_step(self, tool: ToolSpec) -> tuple[str, str] | None:
        if tool.signature is None or not tool.signature.keeps_own_journal:
            return None
        return "keeps its own journal", "undo with a function that takes no restate.Context"

    def ends(self, tool: ToolSpec, graph: GraphSpec) -> bool:
        body, signature = self.body(tool), tool.signature
        if signature is None or signature.takes_state or signature.keeps_own_journal:
            return True
        return may_end(body.module, body.function, graph.root)

    def lower(self, tool: ToolSpec) -> ir.Does:
        body, signature = self.body(tool), tool.signature
        assert signature is not None, tool.name
        return ir.Python(
            body.module, body.function, signature.keeps_own_journal, signature.takes_key, signature.takes_state
        )
