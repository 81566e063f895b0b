"""`emit`: tells whoever follows the run something on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.names import LONGEST
from agentflow.spec.reader import Reader
from agentflow.types import ANY, Json, Nullable, Type

_TOPIC = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True)
class EmitBody(Body):
    topic: str
    data: Json


class EmitKind(Kind[EmitBody]):
    verb = "emit"
    keys = ("data",)
    model = EmitBody
    described = Described(
        "Tells whoever follows the run something on the way.",
        {
            "emit": v.word(
                "The topic: a letter, then letters, digits, dots, dashes and _.",
                rf"^[A-Za-z][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}$",
            ),
            "data": v.value("What is told, which is also the node's value."),
        },
        required=("data",),
    )

    def parse(self, reader: Reader, nodes: Nodes) -> EmitBody | None:
        topic = reader.string("emit", "the name of a topic")
        if topic is not None and (not _TOPIC.match(topic) or len(topic) > LONGEST):
            message = f"{quoted(topic)} cannot name a topic"
            note = f"a letter, then letters, digits and _ . -, at most {LONGEST}; no template"
            reader.error("bad-name", message, reader.at("emit"), note=note, help=_plain(topic))
        reader.require("data", help="what to tell, a value: data: null, if the topic says it all")
        return EmitBody(topic or "", reader.take("data"))

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        yield Template((*node.path, "data"), "value", self.body(node).data, expected=Nullable(ANY))

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return context.value(self.body(node).data)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Emit(body.topic, ir.Value(body.data))


def _plain(topic: str) -> str | None:
    if "{" in topic:
        return "say it in data: what differs from one event to the next belongs there"
    proposal = re.sub(r"[^A-Za-z0-9_.-]+", "_", topic.strip()).strip("_.-")
    return f"write {proposal}" if _TOPIC.match(proposal) and len(proposal) <= LONGEST else None
