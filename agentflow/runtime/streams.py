"""Streams: the events of a graph's runs, kept in order, for whoever follows a run or comes late.

The runs of a graph with `emit` nodes publish to `<graph>.stream`, a virtual object under the run's key: each invocation
of a run sends what happened in it, all that came about since it last waited in one message, and waits for nothing.
The engine delivers each message once, and those of one invocation in their order; the object numbers the events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow import events
from agentflow.runs import TOPIC
from agentflow.runtime import following
from agentflow.runtime.graph import Graph
from agentflow.runtime.times import RETENTION
from agentflow.types import Json

PAGE = 32  # events that are kept, read and written together
INLINE = 2048  # bytes of an event that is kept within its page; a larger one is kept by itself
BATCH = 256 * 1024  # bytes of a message to a stream
MOST_TOLD = 1024 * 1024  # bytes of the data of one event
Context = restate.ObjectContext | restate.ObjectSharedContext
NOTHING: dict[str, Any] = {"run": None, "first": 0, "events": [], "ended": False}


def service_of(graph: str) -> str:
    return f"{graph}.stream"


def key_of(graph: Graph, run: Mapping[str, Any]) -> str:
    """The key of a run's stream: a workflow's own; of any other run its invocation's id, which callers know."""
    return str(run["key"]) if graph.kind == "workflow" else _invocation(run)


def _invocation(run: Mapping[str, Any]) -> str:
    return f"inv_{str(run['id']).rpartition('.')[0]}"


class Outbox:
    """Events on their way to the run's stream: gathered, and sent before the next wait."""

    def __init__(self, ctx: restate.Context, graph: Graph, run: Mapping[str, Any]) -> None:
        self._ctx = ctx
        self._service = service_of(graph.name)
        self._key = key_of(graph, run)
        self._run = json.dumps(run["id"])
        self._events: list[str] = []
        self._size = 0

    def add(self, event: Mapping[str, Any]) -> None:
        text = json.dumps(event, separators=(",", ":"))
        self._events.append(text)
        self._size += len(text)
        if self._size > BATCH:
            self.flush()

    def flush(self) -> None:
        """Sends what there is. An event once sent arrives, whatever becomes of this invocation."""
        if self._events:
            body = f'{{"run":{self._run},"events":[{",".join(self._events)}]}}'
            self._ctx.generic_send(self._service, "publish", body.encode(), key=self._key)
            self._events, self._size = [], 0


def outbox(ctx: restate.Context, graph: Graph, run: Mapping[str, Any]) -> Outbox | None:
    return Outbox(ctx, graph, run) if graph.emits else None


def stream(graph: Graph) -> restate.VirtualObject:
    """The streams of a graph. It has no revision: the newest code keeps what older revisions publish.

    Nothing of the state is loaded before it is asked for, so that the thousandth event costs what the first did.
    """
    name = service_of(graph.name)
    kept = timedelta(0)
    service = restate.VirtualObject(name, state_preload=False, journal_retention=kept, idempotency_retention=kept)

    @service.handler(name="publish", input_serde=BytesSerde(), ingress_private=True)
    async def publish(ctx: restate.ObjectContext, body: bytes) -> None:
        await _Stream(ctx).publish(json.loads(body), name)
        following.ring(name, ctx.key())

    @service.handler(name="forget", input_serde=BytesSerde(), ingress_private=True)
    async def forget(ctx: restate.ObjectContext, body: bytes) -> None:
        if (await _Stream(ctx).tail())["run"] == json.loads(body)["run"]:  # the key may have been used again since
            ctx.clear_all()

    @service.handler(name="events", kind="shared", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def read(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        asked = following.read(body)
        listener = following.listener(name, ctx.key())
        found = await _Stream(ctx).read(asked.start)
        if found is None:
            raise TerminalError(f"there are no events of {graph.name} under the key {ctx.key()!r}", status_code=404)
        return await following.answered(ctx, name, ctx.key(), asked, found, listener)

    @service.handler(name="topics", kind="shared", output_serde=BytesSerde())
    async def topics(ctx: restate.ObjectSharedContext) -> bytes:
        return json.dumps(await _Stream(ctx).topics()).encode()

    return service


async def of_run(graph: Graph, ctx: restate.WorkflowSharedContext, body: bytes) -> bytes:
    """`events` of a workflow: those that its state holds, or else its stream."""
    asked = following.read(body)
    listener = following.listener(graph.name, ctx.key())
    run = await ctx.get("run", type_hint=dict)
    if run is None:
        raise TerminalError(f"there is no run of {graph.name} with the key {ctx.key()!r}", status_code=404)
    if "log" not in run:
        return await _of_stream(graph, ctx, ctx.key(), asked)
    found = await _of_state(ctx, run, asked)
    return await following.answered(ctx, graph.name, ctx.key(), asked, found, listener)


async def of_turn(graph: Graph, ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
    """`events` of an object: of the turn that runs, or the last, or of the one that is meant by `run`, which is its
    invocation's id, or its message's. The answer says `run`, to ask on with: meanwhile a newer turn may have begun.

    Of a turn that is not there yet there are no events; of one before the last only where the graph has `emit`.
    """
    asked = following.read(body)
    listener = following.listener(graph.name, ctx.key())
    run = await ctx.get("run", type_hint=dict)
    if run is None and asked.run is None:
        raise TerminalError(f"there is no turn of {graph.name} under the key {ctx.key()!r}", status_code=404)
    at_hand = run is not None and asked.run in (None, _invocation(run), run.get("message"))
    turn = _invocation(run) if run is not None and at_hand else asked.run
    assert turn is not None
    if run is not None and at_hand and "log" in run:
        found = await _of_state(ctx, run, asked)
    elif at_hand or graph.emits:
        found = json.loads(await _of_stream(graph, ctx, turn, following.Asked(asked.start, 0)))
    else:
        found = events.answer([], asked.start, asked.start > 0)
    asked = following.Asked(asked.start, asked.wait, turn)
    return await following.answered(ctx, graph.name, ctx.key(), asked, {**found, "run": turn}, listener)


async def _of_state(
    ctx: restate.WorkflowSharedContext | restate.ObjectSharedContext, run: Mapping[str, Any], asked: following.Asked
) -> dict[str, Any]:
    names = [name for name in await ctx.state_keys() if name.startswith("node:")]
    happened = events.of_state({"run": run, **{name: await ctx.get(name) for name in names}})
    chosen = happened[asked.start : asked.start + following.MOST]
    over = bool(happened) and events.is_end(happened[-1]) and asked.start + len(chosen) >= len(happened)
    return events.answer(chosen, asked.start, over)


async def _of_stream(
    graph: Graph, ctx: restate.WorkflowSharedContext | restate.ObjectSharedContext, key: str, asked: following.Asked
) -> bytes:
    if not graph.emits:
        gone = f"{graph.name} has no emit nodes any more, and no longer the streams of runs that had"
        raise TerminalError(gone, status_code=410)
    question = following.question(asked, asked.wait)
    try:
        return await ctx.generic_call(service_of(graph.name), "events", question, key=key)
    except TerminalError as error:
        if error.status_code != 404:
            raise
        return json.dumps(events.answer([], asked.start, False)).encode()  # the first is on its way


class _Stream:
    """One run's events in the object's state.

    `tail` holds the last events, fewer than a page, and the number of the first of them; `page:<n>` the PAGE events
    from n * PAGE; `event:<seq>` one that is too large for its page; `topic:<name>` the last of a topic.
    """

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    async def _get(self, name: str) -> Any:
        return await self.ctx.get(name, type_hint=object)

    async def tail(self) -> dict[str, Any]:
        return await self._get("tail") or dict(NOTHING)

    async def publish(self, message: Mapping[str, Any], name: str) -> None:
        ctx = self.ctx
        assert isinstance(ctx, restate.ObjectContext)
        tail = await self.tail()
        if tail["run"] != message["run"]:  # the key is used again, after the run that it was for was forgotten
            ctx.clear_all()
            tail = {**NOTHING, "run": message["run"]}
        kept: list[Json] = list(tail["events"])
        first: int = tail["first"]
        last: dict[str, dict[str, Any]] = {}
        for event in message["events"]:
            event = {"seq": first + len(kept), **event}
            kept.append(self._kept(ctx, event))
            if event["type"] == "emit":
                last[event["topic"]] = event
            tail["ended"] = tail["ended"] or events.is_end(event)
            if len(kept) == PAGE:
                ctx.set(f"page:{first // PAGE}", kept)
                first, kept = first + PAGE, []
        for topic, event in last.items():
            ctx.set(f"{TOPIC}{topic}", event)
        ctx.set("tail", {**tail, "first": first, "events": kept})
        if any(events.is_end(event) for event in message["events"]):
            body = json.dumps({"run": message["run"]}).encode()
            ctx.generic_send(name, "forget", body, key=ctx.key(), send_delay=RETENTION)

    def _kept(self, ctx: restate.ObjectContext, event: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(event)) <= INLINE:
            return event
        ctx.set(f"event:{event['seq']}", event)
        return {"elsewhere": event["seq"]}

    async def read(self, start: int) -> dict[str, Any] | None:
        """The answer to who asks for the events from a number on; None where there is no such stream."""
        tail = await self.tail()
        if tail["run"] is None:
            return None
        first, last = tail["first"], tail["first"] + len(tail["events"])
        stop = min(start + following.MOST, last)
        asked = [
            self.ctx.get(f"page:{page}", type_hint=list)
            for page in range(start // PAGE, min(stop, first + PAGE - 1) // PAGE)
        ]
        kept = [one for page in asked for one in await page or ()] + (tail["events"] if stop > first else [])
        offset = start // PAGE * PAGE if start < first else first
        kept = kept[max(start - offset, 0) : stop - offset]
        found = await self._whole(kept)
        return events.answer(found, start, tail["ended"] and start + len(found) >= last)

    async def _whole(self, kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """With those that are kept by themselves, as many as fit into one answer."""
        found: list[dict[str, Any]] = []
        size = 0
        for one in kept:
            if "elsewhere" in one:
                one = await self._get(f"event:{one['elsewhere']}") or one
                size += len(json.dumps(one))
            found.append(one)
            if size > following.LARGEST:
                break
        return found

    async def topics(self) -> dict[str, Any]:
        """The last event of each topic."""
        names = sorted(name for name in await self.ctx.state_keys() if name.startswith(TOPIC))
        return {name.removeprefix(TOPIC): await self._get(name) for name in names}
