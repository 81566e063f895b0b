"""Approvals: people decide, the clock decides, or the run withdraws the question; one of them wins.

Each gate is an invocation of `<graph>.approvals` of its own, under the key `<run key>/<node path>`:
`ask` is private and waits, `decide` is public and refuses whatever must not count. Both meet in one
durable promise, of which the engine keeps the first resolution. The gate's state, under `gate`, is
what `agentflow approvals` lists.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow.runtime import schema, steps, templates
from agentflow.runtime.errors import NodeError, TemplateError
from agentflow.runtime.flights import Flight
from agentflow.runtime.graph import Graph, Tool, milliseconds
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run

RETENTION = timedelta(days=7)
KEY = "AGENTFLOW_APPROVAL_KEY"


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


class GateFlight(Flight):
    def __init__(
        self, run: Run, future: restate.RestateDurableCallFuture[bytes], on_timeout: str | None, on_reject: str
    ) -> None:
        super().__init__(run, future)
        self.call = future
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

    async def cancel(self) -> None:
        try:
            await self.call.cancel_invocation()
        except TerminalError:
            self.run.invocation.note_cancel()


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
        "form": None if form is None else schema.schema_of(form),
        "stages": stages,
    }
    if notify is not None:
        kept = {name: run.scope[name] for name in notify.uses if name in run.scope}
        gate["notify"] = {"tool": notify.tool.name, "args": dict(notify.args), "scope": kept}
    future = invocation.ctx.generic_call(f"{graph.name}.approvals", "ask", json.dumps(gate).encode(), key=key)
    flight = GateFlight(run, future, on_timeout, on_reject)
    until = None if timeout is None else _rfc3339(invocation.now + milliseconds(timeout) / 1000)
    flight.waits = {"kind": "approval", "id": gate["id"], "message": text, "until": until}
    return flight


def _names(run: Run, approvers: Json) -> list[str]:
    names = run.value(approvers)
    given = names if isinstance(names, list) else [names]
    flat = [str(name) for name in given if name not in (None, "")]
    if not flat:
        raise NodeError("fail", f"{run.path}: nobody is left to ask: `approvers` is empty", node=run.path)
    return list(dict.fromkeys(flat))


def approvals(graph: Graph) -> restate.Workflow:
    """The service of a graph's gates. It has no revision: gates of old runs are answered by the newest."""
    service = restate.Workflow(f"{graph.name}.approvals")

    @service.main(
        name="ask",
        input_serde=BytesSerde(),
        output_serde=BytesSerde(),
        ingress_private=True,
        workflow_retention=RETENTION,
    )
    async def ask_people(ctx: restate.WorkflowContext, body: bytes) -> bytes:
        return json.dumps(await _Gate(graph, ctx, json.loads(body)).decision()).encode()

    @service.handler(name="decide", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def decide(ctx: restate.WorkflowSharedContext, body: bytes) -> bytes:
        return json.dumps(await _decide(ctx, body), ensure_ascii=False).encode()

    return service


class _Gate:
    """The waiting side."""

    def __init__(self, graph: Graph, ctx: restate.WorkflowContext, gate: dict[str, Any]) -> None:
        self.graph = graph
        self.ctx = ctx
        self.gate = gate
        self.state: dict[str, Any] = {
            **{name: gate[name] for name in ("id", "graph", "key", "run", "node", "message", "arguments", "form")},
            "state": "open",
            "approvers": [],
        }
        self.now = 0.0

    async def decision(self) -> dict[str, Any]:
        promise = self.ctx.promise("decision", type_hint=dict)
        opened = steps.journaled(self.ctx, "open", _clock)
        try:
            self.now = (await opened)["at"]
            self.state["opened"] = _rfc3339(self.now)
            expired = await self._ask_all(promise.value())
        except TerminalError:  # the run was cancelled, or lost a race
            given = await self._resolve(promise, "withdrawn")
        else:
            given = await self._resolve(promise, "expired") if expired else await promise.value()
        self.state.update(state=given["outcome"], by=given["by"], at=given["at"])
        self.ctx.set("gate", self.state)
        moment = max(self.now, datetime.fromisoformat(given["at"]).timestamp()) if given["at"] else self.now
        return {**given, "now": moment}

    async def _ask_all(self, decision: restate.RestateDurableFuture[Any]) -> bool:
        """Asks stage by stage. True when the last one's time is up; False once there is a decision."""
        stages = self.gate["stages"]
        limits = [stage["timeout"] and milliseconds(stage["timeout"]) / 1000 for stage in stages]
        closes = self.now
        last = None if None in limits else self.now + sum(limits)
        for stage, limit in zip(stages, limits, strict=True):
            self.state["approvers"] = list(dict.fromkeys([*self.state["approvers"], *stage["to"]]))
            timers = []
            if limit is not None:
                closes += limit
                timers = [self.ctx.sleep(timedelta(seconds=limit))]
                self.state["deadline"] = _rfc3339(closes)
            self.state["closes"] = None if last is None else _rfc3339(last)
            self.ctx.set("gate", self.state)
            if await self._wait(decision, timers, [self._tell(person) for person in stage["to"]]):
                return False
            self.now = closes
        return True

    async def _wait(self, decision: Any, timers: list[Any], notices: list[Any]) -> bool:
        """True once there is a decision, False when the timer has fired; the notices go out meanwhile."""
        notices = [notice for notice in notices if notice is not None]
        while True:
            done, _ = await restate.wait_completed(decision, *timers, *notices)
            for notice in [notice for notice in notices if notice in done]:
                notices.remove(notice)
                outcome = await notice
                if "failed" in outcome:
                    self.state.setdefault("not_notified", []).append(outcome["failed"]["message"])
                    self.ctx.set("gate", self.state)
            if decision in done:
                return True
            if timers and timers[0] in done:
                return False

    def _tell(self, person: str) -> restate.RestateDurableFuture[Any] | None:
        """Starts telling a person. The link is made inside the step, so that its token is never journaled."""
        notify = self.gate.get("notify")
        if notify is None:
            return None
        gate = self.gate
        stop = steps.Stop()

        async def tell() -> steps.Outcome:
            tool = self.graph.tools.get(notify["tool"])
            if tool is None:
                return steps.failure("tool", f"this revision has no tool {notify['tool']!r}")
            scope = {
                **notify["scope"],
                "approver": person,
                "link": link(gate["id"], gate["run"], person),
                "message": gate["message"],
                "__outcomes__": {},
            }
            try:
                args = templates.value(notify["args"], scope)
            except TemplateError as error:
                return steps.failure("tool", str(error))
            assert isinstance(args, dict)
            outcome = await steps.tool_step(tool, args, f"{gate['run']}:{gate['node']}:{person}", tool.retry, stop)
            outcome.pop("value", None)  # what it returns is nobody's, and might hold the link
            return outcome

        return steps.journaled(self.ctx, f"tell {person}", tell)

    async def _resolve(self, promise: restate.context.DurablePromise[Any], outcome: str) -> dict[str, Any]:
        """Resolves the promise unless somebody was faster, and returns how it was resolved."""
        at = _rfc3339(self.now) if outcome == "expired" else None
        mine = {"outcome": outcome, "by": None, "at": at, "comment": None, "form": None}
        try:
            await promise.resolve(mine)
        except TerminalError:
            return await promise.peek() or mine
        return mine


async def _clock() -> steps.Outcome:
    return {"at": time.time()}


async def _decide(ctx: restate.WorkflowSharedContext, body: bytes) -> dict[str, Any]:
    """The deciding side. Refuses with 400, 401, 404, 409 or 410, and then has changed nothing."""
    gate: dict[str, Any] | None = await ctx.get("gate")
    if gate is None:
        raise TerminalError(f"no approval {ctx.key()!r} is open", status_code=404)
    given = _read(body)
    checked = await steps.journaled(ctx, "check", lambda: _check(gate, given))
    if checked["by"] is None:
        raise TerminalError("the token is not one of this approval's approvers", status_code=401)
    if gate["state"] != "open":
        raise _too_late(gate["state"], gate["by"], gate["at"])
    if gate.get("closes") and checked["at"] >= datetime.fromisoformat(gate["closes"]).timestamp():
        raise _too_late("expired", None, gate["closes"])
    form = given.get("form")
    if given["decision"] == "approve" and gate["form"] is not None:
        problem = _mismatch(gate["form"], form)
        if problem is not None:
            raise TerminalError(f"the form does not fit: {problem}", status_code=400)
    elif form is not None and gate["form"] is None:
        raise TerminalError("this approval has no form", status_code=400)
    decision = {
        "outcome": "approved" if given["decision"] == "approve" else "rejected",
        "by": checked["by"],
        "at": _rfc3339(checked["at"]),
        "comment": given.get("comment"),
        "form": form if given["decision"] == "approve" else None,
    }
    promise = ctx.promise("decision", type_hint=dict)
    try:
        await promise.resolve(decision)
    except TerminalError:
        first = await promise.peek()
        if first is None:
            raise
        raise _too_late(first["outcome"], first["by"], first["at"]) from None
    return {"id": gate["id"], **decision}


def _mismatch(wanted: dict[str, Json], form: Json) -> str | None:
    """Where and why a form does not fit its JSON Schema, or None."""
    from jsonschema import Draft202012Validator

    error = next(Draft202012Validator(wanted).iter_errors(form), None)
    return None if error is None else f"at {error.json_path}: {error.message}"


def _read(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict) or given.get("decision") not in ("approve", "reject"):
        raise TerminalError(
            'a decision is {"decision": "approve" or "reject", "by": ..., "comment": ..., "form": ..., "token": ...}',
            status_code=400,
        )
    for name in ("by", "comment", "token"):
        if not isinstance(given.get(name), str | None):
            raise TerminalError(f"{name} must be text", status_code=400)
    return given


async def _check(gate: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Who decides, as the token proves it; without a key, as they say. Environment and clock are read here only."""
    if not os.environ.get(KEY):
        return {"by": given.get("by") or "somebody", "at": time.time()}
    for person in gate["approvers"]:
        if hmac.compare_digest(token(gate["id"], gate["run"], person), given.get("token") or ""):
            return {"by": person, "at": time.time()}
    return {"by": None, "at": time.time()}


def _too_late(outcome: str, by: str | None, at: str | None) -> TerminalError:
    if outcome in ("approved", "rejected"):
        return TerminalError(f"already {outcome} by {by} at {at}", status_code=409)
    if outcome == "expired":
        return TerminalError(f"too late: it expired at {at}", status_code=410)
    return TerminalError("the run no longer waits for this approval", status_code=410)


def token(gate: str, run: str, approver: str) -> str:
    """What proves that `approver` decides: an HMAC under AGENTFLOW_APPROVAL_KEY, hex."""
    message = json.dumps([gate, run, approver]).encode()
    return hmac.new(os.environ.get(KEY, "").encode(), message, hashlib.sha256).hexdigest()


def link(gate: str, run: str, approver: str) -> str:
    """Where `approver` decides: AGENTFLOW_LINKS, the gate's id, and the token after `#`, which no server is sent."""
    base = os.environ.get("AGENTFLOW_LINKS", "http://127.0.0.1:8080/approve").rstrip("/")
    return f"{base}/{gate}#token={token(gate, run, approver)}" if os.environ.get(KEY) else f"{base}/{gate}"


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
