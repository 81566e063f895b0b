"""`agentflow watch`: follows a run, from its beginning or from any event on, until it ends."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from agentflow import runs
from agentflow.admin import Admin
from agentflow.cli.connection import add_admin, add_ingress, admin, graph_name, ingress, talks_to_server
from agentflow.cli.follow import Events, Silent, as_text, follow, watched
from agentflow.client import Refused, Unreachable
from agentflow.events import Event, is_end

FAILED = 3
INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Follow a run: what has happened, and what happens, until it ends. Exit code 3: it failed."
    parser.add_argument("graph", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument(
        "key", metavar="KEY", help="the run's key; of a service the invocation's id or the key it was run with"
    )
    parser.add_argument(
        "--from", dest="start", type=_number, default=0, metavar="N", help="the first event to show (0)"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each event")
    add_ingress(parser)
    add_admin(parser)


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


@talks_to_server
def main(args: argparse.Namespace) -> int:
    graph = graph_name(args.graph)
    code = 0
    try:
        for page in _pages(args, graph):
            for line in map(_as_json, page) if args.json else as_text(page, f"{graph} {args.key}"):
                print(line, flush=True)
            if page and is_end(page[-1]):
                code = 0 if page[-1]["state"] == "succeeded" else FAILED
    except KeyboardInterrupt:
        print(f"the run goes on; see: agentflow status {graph} {args.key}", file=sys.stderr)
        return INTERRUPTED
    return code


def _as_json(event: Event) -> str:
    return json.dumps(event, ensure_ascii=False)


def _pages(args: argparse.Namespace, graph: str) -> Iterator[Sequence[Event]]:
    asked = admin(args)
    read = Events(ingress(args), graph, args.key, _invocation(asked, graph, args.key), args.start)
    try:
        for page in follow(read):
            yield page
            if not page and _killed(asked, graph, args.key) and not read.more(0):
                raise Refused(0, f"the run of {graph} with the key {args.key} was killed: it says no more")
    except Silent:
        yield from watched(asked, graph, args.key)


def _invocation(admin: Admin, graph: str, key: str) -> str | None:
    """Of a service's run, which may be asked for by the key it was run with; None where nobody can tell."""
    try:
        run = runs.find(admin, graph, key)
    except (Refused, Unreachable):
        return None
    return None if run is None or run.workflow else run.id


def _killed(admin: Admin, graph: str, key: str) -> bool:
    """Whether the engine has ended a run that could not say so itself."""
    try:
        run = runs.find(admin, graph, key)
    except (Refused, Unreachable):
        return False
    return run is not None and run.status == "completed"
