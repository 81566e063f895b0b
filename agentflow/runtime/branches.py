"""The private handlers of a revision: of nodes that run in invocations of their own, and of what follows the run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Coroutine
from typing import Any

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow.runtime import steps, streams, tracing
from agentflow.runtime.after import follow
from agentflow.runtime.conversations import Conversation
from agentflow.runtime.errors import Cancelled, NodeError
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.flow import Run
from agentflow.runtime.graph import After, Graph, Node
from agentflow.runtime.invocation import Invocation, Limit
from agentflow.runtime.kept import Kept
from agentflow.runtime.lists import Part
from agentflow.runtime.replies import replies_for
from agentflow.runtime.report import Report
from agentflow.runtime.spending import Spent
from agentflow.runtime.times import ABORT
from agentflow.types import Json


def own_invocations(graph: Graph, /, **nodes: Node) -> restate.Service:
    """A private service with a handler for each node that runs beside others, and for what follows the run.

    It belongs to this revision alone.
    """
    private = restate.Service(f"{graph.name}.nodes_{graph.revision}", ingress_private=True, abort_timeout=ABORT)
    for after in graph.after:
        after.handler = _following(private, graph, after)
    for name, node in nodes.items():
        graph.handlers[node] = _own_invocation(private, graph, name, node)
    return private


def _own_invocation(private: restate.Service, graph: Graph, name: str, node: Node) -> Callable[..., Any]:
    @private.handler(name=name, input_serde=BytesSerde(), output_serde=BytesSerde())
    async def handler(ctx: restate.Context, body: bytes) -> bytes:
        return await branch(graph, node, ctx, body)

    return handler


def _following(private: restate.Service, graph: Graph, after: After) -> Callable[..., Any]:
    @private.handler(name="finally", input_serde=BytesSerde())
    async def handler(ctx: restate.Context, body: bytes) -> None:
        await follow(graph, after, ctx, body)

    return handler


async def branch(graph: Graph, node: Node, ctx: restate.Context, body: bytes) -> bytes:
    """A node in an invocation of its own. Returns its value and what it did; undoes nothing itself.

    The input is `{run, path, scope, outcomes, spent, now, limit, trace, part, state, heard}`, the output `{value,
    outcome, undo, undone, not_undone, spent, nodes, now, state, said}`; a failure carries all but the value in its
    metadata.
    """
    given = json.loads(body)
    joined = given.get("trace")
    trace = tracing.trace(joined, given["run"]["id"])
    report = Report(outbox=streams.outbox(ctx, graph, given["run"]), own=given["path"], trace=trace)
    invocation = Invocation(
        ctx, graph, given["run"], report, given["now"], spent=Spent(**given["spent"]), replies=replies_for(graph)
    )
    if "limit" in given:  # the shortest alarm of who called, in milliseconds
        invocation.given = Limit(given["limit"], given["now"])
    invocation.joined, invocation.called = joined, True
    if "state" in given:
        invocation.kept = Kept(graph.state, given["state"])
    for name, heard in given.get("heard", {}).items():
        invocation.conversations[name] = Conversation(**heard)
    scope = {**given["scope"], "run": given["run"], OUTCOMES: given["outcomes"]}
    run = Run(invocation, given["path"], scope)  # the scope is of what is around, the path the node's own
    plain = dataclasses.replace(node, when=None)  # the caller has decided it

    def result(**more: Json) -> dict[str, Any]:
        report.flush()
        return {
            "undo": [entry.as_json() for entry in invocation.undo],
            "undone": invocation.undone,
            "not_undone": invocation.not_undone,
            "spent": invocation.spent.minus(given["spent"]),
            "nodes": report.nodes,
            "now": invocation.now,
            **({"state": invocation.kept.changed} if invocation.kept and invocation.kept.changed else {}),
            **(
                {"said": said} if (said := {n: c.fresh for n, c in invocation.conversations.items() if c.fresh}) else {}
            ),
            **more,
        }

    try:
        value = await (_part(run, node, given["part"]) if "part" in given else run.one(plain, run.at(run.path)))
        if invocation.cancelled:
            raise Cancelled
        answer = steps.encoded(result(value=value, outcome=scope[OUTCOMES].get(node.name)))
        if trace is not None:
            await trace.finish()
        return answer
    except NodeError as error:
        kind, code, message, place = error.kind, error.code, error.message, error.node
    except Cancelled:
        kind, code, message, place = "cancelled", 499, "cancelled", None
    metadata = {"kind": kind, "node": place or "", "agentflow": json.dumps(result())}
    if trace is not None:
        await trace.finish()
    raise TerminalError(message, status_code=code, metadata=metadata)


async def _part(run: Run, node: Node, part: dict[str, Any]) -> Json:
    """Some items of a `for_each`; what is said of the node as a whole is its caller's."""
    working = run.working(node)
    working.part = Part(**part)
    body = node.body(working)
    assert isinstance(body, Coroutine), node.name
    value: Json = await body
    return value
