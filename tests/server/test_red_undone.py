"""What was undone before the end, of losers and of failures that were caught, is told like the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Service, graph

from agentflow.client import Refused

GRAPHS = [
    graph(
        "caught",
        """
input: {end: boolean}
nodes:
  group:
    on_error: continue
    steps:
      a: {tool: act, with: {name: a}}
      b: {tool: act, with: {name: b}}
      c: {fail: no}
  beside: {value: 1}
  end: {fail: the end, when: input.end, needs: [group]}
output: "{{ beside }}"
""",
    ),
    graph(
        "lost",
        """
nodes:
  race:
    join: any
    parallel:
      quick: {tool: look, with: {name: quick}}
      slow: {steps: {a: {tool: act, with: {name: a}}, b: {tool: act, with: {name: b}}}}
output: "{{ race.winner }}"
""",
    ),
]


def nodes(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["node"] for entry in entries]


def test_a_caught_failure_tells_what_could_not_be_undone(service: Service) -> None:
    service.control(undo_act={"a": {"fail": "terminal"}})
    assert service.run("caught", "on", {"end": False}) == 1
    run = service.status("caught", "on")["run"]
    assert (run["state"], run["compensation"]) == ("succeeded", "failed")
    assert nodes(run["undone"]) == ["group.b"]
    assert nodes(run["not_undone"]) == ["group.a"]
    assert "refuses" in run["not_undone"][0]["error"]
    with pytest.raises(Refused) as refused:
        service.run("caught", "off", {"end": True})
    assert nodes(json.loads(refused.value.metadata["not_undone"])) == ["group.a"]
    assert "NOT undone: group.a" in refused.value.message


def test_what_losers_leave_is_told(service: Service) -> None:
    service.control(undo_act={"fail": "terminal"}, look={"delay": 0.5}, act={"b": {"delay": 1}})
    assert service.run("lost", "one") == "quick"
    run = service.status("lost", "one")["run"]
    assert sorted(nodes(run["not_undone"])) == ["race.slow.a", "race.slow.b"]
    assert run["compensation"] == "failed"
