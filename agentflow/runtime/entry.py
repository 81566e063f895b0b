"""The public handlers of a workflow and of a service: they read the input, and an `Owner` does the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import restate
from restate.exceptions import TerminalError
from restate.handler import HandlerIO, handler_from_callable
from restate.serde import BytesSerde

from agentflow.runtime import schema, steps, streams, tracing
from agentflow.runtime.graph import Graph
from agentflow.runtime.owner import Flow, Owner
from agentflow.runtime.times import ABORT, RETENTION
from agentflow.types import Json


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


def declare(handler: Callable[..., Any], graph: Graph) -> None:
    """Gives discovery the schemas of the graph's input and output; the bytes are read by `enter` itself."""
    io: HandlerIO[Any, Any] = handler_from_callable(handler).handler_io
    for hint, type_ in ((io.input_type, graph.input), (io.output_type, graph.output)):
        if hint is not None and type_ is not None:
            hint.generate_json_schema = lambda type_=type_: schema.schema_of(type_)


def read_input(graph: Graph, body: bytes) -> Json:
    """What the graph is given. Raises TerminalError with 400 where it does not fit."""
    try:
        return schema.read(graph.input, body)
    except schema.Mismatch as mismatch:
        raise TerminalError(f"the input does not fit: {mismatch}", status_code=400) from None


async def enter(graph: Graph, flow: Flow, ctx: restate.Context, body: bytes) -> bytes:
    """One run of the graph, from its input to its output or its error."""
    given = read_input(graph, body)
    calls = tracing.caller(ctx.request().headers)
    start = steps.journaled(ctx, "start", partial(tracing.begin, calls))
    stateful = ctx if isinstance(ctx, restate.ObjectContext) and graph.kind == "workflow" else None
    owner = Owner(graph, ctx, stateful)
    try:
        await owner.open()
        begun = await start
    except TerminalError:
        raise owner.never_began() from None
    owner.joined = begun.get("trace", calls)
    return await owner.work(flow, given, begun["at"])
