"""`approval`: a person decides, in time or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from agentflow import ir
from agentflow.diagnostics import Diagnostic
from agentflow.nodes import arguments
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.names import is_broken
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_object
from agentflow.types import BOOLEAN, STRING, Enumeration, Field, Json, ListOf, Nullable, Object, Type

NOTIFY: dict[str, Type] = {"approver": STRING, "link": STRING, "message": STRING}


@dataclass(frozen=True)
class EscalationSpec:
    to: Json
    timeout: int  # ms


@dataclass(frozen=True)
class NotifySpec:
    tool: str
    args: Mapping[str, Json]


@dataclass(frozen=True)
class ApprovalBody(Body):
    message: str
    approvers: Json
    escalate: tuple[EscalationSpec, ...]
    on_timeout: Literal["reject", "approve", "fail"] | None
    on_reject: Literal["fail", "continue"]
    form: Type | None
    notify: NotifySpec | None


class ApprovalKind(Kind[ApprovalBody]):
    verb = "approval"
    keys = ("approvers", "escalate", "on_timeout", "on_reject", "form", "notify")
    own_timeout = True
    model = ApprovalBody

    def parse(self, reader: Reader, nodes: Nodes) -> ApprovalBody | None:
        return ApprovalBody(
            message=reader.text("approval") or "",
            approvers=_people(reader, "approvers") if reader.require("approvers", "name whom to ask: [claims]") else [],
            escalate=tuple(_escalation(reader)),
            on_timeout=cast(Literal["reject", "approve", "fail"] | None, _on_timeout(reader)),
            on_reject=cast(Literal["fail", "continue"], reader.choice("on_reject", ("fail", "continue"), "fail")),
            form=read_object(reader.reading, reader.at("form"), reader.take("form")) if reader.has("form") else None,
            notify=_notify(reader),
        )

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body, people = self.body(node), ListOf(STRING)
        yield Template((*node.path, "approval"), "text", body.message, expected=STRING)
        yield Template((*node.path, "approvers"), "value", body.approvers, expected=people)
        for index, step in enumerate(body.escalate):
            yield Template((*node.path, "escalate", index, "to"), "value", step.to, expected=people)
        if body.notify is not None:
            tool = graph.tools.get(body.notify.tool)
            path, signature = (*node.path, "notify", "with"), tool.signature if tool else None
            yield from arguments.templates(body.notify.args, path, signature, NOTIFY)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        graph, notify = context.graph, self.body(node).notify
        if notify is None:
            return
        tool, place = graph.tools.get(notify.tool), (*node.path, "notify", "tool")
        if tool is not None:
            path = (*node.path, "notify", "with")
            yield from arguments.check(notify.args, path, place, notify.tool, tool.signature, graph.source)
        elif not is_broken(notify.tool, graph.broken):
            yield arguments.unknown_tool(notify.tool, place, graph.tools, graph.agents, graph.source)

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
            escalate=tuple(ir.Escalation(ir.Value(step.to), step.timeout) for step in body.escalate),
            on_timeout=body.on_timeout,
            on_reject=body.on_reject,
            form=body.form,
            notify=ir.Notify(body.notify.tool, ir.Value(dict(body.notify.args))) if body.notify else None,
        )


def _on_timeout(reader: Reader) -> str | None:
    found = reader.choice("on_timeout", ("reject", "approve", "fail"))
    if reader.has("timeout") and not reader.has("on_timeout"):
        message = f"{reader.what} has a timeout, and does not say what follows it"
        reader.error(
            "missing-on-timeout",
            message,
            reader.at("timeout"),
            key=True,
            help="add on_timeout: reject, approve or fail",
        )
    for key in ("on_timeout", "escalate"):
        if reader.has(key) and not reader.has("timeout"):
            message = f'"{key}" has no meaning without "timeout"'
            reader.error("misplaced-key", message, reader.at(key), key=True, help="add a timeout: 24h")
    return found


def _people(reader: Reader, key: str) -> Json:
    """A list of names or templates; a lone template that yields the list."""
    value = reader.take(key)
    if isinstance(value, str) and value.strip().startswith("{{") and value.strip().endswith("}}"):
        return value
    if isinstance(value, list) and value and all(isinstance(name, str) and name.strip() for name in value):
        return value
    help = f"write [{value}]" if isinstance(value, str) and value.isidentifier() else None
    reader.reading.wrong(reader.at(key), "a list of names", value, help)
    return []


def _escalation(reader: Reader) -> Iterator[EscalationSpec]:
    steps = reader.take("escalate")
    if not reader.has("escalate"):
        return
    if not isinstance(steps, list) or not steps:
        reader.reading.wrong(reader.at("escalate"), "a list of steps: {to: [names], timeout: 4h}", steps)
        return
    for index, data in enumerate(steps):
        step = reader.reading.reader(reader.at("escalate", index), data, "the escalation")
        if step is None:
            continue
        to = _people(step, "to") if step.require("to") else []
        timeout = step.duration("timeout") if step.require("timeout") else None
        step.finish()
        yield EscalationSpec(to, timeout or 0)


def _notify(reader: Reader) -> NotifySpec | None:
    inner = reader.mapping("notify")
    if inner is None:
        return None
    tool = inner.string("tool", "a tool's name") if inner.require("tool") else None
    args = inner.entries("with", "a mapping of arguments")
    inner.finish()
    return NotifySpec(tool, args) if tool is not None else None
