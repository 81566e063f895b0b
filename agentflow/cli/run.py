"""`agentflow run`: starts a run and waits for its result, which alone goes to stdout."""

from __future__ import annotations

import argparse
import json
import queue
import secrets
import sys
import threading
import time
from pathlib import Path

from agentflow.cli.connection import UsageError, add_ingress, graph_name, ingress, talks_to_server
from agentflow.client import Answer, Ingress, Refused, Started, Unreachable
from agentflow.types import Json

FAILED = 3
INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Run a graph on a running server; its output is printed as JSON, progress goes to stderr."
    parser.add_argument("graph", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument(
        "--key", metavar="K", help="the run's key; the same key again gives the same run (default: random)"
    )
    parser.add_argument("--input", metavar="JSON|@FILE|-", default="{}", help="the input: JSON, a file, or stdin")
    parser.add_argument("--detach", action="store_true", help="do not wait: print the key and the invocation's id")
    add_ingress(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    data = read_input(args.input)
    graph = graph_name(args.graph)
    server = ingress(args)
    key = args.key or secrets.token_hex(4)
    started = server.start(graph, key, data)
    if args.detach:
        print(f"{started.key} {started.invocation}")
        return 0
    _say(f"{graph} {key}: {'this key was used before, so this is its first run' if started.before else 'started'}")
    try:
        return _finish(_Watch(server, graph, started).result())
    except KeyboardInterrupt:
        _say(f"the run goes on; see: agentflow status {graph} {key}")
        return INTERRUPTED


def read_input(given: str) -> bytes:
    """The input as JSON text. Raises UsageError with what is wrong with it."""
    try:
        if given == "-":
            data = sys.stdin.buffer.read()
        elif given.startswith("@"):
            data = Path(given[1:]).read_bytes()
        else:
            data = given.encode()
        json.loads(data)
    except OSError as error:
        raise UsageError(f"--input: cannot read {given[1:]}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--input is not JSON: {error}") from None
    return data


def _finish(answer: Answer) -> int:
    if 200 <= answer.status < 300:
        sys.stdout.buffer.write(answer.body + b"\n")
        return 0
    failure = answer.refusal()
    state = failure.metadata.get("state", "failed")
    _say(f"{state} ({failure.status}): {failure.message}")
    for name in ("undone", "not_undone"):
        for entry in _entries(failure.metadata.get(name)):
            why = f": {entry['error']}" if entry.get("error") else ""
            _say(f"  {name.replace('_', ' '):<11} {entry.get('node')} ({entry.get('tool')}){why}")
    return FAILED


def _entries(text: str | None) -> list[dict[str, Json]]:
    try:
        data = json.loads(text or "[]")
    except ValueError:
        return []
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Watch:
    """Waits for the result in one thread and shows what `status` tells in the other."""

    def __init__(self, server: Ingress, graph: str, started: Started) -> None:
        self._server = server
        self._graph = graph
        self._started = started
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._shown: dict[str, str] = {}
        self._tells = True  # a service has no status to ask for

    def result(self) -> Answer:
        threading.Thread(target=self._attach, daemon=True).start()
        pause = 0.2
        while True:
            try:
                answer = self._answers.get(timeout=pause)
            except queue.Empty:
                pause = 0.2 if self._show() else min(pause * 1.3, 2.0)
                continue
            if not self._started.before:
                self._show()
            return answer

    def _attach(self) -> None:
        """The server may be restarted meanwhile: the run goes on, so this does."""
        told = False
        while True:
            try:
                self._answers.put(self._server.result(self._started.invocation))
                return
            except Unreachable as error:
                if not told:
                    _say(f"{error}; waiting for it to come back")
                told = True
                time.sleep(0.5)

    def _show(self) -> bool:
        """Print what has changed; whether anything has."""
        if not self._tells:
            return False
        try:
            status = self._server.ask(self._graph, self._started.key, "status")
        except Refused as error:
            self._tells = error.status == 404 and "no run" in error.message  # not begun yet
            return False
        except Unreachable:
            return False
        lines = [line for path, line in _lines(status) if self._shown.get(path) != line]
        self._shown.update(_lines(status))
        for line in lines:
            _say(line)
        return bool(lines)


def _lines(status: Json) -> list[tuple[str, str]]:
    """One line a node that has begun, with what a person can do about it."""
    nodes = status.get("nodes") if isinstance(status, dict) else None
    lines: list[tuple[str, str]] = []
    for path, node in nodes.items() if isinstance(nodes, dict) else ():
        if not isinstance(node, dict):
            continue
        line = f"  {path:<20} {node.get('state')}"
        waits = node.get("waits")
        if node.get("state") == "waiting" and isinstance(waits, dict) and waits.get("id"):
            line += f": {waits.get('message')}\n  {'':<20} agentflow approve {waits['id']}"
        if node.get("engine"):  # it is being tried again, or a person must see to it
            line += f", {str(node['engine']).replace('-', ' ')}: {node.get('last_error')}"
        lines.append((path, line))
    changed = [(*_moment(nodes, path), path, line) for path, line in lines]
    return [(path, line) for *_, path, line in sorted(changed)]


def _moment(nodes: Json, path: str) -> tuple[float, bool]:
    """When the node last changed, for printing in that order: at one moment, what ended before what began."""
    node = nodes.get(path) if isinstance(nodes, dict) else None
    moments = [node.get(name) for name in ("ended", "started")] if isinstance(node, dict) else []
    at = next((float(moment) for moment in moments if isinstance(moment, int | float)), 0.0)
    return at, not (moments and moments[0])
