"""`finally`: what is done once a run has ended, however it did, in an invocation of its own.

It is sent, not called: a cancel reaches what was called, and waiting after a cancel is not possible in the run itself.
The run waits for its end through an awakeable, unless it was cancelled, and then reports what became of it.
"""

from __future__ import annotations

import json
from typing import Any

import restate
from restate.exceptions import TerminalError

from agentflow.runtime import streams, tracing
from agentflow.runtime.errors import Interruption, NodeError
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.flow import Run
from agentflow.runtime.graph import After, Graph
from agentflow.runtime.invocation import Invocation
from agentflow.runtime.replies import replies_for
from agentflow.runtime.report import Report
from agentflow.runtime.spending import Meter, Spent
from agentflow.types import Json

PLACE = "finally"


async def run_after(root: Run, state: str, error: NodeError | None) -> dict[str, Json] | None:
    """Has what follows the run done. Returns the error in which it ended, or None.

    Its own failure changes nothing; what it did is not undone.
    """
    invocation = root.invocation
    if not invocation.graph.after:
        return None
    after = invocation.graph.after[0]
    assert after.handler is not None
    tell, done = invocation.ctx.awakeable(type_hint=str)
    call = {
        "run": {**invocation.run, "state": state},
        "scope": {name: root.scope.get(name) for name in after.uses},
        "outcomes": {name: how for name, how in root.scope[OUTCOMES].items() if name in after.uses},
        "error": None if error is None else error.as_json(),
        "spent": vars(invocation.spent),
        "now": invocation.now,
        "tell": tell,
    }
    if (traceparent := invocation.traceparent("")) is not None:
        call["trace"] = traceparent
    invocation.ctx.service_send(after.handler, arg=json.dumps(call, separators=(",", ":")).encode())
    invocation.alarms.clear()  # the run's time limit is not its
    try:
        await invocation.wait(done)
    except Interruption:
        return None  # it goes on by itself
    result: dict[str, Any] = json.loads(await done)
    invocation.report.merge(result["nodes"], own="")
    invocation.spent.add(result["spent"])
    invocation.happened(result["now"])
    failed: dict[str, Json] | None = result["error"]
    return failed


async def follow(graph: Graph, after: After, ctx: restate.Context, body: bytes) -> None:
    """The handler: runs the nodes, and tells the run what became of them."""
    given = json.loads(body)
    joined, spent = given.get("trace"), Spent(**given["spent"])
    trace = tracing.trace(joined, given["run"]["id"])
    report = Report(outbox=streams.outbox(ctx, graph, given["run"]), trace=trace)
    invocation = Invocation(ctx, graph, given["run"], report, given["now"], spent=spent, replies=replies_for(graph))
    invocation.meters[:] = [Meter("finally", graph.limits, spent, before={})]  # what ended the run must not end this
    invocation.joined = joined
    scope = {**given["scope"], "run": given["run"], "error": given["error"], OUTCOMES: given["outcomes"]}
    error: NodeError | None = None
    try:
        await after.body(Run(invocation, PLACE, scope))
    except NodeError as raised:
        error = raised
    except Interruption:
        error = NodeError("cancelled", "finally was cancelled", code=499)
    result = {
        "nodes": report.nodes,
        "spent": spent.minus(given["spent"]),
        "now": invocation.now,
        "error": None if error is None else error.as_json(),
    }
    report.flush()
    ctx.resolve_awakeable(given["tell"], json.dumps(result))
    if trace is not None:
        await trace.finish()
    if error is not None:  # so that the engine's own records tell it too
        raise TerminalError(error.message, status_code=error.code)
