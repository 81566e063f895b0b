"""What a run tells of itself: how each node is, for `status`, and what happened in which order, its events.

Each transition is told here, once. The events of a graph with `emit` nodes go to the run's stream, from every
invocation of the run; those of any other graph cost nothing: they are numbered into the `log` that the state of
each node keeps anyway (see `agentflow.events`), by the entry, to which other invocations hand theirs up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentflow.runtime import rehearsal
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.streams import Outbox
    from agentflow.runtime.tracing import Trace

NodeState = dict[str, Any]  # state, started, ended (seconds since 1970), error, waits, attempts, last_error, log


class Report:
    """`write(path, state)` is called with each change of a node.

    `own` is the node that an invocation of its own works on: that it began and how it ended is told by the caller.
    `trace` hears of the nodes that this very invocation works on.
    """

    def __init__(
        self,
        write: Callable[[str, NodeState], None] | None = None,
        *,
        outbox: Outbox | None = None,
        own: str | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.tries: dict[str, NodeState] = {}
        self.outbox = outbox
        self.trace = trace
        self._write = write
        self._own = own
        self._count = 0  # of events, where they are numbered here
        self._run: list[list[Any]] = []  # the log of the run itself
        self._latest = 0.0

    def put(self, path: str, state: NodeState) -> None:
        self.nodes[path] = state
        rehearsal.note(f"node:{path}", state)
        if self._write is not None:
            self._write(path, state)

    def started(self, path: str, at: float, *, elsewhere: bool = False) -> None:
        """`elsewhere`: in an invocation of its own, which traces it."""
        if self.trace is not None and not elsewhere:
            self.trace.started(path, at)
        self.put(path, {"state": "running", "started": at, **self._log(path, "running", at)})

    def waiting(self, path: str, waits: Mapping[str, Any], at: float) -> None:
        if self.trace is not None:
            self.trace.waiting(path, waits, at)
        log = self._log(path, "waiting", at, between=True, waits=dict(waits))
        self.put(path, {**self.nodes.get(path, {}), "state": "waiting", "waits": dict(waits), **log})

    def calling(self, path: str, target: Mapping[str, Any]) -> None:
        """The node has called something with a run of its own."""
        if path in self.nodes:  # a tool of an agent's is none
            self.put(path, {**self.nodes[path], "calls": dict(target)})

    def going_on(self, path: str, at: float) -> None:
        """What it waited for is over."""
        if self.trace is not None:
            self.trace.going_on(path, at)
        before = {name: fact for name, fact in self.nodes.get(path, {}).items() if name != "waits"}
        self.put(path, {**before, "state": "running", **self._log(path, "running", at, between=True)})

    def tried(self, path: str, outcome: Mapping[str, Any]) -> None:
        """How often a step of the node was tried, where once was not enough."""
        if outcome["tries"] > 1:
            about = {"attempts": outcome["tries"]}
            if "last_error" in outcome:
                about["last_error"] = outcome["last_error"]
            self.tries[path] = about

    def ended(self, path: str, state: str, at: float, error: Mapping[str, Any] | None = None) -> None:
        if self.trace is not None:
            self.trace.ended(path, state, at, error)
        before = self.nodes.get(path, {})
        kept = {"started": before["started"]} if "started" in before else {}
        kept.update(self.tries.pop(path, {}))
        about: dict[str, Any] = {"error": dict(error)} if error else {}
        log = self._log(path, state, at, **(about if self.outbox is not None else {}))
        self.put(path, {**kept, "state": state, "ended": at, **about, **log})

    def emitted(self, path: str, topic: str, data: Json, at: float) -> None:
        assert self.outbox is not None, "a graph without emit nodes has no stream"
        self.outbox.add({"type": "emit", "node": path, "topic": topic, "at": at, "data": data})

    def run(self, state: str, at: float, error: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The run itself came to a new state; what that adds to what is kept of it."""
        if self.outbox is not None:
            self.outbox.add({"type": "run", "state": state, "at": at, **({"error": dict(error)} if error else {})})
            return {}
        self._run = [*self._run, [self._next(), state, at]]
        return {"log": self._run}

    def flush(self) -> None:
        """Before this invocation waits, and when it ends: what is known here is told."""
        if self.outbox is not None:
            self.outbox.flush()

    # ------------------------------------------------------------ of other invocations

    def merge(self, nodes: Mapping[str, NodeState], own: str) -> None:
        """What an invocation that worked on the node `own` has told, in its order; of `own` only what it waited for."""
        told = sorted((entry[0], path, entry) for path, state in nodes.items() for entry in state.get("log", ()))
        logs: dict[str, list[list[Any]]] = {}
        for _, path, entry in told:
            logs.setdefault(path, []).append([self._next(), *entry[1:]])
        for path, state in nodes.items():
            before = self.nodes.get(path, {})
            log = [*before.get("log", ()), *logs.get(path, ())]
            if path != own:
                self.put(path, {**state, "log": log} if log else state)
            elif path in logs:
                self.put(path, {**before, "log": log})

    def landed(self, path: str, state: NodeState) -> None:
        """How a node ended that ran in an invocation of its own, as that one saw it."""
        about = {"error": state["error"]} if self.outbox is not None and "error" in state else {}
        log = self._log(path, state["state"], state.get("ended", self._latest), **about)
        self.put(path, {**state, **log})

    # ------------------------------------------------------------ events

    def _log(self, path: str, state: str, at: float, *, between: bool = False, **about: Any) -> dict[str, Any]:
        """Tells a transition, `between` the node's beginning and its end; its `log`, where that is where it is told."""
        self._latest = max(self._latest, at)
        mine = path != self._own or between
        if self.outbox is not None:
            if mine:
                self.outbox.add({"type": "node", "node": path, "state": state, "at": at, **about})
            return {}
        log = self.nodes.get(path, {}).get("log", ())
        if mine:
            log = [*log, [self._next(), state, at, about] if about else [self._next(), state, at]]
        return {"log": log} if log else {}

    def _next(self) -> int:
        self._count += 1
        return self._count - 1
