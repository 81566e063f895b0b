"""`confirm:` of a tool: a person approves this very call, with these very arguments, before it is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from agentflow import ir
from agentflow.diagnostics import Path
from agentflow.nodes.kind import Template
from agentflow.nodes.people import read_escalation, read_on_timeout, read_people
from agentflow.spec.model import ConfirmSpec
from agentflow.spec.reader import Reader
from agentflow.tools.outside import seen, text_template, value_template
from agentflow.tools.signature import Signature
from agentflow.types import BOOLEAN

OnTimeout = Literal["reject", "approve", "fail"]


def read_confirm(reader: Reader) -> ConfirmSpec | None:
    inner = reader.mapping("confirm", "write {message: ..., approvers: [...]}")
    if inner is None:
        return None
    when = inner.take("when") if inner.has("when") else True
    if not isinstance(when, str | bool) or when == "":
        inner.reading.wrong(inner.at("when"), "an expression", when)
        when = True
    found = ConfirmSpec(
        path=inner.path,
        when=when,
        message=(inner.text("message") if inner.require("message") else None) or "",
        approvers=read_people(inner, "approvers") if inner.require("approvers", "name whom to ask: [claims]") else [],
        timeout=inner.duration("timeout"),
        escalate=tuple((step.to, step.timeout) for step in read_escalation(inner)),
        on_timeout=cast(OnTimeout | None, read_on_timeout(inner, ("reject", "approve", "fail"), ("escalate",))),
    )
    inner.finish()
    return found


def confirm_templates(confirm: ConfirmSpec, signature: Signature | None) -> Iterator[Template]:
    """What a confirmation says sees the call's arguments."""
    path: Path = confirm.path
    if not isinstance(confirm.when, bool):
        yield Template((*path, "when"), "expr", confirm.when, seen(signature), BOOLEAN, alone=True)
    yield text_template((*path, "message"), confirm.message, signature)
    yield value_template((*path, "approvers"), confirm.approvers, signature)
    for index, (to, _) in enumerate(confirm.escalate):
        yield value_template((*path, "escalate", index, "to"), to, signature)


def lower_confirm(confirm: ConfirmSpec) -> ir.Confirm:
    return ir.Confirm(
        when=confirm.when,
        message=ir.Text(confirm.message),
        approvers=ir.Value(confirm.approvers),
        timeout=confirm.timeout,
        escalate=tuple(ir.Escalation(ir.Value(to), timeout) for to, timeout in confirm.escalate),
        on_timeout=confirm.on_timeout,
    )
