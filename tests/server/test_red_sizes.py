"""A node in an invocation of its own whose answer is too large fails, and what it did is undone."""

from __future__ import annotations

import pytest
from harness import Service, graph

from agentflow.client import Refused

GRAPHS = [
    graph(
        "large",
        """
nodes:
  pair:
    parallel:
      both:
        steps:
          done: {tool: act, with: {name: done}}
          text: {value: "{% for i in [1, 2, 3, 4] %}{{ input.text }}{% endfor %}"}
      other: {value: 1}
input: {text: string}
""",
    ),
]


@pytest.mark.at("60s")
def test_a_branch_that_answers_too_much_fails_for_good(service: Service) -> None:
    with pytest.raises(Refused, match=r"bytes as JSON.*Undone: pair\.both\.done") as refused:
        service.run("large", "one", {"text": "x" * (5 * 1024 * 1024)}, timeout=60)
    assert refused.value.metadata["node"] == "pair.both"
    assert service.names("undo_act") == ["done"]
