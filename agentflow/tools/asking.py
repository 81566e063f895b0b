"""`approval`, `ask`: an agent, or a node, asks a person, and is told the outcome."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from agentflow import ir
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.ask import ANYONE, read_form
from agentflow.nodes.kind import Template
from agentflow.nodes.people import read_on_timeout, read_people
from agentflow.spec.model import Body, GraphSpec, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.tools.called_graph import REMOTE
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.outside import read_args, signature, text_template, value_template
from agentflow.tools.signature import Signature
from agentflow.types import BOOLEAN, STRING, Enumeration, Field, Json, Nullable, Object, Type


@dataclass(frozen=True)
class AskingBody(Body):
    message: str
    args: Type | None
    to: Json
    form: Type | None
    timeout: int | None
    on_timeout: str | None


class _AskingKind(SingleToolKind[AskingBody]):
    model = AskingBody
    to: ClassVar[str]  # the key that says whom to ask
    on_timeout: ClassVar[tuple[str, ...]]
    elsewhere = {"retry": "people are asked once", "effect": "to ask has no effect"}

    def read(self, reader: Reader) -> tuple[AskingBody, Signature | None] | None:
        message, (args, fields) = reader.text(self.key), read_args(reader)
        on_timeout = read_on_timeout(reader, self.on_timeout)
        form, returns = self.read_answer(reader, on_timeout)
        to = self.read_to(reader)
        if message is None:
            return None
        body = AskingBody(message, args, to, form, reader.duration("timeout"), on_timeout)
        return body, signature(fields, returns)

    @abstractmethod
    def read_answer(self, reader: Reader, on_timeout: str | None) -> tuple[Type | None, Type]:
        """The form, and the type of what is given back."""

    @abstractmethod
    def read_to(self, reader: Reader) -> Json:
        """Whom to ask."""

    def more_than_one_step(self, tool: ToolSpec) -> tuple[str, str]:
        return REMOTE

    def templates(self, tool: ToolSpec, graph: GraphSpec) -> Iterator[Template]:
        body = self.body(tool)
        yield text_template((*tool.path, self.key), body.message, tool.signature)
        yield value_template((*tool.path, self.to), body.to, tool.signature)

    def lower(self, tool: ToolSpec) -> ir.Does:
        body = self.body(tool)
        on_timeout = cast(Any, body.on_timeout)
        return ir.Asking(ir.Text(body.message), body.args, ir.Value(body.to), body.form, body.timeout, on_timeout)


class ApprovalToolKind(_AskingKind):
    key = "approval"
    keys = ("args", "approvers", "on_timeout")
    to = "approvers"
    on_timeout = ("reject", "approve", "fail")
    described = Described(
        "The agent asks a person for approval, and is told the outcome.",
        {
            "approval": v.text("What the person is asked to approve, a template over args."),
            "args": v.object_type("What a call is given, as a mapping of fields."),
            "approvers": v.people("Whom to ask; one decision is enough."),
            "on_timeout": v.choice("What follows when nobody has decided in time; there is no default.", *on_timeout),
        },
        required=("approvers",),
        rules=v.TIMED,
    )

    def read_answer(self, reader: Reader, on_timeout: str | None) -> tuple[Type | None, Type]:
        outcome = Enumeration(("approved", "rejected", "expired"))
        words = [Field(name, Nullable(STRING)) for name in ("by", "at", "comment")]
        return None, Object((Field("approved", BOOLEAN), Field("outcome", outcome), *words))

    def read_to(self, reader: Reader) -> Json:
        return read_people(reader, "approvers") if reader.require("approvers", "name whom to ask: [claims]") else []


class AskToolKind(_AskingKind):
    key = "ask"
    keys = ("args", "form", "to", "on_timeout")
    to = "to"
    on_timeout = ("fail", "continue")
    described = Described(
        "The agent asks a person, and is told what they fill in.",
        {
            "ask": v.text("What the person is asked, a template over args."),
            "args": v.object_type("What a call is given, as a mapping of fields."),
            "form": v.object_type("The fields that are asked for."),
            "to": v.people("Whom to ask; without it, anyone."),
            "on_timeout": v.choice("What follows when nobody has answered in time; there is no default.", *on_timeout),
        },
        required=("form",),
        rules=v.TIMED,
    )

    def read_answer(self, reader: Reader, on_timeout: str | None) -> tuple[Type | None, Type]:
        form = read_form(reader)
        return form, Nullable(form) if on_timeout == "continue" else form

    def read_to(self, reader: Reader) -> Json:
        return read_people(reader, "to") if reader.has("to") else [ANYONE]
