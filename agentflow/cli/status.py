"""`agentflow status`: what a run is doing; its own state says it, and the engine's tables add attempts and errors."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import Any

from agentflow import runs
from agentflow.cli.connection import add_admin, add_ingress, admin, complain, graph_name, ingress, talks_to_server
from agentflow.client import Refused, Unreachable
from agentflow.runs import Status


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
        status = runs.status(admin(args), graph, args.key)
    except Unreachable:
        status = _from_run(args, graph)
    if status is None:
        complain(f"there is no run of {graph} with the key {args.key}")
        return 1
    print(json.dumps(status, indent=2, ensure_ascii=False) if args.format == "json" else as_text(status))
    return 0


def _from_run(args: argparse.Namespace, graph: str) -> Status | None:
    """What the run's own handler answers, where the admin side cannot be reached."""
    try:
        status = ingress(args).ask(graph, args.key, "status")
    except Refused as refused:
        if refused.status == 404:
            return None
        raise
    return status if isinstance(status, dict) else None


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
        what = (
            f"the event {wait['event']} ({wait.get('node')})" if "event" in wait else wait.get("id") or wait.get("node")
        )
        lines.append(f"waits for {what}{until}: {wait.get('message', '')}".rstrip(": "))
    for topic, event in status.get("topics", {}).items():
        lines.append(f"told {topic}: {json.dumps(event['data'], ensure_ascii=False)}")
    for word in ("undone", "not_undone"):
        for entry in run.get(word) or []:
            why = f": {entry['error']}" if entry.get("error") else ""
            lines.append(f"{word.replace('_', ' ')} {entry.get('node')} ({entry.get('tool')}){why}")
    spent = ", ".join(
        f"{name.replace('_', ' ')} {_amount(amount)}" for name, amount in status["spent"].items() if amount
    )
    return "\n".join([*lines, f"spent: {spent}"] if spent else lines)


def _trouble(place: Status) -> list[str]:
    lines: list[str] = []
    if isinstance(place.get("error"), dict):
        lines.append(f"error: {place['error'].get('message')}")
    if place.get("attempts"):
        state = ""
        if place.get("engine") == "paused":
            state = ", paused until serve is started again"
        elif place.get("next_try") is not None:
            state = f", next try {place['next_try']}"
        lines.append(f"attempts: {place['attempts']}{state}")
    if place.get("last_error"):
        lines.append(f"last error: {place['last_error']}")
    return lines


def _amount(spent: float) -> str:
    """A count, or a cost however small."""
    return str(spent) if isinstance(spent, int) else f"{spent:.12f}".rstrip("0").rstrip(".")


def _clock(moment: Any) -> str:
    if not isinstance(moment, int | float):
        return str(moment)
    return datetime.fromtimestamp(moment).astimezone().isoformat(sep=" ", timespec="seconds")


def _length(node: Status) -> str:
    started, ended = node.get("started"), node.get("ended")
    return f"{ended - started:.1f} s" if isinstance(started, int | float) and isinstance(ended, int | float) else ""
