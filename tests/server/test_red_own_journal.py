"""Tools that keep their own journal: cancelled, out of time, and failing as tools do."""

from __future__ import annotations

import json

import pytest
from harness import Service, until

from agentflow.client import Refused

HEAD = """
tools:
  nap: {python: "tools.desk:nap", compensate: {tool: undo_try, with: {name: "{{ args.name }}"}}}
  undo_try: {python: "tools.desk:undo_try"}
"""
GRAPHS = [
    f"""agentflow: 1
graph: napping
input: {{ms: integer}}
{HEAD}
nodes:
  long: {{tool: nap, with: {{name: a, ms: "{{{{ input.ms }}}}"}}, on_error: continue}}
""",
    f"""agentflow: 1
graph: hasty
kind: service
{HEAD}
nodes:
  late: {{tool: nap, with: {{name: late, ms: 600}}, timeout: 200ms, on_error: {{use: "{{{{ error.kind }}}}"}}}}
  timely: {{tool: nap, with: {{name: timely, ms: 10}}, timeout: 1m, needs: [late]}}
""",
    f"""agentflow: 1
graph: retried
kind: service
{HEAD}
nodes:
  first: {{tool: nap, with: {{name: again, ms: 10, fail: value}}}}
""",
]


def test_a_cancel_is_a_cancel(service: Service) -> None:
    invocation = service.send("napping", "one", {"ms": 60_000})
    until(lambda: service.state("napping", "one") == "running", 10)
    service.cancel(invocation)
    with pytest.raises(Refused) as refused:
        service.result("napping", "one", timeout=10)
    assert (refused.value.status, refused.value.metadata["kind"]) == (499, "cancelled")
    assert service.state("napping", "one") == "cancelled"
    assert "not known" in json.loads(refused.value.metadata["not_undone"])[0]["error"]


def test_a_time_limit_that_has_passed_holds(service: Service) -> None:
    assert service.run("hasty", None) == {"late": "timeout", "timely": "timely"}
    assert service.names("undo_try") == ["late"]


def test_an_error_of_its_own_is_tried_again(service: Service) -> None:
    assert service.run("retried", None) == "again"
