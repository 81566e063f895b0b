"""`service`: a handler elsewhere as a tool, a remote agent, say; in an invocation of its own."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.service import read_target
from agentflow.spec.model import Body, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools.called_graph import REMOTE
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.outside import read_args, read_returns, signature
from agentflow.tools.signature import Signature
from agentflow.types import ANY, Type


@dataclass(frozen=True)
class ServiceToolBody(Body):
    service: str
    handler: str
    args: Type | None
    returns: Type | None


class ServiceToolKind(SingleToolKind[ServiceToolBody]):
    key = "service"
    keys = ("args", "returns")
    elsewhere = {
        "key": "each call has a key of its own; a node that calls a service may say another",
        "retry": "whoever serves it tries again what fails inside it",
        "timeout": "a node's timeout, or an agent's limits, say how long a call may take",
    }
    model = ServiceToolBody
    described = Described(
        "Any handler of the engine as a tool, a remote agent, say.",
        {
            "service": v.word(
                "The handler, as the engine knows it: Service/handler.",
                r"^[A-Za-z_][A-Za-z0-9._-]*/[A-Za-z_][A-Za-z0-9_]*$",
            ),
            "args": v.object_type("What a call is given, as a mapping of fields."),
            "returns": v.type("The type of what it returns, to which its answer is held."),
        },
    )

    def read(self, reader: Reader) -> tuple[ServiceToolBody, Signature | None] | None:
        target, (args, fields), returns = read_target(reader), read_args(reader), read_returns(reader)
        if target is None:
            return None
        return ServiceToolBody(*target, args, returns), signature(fields, returns or ANY)

    def more_than_one_step(self, tool: ToolSpec) -> tuple[str, str]:
        return REMOTE

    def lower(self, tool: ToolSpec) -> ir.Does:
        body = self.body(tool)
        return ir.CalledService(ir.Service(body.service, body.handler, body.returns), body.args)
