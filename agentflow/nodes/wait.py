"""`wait`: for a duration, or until a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.rfc3339 import BadTime, looks_like_time, seconds
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.reader import Reader
from agentflow.types import INTEGER, NUMBER, STRING, Nullable, Type


@dataclass(frozen=True)
class WaitBody(Body):
    """One of the two: a duration, or a template of one; an expression of a time."""

    duration: str | None
    until: str | None


class WaitKind(Kind[WaitBody]):
    verb = "wait"
    model = WaitBody
    described = Described(
        "Waits for a while, or until a time; the value is the time at which it ended.",
        {
            "wait": {
                "anyOf": [
                    {"$ref": "#/definitions/duration"},
                    {"type": "string", "pattern": r"\{[{%]"},
                    {"$ref": "#/definitions/until"},
                ],
                "description": "A duration, a template of one, or {until: TIME}.",
            }
        },
    )

    def parse(self, reader: Reader, nodes: Nodes) -> WaitBody | None:
        value = reader.take("wait")
        if isinstance(value, dict):
            inner = reader.mapping("wait")
            until = read_until(inner) if inner is not None and inner.require("until", "write {until: TIME}") else None
            if inner is not None:
                inner.finish(known=("until",))
            return WaitBody(None, until) if until is not None else None
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            return WaitBody(value, None)
        if isinstance(value, str) and looks_like_time(value):
            help = "write {until: ...} to wait for a time"
            reader.error(
                "bad-duration", f"this is a time, and no duration: {quoted(value)}", reader.at("wait"), help=help
            )
            return None
        return WaitBody(value.strip(), None) if reader.duration("wait") and isinstance(value, str) else None

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        body = self.body(node)
        if body.duration is not None:
            yield Template((*node.path, "wait"), "text", body.duration, expected=STRING)
        if body.until is not None:
            yield Template((*node.path, "wait", "until"), "expr", body.until, expected=STRING)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        """A lone `{{ number }}` can only yield what lacks a unit."""
        body = self.body(node)
        if body.duration is None or "{" not in body.duration:
            return
        type = context.resolve(context.value(body.duration))
        if (type.of if isinstance(type, Nullable) else type) in (INTEGER, NUMBER):
            message, help = "a duration needs a unit, and this yields none", f'write "{body.duration}s", or ms m h d'
            yield context.graph.source.error("bad-duration", message, (*node.path, "wait"), help=help)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        return STRING

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        return ir.Wait(
            None if body.duration is None else ir.Text(body.duration),
            None if body.until is None else ir.Expr(body.until),
        )


def read_until(reader: Reader) -> str | None:
    """An expression; a time as such stands for itself."""
    value = reader.string("until", "a time, or an expression of one")
    if value is None or not looks_like_time(value):
        return value
    try:
        seconds(value)
    except BadTime as problem:
        reader.error("bad-time", f"{problem}: {quoted(value)}", reader.at("until"), help=problem.help)
        return None
    return repr(value.strip())
