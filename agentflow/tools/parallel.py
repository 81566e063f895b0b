"""`parallel`: one call that runs several tools of the graph at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentflow import ir
from agentflow.diagnostics import quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.spec.model import Body, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.toolnames import offered
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.outside import read_args, signature
from agentflow.tools.signature import Signature
from agentflow.types import ANY, Field, Object, Type

EFFECTS = ("read", "write", "dangerous")  # the later, the worse


@dataclass(frozen=True)
class ParallelToolBody(Body):
    args: Type | None
    members: Mapping[str, tuple[str, ...] | None]  # the arguments that each takes; None: all, its server knows which


class ParallelToolKind(SingleToolKind[ParallelToolBody]):
    key = "parallel"
    keys = ("args",)
    elsewhere = {
        "effect": "it is the worst of the effects of its tools",
        "retry": "each of its tools has a retry of its own",
        "timeout": "each of its tools has a timeout of its own",
        "compensate": "each of its tools has a compensation of its own",
        "returns": "what it gives is an object of what its tools give",
    }
    model = ParallelToolBody
    described = Described(
        "One call that runs several tools at once, and gives an object of what they gave.",
        {
            "parallel": v.names("The tools that run.", 1),
            "args": v.object_type("What a call is given; each tool gets those that it has parameters for."),
        },
    )

    def read(self, reader: Reader) -> tuple[ParallelToolBody, Signature | None] | None:
        names, (args, fields) = reader.names("parallel"), read_args(reader)
        if not names:
            if reader.data.get("parallel") == []:
                message = f"{quoted('parallel')} is empty, so that nothing can be called"
                reader.error("empty-block", message, reader.at("parallel"), key=True)
            return None
        return ParallelToolBody(args, dict.fromkeys(names)), signature(fields, ANY)

    def completed(self, tool: ToolSpec, tools: Mapping[str, ToolSpec]) -> ToolSpec:
        body, own = self.body(tool), tool.signature
        assert own is not None, tool.name
        given = [parameter.name for parameter in own.parameters]
        members: dict[str, tuple[str, ...] | None] = {}
        fields: list[Field] = []
        for name in body.members:
            theirs = tools[name].signature if name in tools else None
            known = theirs is not None and not theirs.open
            members[name] = tuple(one for one in given if theirs and theirs.parameter(one)) if known else None
            fields.append(Field(offered(name), theirs.returns if theirs is not None else ANY))
        effects = [tools[name].effect for name in body.members if name in tools]
        return replace(
            tool,
            body=replace(body, members=members),
            signature=replace(own, returns=Object(tuple(fields))),
            effect=max(effects, key=EFFECTS.index, default="write"),
        )

    def called(self, tool: ToolSpec) -> tuple[str, ...]:
        return tuple(self.body(tool).members)

    def more_than_one_step(self, tool: ToolSpec) -> tuple[str, str]:
        return "runs several tools", "name a tool that is one step"

    def lower(self, tool: ToolSpec) -> ir.Does:
        body = self.body(tool)
        return ir.Together(body.args, tuple(body.members.items()))
