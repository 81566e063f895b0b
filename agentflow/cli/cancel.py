"""`agentflow cancel`: ends a run; what it did is undone."""

from __future__ import annotations

import argparse

from agentflow import runs
from agentflow.cli.connection import add_admin, admin, complain, graph_name, talks_to_server


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Cancel a run; what it did is undone, as the graph says."
    parser.add_argument("graph", metavar="GRAPH")
    parser.add_argument(
        "key", metavar="KEY", help="the run's key; of a service the invocation's id or the key it was run with"
    )
    add_admin(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    server, graph = admin(args), graph_name(args.graph)
    run = runs.find(server, graph, args.key)
    if run is None:
        complain(f"there is no run of {graph} with the key {args.key}")
        return 1
    if run.status == "completed":
        complain(f"{graph} {args.key} has ended already ({run.result})")
        return 1
    for invocation in (run, *runs.called(server, run)):
        if invocation.status == "backing-off":  # it would hear of the cancel only when it is tried next
            server.pause(invocation.id)
    server.cancel(run.id)
    print(f"cancelling {graph} {args.key}; see: agentflow status {graph} {args.key}")
    return 0
