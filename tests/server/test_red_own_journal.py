"""Tools that keep their own journal: cancelled, out of time, and failing as tools do."""

from __future__ import annotations

import json
import re

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
    """agentflow: 1
graph: stepwise
input: {how: string}
tools:
  two: {python: "tools.desk:two_steps", retry: {attempts: 9}}
nodes:
  go: {tool: two, with: {how: "{{ input.how }}"}, retry: {attempts: 3, initial: 10ms}}
""",
    """agentflow: 1
graph: unending
kind: service
limits: {time: 1s}
tools:
  two: {python: "tools.desk:two_steps", timeout: 300ms}
nodes:
  go: {tool: two, with: {how: slow}}
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


@pytest.mark.parametrize(
    ("how", "tries", "said"),
    [
        ("error", 3, "RuntimeError: broken by <DESK_TOKEN>"),
        ("tool", 1, "not with <DESK_TOKEN>"),
        ("terminal", 1, "refused to <DESK_TOKEN>"),
        ("plain", 1, ""),
    ],
)
def test_its_steps_are_tried_as_its_node_says(service: Service, how: str, tries: int, said: str) -> None:
    token = "desk-s3cr3t-4711"  # noqa: S105 - made up
    service.restart(DESK_TOKEN=token)
    invocation = service.send("stepwise", how, {"how": how})
    if how == "plain":  # beside its steps: the engine's to try again
        until(lambda: len(service.effects("two", event="begin")) > 1, 20, "another try")
        (row,) = service.engine.invocations(f"id = '{invocation}'")
        assert row["last_failure"].startswith("[500 Internal] RuntimeError: beside them, <DESK_TOKEN>")
        assert "desk.py" not in row["last_failure"]
        service.cancel(invocation)
        service.restart(DESK_TOKEN=token)
    else:
        with pytest.raises(Refused, match=re.escape(said)) as refused:
            service.result("stepwise", how)
        assert refused.value.metadata["kind"] == "tool"
        assert len(service.effects("two", event="begin")) == tries
    assert token not in service.log.read_text()


def test_no_step_of_it_is_tried_after_the_time_is_up(service: Service) -> None:
    service.restart(DESK_TOKEN="desk-s3cr3t-4711")
    with pytest.raises(Refused, match="limits.time") as refused:
        service.run("unending", None)
    assert (refused.value.status, refused.value.metadata["kind"]) == (504, "limit")
