"""`status` of a workflow's run: what its state says, at any time and whatever the run is doing."""

from __future__ import annotations

import json
from typing import Any

import restate
from restate.exceptions import TerminalError

from agentflow.runtime.graph import Graph


async def status(graph: Graph, ctx: restate.WorkflowSharedContext) -> bytes:
    """`{run: {id, key, state, ...}, nodes: {path: {state, started, ended, error}}, waiting: [...], spent}`.

    Times are seconds since 1970. A key without a run is 404.
    """
    run: dict[str, Any] | None = await ctx.get("run")
    if run is None:
        raise TerminalError(f"there is no run of {graph.name} with the key {ctx.key()!r}", status_code=404)
    names = [name for name in await ctx.state_keys() if name.startswith("node:")]
    found: dict[str, Any] = {name.removeprefix("node:"): await ctx.get(name) for name in names}
    nodes = dict(sorted(found.items(), key=lambda item: (item[1].get("started", item[1].get("ended", 0)), item[0])))
    waiting = [{"node": path, **node["waits"]} for path, node in nodes.items() if node["state"] == "waiting"]
    if run["state"] == "running" and waiting and not any(node["state"] == "running" for node in nodes.values()):
        run = {**run, "state": "waiting"}
    spent: dict[str, Any] | None = await ctx.get("spent")
    return json.dumps(
        {"run": run, "nodes": nodes, "waiting": waiting, "spent": spent or {}}, ensure_ascii=False
    ).encode()
