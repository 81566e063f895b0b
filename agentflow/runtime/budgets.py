"""A limit that holds exactly while nodes run side by side: a virtual object that every call of a run asks first.

Nodes in invocations of their own each count by themselves and add up when they end. Where the author of a graph has set
one of the limits below, each call in such an invocation, and each beside one, is therefore taken from one place. It
holds what the run has spent: at least what whoever asks knows of (`spent`), and what all have taken and used since.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow.runtime.errors import Cancelled, NodeError
from agentflow.runtime.graph import Graph
from agentflow.runtime.spending import Counted, Meter, Spent
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.invocation import Invocation

# What is asked before each kind of call; tokens and costs are looked at before a model is.
LOOKED_AT = {"model_calls": ("model_calls", "tokens", "cost"), "tool_calls": ("tool_calls",)}


def budget(graph: Graph, *limits: str) -> restate.VirtualObject:
    """The service of a graph's budgets, one a run, which hold `limits`. It belongs to this revision alone."""
    graph.exact.update(limits)
    service = restate.VirtualObject(_name(graph), ingress_private=True, journal_retention=timedelta(0))
    for name, handle in (("take", _take), ("use", _use), ("forget", _forget)):
        _declare(service, graph, name, handle)
    return service


def _name(graph: Graph) -> str:
    return f"{graph.name}.budget_{graph.revision}"


def _declare(
    service: restate.VirtualObject,
    graph: Graph,
    name: str,
    handle: Callable[[Graph, restate.ObjectContext, Any], Awaitable[Json]],
) -> None:
    @service.handler(name=name, input_serde=BytesSerde(), output_serde=BytesSerde())
    async def handler(ctx: restate.ObjectContext, body: bytes) -> bytes:
        return json.dumps(await handle(graph, ctx, json.loads(body))).encode()


async def _take(graph: Graph, ctx: restate.ObjectContext, given: dict[str, Any]) -> Json:
    """Counts calls that are about to be made, or says which limit they would exceed."""
    known: dict[str, Any] | None = await ctx.get("spent", type_hint=dict)
    spent = Spent(**(known or {}))
    for name, amount in given["spent"].items():
        setattr(spent, name, max(getattr(spent, name), amount))
    over: str | None = None
    try:
        Meter("the run", graph.limits, spent).check(given["name"], "", given["amount"])
        spent.add({given["name"]: given["amount"]})
    except NodeError as error:
        over = error.message
    ctx.set("spent", vars(spent))
    return over


async def _use(graph: Graph, ctx: restate.ObjectContext, given: dict[str, float]) -> Json:
    """Counts what a call has turned out to take."""
    known: dict[str, Any] | None = await ctx.get("spent", type_hint=dict)
    spent = Spent(**(known or {}))
    spent.add(given)
    ctx.set("spent", vars(spent))
    return None


async def _forget(graph: Graph, ctx: restate.ObjectContext, given: None) -> Json:
    ctx.clear_all()
    return None


async def take(invocation: Invocation, name: Counted, node: str, amount: int) -> None:
    """Takes calls from the run's budget. Raises the terminal error of a limit that they would exceed."""
    if any(limit in invocation.graph.exact for limit in LOOKED_AT.get(name, ())):
        spent = cast("Json", dict(vars(invocation.spent)))
        over = await _asked(invocation, "take", {"name": name, "amount": amount, "spent": spent})
        if over is not None:
            raise NodeError("limit", str(over), node=node)


async def use(invocation: Invocation, used: Mapping[str, float]) -> None:
    """Tells the budget what a model's answer took; waited for, so that whoever asks next has it counted."""
    if invocation.graph.exact & {"tokens", "cost"}:
        await _asked(invocation, "use", cast("Json", dict(used)))


async def _asked(invocation: Invocation, handler: str, body: Json) -> Json:
    key = str(invocation.run["id"])
    future = invocation.ctx.generic_call(_name(invocation.graph), handler, json.dumps(body).encode(), key=key)
    await invocation.wait(future)
    try:
        answer: Json = json.loads(await future)
    except TerminalError:  # it refuses nothing; it was cancelled with the invocation that asked
        invocation.note_cancel()
        raise Cancelled from None
    return answer


def forget(ctx: restate.Context, graph: Graph, run: str) -> None:
    """The run is over."""
    if graph.exact:
        ctx.generic_send(_name(graph), "forget", b"null", key=run)
