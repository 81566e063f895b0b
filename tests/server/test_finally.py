"""`finally` runs once when the run has ended, however it did, and changes nothing of how."""

from __future__ import annotations

import time

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "ends",
        """
input: {how: fail | work}
limits: {time: 20s}
nodes:
  first: {tool: act, with: {name: first}}
  slow: {tool: work, with: {name: slow}, needs: [first], when: input.how == "work"}
  bad: {fail: as asked, code: 418, needs: [first], when: input.how == "fail"}
finally:
  told:
    tool: work
    with:
      name: "{{ run.state }} {{ first.id if first else '-' }} {{ slow | default('-') }} {{ error.code | default(0) }}"
  more:
    parallel:
      a: {tool: work, with: {name: a}}
      b: {steps: {c: {tool: work, with: {name: c}}, d: {tool: work, with: {name: "{{ c }}"}}}}
    needs: [told]
output: "{{ slow }}"
""",
    ),
    graph(
        "ends_badly",
        """
nodes:
  first: {tool: act, with: {name: first}}
finally:
  told: {tool: once, with: {name: told}}
  never: {tool: work, with: {name: never}, needs: [told]}
output: "{{ first.id }}"
""",
    ),
    graph(
        "ends_asked",
        """
nodes:
  sign_off: {approval: "Go?", approvers: [ada]}
finally:
  asked: {approval: "Really {{ run.state }}?", approvers: [ada], on_reject: continue}
  told: {tool: work, with: {name: "{{ asked.outcome }} {{ error.kind if error else 'fine' }}"}}
""",
    ),
]


def test_after_success(service: Service) -> None:
    assert service.run("ends", "1", {"how": "work"}) == "did slow"
    assert service.names("work") == ["slow", "succeeded first did slow 0", *service.names("work")[2:]]
    assert sorted(service.names("work")[2:]) == ["a", "c", "did c"]
    assert service.nodes("ends", "1")["finally.more.b.d"] == "succeeded" and service.nothing_twice()


def test_after_failure_and_its_undoing(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("ends", "2", {"how": "fail"})
    assert caught.value.status == 418
    order = [(line["tool"], line["name"]) for line in service.effects("work", "undo_act")]
    assert order[:2] == [("undo_act", "first"), ("work", "failed first - 418")] and len(order) == 5


def test_after_a_cancel_it_runs_whole(service: Service) -> None:
    service.control(work={"slow": {"delay": 2}, "delay": 0.2})
    invocation = service.send("ends", "3", {"how": "work"})
    until(lambda: service.names("work", event="begin"), 30, "the slow node")
    service.cancel(invocation)
    with pytest.raises(Refused) as caught:
        service.result("ends", "3")
    assert caught.value.status == 499
    until(lambda: {"a", "c", "did c"} <= set(service.names("work")), 30, "what follows")
    assert service.names("work")[-4].startswith("cancelled first")
    until(lambda: not service.unfinished(), 30, "the end of all")
    assert service.nothing_twice()


def test_its_own_failure_is_told_and_changes_nothing(service: Service) -> None:
    service.control(work={"fail": "terminal"})
    assert service.run("ends_badly", "1") == "first"
    told = service.status("ends_badly", "1")
    assert told["run"]["state"] == "succeeded" and told["run"]["finally"]["code"] == 402
    assert told["nodes"]["finally.told"]["state"] == "failed" and "finally.never" not in told["nodes"]
    assert service.names("undo_act") == [] and "never" not in service.names("work", event="begin")


def test_it_may_wait_for_a_person_over_kills(service: Service) -> None:
    service.send("ends_asked", "1")
    service.gate("ends_asked", "1/sign_off")
    assert service.decide("ends_asked", "1/sign_off", "reject").status == 200
    service.gate("ends_asked", "1/finally.asked")
    service.restart()
    until(lambda: service.decide("ends_asked", "1/finally.asked", "approve").status == 200, 30, "the decision")
    with pytest.raises(Refused) as caught:
        service.result("ends_asked", "1")
    assert caught.value.status == 422 and service.names("work") == ["approved rejected"]


def test_killed_in_the_middle_of_it_nothing_is_done_twice(service: Service) -> None:
    service.control(work={"delay": 0.3})
    service.send("ends", "killed", {"how": "work"})
    until(lambda: any(name.startswith("succeeded") for name in service.names("work")), 30, "what follows")
    for _ in range(3):
        service.restart()
        time.sleep(0.2)
    assert service.result("ends", "killed") == "did slow"
    assert sorted(service.names("work")) == ["a", "c", "did c", "slow", "succeeded first did slow 0"]
    assert len({line["key"] for line in service.effects("work")}) == 5
