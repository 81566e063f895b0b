"""What a graph says of approvals and questions: whom to ask, for how long, and what becomes of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import restate
from restate.exceptions import TerminalError

from agentflow.durations import milliseconds
from agentflow.runtime import schema
from agentflow.runtime.errors import NodeError
from agentflow.runtime.flights import RemoteFlight
from agentflow.runtime.graph import Tool
from agentflow.runtime.times import rfc3339
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


@dataclass(frozen=True)
class Escalation:
    """After the time-out before it, `to` are asked as well, for `timeout`."""

    to: Sequence[str]
    timeout: str


@dataclass(frozen=True)
class Notify:
    """Runs `tool` for each person asked; `args` also see `approver`, `link` and `message`."""

    tool: Tool
    args: Mapping[str, Json]
    uses: Sequence[str] = ()


class GateFlight(RemoteFlight):
    """A gate that is open. What the people, the clock or a cancel decided is read by `_given`."""

    def __init__(self, run: Run, future: restate.RestateDurableCallFuture[bytes], on_timeout: str | None) -> None:
        super().__init__(run, future)
        self.on_timeout = on_timeout

    async def _given(self) -> dict[str, Any]:
        try:
            decision: dict[str, Any] = json.loads(await self.future)
        except TerminalError as error:
            raise NodeError("fail", f"{self.run.path}: {error.message}", node=self.run.path) from None
        self.run.invocation.happened(decision.pop("now"))
        if decision["outcome"] == "withdrawn":
            raise NodeError("cancelled", f"{self.run.path}: withdrawn", code=499, node=self.run.path)
        return decision


class ApprovalFlight(GateFlight):
    def __init__(
        self, run: Run, future: restate.RestateDurableCallFuture[bytes], on_timeout: str | None, on_reject: str
    ) -> None:
        super().__init__(run, future, on_timeout)
        self.on_reject = on_reject

    async def take(self) -> Json:
        decision = await self._given()
        outcome, path = decision["outcome"], self.run.path
        if outcome == "expired" and self.on_timeout == "fail":
            raise NodeError("expired", f"{path}: nobody decided in time", code=504, node=path)
        approved = outcome == "approved" or (outcome == "expired" and self.on_timeout == "approve")
        if not approved and self.on_reject == "fail":
            if outcome == "expired":
                raise NodeError("expired", f"{path}: nobody decided in time", code=422, node=path)
            why = f": {decision['comment']}" if decision["comment"] else ""
            raise NodeError("rejected", f"{path}: rejected by {decision['by']}{why}", code=422, node=path)
        return {"approved": approved, **decision}


class ToldFlight(ApprovalFlight):
    """Of a call: whoever made it is told how it was decided. There is no form to fill in."""

    async def take(self) -> Json:
        decision = await super().take()
        assert isinstance(decision, dict)
        return {name: given for name, given in decision.items() if name != "form"}


class QuestionFlight(GateFlight):
    async def take(self) -> Json:
        given = await self._given()
        if given["outcome"] == "expired":
            if self.on_timeout == "fail":
                message = f"{self.run.path}: nobody answered in time"
                raise NodeError("expired", message, code=504, node=self.run.path)
            return None
        form: Json = given["form"]
        return form


def ask(
    run: Run,
    message: str,
    *,
    approvers: Json,
    timeout: str | None = None,
    escalate: Sequence[Escalation] = (),
    on_timeout: Literal["reject", "approve", "fail"] | None = None,
    on_reject: Literal["fail", "continue"] = "fail",
    form: Any = None,
    notify: Notify | None = None,
) -> ApprovalFlight:
    """Opens a gate for a decision. Its value is `{approved, outcome, by, at, comment, form}`."""
    stages = [{"to": _names(run, approvers), "timeout": timeout}]
    stages += [{"to": _names(run, list(step.to)), "timeout": step.timeout} for step in escalate]
    gate = _gate(run, "approval", run.text(message), stages, form, notify)
    flight = ApprovalFlight(run, _open(run, gate), on_timeout, on_reject)
    flight.waits = _waits(run, gate)
    return flight


def question(
    run: Run,
    message: str,
    *,
    to: Json,
    form: Any,
    timeout: str | None = None,
    on_timeout: Literal["fail", "continue"] = "fail",
    notify: Notify | None = None,
) -> QuestionFlight:
    """Asks people to fill in a form, which is its value; null where nobody did in time and that goes on."""
    gate = _gate(run, "ask", run.text(message), [{"to": _names(run, to), "timeout": timeout}], form, notify)
    flight = QuestionFlight(run, _open(run, gate), on_timeout)
    flight.waits = _waits(run, gate)
    return flight


def tool_gate(
    run: Run,
    kind: Literal["approval", "ask"],
    message: str,
    args: Mapping[str, Json],
    stages: Sequence[Mapping[str, Any]],
    on_timeout: str | None,
    form: Any = None,
) -> GateFlight:
    """Asks on behalf of a call: texts see its arguments, which are shown to whoever decides."""
    of = run.block_with(args=dict(args))
    whom = [{"to": _names(of, stage["to"]), "timeout": stage["timeout"]} for stage in stages]
    gate = _gate(run, kind, of.text(message), whom, form, None)
    gate["arguments"] = dict(args)
    future = _open(run, gate)
    flight: GateFlight
    if kind == "ask":
        flight = QuestionFlight(run, future, on_timeout)
    else:
        flight = ToldFlight(run, future, on_timeout, "continue")
    flight.waits = _waits(run, gate)
    return flight


def _gate(
    run: Run,
    kind: Literal["approval", "ask"],
    message: str,
    stages: Sequence[Mapping[str, Any]],
    form: Any,
    notify: Notify | None,
) -> dict[str, Any]:
    """What is asked, as `<graph>.approvals` takes it."""
    of = run.invocation.run
    graph = run.invocation.graph
    gate: dict[str, Any] = {
        "id": f"{graph.name}/{run.invocation.address}/{run.path.replace('#', '-')}",  # a link ends at a #
        "kind": kind,
        "graph": graph.name,
        "key": of.get("key"),
        "run": of["id"],
        "node": run.path,
        "message": message,
        "arguments": None,
        "form": None if form is None else schema.whole_schema_of(form),
        "stages": list(stages),
    }
    if (traceparent := run.invocation.traceparent(run.path)) is not None:
        gate["trace"] = traceparent
    if notify is not None:
        kept = {name: run.scope[name] for name in notify.uses if name in run.scope}
        gate["notify"] = {"tool": notify.tool.name, "args": dict(notify.args), "scope": kept}
    return gate


def _open(run: Run, gate: Mapping[str, Any]) -> restate.RestateDurableCallFuture[bytes]:
    service, _, key = str(gate["id"]).partition("/")
    return run.invocation.ctx.generic_call(f"{service}.approvals", "ask", json.dumps(gate).encode(), key=key)


def _waits(run: Run, gate: Mapping[str, Any]) -> dict[str, Json]:
    timeout = gate["stages"][0]["timeout"]
    until = None if timeout is None else rfc3339(run.invocation.now + milliseconds(timeout) / 1000)
    return {"kind": gate["kind"], "id": gate["id"], "message": gate["message"], "until": until}


def _names(run: Run, approvers: Json) -> list[str]:
    names = run.value(approvers)
    given = names if isinstance(names, list) else [names]
    wrong = next((name for name in given if not isinstance(name, str | None)), None)
    if wrong is not None:
        raise NodeError("fail", f"{run.path}: no name of a person to ask: {json.dumps(wrong)[:80]}", node=run.path)
    flat = [name for name in given if isinstance(name, str) and name]
    if not flat:
        raise NodeError("fail", f"{run.path}: nobody is left to ask: `approvers` is empty", node=run.path)
    return list(dict.fromkeys(flat))
