"""A `when` that cannot be evaluated is its node's failure, wherever the node stands."""

from __future__ import annotations

import pytest
from harness import Service, graph

from agentflow.client import Refused

GRAPHS = [
    graph(
        "undecided",
        """
kind: service
input: {a: any}
nodes:
  line: {value: 1, when: input.a.q, on_error: {use: 2}}
  deep: {steps: {x: {value: 1, when: input.a.q}, y: {value: 2}}, on_error: continue, needs: [line]}
  wide:
    on_failure: collect
    needs: [deep]
    parallel:
      failed: {value: 1, when: input.a.q}
      caught: {value: 1, when: input.a.q, on_error: {use: 2}}
      called: {nodes: {x: {tool: look, with: {name: x}}}, when: input.a.q, on_error: {run: {value: other}}}
      done: {tool: look, with: {name: done}}
  beside: {agent: one, prompt: x, when: input.a.q, on_error: {use: "{{ error.kind }}"}, needs: [deep]}
  told: {value: "{{ line is failed }} {{ beside is failed }}"}
agents: {one: {instruction: i}}
""",
    ),
    graph(
        "unnamed",
        """
kind: service
input: {a: any}
nodes: {ask: {approval: Well?, approvers: "{{ input.a }}"}}
""",
    ),
]
REPLIES = {"undecided": "one: [{say: x}]"}


def test_it_is_caught_like_any_failure(service: Service) -> None:
    assert service.run("undecided", None, {"a": {}}) == {
        "line": 2,
        "deep": None,
        "wide": {"failed": None, "caught": 2, "called": "other", "done": "saw done"},
        "beside": "fail",
        "told": "true true",
    }
    assert service.run("undecided", None, {"a": {"q": True}})["beside"] == "x"


@pytest.mark.parametrize("given", [{"a": 1}, [["ann"]], 5, True, []])
def test_only_names_are_asked(service: Service, given: object) -> None:
    with pytest.raises(Refused) as refused:
        service.run("unnamed", None, {"a": given}, timeout=10)
    assert refused.value.metadata["node"] == "ask"
