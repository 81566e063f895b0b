"""`event`: the run waits for a message from outside; what was sent before it is asked for is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from agentflow import ir
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes
from agentflow.nodes.people import read_on_timeout
from agentflow.spec.model import Body, NodeSpec
from agentflow.spec.names import bad_name
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_type_at
from agentflow.types import ANY, Nullable, Type

OnTimeout = Literal["fail", "continue"]
ON_TIMEOUT: tuple[OnTimeout, ...] = ("fail", "continue")


@dataclass(frozen=True)
class EventBody(Body):
    event: str
    returns: Type
    on_timeout: OnTimeout | None


class EventKind(Kind[EventBody]):
    verb = "event"
    keys = ("returns", "on_timeout")
    own_timeout = True
    model = EventBody
    described = Described(
        "Waits for a message from outside; each is taken once, and one that came early is kept.",
        {
            "event": v.name("The name of the message."),
            "returns": v.type("The type of the message's data, which is the node's value."),
            "timeout": v.duration("How long to wait for the message."),
            "on_timeout": v.choice("What follows when none came in time; there is no default.", *ON_TIMEOUT),
        },
        rules=v.TIMED,
    )

    def parse(self, reader: Reader, nodes: Nodes) -> EventBody | None:
        name = reader.string("event", "the name of a message")
        if name is not None and (problem := bad_name(name, "a message", reserved=False)):
            reader.error("bad-name", problem[0], reader.at("event"), help=problem[1])
        returns = read_type_at(reader, "returns")
        on_timeout = cast(OnTimeout | None, read_on_timeout(reader, ON_TIMEOUT))
        return EventBody(name, returns or ANY, on_timeout) if name is not None else None

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        if context.graph.kind != "workflow":
            message = f"{quoted(node.name)} waits for an event, and a graph of the kind {context.graph.kind} gets none"
            help = "events are sent to a run by its key: make it kind: workflow"
            yield context.graph.source.error("workflow-only", message, (*node.path, "event"), key=True, help=help)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        may_be_null = body.on_timeout == "continue" and body.returns != ANY
        return Nullable(body.returns) if may_be_null and not isinstance(body.returns, Nullable) else body.returns

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Receive(body.event, body.returns, node.timeout, body.on_timeout)
