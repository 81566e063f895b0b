"""What nodes share that call something else in an invocation of its own: `graph` and `service`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from agentflow import ir
from agentflow.diagnostics import Path
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Schema
from agentflow.nodes.kind import Template
from agentflow.nodes.wait import read_until
from agentflow.spec.reader import Reader
from agentflow.types import NULL, STRING, Field, Object, Type

Mode = Literal["call", "send"]
KEYS = ("with", "key", "mode", "delay")
DESCRIBED: dict[str, Schema] = {  # but for `with`, which differs
    "key": v.text("The key of what is called; without it, made of the run and the node's place."),
    "mode": v.choice("Whether it is waited for, or sent and left alone.", "call", "send", default="call"),
    "delay": {
        "anyOf": [{"$ref": "#/definitions/duration"}, {"$ref": "#/definitions/until"}],
        "description": "How long after, or {until: TIME} at which, what is sent is started.",
    },
}
RULES = (
    v.only_with("delay", "mode", "send"),
    *(v.only_with(key, "mode", "call", default=True) for key in ("retry", "timeout")),
)


@dataclass(frozen=True)
class Sending:
    """How it is called: waited for, or sent and left alone; under which key, and after how long."""

    key: str | None
    mode: Mode
    delay: int | None  # ms
    until: str | None

    def templates(self, path: Path) -> Iterator[Template]:
        if self.key is not None:
            yield Template((*path, "key"), "text", self.key, expected=STRING)
        if self.until is not None:
            yield Template((*path, "delay", "until"), "expr", self.until, expected=STRING)

    def lower(self, retry: ir.Retry | None, callee: ir.Graph | ir.Service, args: ir.Value | None) -> ir.Call:
        key = None if self.key is None else ir.Text(self.key)
        until = None if self.until is None else ir.Expr(self.until)
        return ir.Call(callee, args, key, self.mode, self.delay, until, retry)


def read_sending(reader: Reader) -> Sending:
    mode = cast(Mode, reader.choice("mode", ("call", "send"), "call"))
    delay, until = _delay(reader)
    if mode == "call" and reader.has("delay"):
        message = '"delay" has no meaning for a call that is waited for'
        reader.error("misplaced-key", message, reader.at("delay"), key=True, help="add mode: send")
    for key in ("retry", "timeout"):
        if mode == "send" and reader.has(key):
            message = f"{reader.what} only sends, and does not learn what becomes of it"
            reader.error("misplaced-key", message, reader.at(key), key=True, help=f'"{key}" belongs to mode: call')
    return Sending(reader.text("key"), mode, delay, until)


def _delay(reader: Reader) -> tuple[int | None, str | None]:
    if isinstance(reader.data.get("delay"), dict):
        inner = reader.mapping("delay")
        assert inner is not None
        until = read_until(inner) if inner.require("until", "write {until: TIME}") else None
        inner.finish()
        return None, until
    return reader.duration("delay"), None


def sent_type(keyed: bool) -> Type:
    """The value of what is sent: under which key it goes."""
    return Object((Field("key", STRING if keyed else NULL),))
