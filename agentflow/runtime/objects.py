"""A graph as a Restate virtual object: one message at a time under a key, and a conversation that goes on.

`message` is exclusive: the engine lets the messages of a key wait for each other. Where a newer message is to stop the
turn in progress (`on_busy: interrupt`), `message` is shared, so that it need not wait. It takes the message to
`<graph>.door`, which numbers the messages of a key and sends each on to the exclusive `turn`; then it cancels the turn
in hand. A turn that begins asks the door whether a newer message has come meanwhile: one of the two sees the other, so
no turn runs in full while a newer message waits.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any, TypedDict

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow.runtime import conversations, memory, steps, streams, tracing
from agentflow.runtime.cancels import outlived
from agentflow.runtime.entry import declare, read_input
from agentflow.runtime.graph import Graph
from agentflow.runtime.memory import PENDING, SESSION, Memory
from agentflow.runtime.owner import Flow, Owner
from agentflow.runtime.times import ABORT, RETENTION
from agentflow.types import Json

PAGE = 100  # messages that `history` gives, unless it is asked for fewer or more
LARGEST_PAGE = 1000


class _Looking(TypedDict):
    journal_retention: timedelta
    idempotency_retention: timedelta


# Nothing is kept of a call that only looks. The engine gives each call of an object a key by itself, and would keep its
# answer for a day.
_LOOKING = _Looking(journal_retention=timedelta(0), idempotency_retention=timedelta(0))
MESSAGE = "agentflow-message"  # the header that says which invocation waits for the turn


def object(graph: Graph, flow: Flow) -> restate.VirtualObject:
    """`message`, `history`, `status`, `events`, `reset`, `interrupt`. State is read key by key: most of it is old."""
    service = restate.VirtualObject(
        graph.name, description=graph.description, abort_timeout=ABORT, enable_lazy_state=True
    )
    if graph.on_busy == "interrupt":
        _interruptible(service, graph, flow)
    else:
        _queueing(service, graph, flow)
    _looking(service, graph)

    @service.handler(name="interrupt", kind="shared", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def interrupt(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        """Cancels the turn in progress; what it did is undone, and what was said stays."""
        pending = (await memory.read_all(ctx, PENDING)).get(PENDING)
        if pending is not None:
            ctx.cancel_invocation(pending["id"])
        return json.dumps({"interrupted": pending is not None}).encode()

    @service.handler(name="reset", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def reset(ctx: restate.ObjectContext, body: bytes) -> bytes:
        """Forgets the conversation and the state, once the messages before it are done."""
        await forget(graph, ctx)
        return b"null"

    return service


def _queueing(service: restate.VirtualObject, graph: Graph, flow: Flow) -> None:
    @service.handler(
        name="message", input_serde=BytesSerde(), output_serde=BytesSerde(), idempotency_retention=RETENTION
    )
    async def message(ctx: restate.ObjectContext, body: bytes) -> bytes:
        return await turn(graph, flow, ctx, read_input(graph, body))

    declare(message, graph)


def _interruptible(service: restate.VirtualObject, graph: Graph, flow: Flow) -> None:
    @service.handler(
        name="message",
        kind="shared",
        input_serde=BytesSerde(),
        output_serde=BytesSerde(),
        idempotency_retention=RETENTION,
    )
    async def message(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        read_input(graph, body)
        headers = {MESSAGE: ctx.request().id, **(tracing.headers(tracing.caller(ctx.request().headers)) or {})}
        posting = ctx.generic_call(f"{graph.name}.door", "post", body, key=ctx.key(), headers=headers)
        cancelled = await outlived(posting)
        posted = json.loads(await posting)
        result = ctx.attach_invocation(posted["id"], serde=BytesSerde())
        try:
            if not cancelled:
                pending = (await memory.read_all(ctx, PENDING)).get(PENDING)
                if pending is not None and pending.get("number", 0) < posted["number"]:
                    ctx.cancel_invocation(pending["id"])
                await restate.wait_completed(result)
        except TerminalError:
            cancelled = True
        if cancelled:  # the turn, which is no call of this one, does not hear of it by itself
            ctx.cancel_invocation(posted["id"])
            await outlived(result)
        return await result

    @service.handler(
        name="turn",
        input_serde=BytesSerde(),
        output_serde=BytesSerde(),
        ingress_private=True,
        idempotency_retention=RETENTION,
    )
    async def take_turn(ctx: restate.ObjectContext, body: bytes) -> bytes:
        posted = json.loads(body)
        return await turn(graph, flow, ctx, posted["input"], posted["number"], posted.get("message"))

    declare(message, graph)


def door(graph: Graph) -> restate.VirtualObject:
    """Numbers the messages of each key in the order in which they come, and sends them on in that order."""
    service = restate.VirtualObject(f"{graph.name}.door", ingress_private=True)

    @service.handler(name="post", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def post(ctx: restate.ObjectContext, body: bytes) -> bytes:
        number = (await ctx.get("newest", type_hint=int) or 0) + 1
        ctx.set("newest", number)
        posted = {"number": number, "input": read_input(graph, body)}
        if MESSAGE in ctx.request().headers:
            posted["message"] = ctx.request().headers[MESSAGE]
        sent = json.dumps(posted, separators=(",", ":")).encode()
        headers = tracing.headers(tracing.caller(ctx.request().headers))
        while True:
            # The key lets the result be waited for, however soon it is there; sent again, it is the same turn.
            turn = ctx.generic_send(
                graph.name, "turn", sent, key=ctx.key(), idempotency_key=f"message {number}", headers=headers
            )
            try:
                return json.dumps({"number": number, "id": await turn.invocation_id()}).encode()
            except TerminalError:  # the message was cancelled, and is to cancel what has been sent
                continue

    @service.handler(name="newest", kind="shared", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def newest(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        return json.dumps(await ctx.get("newest", type_hint=int) or 0).encode()

    return service


async def turn(
    graph: Graph,
    flow: Flow,
    ctx: restate.ObjectContext,
    given: Json,
    number: int | None = None,
    message: str | None = None,
) -> bytes:
    """One message, from its input to its output or its error. Whatever happens to it is in the history.

    `message` is the invocation that took it in, where that is another one.
    """
    calls = tracing.caller(ctx.request().headers)
    start = steps.journaled(ctx, "start", partial(tracing.begin, calls))
    cancelled = await outlived(start)
    begun = await start
    owner = Owner(graph, ctx, ctx, Memory(graph, ctx, _message(given), number), cancelled)
    owner.joined = begun.get("trace", calls)
    if message is not None:
        owner.facts["message"] = message
    return await owner.work(flow, given, begun["at"])


def _message(given: Json) -> str:
    """A message as text: what a person wrote, or the input."""
    if isinstance(given, dict) and set(given) == {"message"} and isinstance(given["message"], str):
        return given["message"]
    return json.dumps(given, ensure_ascii=False)


# ---------------------------------------------------------------- looking


def _looking(service: restate.VirtualObject, graph: Graph) -> None:
    """`history`, `status` and `events`, which answer while a turn runs."""
    from agentflow.runtime.status import status

    @service.handler(
        name="history",
        kind="shared",
        input_serde=BytesSerde(),
        output_serde=BytesSerde(),
        **_LOOKING,
    )
    async def history(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        return json.dumps(await past(ctx, body), ensure_ascii=False).encode()

    @service.handler(name="status", kind="shared", output_serde=BytesSerde(), **_LOOKING)
    async def show(ctx: restate.ObjectSharedContext) -> bytes:
        return await status(graph, ctx)

    @service.handler(name="events", kind="shared", input_serde=BytesSerde(), output_serde=BytesSerde(), **_LOOKING)
    async def events(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        return await streams.of_turn(graph, ctx, body)


async def past(ctx: restate.ObjectSharedContext, body: bytes) -> dict[str, Json]:
    """`{messages, before, count, summary}`: the latest messages, or the latest before a place, in their order.

    `before` in the answer is where the page before this one ends: give it as `before` to get that; null at the
    beginning. A message that is being worked on is the last, with the outcome `running`.
    """
    limit, before = _page(body)
    head, pending = await memory.head_of(ctx)
    last = head.count if before is None else min(before, head.count)
    first = max(0, last - limit)
    entries = await memory.messages(ctx, head, max(0, first - 1), last)
    seen: list[Json] = []
    at: Json = None
    for entry in entries:
        at = entry.get("at", at)  # what is said of the conversation itself has the time of what was said before it
        seen.append({**conversations.shown(entry), "at": at})
    if first:
        seen = seen[1:]
    if pending is not None and before is None:
        about = {"turn": pending["turn"], "by": conversations.USER, "outcome": "running"}
        seen.append({**about, "text": pending["text"], "at": pending["at"]})
    return {"messages": seen, "before": first or None, "count": head.count, "summary": head.summary}


def _page(body: bytes) -> tuple[int, int | None]:
    try:
        asked = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        asked = None
    if asked is None or not isinstance(asked, dict) or set(asked) - {"limit", "before"}:
        raise TerminalError('history takes {"limit": how many, "before": where}, both optional', status_code=400)
    return _whole(asked, "limit", 1, LARGEST_PAGE) or PAGE, _whole(asked, "before", 0, 2**53)


def _whole(asked: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = asked.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
        return value
    raise TerminalError(f"{name} is a whole number from {least} to {most}", status_code=400)


async def forget(graph: Graph, ctx: restate.ObjectContext) -> None:
    """Clears all but the number of turns, which names approvals that may still be known."""
    head, _ = await memory.head_of(ctx)
    for number in range(head.chunks):
        ctx.clear(memory.chunk_key(number))
    for name in memory.names_of_state(graph):
        ctx.clear(memory.state_key(name))
    ctx.clear(PENDING)
    memory.put(ctx, SESSION, {"turns": head.turns, "v": head.v})
