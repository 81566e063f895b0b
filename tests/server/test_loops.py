"""`loop` runs rounds until its condition holds, or there have been as many as it allows."""

from __future__ import annotations

import time

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "loop_counts",
        """
input: {goal: integer}
nodes:
  climb:
    loop:
      act: {tool: act, with: {name: "r{{ index }}"}}
      sum: {value: "{{ previous.sum + index }}", needs: [act]}
    until: sum >= input.goal
    max: 4
    start: {sum: 10, index: 0}
    output: {sum: "{{ sum }}", index: "{{ index }}"}
""",
    ),
    graph(
        "loop_goes_on",
        """
nodes:
  climb:
    loop: {act: {tool: act, with: {name: "{{ previous.id if previous else 'x' }}y"}}}
    until: index > 9
    max: 3
    on_max: continue
  after: {value: "{{ climb.id }}!"}
output: "{{ after }}"
""",
    ),
    graph(
        "loop_pauses",
        """
nodes:
  poll:
    loop: {act: {tool: act, with: {name: "p{{ index }}"}}}
    until: index == 3
    max: 5
    every: 600ms
""",
    ),
    graph(
        "loop_caught",
        """
nodes:
  climb:
    loop: {act: {tool: act, with: {name: "c{{ index }}"}}}
    until: act.id == "never"
    max: 2
    on_error: continue
""",
    ),
]
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.05"}


def test_a_round_sees_the_one_before_it(service: Service) -> None:
    assert service.run("loop_counts", "1", {"goal": 15}) == {"sum": 16, "index": 3}
    assert service.names("act") == ["r1", "r2", "r3"]
    assert service.run("loop_counts", "2", {"goal": 11}) == {"sum": 11, "index": 1}


def test_too_many_rounds_fail_and_are_undone(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("loop_counts", "3", {"goal": 100})
    assert caught.value.metadata["kind"] == "limit" and "4 rounds" in caught.value.message
    assert service.names("undo_act") == ["r4", "r3", "r2", "r1"]


def test_it_may_go_on_with_the_last_round(service: Service) -> None:
    assert service.run("loop_goes_on", "1") == "xyyy!"
    assert service.names("undo_act") == []


def test_caught_it_undoes_its_own_rounds(service: Service) -> None:
    assert service.run("loop_caught", "1") is None
    assert service.names("undo_act") == ["c2", "c1"]


def test_it_pauses_between_rounds_over_a_restart(service: Service) -> None:
    began = time.monotonic()
    service.send("loop_pauses", "1")
    until(lambda: service.names("act") == ["p1"], 30, "the first round")
    waits = until(lambda: service.status("loop_pauses", "1")["nodes"]["poll"].get("waits"), 20, "the pause")
    assert waits["kind"] == "pause" and "until" in waits
    service.restart()
    assert service.result("loop_pauses", "1") == {"id": "p3"}
    assert time.monotonic() - began >= 1.2 and service.names("act") == ["p1", "p2", "p3"] and service.nothing_twice()
