"""What `status` shows of each node, as the run learns it.

The entry handler of a workflow writes it to the run's state, which costs no wait; an invocation
without state of its own keeps it and hands it up with its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

NodeState = dict[str, Any]  # state, started, ended (seconds since 1970), error, waits, attempts, last_error


class Report:
    """`put(path, state)` is called with each change."""

    def __init__(self, write: Callable[[str, NodeState], None] | None = None) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.tries: dict[str, NodeState] = {}
        self._write = write

    def put(self, path: str, state: NodeState) -> None:
        self.nodes[path] = state
        if self._write is not None:
            self._write(path, state)

    def started(self, path: str, at: float) -> None:
        self.put(path, {"state": "running", "started": at})

    def waiting(self, path: str, waits: Mapping[str, Any]) -> None:
        self.put(path, {**self.nodes.get(path, {}), "state": "waiting", "waits": dict(waits)})

    def going_on(self, path: str) -> None:
        """What it waited for is over."""
        before = {name: fact for name, fact in self.nodes.get(path, {}).items() if name != "waits"}
        self.put(path, {**before, "state": "running"})

    def tried(self, path: str, outcome: Mapping[str, Any]) -> None:
        """How often a step of the node was tried, where once was not enough."""
        if outcome["tries"] > 1:
            about = {"attempts": outcome["tries"]}
            if "last_error" in outcome:
                about["last_error"] = outcome["last_error"]
            self.tries[path] = about

    def ended(self, path: str, state: str, at: float, error: Mapping[str, Any] | None = None) -> None:
        before = self.nodes.get(path, {})
        kept = {"started": before["started"]} if "started" in before else {}
        kept.update(self.tries.pop(path, {}))
        self.put(path, {**kept, "state": state, "ended": at, **({"error": dict(error)} if error else {})})
