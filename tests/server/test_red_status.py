"""`status` of a run that waits for people inside groups and branches, and after an escalation."""

from __future__ import annotations

from typing import Any

from harness import Service, graph, until

GRAPHS = [
    graph(
        "inside",
        """
input: {work: boolean}
nodes:
  group:
    nodes:
      deep: {parallel: {gate: {approval: Deep?, approvers: [ann]}, done: {tool: look, with: {name: x}}}}
  top:
    approval: Top?
    approvers: [bob]
    timeout: 2s
    escalate: [{to: [chief], timeout: 1h}]
    on_timeout: reject
  busy: {tool: look, with: {name: busy}, when: input.work}
""",
    ),
]


def waits(service: Service, key: str) -> dict[str, Any]:
    return {wait["node"]: wait for wait in service.status("inside", key).get("waiting", [])}


def test_a_gate_within_a_group_is_told(service: Service) -> None:
    service.send("inside", "quiet", {"work": False})
    service.gate("inside", "quiet/group.deep.gate")
    until(lambda: service.state("inside", "quiet") == "waiting", 10)
    assert set(waits(service, "quiet")) == {"group.deep.gate", "top"}
    assert waits(service, "quiet")["group.deep.gate"]["approvers"] == ["ann"]
    first = waits(service, "quiet")["top"]["until"]
    until(lambda: waits(service, "quiet")["top"]["approvers"] == ["bob", "chief"], 10)
    assert waits(service, "quiet")["top"]["until"] > first
    service.decide("inside", "quiet/group.deep.gate", "approve")
    service.decide("inside", "quiet/top", "approve")
    service.result("inside", "quiet")
    assert service.status("inside", "quiet")["waiting"] == []


def test_a_run_that_works_beside_a_gate_is_running(service: Service) -> None:
    service.control(look={"busy": {"delay": 2}})
    service.send("inside", "busy", {"work": True})
    service.gate("inside", "busy/group.deep.gate")
    assert service.state("inside", "busy") == "running"
    until(lambda: service.state("inside", "busy") == "waiting", 10)
    service.decide("inside", "busy/group.deep.gate", "approve")
    service.decide("inside", "busy/top", "approve")
    service.result("inside", "busy")
