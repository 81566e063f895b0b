"""Agents at their limits: what is counted side by side, and instructions that miss something."""

from __future__ import annotations

import pytest
from harness import Service, graph

from agentflow.client import Refused

GRAPHS = [
    graph(
        "spend",
        """
limits: {model_calls: 2}
input: {all: boolean}
agents: {one: {instruction: i}}
nodes:
  a: {agent: one, prompt: a}
  b: {agent: one, prompt: b}
  c: {agent: one, prompt: c, when: input.all}
""",
    ),
    graph(
        "instructed",
        """
kind: service
input: {a: any}
agents:
  one: {instruction: "{{ input.a.b }}"}
  two: {instruction: i, returns: integer}
nodes:
  x: {agent: one, prompt: a, on_error: {use: "{{ error.kind }}: {{ error.message }}"}}
  y: {agent: two, prompt: a, on_error: {use: null}, needs: [x]}
output: {x: "{{ x }}"}
""",
    ),
    graph(
        "unfit",
        """
kind: service
agents:
  two: {instruction: i, returns: integer}
nodes:
  group: {nodes: {y: {agent: two, prompt: a}}}
""",
    ),
]
REPLIES = {
    "spend": "one: [{say: x}]",
    "instructed": "one: [{say: x}]\ntwo: [{say: 1}]",
    "unfit": "two: [{say: x}]",
}


def test_side_by_side_they_spend_one_budget(service: Service) -> None:
    assert service.run("spend", "within", {"all": False}) == {"a": "x", "b": "x", "c": None}
    with pytest.raises(Refused) as refused:
        service.run("spend", "beyond", {"all": True})
    assert refused.value.metadata["kind"] == "limit"
    assert "limits.model_calls" in refused.value.message


def test_an_instruction_that_misses_something_ends_its_node(service: Service) -> None:
    assert service.run("instructed", None, {"a": {}}) == {"x": "fail: input.a.b is missing"}


def test_an_unfit_answer_names_its_node(service: Service) -> None:
    with pytest.raises(Refused) as refused:
        service.run("unfit", None, {})
    assert (refused.value.metadata["kind"], refused.value.metadata["node"]) == ("output", "group.y")
