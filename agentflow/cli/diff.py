"""`agentflow diff`: what a change of a graph means for those who rely on it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from agentflow.changes import Interface, changes
from agentflow.cli import colors
from agentflow.cli.connection import UsageError, add_admin, admin, complain, talks_to_server
from agentflow.driver import compile
from agentflow.manifest import interface
from agentflow.project import find_graph
from agentflow.rendering import render

FINE, BREAKS = 0, 1
ABOUT = {
    "callers": "For who calls it",
    "state": "For what is kept over revisions",
    "runs": "For runs in flight",
}


class _Wrong(Exception):
    """A graph has mistakes, which have been printed."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What changed between two graphs, or between what is deployed and a graph: for its callers, for state that "
        "outlives a revision, for runs in flight. Exits 1 where something would break."
    )
    parser.add_argument("old", metavar="OLD", help="a graph's name or file; with --deployed the new graph")
    parser.add_argument("new", metavar="NEW", nargs="?", help="a graph's name or file")
    parser.add_argument("--deployed", action="store_true", help="compare with what the server runs, given one graph")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_admin(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    if args.deployed is (args.new is not None):
        raise UsageError("give OLD and NEW, or one graph and --deployed")
    try:
        new = _of_file(args.old if args.deployed else args.new)
        old = _deployed(args, str(new["graph"])) if args.deployed else _of_file(args.old)
    except _Wrong:
        return BREAKS
    if old is None:
        complain(f"{new['graph']} is not deployed on this server: there is nothing to break")
        return FINE
    found = changes(old, new)
    if args.format == "json":
        print(json.dumps([asdict(change) for change in found], indent=2, ensure_ascii=False))
    elif not found:
        print("nothing changed for anybody who relies on it")
    for about, title in ABOUT.items() if args.format == "text" else ():
        lines = [change for change in found if change.about == about]
        if lines:
            print(f"{title}:")
        for change in lines:
            print(f"  {'breaks ' if change.breaks else 'changes'}  {change.text}")
    return BREAKS if any(change.breaks for change in found) else FINE


def _of_file(argument: str) -> Interface:
    result = compile(Path(argument) if Path(argument).exists() else find_graph(argument))
    if result.program is None:
        texts = result.source.files() if result.source is not None else {}
        sys.stderr.write(render(result.diagnostics, texts, "text", colors(sys.stderr)))
        raise _Wrong
    return interface(result.program)


def _deployed(args: argparse.Namespace, graph: str) -> Interface | None:
    server = admin(args)
    newest = server.latest(graph)
    if newest is None:
        return None
    told = next((each.metadata for each in server.deployments() if each.id == newest), {})
    if "agentflow-interface" not in told:
        raise UsageError(f"what runs as {graph} was not deployed by agentflow serve: it does not say what it is")
    found: Interface = json.loads(told["agentflow-interface"])
    return found
