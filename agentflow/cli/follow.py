"""Following a run: its events in order and each once, through restarts of the server, and how they are printed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentflow import events
from agentflow.admin import Admin
from agentflow.client import Ingress, Refused, Unreachable
from agentflow.events import Event
from agentflow.runs import status

WAIT = 20  # seconds that the server keeps a reader waiting
PAUSE = 0.3


class Silent(Exception):
    """The graph is a service without `emit`: its runs keep no events."""


class Events:
    """The events of one run, as far as they have been read. `ended`: there are no more.

    `run` says which turn of an object is meant; else it is the one that runs, or the last.
    """

    def __init__(
        self,
        server: Ingress,
        graph: str,
        key: str,
        invocation: str | None = None,
        start: int = 0,
        run: str | None = None,
    ) -> None:
        self._server = server
        self._graph = graph
        self._key = key
        self._invocation = invocation or key
        self._places: Iterator[tuple[str, str]] = iter(((graph, key), (f"{graph}.stream", self._invocation)))
        self._place = next(self._places)
        self._next = start
        self._run = run
        self.ended = False

    def more(self, wait: int = WAIT) -> list[Event]:
        """What is new, after at most so many seconds. Raises Refused where there is no such run, and Silent."""
        while True:
            service, key = self._place
            try:
                asked = events.question(self._next, wait, self._run)
                told: Any = self._server.ask(service, key, "events", asked, timeout=wait + 30)
            except Refused as refused:
                if refused.status == 400 and "bad path" in refused.message:  # the engine's answer for a service
                    self._place = next(self._places)
                    continue
                if refused.status == 404 and service != self._graph and "register the service" in refused.message:
                    raise Silent from None
                raise
            self._next, self.ended, self._run = told["next"], told["ended"], told.get("run")
            found: list[Event] = told["events"]
            return found


def follow(read: Events, patience: float = 0.0) -> Iterator[list[Event]]:
    """All events as they come, until the run has ended; while there is nothing new, an empty list now and then.

    `patience` is for how many seconds a run that does not exist may still begin. Raises Refused, Silent.
    """
    since = time.monotonic()
    while not read.ended:
        try:
            yield read.more()
        except Refused as refused:
            if refused.status < 500 and (refused.status != 404 or time.monotonic() - since > patience):
                raise
            time.sleep(PAUSE)
        except Unreachable:  # the run goes on when the server is back
            yield []
            time.sleep(PAUSE)


def watched(admin: Admin, graph: str, key: str) -> Iterator[list[Event]]:
    """What `status` tells of a run that keeps no events: changes as they are seen, without numbers."""
    seen: dict[str, str] = {}
    while True:
        told = status(admin, graph, key)
        if told is None:
            raise Refused(404, f"there is no run of {graph} with the key {key}")
        found: list[Event] = []
        for path, node in told["nodes"].items():
            if seen.get(path) != node.get("state"):
                seen[path] = str(node.get("state"))
                about = {name: node[name] for name in ("waits", "error") if name in node}
                at = node.get("ended", node.get("started"))
                found.append({"type": "node", "node": path, "state": node.get("state"), "at": at, **about})
        run = told["run"]
        if run["state"] in events.ENDS:
            error = {"error": run["error"]} if "error" in run else {}
            found.append({"type": "run", "state": run["state"], "at": run.get("ended"), **error})
        yield found
        if run["state"] in events.ENDS:
            return
        time.sleep(1)


# ---------------------------------------------------------------- as text


def as_text(page: Sequence[Event], name: str) -> Iterator[str]:
    """What happened, for people: that a node began only where that is all there is to say of it yet."""
    last = {event["node"]: event for event in page if event["type"] == "node"}
    for event in page:
        if event.get("state") == "running" and last.get(event.get("node"), event) is not event:
            continue
        yield _line(event, name)


def _line(event: Mapping[str, Any], name: str) -> str:
    """With what a person can do about it. `name` is the run's."""
    state = event.get("state")
    if event["type"] == "run":
        return f"{name}: {state}{_why(event)}"
    path = event["node"]
    if event["type"] == "emit":
        return f"  {path:<20} {event['topic']}: {json.dumps(event['data'], ensure_ascii=False)}"
    line = f"  {path:<20} {state}{_why(event)}"
    waits = event.get("waits")
    if state == "waiting" and isinstance(waits, dict):
        if waits.get("message"):
            line += f": {waits['message']}"
        elif waits.get("until"):
            line += f" until {waits['until']}"
        if waits.get("id"):
            command = "answer" if waits.get("kind") == "ask" else "approve"
            line += f"\n  {'':<20} agentflow {command} {waits['id']}"
    return line


def _why(event: Mapping[str, Any]) -> str:
    error = event.get("error")
    return f": {error.get('message')}" if isinstance(error, dict) else ""
