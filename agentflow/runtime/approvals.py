"""What a graph says of an approval: whom to ask, for how long, and what becomes of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import restate
from restate.exceptions import TerminalError

from agentflow.runtime import schema
from agentflow.runtime.errors import NodeError
from agentflow.runtime.flights import RemoteFlight
from agentflow.runtime.graph import Tool, milliseconds
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
    def __init__(
        self, run: Run, future: restate.RestateDurableCallFuture[bytes], on_timeout: str | None, on_reject: str
    ) -> None:
        super().__init__(run, future)
        self.on_timeout = on_timeout
        self.on_reject = on_reject

    async def take(self) -> Json:
        try:
            decision: dict[str, Any] = json.loads(await self.future)
        except TerminalError as error:
            raise NodeError("fail", f"{self.run.path}: {error.message}", node=self.run.path) from None
        self.run.invocation.happened(decision.pop("now"))
        outcome = decision["outcome"]
        path = self.run.path
        if outcome == "withdrawn":
            raise NodeError("cancelled", f"{path}: withdrawn", code=499, node=path)
        if outcome == "expired" and self.on_timeout == "fail":
            raise NodeError("expired", f"{path}: nobody decided in time", code=504, node=path)
        approved = outcome == "approved" or (outcome == "expired" and self.on_timeout == "approve")
        if not approved and self.on_reject == "fail":
            if outcome == "expired":
                raise NodeError("expired", f"{path}: nobody decided in time", code=422, node=path)
            why = f": {decision['comment']}" if decision["comment"] else ""
            raise NodeError("rejected", f"{path}: rejected by {decision['by']}{why}", code=422, node=path)
        return {"approved": approved, **decision}


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
) -> GateFlight:
    """Opens a gate. Its value is `{approved, outcome, by, at, comment, form}`."""
    invocation = run.invocation
    graph = invocation.graph
    text = run.text(message)
    key = f"{invocation.run.get('key') or invocation.run['id']}/{run.path}"
    stages = [{"to": _names(run, approvers), "timeout": timeout}]
    stages += [{"to": _names(run, list(step.to)), "timeout": step.timeout} for step in escalate]
    gate: dict[str, Any] = {
        "id": f"{graph.name}/{key}",
        "graph": graph.name,
        "key": invocation.run.get("key"),
        "run": invocation.run["id"],
        "node": run.path,
        "message": text,
        "arguments": None,
        "form": None if form is None else schema.whole_schema_of(form),
        "stages": stages,
    }
    if notify is not None:
        kept = {name: run.scope[name] for name in notify.uses if name in run.scope}
        gate["notify"] = {"tool": notify.tool.name, "args": dict(notify.args), "scope": kept}
    future = invocation.ctx.generic_call(f"{graph.name}.approvals", "ask", json.dumps(gate).encode(), key=key)
    flight = GateFlight(run, future, on_timeout, on_reject)
    until = None if timeout is None else rfc3339(invocation.now + milliseconds(timeout) / 1000)
    flight.waits = {"kind": "approval", "id": gate["id"], "message": text, "until": until}
    return flight


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
