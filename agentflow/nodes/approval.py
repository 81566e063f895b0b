"""`approval`: a person decides, in time or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from agentflow import ir
from agentflow.diagnostics import Diagnostic
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.nodes.people import (
    EscalationSpec,
    NotifySpec,
    check_notify,
    notify_templates,
    read_escalation,
    read_notify,
    read_on_timeout,
    read_people,
)
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_object
from agentflow.types import BOOLEAN, STRING, Enumeration, Field, Json, ListOf, Nullable, Object, Type

OnTimeout = Literal["reject", "approve", "fail"]
ON_TIMEOUT: tuple[OnTimeout, ...] = ("reject", "approve", "fail")
WHOM = "name whom to ask: [claims]"


@dataclass(frozen=True)
class ApprovalBody(Body):
    message: str
    approvers: Json
    escalate: tuple[EscalationSpec, ...]
    on_timeout: OnTimeout | None
    on_reject: Literal["fail", "continue"]
    form: Type | None
    notify: NotifySpec | None


class ApprovalKind(Kind[ApprovalBody]):
    verb = "approval"
    keys = ("approvers", "escalate", "on_timeout", "on_reject", "form", "notify")
    own_timeout = True
    model = ApprovalBody
    described = Described(
        "A person decides; the node's value says what was decided, by whom and when.",
        {
            "approval": v.text("What the person is asked to approve."),
            "approvers": v.people("Whom to ask; one decision is enough."),
            "timeout": v.duration("How long to wait for a decision."),
            "escalate": v.ref("escalate", "Who is asked as well, step by step, when nobody has decided in time."),
            "on_timeout": v.choice("What follows when nobody has decided in time.", *ON_TIMEOUT),
            "on_reject": v.choice("Whether a rejection fails the node.", "fail", "continue", default="fail"),
            "form": v.object_type("What else the person fills in."),
            "notify": v.ref("notify", "The tool that tells each person asked."),
        },
        required=("approvers",),
        rules=(*v.TIMED, v.ESCALATES),
    )

    def parse(self, reader: Reader, nodes: Nodes) -> ApprovalBody | None:
        return ApprovalBody(
            message=reader.text("approval") or "",
            approvers=read_people(reader, "approvers") if reader.require("approvers", WHOM) else [],
            escalate=tuple(read_escalation(reader)),
            on_timeout=cast(OnTimeout | None, read_on_timeout(reader, ON_TIMEOUT, ("escalate",))),
            on_reject=cast(Literal["fail", "continue"], reader.choice("on_reject", ("fail", "continue"), "fail")),
            form=read_object(reader.reading, reader.at("form"), reader.take("form")) if reader.has("form") else None,
            notify=read_notify(reader),
        )

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body, people = self.body(node), ListOf(STRING)
        yield Template((*node.path, "approval"), "text", body.message, expected=STRING)
        yield Template((*node.path, "approvers"), "value", body.approvers, expected=people)
        for index, step in enumerate(body.escalate):
            yield Template((*node.path, "escalate", index, "to"), "value", step.to, expected=people)
        yield from notify_templates(body.notify, node.path, graph)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        yield from check_notify(self.body(node).notify, node.path, context.graph)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        form = self.body(node).form
        fields = (
            Field("approved", BOOLEAN),
            Field("outcome", Enumeration(("approved", "rejected", "expired"))),
            Field("by", Nullable(STRING)),
            Field("at", Nullable(STRING)),
            Field("comment", Nullable(STRING)),
            Field("form", Nullable(form or Object(()))),
        )
        return Object(fields)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Gate(
            message=ir.Text(body.message),
            approvers=ir.Value(body.approvers),
            timeout=node.timeout,
            escalate=tuple(step.lower() for step in body.escalate),
            on_timeout=body.on_timeout,
            on_reject=body.on_reject,
            form=body.form,
            notify=body.notify.lower() if body.notify else None,
        )
