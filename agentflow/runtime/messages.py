"""The messages of a run: queues that outlive restarts, and whoever waits for a message.

`<graph>.inbox` is a private virtual object, one for each run under its key. Its handlers run one at a time, so that a
message has one taker and a taker one message. A node that waits has an awakeable, which is resolved once and for all:
with `{data, at, seq}`, with `{expired, at}` when its time is up, with `{withdrawn}` when it has given up, or with
`{closed}` when the run is over. Before the run is there, messages are kept for a week; with the run's end goes all
that was not taken.

State: `open` while the run is; `seq`, the number of the last message; `queue:NAME`, `{messages: [seq], waiting}`;
`message:NAME:SEQ`, `{data, at}`, each on its own, so that a long queue is not written anew with every message.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow.runtime import clock, steps
from agentflow.runtime.graph import Graph
from agentflow.runtime.times import RETENTION
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.invocation import Invocation

OVER = "the run is over"


def inbox(graph: Graph) -> restate.VirtualObject:
    """The service of a graph's messages. It has no revision: those of old runs are held by the newest."""
    service = restate.VirtualObject(f"{graph.name}.inbox", ingress_private=True)
    for name, handle in HANDLERS.items():
        _declare(service, name, handle)

    @service.handler(name="watch", kind="shared", input_serde=BytesSerde(), output_serde=BytesSerde())
    async def watch(ctx: restate.ObjectSharedContext, body: bytes) -> bytes:
        """Calls another handler after so long, while the others work on; it is cancelled to call that off."""
        given = json.loads(body)
        await clock.sleep(ctx, given["milliseconds"])
        ctx.generic_send(service.name, given["handler"], json.dumps(given["body"]).encode(), key=ctx.key())
        return b""

    return service


def _declare(service: restate.VirtualObject, name: str, handle: Callable[..., Awaitable[Json]]) -> None:
    @service.handler(name=name, input_serde=BytesSerde(), output_serde=BytesSerde())
    async def handler(ctx: restate.ObjectContext, body: bytes) -> bytes:
        return json.dumps(await handle(_Inbox(service.name, ctx), **json.loads(body))).encode()


def call(ctx: restate.Context, graph: str, key: str, handler: str, **body: Json) -> restate.RestateDurableFuture[bytes]:
    return ctx.generic_call(f"{graph}.inbox", handler, json.dumps(body).encode(), key=key)


def send(ctx: restate.Context, graph: str, key: str, handler: str, **body: Json) -> None:
    ctx.generic_send(f"{graph}.inbox", handler, json.dumps(body).encode(), key=key)


async def give_back(invocation: Invocation, taken: Mapping[str, Json]) -> None:
    """Waited for, so that the message is the next for whoever asks, be it this run a moment from now."""
    graph, key = invocation.graph.name, str(invocation.run["key"])
    await invocation.outlast(call(invocation.ctx, graph, key, "give_back", **taken))


class _Inbox:
    """One run's, within one handler."""

    def __init__(self, service: str, ctx: restate.ObjectContext) -> None:
        self.service = service
        self.ctx = ctx

    async def open(self) -> None:
        """The run has begun."""
        self.ctx.set("open", True)
        self._call_off(await self.ctx.get("forgetting", type_hint=str))
        self.ctx.clear("forgetting")

    async def put(self, name: str, data: Json, seen: bool) -> Json:
        """A message from outside; the time of its arrival. `seen`: its sender saw the run under way."""
        ctx = self.ctx
        if not await ctx.get("open", type_hint=bool):
            if seen:  # and it has ended since
                raise TerminalError(OVER, status_code=410)
            if not await ctx.get("forgetting", type_hint=str):
                length = RETENTION.total_seconds() * 1000
                ctx.set("forgetting", await self._later("forget", length))
        at = (await steps.journaled(ctx, "now", steps.now))["at"]
        seq = (await ctx.get("seq", type_hint=int) or 0) + 1
        ctx.set("seq", seq)
        await self._deliver(name, seq, {"data": data, "at": at})
        return float(at)

    async def give_back(self, name: str, seq: int, data: Json, at: float) -> None:
        """Whoever got it wanted it no more: it is the next again, before what came after it."""
        await self._deliver(name, seq, {"data": data, "at": at})

    async def take(self, name: str, waiter: str, node: str, timeout: int | None) -> None:
        """Resolves the awakeable `waiter` with the oldest message: now, or when there is one."""
        queue = await self._queue(name)
        if queue["messages"]:
            seq = queue["messages"].pop(0)
            place = f"message:{name}:{seq}"
            message = await self.ctx.get(place, type_hint=dict)
            self.ctx.clear(place)
            self.ctx.resolve_awakeable(waiter, {**(message or {}), "seq": seq})
        elif not await self.ctx.get("open", type_hint=bool):
            self.ctx.resolve_awakeable(waiter, {"closed": True})  # what follows a cancelled run outlives it
        else:
            timer = None if timeout is None else await self._later("overdue", timeout, name=name, waiter=waiter)
            queue["waiting"].append({"waiter": waiter, "node": node, "timer": timer})
        self._keep(name, queue)

    async def withdraw(self, name: str, waiter: str) -> None:
        """The node gave up. If it was given a message before, it has to give that back."""
        await self._dismiss(name, waiter, {"withdrawn": True})

    async def overdue(self, name: str, waiter: str) -> None:
        at = (await steps.journaled(self.ctx, "now", steps.now))["at"]
        await self._dismiss(name, waiter, {"expired": True, "at": at}, by_timer=True)

    async def close(self) -> None:
        """The run has ended, though it may have been cancelled before it could begin."""
        self._call_off(await self.ctx.get("forgetting", type_hint=str))
        for key in await self.ctx.state_keys():
            if key.startswith("queue:"):
                for one in (await self._queue(key.removeprefix("queue:")))["waiting"]:
                    self._call_off(one["timer"])
                    self.ctx.resolve_awakeable(one["waiter"], {"closed": True})
        self.ctx.clear_all()

    async def forget(self) -> None:
        """The run that the messages were for has never begun."""
        if not await self.ctx.get("open", type_hint=bool):
            self.ctx.clear_all()

    # ------------------------------------------------------------ queues

    async def _deliver(self, name: str, seq: int, message: dict[str, Json]) -> None:
        queue = await self._queue(name)
        if queue["waiting"]:
            first = queue["waiting"].pop(0)
            self._call_off(first["timer"])
            self.ctx.resolve_awakeable(first["waiter"], {**message, "seq": seq})
        else:
            bisect.insort(queue["messages"], seq)
            self.ctx.set(f"message:{name}:{seq}", message)
        self._keep(name, queue)

    async def _dismiss(self, name: str, waiter: str, answer: dict[str, Json], by_timer: bool = False) -> None:
        queue = await self._queue(name)
        found = next((one for one in queue["waiting"] if one["waiter"] == waiter), None)
        if found is None:
            return
        queue["waiting"].remove(found)
        if not by_timer:
            self._call_off(found["timer"])
        self.ctx.resolve_awakeable(waiter, answer)
        self._keep(name, queue)

    async def _queue(self, name: str) -> dict[str, Any]:
        kept: dict[str, Any] | None = await self.ctx.get(f"queue:{name}", type_hint=dict)
        return kept or {"messages": [], "waiting": []}

    def _keep(self, name: str, queue: dict[str, Any]) -> None:
        if queue["messages"] or queue["waiting"]:
            self.ctx.set(f"queue:{name}", queue)
        else:
            self.ctx.clear(f"queue:{name}")

    # ------------------------------------------------------------ timers

    async def _later(self, handler: str, milliseconds: float, **body: Json) -> str:
        """Calls a handler of this object after so long; what calls it off again."""
        argument = json.dumps({"handler": handler, "milliseconds": milliseconds, "body": body}).encode()
        return await self.ctx.generic_send(self.service, "watch", argument, key=self.ctx.key()).invocation_id()

    def _call_off(self, timer: str | None) -> None:
        if timer is not None:
            self.ctx.cancel_invocation(timer)


HANDLERS: dict[str, Callable[..., Awaitable[Json]]] = {
    "open": _Inbox.open,
    "put": _Inbox.put,
    "give_back": _Inbox.give_back,
    "take": _Inbox.take,
    "withdraw": _Inbox.withdraw,
    "overdue": _Inbox.overdue,
    "close": _Inbox.close,
    "forget": _Inbox.forget,
}
