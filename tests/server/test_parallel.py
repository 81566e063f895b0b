"""`parallel` joins its branches; who loses is cancelled, and what it did is undone."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused


def parallel(name: str, options: str, more: str = "") -> str:
    """Three branches: two with one step, and one that takes two and undoes both."""
    return graph(
        name,
        f"""
nodes:
  race:
    {options}
    parallel:
      a: {{tool: act, with: {{name: a}}}}
      b: {{tool: act, with: {{name: b}}}}
      c:
        steps:
          c1: {{tool: act, with: {{name: c1}}}}
          c2: {{tool: act, with: {{name: c2}}}}
        output: "{{{{ c2.id }}}}"
{more}
output: "{{{{ race }}}}"
""",
    )


GRAPHS = [
    parallel("join_all", "join: all"),
    parallel("join_fast", "on_failure: fail_fast"),
    parallel("join_collect", "on_failure: collect"),
    parallel("join_any", "join: any"),
    parallel("join_first", "join: first"),
    parallel("join_two", "join: 2"),
    parallel(
        "join_caught",
        "on_error: {use: {a: {id: no}, b: {id: no}, c: \"{{ error.kind }} {{ error.node | default('?') }}\"}}",
    ),
    graph(
        "join_deep",
        """
nodes:
  outer:
    join: any
    parallel:
      quick: {tool: look, with: {name: quick}}
      slow:
        parallel:
          x: {tool: act, with: {name: x}}
          y:
            nodes:
              y1: {tool: act, with: {name: y1}}
              y2: {tool: act, with: {name: "y2 {{ y1.id }}"}}
""",
    ),
    graph(
        "join_agents",
        """
agents:
  slow_one: {instruction: Think., tools: [act]}
  fast_one: {instruction: Think.}
nodes:
  either:
    join: any
    parallel:
      slow: {agent: slow_one, prompt: go}
      fast: {agent: fast_one, prompt: go}
""",
    ),
    graph(
        "join_gates",
        """
nodes:
  whoever:
    join: first
    parallel:
      ada: {approval: "Ada?", approvers: [ada]}
      bob: {approval: "Bob?", approvers: [bob]}
      steps:
        steps:
          one: {tool: act, with: {name: one}}
          then: {approval: "Carl?", approvers: [carl]}
""",
    ),
]
REPLIES = {
    "join_agents": """
slow_one:
  - call: {tool: act, with: {name: s}}
  - {delay: 6s, say: late}
fast_one:
  - {delay: 600ms, say: here}
"""
}
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}


def refused(service: Service, graph: str, key: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.run(graph, key)
    return caught.value


def test_all_gives_each_branch_its_value_in_file_order(service: Service) -> None:
    for key in "123":
        output = service.run("join_all", key)
        assert output == {"a": {"id": "a"}, "b": {"id": "b"}, "c": "c2"} and list(output) == ["a", "b", "c"]
    assert service.names("undo_act") == [] and service.nothing_twice()


def test_fail_fast_waits_for_the_effects_under_way_and_undoes_them_too(service: Service) -> None:
    service.control(act={"a": {"delay": 0}, "b": {"delay": 0.5, "fail": "terminal"}, "c1": {"delay": 1.0}})
    error = refused(service, "join_fast", "1")
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (402, "tool", "race.b")
    assert service.names("undo_act") in (["c1", "a"], ["c2", "c1", "a"])  # at inactivity 0, b may be heard of late
    assert service.engine.inactivity == "0s" or service.names("act") == ["a", "c1"]
    assert service.nodes("join_fast", "1")["race.c"] == "cancelled" and service.nothing_twice()


def test_fail_fast_does_not_wait_for_tries_that_would_follow(service: Service) -> None:
    service.control(act={"b": {"delay": 0.5, "fail": "terminal"}, "c1": {"fail": "error"}})
    began = time.monotonic()
    refused(service, "join_fast", "2")
    assert time.monotonic() - began < 10
    assert service.names("undo_act") == ["a"]


def test_a_failed_branch_fails_all_with_its_own_error(service: Service) -> None:
    service.control(act={"c2": {"fail": "tool"}})
    error = refused(service, "join_all", "failed")
    assert error.metadata["node"] == "race.c.c2" and error.message.startswith("act does not want to. Undone: ")
    assert sorted(service.names("undo_act")) == ["a", "b", "c1"]
    undone = service.names("undo_act")
    done = [line["name"] for line in sorted(service.effects("act"), key=lambda line: line["at"])]
    assert undone == done[::-1]  # in the reverse of the order in which it happened, whichever branch it was


def test_collect_keeps_what_succeeded_and_undoes_what_the_failed_branch_did(service: Service) -> None:
    service.control(act={"c2": {"fail": "terminal"}})
    assert service.run("join_collect", "1") == {"a": {"id": "a"}, "b": {"id": "b"}, "c": None}
    assert service.names("undo_act") == ["c1"]
    assert service.nodes("join_collect", "1")["race.c"] == "failed"


def test_any_takes_the_first_success_cancels_the_rest_and_undoes_it(service: Service) -> None:
    service.control(
        act={"a": {"delay": 0, "fail": "terminal"}, "b": {"delay": 0.8}, "c1": {"delay": 0}, "c2": {"delay": 1.2}}
    )
    assert service.run("join_any", "1") == {"winner": "b", "value": {"id": "b"}}
    assert service.names("undo_act") in (["c1"], ["c2", "c1"])
    assert service.nodes("join_any", "1")["race.c"] == "cancelled" and service.nothing_twice()


def test_any_fails_when_no_branch_can_succeed(service: Service) -> None:
    service.control(act={name: {"fail": "terminal"} for name in ("a", "b", "c2")})
    error = refused(service, "join_any", "none")
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (500, "join", "race")
    assert error.message.startswith("race: 1 of 3 branches cannot succeed any more: ")
    assert service.names("undo_act") == ["c1"]


def test_first_is_the_first_to_finish_also_by_failing(service: Service) -> None:
    service.control(act={"a": {"delay": 0.5}, "b": {"delay": 0}, "c1": {"delay": 0.6}})
    assert service.run("join_first", "1")["winner"] == "b"
    service.forget()
    service.control(act={"a": {"delay": 0.9}, "b": {"delay": 0, "fail": "terminal"}, "c1": {"delay": 0.9}})
    error = refused(service, "join_first", "2")
    assert error.metadata["node"] == "race.b"
    until(lambda: not service.unfinished(), 10, "the losers' end")
    assert sorted(service.names("undo_act")) == sorted(service.names("act"))


def test_a_quorum_takes_so_many_and_undoes_the_others(service: Service) -> None:
    service.control(act={"a": {"delay": 0.0}, "b": {"delay": 2}, "c1": {"delay": 0.0}, "c2": {"delay": 0.2}})
    assert service.run("join_two", "1") in (
        {"a": {"id": "a"}, "b": None, "c": "c2"},
        {"a": {"id": "a"}, "b": {"id": "b"}, "c": None},  # at inactivity 0, c may be heard of too late
    )
    assert len(service.names("undo_act")) in (1, 2) and "a" not in service.names("undo_act")


def test_a_quorum_out_of_reach_fails_at_once(service: Service) -> None:
    service.control(act={"a": {"fail": "terminal"}, "b": {"fail": "tool"}, "c2": {"delay": 1.5}})
    error = refused(service, "join_two", "none")
    assert error.metadata["kind"] == "join" and "2 of 3" in error.message
    assert "race.a: act refuses" in error.message and "race.b: act does not want to" in error.message
    assert service.names("undo_act") == service.names("act")[::-1]


def test_what_a_caught_group_did_is_undone_before_its_replacement_counts(service: Service) -> None:
    service.control(act={"c2": {"fail": "terminal"}})
    assert service.run("join_caught", "1") == {"a": {"id": "no"}, "b": {"id": "no"}, "c": "tool race.c.c2"}
    assert sorted(service.names("undo_act")) == ["a", "b", "c1"]


def test_losers_deep_within_are_undone_in_reverse(service: Service) -> None:
    service.control(look={"delay": 1.0}, act={"x": {"delay": 0.3}, "y1": {"delay": 0}, "y2 y1": {"delay": 2}})
    output: Any = service.run("join_deep", "1")
    assert output["winner"] == "quick"
    done = [line["name"] for line in sorted(service.effects("act"), key=lambda line: line["at"])]
    assert service.names("undo_act") == done[::-1] and done[:2] == ["y1", "x"]


def test_an_agent_that_loses_is_cancelled_in_its_model_call_and_its_tools_undone(service: Service) -> None:
    began = time.monotonic()
    assert service.run("join_agents", "1") == {"winner": "fast", "value": "here"}
    # the slow one would think for 6 s; at inactivity 0 the engine cannot tell it that it is cancelled
    assert service.engine.inactivity == "0s" or time.monotonic() - began < 5
    assert service.names("act") == ["s"] and service.names("undo_act") == ["s"]


def test_gates_race_and_those_that_lose_are_withdrawn(service: Service) -> None:
    run = service.send("join_gates", "1")
    for node in ("ada", "bob", "steps.then"):
        service.gate("join_gates", f"1/whoever.{node}")
    assert service.decide("join_gates", "1/whoever.bob", "approve", by="bob").status == 200
    output = service.attach(run)
    assert output["winner"] == "bob" and output["value"]["by"] == "bob"
    late = service.decide("join_gates", "1/whoever.ada", "approve", by="ada")
    assert late.status == 410 and "no longer waits" in late.refusal().message
    assert service.decide("join_gates", "1/whoever.bob", "reject").status == 409
    assert service.names("undo_act") == ["one"]
