"""`agentflow status`: what a run is doing; its own state says it, and the engine's tables add attempts and errors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentflow.cli.connection import add_admin, add_ingress, admin, complain, graph_name, ingress, talks_to_server
from agentflow.client import Refused, Unreachable
from agentflow.serve import inspect
from agentflow.serve.admin import Admin

Status = dict[str, Any]  # what the `status` handler answers: run, nodes, waiting, spent

TROUBLED = ("backing-off", "paused")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show what a run is doing."
    parser.add_argument("graph", metavar="GRAPH")
    parser.add_argument(
        "key", metavar="KEY", help="the run's key; of a service the invocation's id or the key it was run with"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_ingress(parser)
    add_admin(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    graph = graph_name(args.graph)
    try:
        status = _from_engine(admin(args), graph, args.key)
    except Unreachable:
        status = _from_run(args, graph)
    if status is None:
        complain(f"there is no run of {graph} with the key {args.key}")
        return 1
    print(json.dumps(status, indent=2, ensure_ascii=False) if args.format == "json" else as_text(status))
    return 0


def _from_engine(server: Admin, graph: str, key: str) -> Status | None:
    """What the run has written to its state, and what only the engine knows: attempts and last errors.

    Answers also while the service does not. None where there is no such run.
    """
    run = inspect.find(server, graph, key)
    if run is None:
        return None
    status = _from_state(inspect.state(server, graph, key))
    about = status["run"]
    about.setdefault("graph", graph)
    about.setdefault("key", run.key)
    about.setdefault("state", _state(run))
    about["invocation"] = run.id
    if run.result == "failure":
        about.setdefault("error", {"message": run.failure})
    for invocation in (run, *inspect.called(server, run)):
        if invocation.status in TROUBLED:
            trouble = {
                "attempts": invocation.attempts,
                "last_error": invocation.failure,
                "next_try": invocation.next_try,
                "engine": invocation.status,
            }
            _place(status["nodes"], invocation, about).update(trouble)
    return status


def _from_run(args: argparse.Namespace, graph: str) -> Status | None:
    """What the run's own handler answers, where the admin side cannot be reached."""
    try:
        status = ingress(args).ask(graph, args.key, "status")
    except Refused as refused:
        if refused.status == 404:
            return None
        raise
    return status if isinstance(status, dict) else None


def _from_state(state: Mapping[str, Any]) -> Status:
    """As the handler `status` of the run puts it."""
    found = {name.removeprefix("node:"): value for name, value in state.items() if name.startswith("node:")}
    nodes = dict(sorted(found.items(), key=lambda item: (item[1].get("started", item[1].get("ended", 0)), item[0])))
    waiting = [{"node": path, **node["waits"]} for path, node in nodes.items() if node.get("state") == "waiting"]
    run = dict(state.get("run", {}))
    if run.get("state") == "running" and waiting and not any(node.get("state") == "running" for node in nodes.values()):
        run["state"] = "waiting"
    return {"run": run, "nodes": nodes, "waiting": waiting, "spent": state.get("spent", {})}


def _state(run: inspect.Invocation) -> str:
    if run.status != "completed":
        return "running"
    if run.result == "success":
        return "succeeded"
    return "cancelled" if (run.failure or "").startswith(("[409]", "[499]")) else "failed"


def _place(nodes: Status, invocation: inspect.Invocation, run: Status) -> Status:
    """The node that an invocation in trouble belongs to: by the step that failed, else by its handler; else the run."""
    step = (invocation.step or "").partition("#")[0]
    paths = sorted(nodes, key=len, reverse=True)
    by_step = [path for path in paths if step == path or step.startswith((f"{path}.", f"{path}["))]
    by_handler = [
        path for path in paths if invocation.handler == path.replace(".", "_").replace("[", "_").replace("]", "")
    ]
    found: Status = nodes[(by_step or by_handler)[0]] if by_step or by_handler else run
    return found


# ---------------------------------------------------------------- as text


def as_text(status: Status) -> str:
    run, nodes = status["run"], status["nodes"]
    name = " ".join(str(run[word]) for word in ("graph", "key") if run.get(word))
    lines = [f"{name or run.get('invocation')}  {run.get('state')}"]
    if run.get("compensation") not in (None, "none"):
        lines[0] += f", compensation {run['compensation']}"
    lines += [f"  {word:<11} {run[word]}" for word in ("revision", "invocation") if run.get(word)]
    lines += [f"  {word:<11} {_clock(run[word])}" for word in ("started", "ended") if run.get(word)]
    lines += [f"  {line}" for line in _trouble(run)]
    width = max((len(path) for path in nodes), default=0)
    for path, node in nodes.items():
        lines.append(f"  {path:<{width}}  {node.get('state'):<10} {_length(node)}".rstrip())
        lines += [f"  {'':<{width}}  {line}" for line in _trouble(node)]
    for wait in status["waiting"]:
        until = f" until {wait['until']}" if wait.get("until") else ""
        lines.append(f"waits for {wait.get('id') or wait.get('node')}{until}: {wait.get('message', '')}".rstrip(": "))
    for word in ("undone", "not_undone"):
        for entry in run.get(word) or []:
            why = f": {entry['error']}" if entry.get("error") else ""
            lines.append(f"{word.replace('_', ' ')} {entry.get('node')} ({entry.get('tool')}){why}")
    spent = ", ".join(f"{name.replace('_', ' ')} {amount}" for name, amount in status["spent"].items() if amount)
    return "\n".join([*lines, f"spent: {spent}"] if spent else lines)


def _trouble(place: Status) -> list[str]:
    lines: list[str] = []
    if isinstance(place.get("error"), dict):
        lines.append(f"error: {place['error'].get('message')}")
    if place.get("attempts"):
        state = (
            "paused until serve is started again"
            if place.get("engine") == "paused"
            else f"next try {place.get('next_try')}"
        )
        lines.append(f"attempts: {place['attempts']}, {state}")
    if place.get("last_error"):
        lines.append(f"last error: {place['last_error']}")
    return lines


def _clock(moment: Any) -> str:
    if not isinstance(moment, int | float):
        return str(moment)
    return datetime.fromtimestamp(moment).astimezone().isoformat(sep=" ", timespec="seconds")


def _length(node: Status) -> str:
    started, ended = node.get("started"), node.get("ended")
    return f"{ended - started:.1f} s" if isinstance(started, int | float) and isinstance(ended, int | float) else ""
