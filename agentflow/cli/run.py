"""`agentflow run`: starts a run and waits for its result, which alone goes to stdout."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import queue
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agentflow.cli.connection import UsageError, add_admin, add_ingress, admin, graph_name, ingress, talks_to_server
from agentflow.cli.follow import Events, Silent, as_text, follow
from agentflow.client import Answer, Ingress, Refused, Started, Unreachable
from agentflow.events import Event
from agentflow.project import find_graph
from agentflow.types import Json

FAILED = 3
INTERRUPTED = 130
QUIET = 1.0  # seconds without an event, after which the engine is asked what is wrong
LAST = 5.0  # seconds that the last events may take to arrive after the result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Run a graph on a running server; its output is printed as JSON, progress goes to stderr."
    parser.add_argument("graph", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument(
        "--key", metavar="K", help="the run's key; the same key again gives the same run (default: random)"
    )
    parser.add_argument("--input", metavar="JSON|@FILE|-", default="{}", help="the input: JSON, a file, or stdin")
    parser.add_argument("--detach", action="store_true", help="do not wait: print the key and the invocation's id")
    parser.add_argument("--json", action="store_true", help="progress as events, one line of JSON each")
    parser.add_argument(
        "--record", metavar="FILE", type=Path, help="add the run to this test file, as a case that passes"
    )
    add_ingress(parser)
    add_admin(parser)


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
        answer = _Watch(server, graph, started, args.json).result()
        code = _finish(answer)
        if args.record is not None:
            _record(args, key, answer, started)
        return code
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


def _record(args: argparse.Namespace, key: str, answer: Answer, started: Started) -> None:
    """Makes the run a test case. Only here the graph itself is looked at: the server knows it by its name."""
    from agentflow.testing.append import CannotRecord, append
    from agentflow.testing.record import recorded
    from agentflow.testing.run import Suite, programs_of

    suite = Suite()
    programs = programs_of(find_graph(args.graph), suite)
    if not programs:
        raise UsageError(f"--record: {find_graph(args.graph)} is not a graph that can be compiled")
    try:
        case = recorded(admin(args), ingress(args), programs, key, answer, started.invocation)
        name = append(args.record, key, case)
    except (CannotRecord, OSError) as error:
        raise UsageError(f"--record: {error}") from None
    sys.stdout.flush()  # the output comes first
    _say(f"recorded as {name} in {args.record}")


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
    """Waits for the result in one thread, and follows the run in another; what happens is printed as it comes."""

    def __init__(self, server: Ingress, graph: str, started: Started, as_json: bool) -> None:
        self._server = server
        self._graph = graph
        self._started = started
        self._json = as_json
        self._news: queue.Queue[Answer | list[Event] | None] = queue.Queue()
        self._shown: dict[str, str] = {}

    def result(self) -> Answer:
        threading.Thread(target=self._attach, daemon=True).start()
        threading.Thread(target=self._follow, daemon=True).start()
        answer: Answer | None = None
        told = False  # whether there are no more events
        late = math.inf
        while answer is None or not (told or time.monotonic() > late):
            try:
                news = self._news.get(timeout=QUIET)
            except queue.Empty:
                if answer is None:
                    self._show_trouble()
                continue
            if isinstance(news, Answer):
                answer, late = news, time.monotonic() + LAST
            elif news is None:
                told = True
            else:
                self._show(news)
        return answer

    def _attach(self) -> None:
        """The server may be restarted meanwhile: the run goes on, so this does."""
        told = False
        while True:
            try:
                self._news.put(self._server.result(self._started.invocation))
                return
            except Unreachable as error:
                if not told:
                    _say(f"{error}; waiting for it to come back")
                told = True
                time.sleep(0.5)

    def _follow(self) -> None:
        """Of a run that had ended before, only the result is news."""
        invocation = self._started.invocation
        read = Events(self._server, self._graph, self._started.key, invocation, run=invocation)
        with contextlib.suppress(Refused, Silent):
            for page in follow(read, patience=30):
                if not (self._started.before and read.ended):
                    self._news.put(page)
        self._news.put(None)

    def _show(self, page: Sequence[Event]) -> None:
        if self._json:
            lines = iter([json.dumps(event, ensure_ascii=False) for event in page])
        else:  # how the run ends is told with its result
            lines = as_text([event for event in page if event["type"] != "run"], self._started.key)
        for line in lines:
            _say(line)

    def _show_trouble(self) -> None:
        """What is being tried again, or paused, which the engine knows and the run does not."""
        if self._json:
            return
        try:
            status = self._server.ask(self._graph, self._started.key, "status")
        except (Refused, Unreachable):
            return
        nodes = status.get("nodes") if isinstance(status, dict) else None
        for path, node in nodes.items() if isinstance(nodes, dict) else ():
            if not isinstance(node, dict) or not node.get("engine"):
                continue
            line = (
                f"  {path:<20} {node.get('state')}, {str(node['engine']).replace('-', ' ')}: {node.get('last_error')}"
            )
            if self._shown.get(path) != line:
                self._shown[path] = line
                _say(line)
