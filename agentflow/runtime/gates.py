"""Gates: people decide or answer, the clock decides, or the run withdraws the question; one of them wins.

Each gate is an invocation of `<graph>.approvals` of its own, under the key `<run key>/<node path>`:
`ask` is private and waits, `decide` is public and refuses whatever must not count. Both meet in one
durable promise, of which the engine keeps the first resolution. The gate's state, under `gate`, is
what `agentflow approvals` lists.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow import tokens
from agentflow.durations import milliseconds
from agentflow.runtime import clock, results, steps, templates, tracing
from agentflow.runtime.cancels import outlived
from agentflow.runtime.errors import TemplateError
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.graph import Graph, Retry
from agentflow.runtime.times import RETENTION, rfc3339
from agentflow.types import Json


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
        gate = _Gate(graph, ctx, json.loads(body))
        decision = await gate.decision()
        if gate.trace is not None:
            await gate.trace.finish()
        return json.dumps(decision).encode()

    @service.handler(name="decide", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def decide(ctx: restate.WorkflowSharedContext, body: bytes) -> bytes:
        return json.dumps(await _decide(ctx, body), ensure_ascii=False).encode()

    return service


# Without a policy of its own a notification is given up soon, which `approvals` tells: the engine would try it again by
# starting the whole gate again, and pause it in the end, with a decision that nobody then hears of.
_TELLING = Retry(attempts=5, initial="500ms", max="5s")


_SHOWN = ("id", "graph", "key", "run", "node", "message", "arguments", "form")

# What a decision says, by the kind of the gate, and what has then become of it.
_OUTCOMES = {"approval": {"approve": "approved", "reject": "rejected"}, "ask": {"answer": "answered"}}


class _Gate:
    """The waiting side."""

    def __init__(self, graph: Graph, ctx: restate.WorkflowContext, gate: dict[str, Any]) -> None:
        self.graph = graph
        self.ctx = ctx
        self.gate = gate
        self.state: dict[str, Any] = {
            **{name: gate[name] for name in _SHOWN},
            "kind": gate.get("kind", "approval"),
            "state": "open",
            "approvers": [],
        }
        self.now = 0.0
        self.trace = tracing.trace(gate.get("trace"), gate["run"])
        self.told: dict[restate.RestateDurableFuture[Any], str] = {}  # notices, and their places in the run's trace

    async def decision(self) -> dict[str, Any]:
        promise = self.ctx.promise("decision", type_hint=dict)
        opened = steps.journaled(self.ctx, "open", steps.now)
        try:
            self.now = (await opened)["at"]
            self.state["opened"] = rfc3339(self.now)
            decided = promise.value()
            expired = await self._ask_all(decided)
        except TerminalError:  # the run was cancelled, or lost a race
            given = await self._resolve(promise, "withdrawn")
        else:
            given = await self._resolve(promise, "expired") if expired else await decided
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
                timers = [clock.sleep(self.ctx, limit * 1000)]
                self.state["deadline"] = rfc3339(closes)
            self.state["closes"] = None if last is None else rfc3339(last)
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
                tool = self.graph.tools.get(self.gate["notify"]["tool"])
                if self.trace is not None and tool is not None:
                    self.trace.tool(self.told[notice], tool, None, outcome)
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
                "link": tokens.link(gate["id"], gate["run"], person),
                "message": gate["message"],
                OUTCOMES: {},
            }
            try:
                args = templates.value(notify["args"], scope)
            except TemplateError as error:
                return steps.failure("tool", str(error))
            assert isinstance(args, dict)
            key = f"{gate['run']}:{gate['node']}:{person}"
            outcome = await steps.tool_step(tool, args, key, tool.retry or _TELLING, stop)
            outcome.pop("value", None)  # what it returns is nobody's, and might hold the link
            return outcome

        place = f"{gate['node']}.{notify['tool']}#{len(self.told) + 1}"
        closure = tell if self.trace is None else self.trace.within("tool", place, tell)
        notice = steps.journaled(self.ctx, f"tell {person}", closure)
        self.told[notice] = place
        return notice

    async def _resolve(self, promise: restate.context.DurablePromise[Any], outcome: str) -> dict[str, Any]:
        """Resolves the promise unless somebody was faster, and returns how it was resolved."""
        at = rfc3339(self.now) if outcome == "expired" else None
        mine = {"outcome": outcome, "by": None, "at": at, "comment": None, "form": None}
        resolving = promise.resolve(mine)
        await outlived(resolving)
        try:
            await resolving
        except TerminalError:
            first = promise.peek()
            await outlived(first)
            return await first or mine
        return mine


async def _decide(ctx: restate.WorkflowSharedContext, body: bytes) -> dict[str, Any]:
    """The deciding side. Refuses with 400, 401, 404, 409 or 410, and then has changed nothing."""
    gate: dict[str, Any] | None = await ctx.get("gate")
    if gate is None:
        raise TerminalError(f"no approval {ctx.key()!r} is open", status_code=404)
    given = _read(body)
    outcome = _OUTCOMES[gate.get("kind", "approval")].get(given["decision"])
    if outcome is None:
        wanted = "an answer: fill in its form" if gate.get("kind") == "ask" else "a decision: approve or reject"
        raise TerminalError(f"{gate['id']} wants {wanted}", status_code=400)
    checked = await steps.journaled(ctx, "check", lambda: _check(gate, given))
    if checked["by"] is None:
        raise TerminalError("the token is not one of this approval's approvers", status_code=401)
    if gate["state"] != "open":
        raise _too_late(gate["state"], gate["by"], gate["at"])
    if gate.get("closes") and checked["at"] >= datetime.fromisoformat(gate["closes"]).timestamp():
        raise _too_late("expired", None, gate["closes"])
    form = given.get("form")
    if outcome in ("approved", "answered") and gate["form"] is not None:
        problem = _mismatch(gate["form"], form)
        if problem is not None:
            raise TerminalError(f"the form does not fit: {problem}", status_code=400)
        form = _filled(gate["form"], form, gate["form"].get("$defs", {}))
    elif form is not None and gate["form"] is None:
        raise TerminalError("this approval has no form", status_code=400)
    decision = {
        "outcome": outcome,
        "by": checked["by"],
        "at": rfc3339(checked["at"]),
        "comment": given.get("comment"),
        "form": form if outcome in ("approved", "answered") else None,
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
    if error is None:
        return None
    inner = [each for each in error.context or () if each.schema != {"type": "null"}]
    if error.schema is not None and len(error.schema.get("anyOf", ())) == 2 and len(inner) == 1:
        error = inner[0]  # of a field that may be null: what is wrong with it as it was given
    return f"at {error.json_path}: {error.message}"


def _filled(wanted: Mapping[str, Any], value: Json, types: Mapping[str, Any]) -> Json:
    """A form that fits, with what its JSON Schema says of the fields that it leaves out."""
    if "$ref" in wanted:
        wanted = types.get(wanted["$ref"].rpartition("/")[2], {})
    if isinstance(value, list):
        return [_filled(wanted.get("items", {}), each, types) for each in value]
    if not isinstance(value, dict):
        return value
    fields: Mapping[str, Any] = wanted.get("properties", {})
    given = {name: field["default"] for name, field in fields.items() if "default" in field} | value
    ordered = {name: given[name] for name in (*fields, *given) if name in given}
    return {name: _filled(_kind(fields.get(name, {})), each, types) for name, each in ordered.items()}


def _kind(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a field is when it is not null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else field


def _read(body: bytes) -> dict[str, Any]:
    try:
        given: Any = results.loads(body)
        json.dumps(given, ensure_ascii=False).encode()
    except ValueError:
        given = None
    if not isinstance(given, dict) or given.get("decision") not in ("approve", "reject", "answer"):
        raise TerminalError(
            'a decision is {"decision": "approve", "reject" or "answer", '
            '"by": ..., "comment": ..., "form": ..., "token": ...}',
            status_code=400,
        )
    for name in ("by", "comment", "token"):
        if not isinstance(given.get(name), str | None):
            raise TerminalError(f"{name} must be text", status_code=400)
    return given


async def _check(gate: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Who decides, as the token proves it; without a key, as they say. Environment and clock are read here only."""
    if not tokens.required():
        return {"by": given.get("by") or "somebody", "at": clock.time()}
    shown = (given.get("token") or "").encode()
    for person in gate["approvers"]:
        if hmac.compare_digest(tokens.token(gate["id"], gate["run"], person).encode(), shown):
            return {"by": person, "at": clock.time()}
    return {"by": None, "at": clock.time()}


def _too_late(outcome: str, by: str | None, at: str | None) -> TerminalError:
    if outcome in ("approved", "rejected", "answered"):
        return TerminalError(f"already {outcome} by {by} at {at}", status_code=409)
    if outcome == "expired":
        return TerminalError(f"too late: it expired at {at}", status_code=410)
    return TerminalError("the run no longer waits for this approval", status_code=410)
