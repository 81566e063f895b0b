"""`agentflow schedule`: what starts by itself, on all graphs of the server; stop it, start it, or start one run now."""

from __future__ import annotations

import argparse
import json
from typing import Any

from agentflow.admin import Admin
from agentflow.cli.connection import (
    UsageError,
    add_admin,
    add_ingress,
    admin,
    complain,
    graph_name,
    ingress,
    talks_to_server,
)
from agentflow.client import Refused
from agentflow.types import Json

KEY = "clock"
DOES = {
    "list": "list the schedules, and when each fires next",
    "pause": "no firing until it is resumed",
    "resume": "fire again from now on",
    "trigger": "start one run now, whatever the schedule says",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "What starts by itself: " + "; ".join(f"{name}: {does}" for name, does in DOES.items()) + "."
    parser.add_argument("what", metavar="list|pause|resume|trigger", choices=tuple(DOES))
    parser.add_argument("graph", metavar="GRAPH", nargs="?", help="for list: only this one")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_ingress(parser)
    add_admin(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    graph = graph_name(args.graph) if args.graph else None
    if args.what == "list":
        return _list(args, graph)
    if graph is None:
        raise UsageError(f"agentflow schedule {args.what} needs a GRAPH")
    try:
        told = ingress(args).ask(f"{graph}.schedule", KEY, args.what, timeout=60)
    except Refused as refused:
        if refused.status != 404:
            raise
        complain(f"{graph} has no schedule on this server")
        return 1
    assert isinstance(told, dict)
    print(json.dumps(_shown(told), indent=2, ensure_ascii=False) if args.format == "json" else _done(args.what, told))
    return 0


def _list(args: argparse.Namespace, graph: str | None) -> int:
    found = [one for one in schedules(admin(args)) if graph in (None, one["graph"])]
    if args.format == "json":
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for one in found:
        print(
            f"{one['graph']}  {said(one['timetable'])}  {_next(one)}" + (f"  last {one['last']}" if one["last"] else "")
        )
    if not found:
        print(f"{graph} has no schedule on this server" if graph else "nothing starts by itself")
    return 1 if graph and not found else 0


def schedules(server: Admin) -> list[dict[str, Json]]:
    """All clocks of the server, by graph: `{graph, timetable, paused, next, last}`."""
    rows = server.query(
        "select value_utf8 from state where service_name like '%.schedule' and key = 'schedule' order by service_name"
    )
    return [_shown(json.loads(str(row["value_utf8"]))) for row in rows]


def _shown(state: dict[str, Any]) -> dict[str, Json]:
    return {name: state.get(name) for name in ("graph", "timetable", "paused", "next", "last")}


def said(timetable: Any) -> str:
    """A timetable on one line: `0 8 * * 1-5 Europe/Berlin`, `every 1h`."""
    if not isinstance(timetable, dict):
        return "unknown"
    if "every" in timetable:
        return f"every {timetable['every']}"
    return f"{timetable.get('cron')} {timetable.get('timezone')}"


def _next(one: dict[str, Any]) -> str:
    return "paused" if one.get("paused") else f"next {one['next']}" if one.get("next") else "never again"


def _done(what: str, told: dict[str, Any]) -> str:
    graph = told.get("graph")
    if what == "trigger":
        key = told.get("last")
        return f"started {graph} {key}; see: agentflow status {graph} {key}"
    return f"{graph}  {said(told.get('timetable'))}  {_next(told)}"
