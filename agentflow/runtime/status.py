"""`status` of a workflow's run: what its state says, at any time, and what the engine adds where it can be asked."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import restate
from restate.exceptions import TerminalError

from agentflow import runs
from agentflow.admin import Admin
from agentflow.client import Refused, Unreachable
from agentflow.runtime import steps
from agentflow.runtime.graph import Graph
from agentflow.runtime.memory import read_all
from agentflow.runtime.streams import key_of, service_of

ADMIN = "AGENTFLOW_ADMIN"


async def status(graph: Graph, ctx: restate.WorkflowSharedContext | restate.ObjectSharedContext) -> bytes:
    """`{run: {id, key, state, ...}, nodes: {path: {state, started, ended, attempts, error}}, waiting, spent,
    topics: {name: the last event}}`.

    Of an object it is the turn that runs, or the last.

    Times are seconds since 1970. A key without a run is 404. Attempts and last errors of what the engine is trying
    again are there where AGENTFLOW_ADMIN names its admin address, as `agentflow serve` does.
    """
    told = runs.told_by(await read_all(ctx, *filter(runs.is_told, await ctx.state_keys())))
    if not told["run"]:
        raise TerminalError(f"there is no run of {graph.name} with the key {ctx.key()!r}", status_code=404)
    if "ended" not in told["run"]:
        key = ctx.key()
        seen = await steps.journaled(ctx, "engine", lambda: asyncio.to_thread(_engine, graph.name, key))
        if seen:
            runs.add(told, seen["invocation"], seen["troubles"], seen["gates"])
    if graph.emits:
        stream = key_of(graph, told["run"])
        runs.add_topics(told, json.loads(await ctx.generic_call(service_of(graph.name), "topics", b"", key=stream)))
    return json.dumps(told, ensure_ascii=False).encode()


def _engine(graph: str, key: str) -> dict[str, Any]:
    url = os.environ.get(ADMIN)
    if not url:
        return {}
    try:
        run = runs.find(Admin(url), graph, key)
        if run is None:
            return {}
        return {"invocation": run.id, "troubles": runs.troubles(Admin(url), run), "gates": runs.gates(Admin(url), run)}
    except (Refused, Unreachable):
        return {}
