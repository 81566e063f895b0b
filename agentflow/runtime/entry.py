"""The handlers of a graph: its entry, and the private ones of nodes that run in invocations of their own.

The entry owns the run: it reads the input, holds the time limit, undoes what was done when the run
ends badly, and says in its error what was undone and what could not be.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, cast

import restate
from restate.exceptions import TerminalError
from restate.handler import HandlerIO, handler_from_callable
from restate.serde import BytesSerde

from agentflow.runtime import budgets, following, messages, rehearsal, saga, schema, steps, streams, tracing
from agentflow.runtime.after import follow, run_after
from agentflow.runtime.conversations import Conversation
from agentflow.runtime.errors import Cancelled, NodeError, TimedOut
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.flow import Run
from agentflow.runtime.graph import After, Graph, Node
from agentflow.runtime.invocation import Future, Invocation, Limit
from agentflow.runtime.kept import Kept
from agentflow.runtime.lists import Part
from agentflow.runtime.memory import Memory
from agentflow.runtime.replies import replies_for
from agentflow.runtime.report import Report
from agentflow.runtime.spending import Spent
from agentflow.runtime.times import RETENTION, rfc3339
from agentflow.types import Json

Flow = Callable[[Run], Awaitable[Json]]

# How long one step may take. By itself the engine would break off an attempt that has been silent for eleven minutes,
# and begin the step anew, for ever; a step that hangs is its time limit's business.
ABORT = timedelta(days=1)


def workflow(graph: Graph, flow: Flow) -> restate.Workflow:
    """The graph as a Restate workflow: `run`, once for each key; `status` and `event` at any time."""
    from agentflow.runtime.events import accept
    from agentflow.runtime.status import status

    service = restate.Workflow(graph.name, description=graph.description, abort_timeout=ABORT)

    @service.main(name="run", input_serde=BytesSerde(), output_serde=BytesSerde(), workflow_retention=RETENTION)
    async def run(ctx: restate.WorkflowContext, body: bytes) -> bytes:
        return await enter(graph, flow, ctx, body)

    # Whoever follows a run asks often; nobody looks at the journals of that.
    @service.handler(name="status", output_serde=BytesSerde(), journal_retention=timedelta(0))
    async def show(ctx: restate.WorkflowSharedContext) -> bytes:
        return await status(graph, ctx)

    @service.handler(name="events", input_serde=BytesSerde(), output_serde=BytesSerde(), journal_retention=timedelta(0))
    async def events(ctx: restate.WorkflowSharedContext, body: bytes) -> bytes:
        return await streams.of_run(graph, ctx, body)

    @service.handler(name="event", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def event(ctx: restate.WorkflowSharedContext, body: bytes) -> bytes:
        return await accept(graph, ctx, body)

    declare(run, graph)
    return service


def service(graph: Graph, flow: Flow) -> restate.Service:
    """The graph as a Restate service: `run`, as often as it is called."""
    entry = restate.Service(graph.name, description=graph.description, abort_timeout=ABORT)

    @entry.handler(name="run", input_serde=BytesSerde(), output_serde=BytesSerde(), idempotency_retention=RETENTION)
    async def run(ctx: restate.Context, body: bytes) -> bytes:
        return await enter(graph, flow, ctx, body)

    declare(run, graph)
    return entry


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


def declare(handler: Callable[..., Any], graph: Graph) -> None:
    """Gives discovery the schemas of the graph's input and output; the bytes are read by `enter` itself."""
    io: HandlerIO[Any, Any] = handler_from_callable(handler).handler_io
    for hint, type_ in ((io.input_type, graph.input), (io.output_type, graph.output)):
        if hint is not None and type_ is not None:
            hint.generate_json_schema = lambda type_=type_: schema.schema_of(type_)


async def enter(graph: Graph, flow: Flow, ctx: restate.Context, body: bytes) -> bytes:
    """One run of the graph, from its input to its output or its error."""
    try:
        given = schema.read(graph.input, body or b"{}")
    except schema.Mismatch as mismatch:
        raise TerminalError(f"the input does not fit: {mismatch}", status_code=400) from None
    calls = tracing.caller(ctx.request().headers)
    start = steps.journaled(ctx, "start", partial(tracing.begin, calls))
    stateful = ctx if isinstance(ctx, restate.ObjectContext) and graph.kind == "workflow" else None
    owner = Owner(graph, ctx, stateful)
    try:
        await owner.open()
        begun = await start
    except TerminalError:
        if stateful is not None:
            stateful.set(
                "run",
                {
                    "graph": graph.name,
                    "key": stateful.key(),
                    "state": "cancelled",
                    "compensation": "none",
                    "log": [[0, "cancelled", None]],
                },
            )
        owner.close()
        raise TerminalError("cancelled before it began", status_code=499, metadata={"kind": "cancelled"}) from None
    owner.joined = begun.get("trace", calls)
    return await owner.work(flow, given, begun["at"])


class Owner:
    """The entry handler's part: state, undoing, the final answer."""

    def __init__(
        self,
        graph: Graph,
        ctx: restate.Context,
        stateful: restate.ObjectContext | None,
        memory: Memory | None = None,
        cancelled: bool = False,
    ) -> None:
        self.graph = graph
        self.ctx = ctx
        self.stateful = stateful
        self.memory = memory  # of an object
        self.cancelled = cancelled  # before it began
        self.facts: dict[str, Json] = {}  # what the run's state always says
        self.spent: dict[str, Any] = {}  # as last written
        self.joined: str | None = None  # the run's place in a trace

    async def open(self) -> None:
        """Lets the run's messages know that it has begun, before anybody else can see it."""
        if self.stateful is not None and self.graph.events:
            await messages.call(self.ctx, self.graph.name, self.stateful.key(), "open")

    def close(self) -> None:
        """Nobody takes the run's messages any more."""
        if self.stateful is not None and self.graph.events:
            messages.send(self.ctx, self.graph.name, self.stateful.key(), "close")

    async def work(self, flow: Flow, given: Json, started: float) -> bytes:
        key = self.stateful.key() if self.stateful is not None else None
        run: dict[str, Json] = {
            "id": f"{self.ctx.request().id.removeprefix('inv_')}.{int(started * 1000):x}",
            "graph": self.graph.name,
            "started": rfc3339(started),
            **({} if key is None else {"key": key}),
        }
        invocation = Invocation(self.ctx, self.graph, run, Report(), started, replies=replies_for(self.graph))
        trace = tracing.trace(self.joined, str(run["id"]), owns=True)
        outbox = streams.outbox(self.ctx, self.graph, run)
        invocation.report = Report(
            lambda path, state: self._put_node(invocation, path, state), outbox=outbox, trace=trace
        )
        invocation.joined = self.joined
        invocation.cancelled = self.cancelled
        scope: dict[str, Any] = {"input": given, "run": run, OUTCOMES: {}}
        if self.memory is not None:
            await self.memory.recall(invocation)
            await self._forget_nodes(self.memory.last_run, invocation)
            if invocation.kept is not None:
                scope["state"] = invocation.kept.mapping()
        self.facts |= {**run, "revision": self.graph.revision, "state": "running", "compensation": "none"}
        self._tell(invocation, "running", started, {"started": started})
        if self.graph.limits.time is not None:
            invocation.alarm("", self.graph.limits.time)
        root = Run(invocation, "", scope)
        try:
            if self.memory is not None:
                await self.memory.prepare(invocation, scope)
            output = await flow(root)
            result = _encode(output)
            if invocation.cancelled:
                raise Cancelled
        except NodeError as failure:
            raise await self._end(root, failure, started) from None
        except TimedOut:
            error = NodeError("limit", f"the run took longer than {self.graph.limits.time} (limits.time)", code=504)
            raise await self._end(root, error, started) from None
        except Cancelled:
            error = NodeError("cancelled", "the run was cancelled", code=499)
            raise await self._end(root, error, started) from None
        if self.memory is not None:
            self.memory.keep()
        after = await run_after(root, "succeeded", None)
        self._put("spent", vars(invocation.spent))
        self._tell(invocation, "succeeded", invocation.now, self._ended(invocation, started, after))
        self.close()
        budgets.forget(self.ctx, self.graph, str(invocation.run["id"]))
        await self._trace(invocation, started, "succeeded")
        return result

    async def _end(self, root: Run, error: NodeError, started: float) -> TerminalError:
        """Undoes what was done, writes the final state, and makes the error that says so."""
        invocation = root.invocation
        state = {"cancelled": "cancelled", "rejected": "rejected", "expired": "rejected"}.get(error.kind, "failed")
        ended = steps.journaled(self.ctx, "end", steps.now)
        await invocation.outlast(ended)
        invocation.happened((await ended)["at"])
        about: dict[str, Any] = {"started": started, "error": error.as_json()}
        if effects := saga.effects(invocation.undo):
            self._tell(invocation, "compensating", invocation.now, about)
            await saga.undo(invocation, effects, error.as_json())
        undone, not_undone = invocation.undone, invocation.not_undone
        rolled_back = _told(undone, not_undone)
        if self.memory is not None:
            self.memory.keep(error, rolled_back)
        after = await run_after(root, state, error)
        self._put("spent", vars(invocation.spent))
        self._tell(invocation, state, invocation.now, {**about, **self._ended(invocation, started, after)})
        self.close()
        budgets.forget(self.ctx, self.graph, str(invocation.run["id"]))
        await self._trace(invocation, started, state, error)
        message = f"{error.message}. {rolled_back}" if rolled_back else error.message
        return TerminalError(
            message,
            status_code=error.code,
            metadata={
                "kind": error.kind,
                "node": error.node or "",
                "state": state,
                "undone": json.dumps(undone),
                "not_undone": json.dumps(not_undone),
            },
        )

    def _tell(self, invocation: Invocation, state: str, at: float, about: dict[str, Any]) -> None:
        """The run has come to a new state: it is kept for `status`, and told to who follows the run."""
        log = invocation.report.run(state, at, about.get("error") if "ended" in about else None)
        self._put("run", {**self.facts, **about, "state": state, **log})
        if "ended" in about:
            invocation.report.flush()

    async def _trace(self, invocation: Invocation, started: float, state: str, error: NodeError | None = None) -> None:
        """Hands over the run's spans, when all that is left is to answer."""
        trace = invocation.report.trace
        if trace is None:
            return
        about = {f"agentflow.run.{name}": str(invocation.run[name]) for name in ("id", "key") if name in invocation.run}
        spent = {f"agentflow.spent.{name}": value for name, value in vars(invocation.spent).items() if value}
        about.update({"agentflow.revision": self.graph.revision, "agentflow.state": state, **spent})
        trace.run(self.graph.name, started, invocation.now, about, error)
        await trace.finish()

    def _ended(self, invocation: Invocation, started: float, after: Json) -> dict[str, Any]:
        """What is told of a run at its end. In an object the next turn needs to know of which nodes there is state."""
        about = {"started": started, **_rolled_back(invocation), "ended": invocation.now}
        if after is not None:  # the error of what followed the run
            about["finally"] = after
        if self.memory is not None:
            about["nodes"] = list(invocation.report.nodes)
        return about

    async def _forget_nodes(self, last: Mapping[str, Any], invocation: Invocation) -> None:
        """Clears what is there of the nodes of the turn before."""
        assert self.stateful is not None
        names = [f"node:{path}" for path in last.get("nodes", ())]
        if last and "nodes" not in last:  # it was killed
            keys = cast(Future, self.stateful.state_keys())
            await invocation.outlast(keys)
            names = [name for name in await keys if name.startswith("node:")]
        for name in names:
            self.stateful.clear(name)

    def _put(self, name: str, value: Json) -> None:
        rehearsal.note(name, value)
        if self.stateful is not None:
            self.stateful.set(name, value)
            following.ring(self.graph.name, self.stateful.key())

    def _put_node(self, invocation: Invocation, path: str, state: dict[str, Any]) -> None:
        self._put(f"node:{path}", state)
        if vars(invocation.spent) != self.spent:
            self.spent = dict(vars(invocation.spent))
            self._put("spent", self.spent)


def _told(undone: Sequence[Mapping[str, Any]], not_undone: Sequence[Mapping[str, Any]]) -> str:
    """What was undone, and what was not, as a sentence; empty where there was nothing."""
    told = []
    if undone:
        told.append("Undone: " + ", ".join(f"{entry['node']} ({entry['tool']})" for entry in undone))
    if not_undone:
        told.append(
            "NOT undone: "
            + "; ".join(
                f"{entry['node']} ({entry['tool']}, key {entry['key']}): {entry['error']}" for entry in not_undone
            )
        )
    return ". ".join(told)


def _rolled_back(invocation: Invocation) -> dict[str, Any]:
    """What was undone, at the run's end or before: of a race's losers, of a failure that was caught."""
    undone, not_undone = invocation.undone, invocation.not_undone
    state = "failed" if not_undone else "done" if undone else "none"
    return {"compensation": state, "undone": undone, "not_undone": not_undone}


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
        answer = _encode(result(value=value, outcome=scope[OUTCOMES].get(node.name)))
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


def _encode(value: Json) -> bytes:
    try:
        return json.dumps(steps.to_json(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise NodeError("output", f"the output {error}") from None
