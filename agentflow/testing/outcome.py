"""What came of a case: the run's end as its caller heard it, and what the rehearsal saw on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.client import Answer
from agentflow.types import Json


@dataclass
class Outcome:
    state: str
    output: Json = None
    outputs: Sequence[Json] = ()  # of each message to an object; {error} where it failed
    kept: Mapping[str, Json] = field(default_factory=dict)  # an object's state
    error: Mapping[str, Json] | None = None
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by path, as `status` shows them
    runs: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]] = ()  # the graph and the nodes of every run
    calls: Sequence[Mapping[str, Any]] = ()  # tool, args, node; a try again is the same call
    undone: Sequence[Mapping[str, Json]] = ()
    not_undone: Sequence[Mapping[str, Json]] = ()
    compensation: str = "none"
    spent: Mapping[str, Json] = field(default_factory=dict)
    decided: Sequence[tuple[str, str, str]] = ()  # graph, node, outcome of each approval
    elapsed: int = 0  # ms, virtual
    stuck: str | None = None  # why it did not end
    problems: Sequence[tuple[tuple[str | int, ...], str]] = ()  # what the case wanted done, and could not be
    took: float = 0.0  # seconds, real

    def counted(self) -> Counter[str]:
        return Counter(str(call["tool"]) for call in self.calls)

    def of_state(self, state: str) -> list[str]:
        return [path for path, node in self.nodes.items() if node.get("state") == state]


def of_answer(answer: Answer | None, seen: Mapping[str, Any], run: str) -> Outcome:
    """`answer`: of the run, where it ended; `seen`: what the rehearsal tells; `run`: as `graph/key`."""
    kept = seen["state"].get(run, {})
    told: dict[str, Any] = kept.get("run", {})
    nodes = _nodes(kept)
    made = Outcome(
        state=str(told.get("state", "running")),
        nodes=nodes,
        runs=[(name.partition("/")[0], _nodes(state)) for name, state in seen["state"].items()],
        calls=seen["calls"],
        undone=told.get("undone", ()),
        not_undone=told.get("not_undone", ()),
        compensation=str(told.get("compensation", "none")),
        spent=kept.get("spent", {}),
    )
    if answer is None:
        waits = any(node.get("state") == "waiting" for node in nodes.values())
        made.state = "waiting" if waits else "running"
    elif 200 <= answer.status < 300:
        made.state, made.output = "succeeded", answer.json()
    else:
        _failed(made, answer, told)
    return made


def _failed(made: Outcome, answer: Answer, run: Mapping[str, Any]) -> None:
    refusal = answer.refusal()
    metadata = refusal.metadata
    made.state = metadata.get("state", "failed")
    told = run.get("error") or {}
    made.error = {
        "kind": metadata.get("kind") or told.get("kind"),
        "code": refusal.status,
        "message": told.get("message", refusal.message),
        "node": metadata.get("node") or None,
    }
    made.undone = json.loads(metadata.get("undone", "[]")) or made.undone
    made.not_undone = json.loads(metadata.get("not_undone", "[]")) or made.not_undone


def _nodes(kept: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name.removeprefix("node:"): state for name, state in kept.items() if name.startswith("node:")}
