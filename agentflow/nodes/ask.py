"""`ask`: a person fills in a form. An answer is information; it never counts as consent."""

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
    NotifySpec,
    check_notify,
    notify_templates,
    read_notify,
    read_on_timeout,
    read_people,
)
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_object
from agentflow.types import STRING, Json, ListOf, Nullable, Object, Type

OnTimeout = Literal["fail", "continue"]
ON_TIMEOUT: tuple[OnTimeout, ...] = ("fail", "continue")
ANYONE = "anyone"
FORM = "say what is asked for: form: {amount: number}"


@dataclass(frozen=True)
class AskBody(Body):
    message: str
    to: Json
    on_timeout: OnTimeout | None
    form: Type
    notify: NotifySpec | None


class AskKind(Kind[AskBody]):
    verb = "ask"
    keys = ("form", "to", "on_timeout", "notify")
    own_timeout = True
    model = AskBody
    described = Described(
        "A person fills in a form, whose fields are the node's value; an answer never counts as consent.",
        {
            "ask": v.text("What the person is asked."),
            "form": v.object_type("The fields that are asked for."),
            "to": v.people("Whom to ask; without it, anyone."),
            "timeout": v.duration("How long to wait for an answer."),
            "on_timeout": v.choice("What follows when nobody has answered in time; there is no default.", *ON_TIMEOUT),
            "notify": v.ref("notify", "The tool that tells each person asked."),
        },
        required=("form",),
        rules=v.TIMED,
    )

    def parse(self, reader: Reader, nodes: Nodes) -> AskBody | None:
        return AskBody(
            message=reader.text("ask") or "",
            to=read_people(reader, "to") if reader.has("to") else [ANYONE],
            on_timeout=cast(OnTimeout | None, read_on_timeout(reader, ON_TIMEOUT)),
            form=read_form(reader),
            notify=read_notify(reader),
        )

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body = self.body(node)
        yield Template((*node.path, "ask"), "text", body.message, expected=STRING)
        yield Template((*node.path, "to"), "value", body.to, expected=ListOf(STRING))
        yield from notify_templates(body.notify, node.path, graph)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        yield from check_notify(self.body(node).notify, node.path, context.graph)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        return Nullable(body.form) if body.on_timeout == "continue" else body.form

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Question(
            message=ir.Text(body.message),
            to=ir.Value(body.to),
            timeout=node.timeout,
            on_timeout=body.on_timeout,
            form=body.form,
            notify=body.notify.lower() if body.notify else None,
        )


def read_form(reader: Reader) -> Type:
    data = reader.take("form")
    return read_object(reader.reading, reader.at("form"), data) if reader.require("form", FORM) else Object(())
