"""A service keeps no state: what its runs do is read from the engine's journals."""

from __future__ import annotations

import pytest
from harness import Service, graph, until

from agentflow import runs
from agentflow.client import Refused

GRAPHS = [
    graph(
        "told",
        """
kind: service
input: {name: string}
nodes:
  one: {tool: act, with: {name: one}}
  both:
    parallel:
      left: {steps: {a: {tool: act, with: {name: a}}, b: {tool: act, with: {name: b}}}}
      right: {tool: act, with: {name: right}}
    needs: [one]
  bad: {tool: act, with: {name: bad}, needs: [both], retry: {attempts: 2, initial: 10ms}}
""",
    ),
    graph(
        "told_gate",
        "kind: service\nnodes:\n  gate: {approval: Really?, approvers: [ann]}\n  after: {value: '{{ gate.by }}'}",
    ),
]


def test_a_services_run_tells_its_nodes_attempts_and_errors(service: Service) -> None:
    service.control(act={"bad": {"fail": "error"}})
    invocation = service.send("told", None, {"name": "x"})
    with pytest.raises(Refused, match="broken"):
        service.attach(invocation)
    told = runs.status(service.engine.admin, "told", invocation)
    assert told is not None
    nodes = told["nodes"]
    assert {path: node["state"] for path, node in nodes.items()} == {
        "one": "succeeded",
        "both.right": "succeeded",
        "both.left.a": "succeeded",
        "both.left.b": "succeeded",
        "bad": "failed",
    }
    assert nodes["bad"]["attempts"] == 2
    assert "broken" in nodes["bad"]["error"]["message"]
    assert all(node["ended"] >= node["started"] for node in nodes.values())


def test_a_services_run_tells_which_approval_it_waits_for(service: Service) -> None:
    invocation = service.send("told_gate", None, {})
    gate = until(lambda: service.gates("told_gate"), 20, "the gate")[0]
    told = runs.status(service.engine.admin, "told_gate", invocation)
    assert told is not None
    assert told["run"]["state"] == "waiting"
    assert told["nodes"]["gate"]["state"] == "waiting"
    assert [wait["id"] for wait in told["waiting"]] == [gate["id"]]
    assert service.decide("told_gate", gate["id"].partition("/")[2], "approve", by="ann").status == 200
    assert service.attach(invocation)["after"] == "ann"
