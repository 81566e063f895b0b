"""`agentflow send GRAPH KEY NAME`: sends a message to a run, which may not have begun or asked for it yet."""

from __future__ import annotations

import argparse
import json

from agentflow.cli.connection import UsageError, add_ingress, graph_name, ingress, talks_to_server
from agentflow.types import Json


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Send a message to a run. It is kept until the run takes it; to one that is over none is sent."
    parser.add_argument("graph", metavar="GRAPH", help="a name, or a path")
    parser.add_argument("key", metavar="KEY", help="the run's")
    parser.add_argument("name", metavar="NAME", help="what the graph's node says: event: NAME")
    parser.add_argument("--data", metavar="JSON", default="null", help="what the message carries (%(default)s)")
    add_ingress(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    try:
        data: Json = json.loads(args.data)
    except ValueError as error:
        raise UsageError(f"--data is not JSON: {error}") from None
    graph = graph_name(args.graph)
    taken = ingress(args).ask(graph, args.key, "event", {"name": args.name, "data": data})
    at = taken.get("at") if isinstance(taken, dict) else None
    print(f"{graph} {args.key} got {args.name} at {at}")
    return 0
