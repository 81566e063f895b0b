"""The service dies at a journal entry; it is started again; and the run comes out as if nothing had happened.

Each point of death is an entry about to be written or a step's result about to be recorded (so, between an effect and
its record), counted over all invocations of a run. `--all-points` tries every one; else a sample.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from harness import PROJECT, Service, graph, until

from agentflow.client import Refused

GRAPHS: list[Any] = [
    PROJECT / "graphs" / "claim.yaml",
    graph(
        "lane_agent",
        """
agents:
  worker: {instruction: Work., tools: [act, look], handoffs: [closer]}
  closer: {instruction: Close., handoffs: [worker], tools: [act]}
nodes:
  work: {agent: worker, prompt: go}
  race:
    needs: [work]
    join: any
    parallel:
      fast: {tool: look, with: {name: fast}}
      slow: {steps: {one: {tool: act, with: {name: lost}}, two: {tool: act, with: {name: late}}}}
  gate: {approval: Fine?, approvers: [ada], needs: [race], timeout: 1h, on_timeout: reject, on_reject: continue}
  last: {tool: act, with: {name: "{{ gate.outcome }}"}}
output: {said: "{{ work }}", last: "{{ last.id }}"}
""",
    ),
]
REPLIES = {
    "lane_agent": """
worker:
  - calls: [{tool: act, with: {name: w1}}, {tool: act, with: {name: w2}}, {tool: look, with: {name: w3}}]
  - handoff: closer
closer:
  - call: {tool: act, with: {name: c1}}
  - say: closed
"""
}
NAMES = {"race.slow.one": "lost", "race.slow.two": "late"}


@dataclass(frozen=True)
class Path:
    """A way through a graph: what is given, and what must come out, wherever the service dies."""

    graph: str
    given: dict[str, Any]
    output: Any  # or the beginning of the error
    effects: list[str]  # of the examples' ledger or of the desk, by tool, each once by its key
    gate: str | None = None
    control: dict[str, Any] | None = None


PATHS = {
    "paid": Path(
        "claim",
        {"claim_id": "7", "holder": "Ada", "amount": 5000, "text": "broken arm"},
        {"decision": "pay", "receipt": "p-7", "letter": "Dear customer, your claim has been paid."},
        ["pay"],
        gate="sign_off",
    ),
    "refunded": Path(
        "claim",
        {"claim_id": "7", "holder": "Nemo", "amount": 200, "text": "broken arm"},
        ". Undone: payment (refund)",
        ["pay", "refund"],
    ),
    "agent": Path(
        "lane_agent",
        {},
        {"said": "closed", "last": "approved"},
        ["act w1", "act w2", "act c1", "act approved"],
        gate="gate",
        control={"look": {"fast": {"delay": 0.05}}, "act": {"late": {"delay": 0.4}}},
    ),
}


@dataclass
class Outcome:
    died: bool
    result: Any
    effects: dict[str, str]  # by key
    repeated: int  # results of steps that were there, and yet came about again


def outcome(service: Service, path: Path, key: str, entry: int) -> Outcome:
    """A run during which the service dies at `entry`, unless the run is over before."""
    service.forget()
    service.control(**(path.control or {}))
    service.restart(AGENTFLOW_TEST_DIE_AT=str(entry))
    died = False

    def revive() -> None:
        nonlocal died
        if not service.alive():
            assert not died, "it died twice"
            died = True
            service.start()

    def decided() -> bool:
        revive()
        return decision.done()

    def settled() -> bool:
        revive()
        return not service.engine.invocations(f"id = '{run}' and status <> 'completed'")

    run = service.send(path.graph, key, path.given)
    if path.gate is not None:
        gate = f"{path.graph}/{key}/{path.gate}"

        def opened() -> bool:
            revive()
            return any(one["id"] == gate for one in service.gates(path.graph))

        until(opened, 30, "the gate")
        with ThreadPoolExecutor(1) as pool:  # the service may die in the decision: whoever makes it waits
            decision = pool.submit(service.decide, path.graph, f"{key}/{path.gate}", "approve", by="ada")
            until(decided, 30, "the decision")
        decision.result().checked()
    until(settled, 30, "the run's end")
    try:
        result = service.attach(run)
    except Refused as refused:
        result = refused.message
    if not died:
        service.restart()  # so that it does not die of what is asked now
    until(lambda: not service.unfinished(), 20, "the end of what it started")
    return Outcome(died, result, effects(service), sum(times - 1 for times in service.steps().values()))


def effects(service: Service) -> dict[str, str]:
    found = {line["key"]: str(line["tool"]) for line in service.ledger() if line["key"]}
    for line in service.effects("act", "undo_act"):
        found[line["key"]] = f"{line['tool']} {line['name']}"
    return found


def check(service: Service, name: str, entry: int) -> bool:
    """Whether the service died; fails where that made a difference."""
    path = PATHS[name]
    key = f"{name}-{entry}"
    seen = outcome(service, path, key, entry)
    where = f"{name}, entry {entry}: {seen}"
    if isinstance(path.output, str):
        assert str(seen.result).endswith(path.output), where
    else:
        assert seen.result == path.output, where
    steady = {key: tool for key, tool in seen.effects.items() if "lost" not in tool and "late" not in tool}
    assert sorted(steady.values()) == sorted(path.effects), where  # every effect once by its key
    done = {tool.split()[1] for tool in seen.effects.values() if tool.startswith("act l")}
    won = service.nodes(path.graph, key).get("race.slow") == "succeeded"
    undone = {tool.split()[1] for tool in seen.effects.values() if tool.startswith("undo_act")}
    unknown = {NAMES[entry["node"]] for entry in service.status(path.graph, key)["run"]["not_undone"]}
    assert undone | unknown == (set() if won else done | unknown), where  # what the loser of the race did
    assert seen.repeated <= 3, where  # what was under way when it died
    return seen.died


@pytest.mark.parametrize("name", PATHS)
def test_a_run_does_not_notice_that_the_service_died(
    service: Service, name: str, request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--all-points", default=False):
        entry = 1
        while check(service, name, entry):
            entry += 1
        print(f"{name} at {service.engine.inactivity}: {entry - 1} points")
        assert entry > 20
        return
    points = SPREAD[name]
    deaths = [check(service, name, point) for point in points]
    assert all(deaths[:-1])


SPREAD = {
    "paid": (3, 14, 25, 36, 47, 58),
    "refunded": (5, 13, 21, 29, 37, 45),
    "agent": (8, 20, 32, 44, 56, 68),
}
