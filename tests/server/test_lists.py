"""`for_each` runs a node for every item, so many at a time, and gives the values in the order of the items."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused


def over(name: str, options: str, do: str) -> str:
    return graph(
        name,
        f"""
input: {{names: [string]}}
nodes:
  each:
    for_each: input.names
    as: name
    {options}
    do: {do}
output: "{{{{ each }}}}"
""",
    )


STEP = '{tool: act, with: {name: "{{ name }}"}}'
STEPS = """
      nodes:
        first: {tool: act, with: {name: "{{ name }}1"}}
        second: {tool: act, with: {name: "{{ first.id }}2"}}
      output: "{{ index }}: {{ second.id }}"
"""
GRAPHS = [
    over("each_step", "max_parallel: 3", STEP),
    over("each_group", "max_parallel: 4", STEPS),
    over("each_collect", "on_failure: collect", STEP),
    over("each_any", "join: any", STEPS),
    over("each_two", "join: 2", STEP),
    over("each_first", "join: first", STEP),
    over("each_skips", "", "{tool: act, with: {name: \"{{ name }}\"}, when: name != 'no'}"),
    over("each_caught", "", '{tool: act, with: {name: "{{ name }}"}, on_error: {use: {id: "{{ error.code }}"}}}'),
    graph(
        "each_many",
        """
input: {count: integer}
nodes:
  names: {tool: numbers, with: {count: "{{ input.count }}"}}
  each:
    for_each: names
    max_parallel: 20
    do: {tool: count, with: {number: "{{ item }}"}}
output: {n: "{{ each | length }}", first: "{{ each[0] | default(none) }}", last: "{{ each | last | default(none) }}"}
""",
    ).replace("tools:\n", 'tools:\n  numbers: {python: "tools.desk:numbers", effect: read}\n'),
    graph(
        "each_deep",
        """
input: {teams: [{name: string, members: [string]}]}
nodes:
  teams:
    for_each: input.teams
    as: team
    do:
      parallel:
        left:
          loop:
            asked: {approval: "Team {{ team.name }}, round {{ index }}?", approvers: [ada], on_reject: continue}
            done: {tool: act, with: {name: "{{ team.name }}{{ index }}"}, needs: [asked]}
          until: asked.approved
          max: 3
          output: {rounds: "{{ index }}"}
        right:
          for_each: team.members
          do: {tool: act, with: {name: "{{ item }}"}}
  bad: {fail: as asked, needs: [teams], when: input.teams | length > 2}
output: "{{ teams }}"
""",
    ),
]
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}
LETTERS = [chr(ord("a") + at) for at in range(9)]


def refused(service: Service, graph: str, key: str, given: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        service.run(graph, key, given, timeout=120)
    return caught.value


def test_values_come_in_the_order_of_the_items(service: Service) -> None:
    output = service.run("each_step", "1", {"names": LETTERS})
    assert [one["id"] for one in output] == LETTERS and sorted(service.names("act")) == LETTERS
    output = service.run("each_group", "1", {"names": LETTERS})
    assert output == [f"{at}: {name}12" for at, name in enumerate(LETTERS, 1)]
    assert service.run("each_step", "2", {"names": []}) == []
    assert service.nothing_twice()
    assert service.nodes("each_step", "1")["each[3]"] == "succeeded"


@pytest.mark.at("60s")
def test_no_more_run_at_a_time_than_max_parallel(service: Service) -> None:
    service.control(act={"delay": 0.3})
    began = time.monotonic()
    service.run("each_step", "slow", {"names": LETTERS})
    assert time.monotonic() - began >= 0.9
    at = [(line["at"], 1 if line["event"] == "begin" else -1) for event in ("begin", "done")
          for line in service.effects("act", event=event)]  # fmt: skip
    running = most = 0
    for _, change in sorted(at):
        running += change
        most = max(most, running)
    assert most == 3


def test_a_failure_ends_the_rest_and_undoes_what_was_done(service: Service) -> None:
    service.control(act={"e": {"delay": 0.3, "fail": "terminal"}, "delay": 0.05})
    error = refused(service, "each_step", "bad", {"names": LETTERS})
    assert error.status == 402 and "e" in error.message and error.metadata["node"] == "each[5]"
    assert sorted(service.names("undo_act")) == sorted(service.names("act"))


def test_collect_puts_null_in_the_place_of_a_failure(service: Service) -> None:
    service.control(act={"b": {"fail": "terminal"}, "delay": 0.02})
    assert service.run("each_collect", "1", {"names": ["a", "b", "c"]}) == [{"id": "a"}, None, {"id": "c"}]


def test_any_gives_the_winner_and_undoes_the_losers(service: Service) -> None:
    service.control(act={"a1": {"delay": 0.1}, "b1": {"delay": 0}, "b12": {"delay": 0}, "a12": {"delay": 1.5}})
    output = service.run("each_any", "1", {"names": ["a", "b"]})
    assert output == {"winner": 2, "value": "2: b12"}
    until(lambda: not service.unfinished(), 30, "the end of the losers")
    assert sorted(set(service.names("act")) - {"b1", "b12"}) == sorted(service.names("undo_act"))
    assert refused(service, "each_any", "none", {"names": []}).message == (
        "each: 1 of 0 items cannot succeed any more: there are none"
    )


def test_a_quorum_takes_the_first_that_succeed(service: Service) -> None:
    service.control(act={"a": {"delay": 0.8}, "b": {"fail": "terminal"}, "c": {"delay": 0}, "d": {"delay": 0.05}})
    assert service.run("each_two", "1", {"names": ["a", "b", "c", "d"]}) == [None, None, {"id": "c"}, {"id": "d"}]
    service.control(act={"fail": "terminal"})
    error = refused(service, "each_two", "2", {"names": ["a", "b", "c"]})
    assert error.metadata["kind"] == "join"


def test_an_item_is_skipped_or_replaced_by_itself(service: Service) -> None:
    assert service.run("each_skips", "1", {"names": ["a", "no", "c"]}) == [{"id": "a"}, None, {"id": "c"}]
    service.control(act={"b": {"fail": "terminal"}})
    assert service.run("each_caught", "1", {"names": ["a", "b"]}) == [{"id": "a"}, {"id": 402}]


def test_a_thousand_items(service: Service) -> None:
    assert service.run("each_many", "1", {"count": 1000}, timeout=240) == {"n": 1000, "first": 1, "last": 1000}
    assert sorted(int(name) for name in service.names("count")) == list(range(1000))
    assert service.run("each_many", "0", {"count": 0}) == {"n": 0, "first": None, "last": None}


def test_more_than_the_limit_are_refused_before_any_starts(service: Service) -> None:
    error = refused(service, "each_many", "much", {"count": 1001})
    assert error.metadata["kind"] == "limit" and "limits.fan_out" in error.message
    assert service.names("count", event="begin") == []


def test_kinds_nest_and_everything_inside_is_undone(service: Service) -> None:
    """An approval in a loop in a branch of a parallel in a for_each, with kills while it waits."""
    teams = [("a", "ab"), ("c", "c"), ("d", "de")]
    given = {"teams": [{"name": name, "members": list(members)} for name, members in teams]}
    service.send("each_deep", "1", given)
    for team, rounds in ((1, 2), (3, 1), (2, 3)):
        for index in range(1, rounds + 1):
            gate = f"1/teams[{team}].left[{index}].asked"
            service.gate("each_deep", gate, 60)
            if random.random() < 0.5:
                service.restart()
            decision = "approve" if index == rounds else "reject"
            until(lambda: service.decide("each_deep", gate, decision).status < 300, 60, "the decision")  # noqa: B023
    with pytest.raises(Refused) as caught:
        service.result("each_deep", "1")
    assert caught.value.message.startswith("as asked")
    done, undone = service.names("act"), service.names("undo_act")
    expected = ["a", "b", "c", "d", "e", "a1", "a2", "c1", "c2", "c3", "d1"]
    assert sorted(done) == sorted(expected) and sorted(undone) == sorted(expected)
    assert service.nothing_twice()


def test_the_undoing_is_in_the_reverse_of_what_happened(service: Service) -> None:
    service.control(act={"a1": {"delay": 0.4}, "b1": {"delay": 0.1}, "a12": {"delay": 0.1},
                         "b12": {"delay": 0.9, "fail": "terminal"}})  # fmt: skip
    refused(service, "each_group", "reverse", {"names": ["a", "b"]})
    assert service.names("undo_act") == ["a12", "a1", "b1"]


def test_killed_in_the_middle_nothing_is_done_twice(service: Service) -> None:
    service.control(act={"delay": 0.15})
    service.send("each_group", "killed", {"names": LETTERS})
    for _ in range(4):
        time.sleep(random.uniform(0.2, 0.5))
        service.restart()
    assert service.result("each_group", "killed") == [f"{at}: {name}12" for at, name in enumerate(LETTERS, 1)]
    keys = [line["key"] for line in service.effects("act")]
    assert len(set(keys)) == 18 and service.nothing_twice()


def test_cancelled_in_the_middle_it_undoes_what_was_done(service: Service) -> None:
    service.control(act={"delay": 0.2})
    invocation = service.send("each_group", "cancelled", {"names": LETTERS})
    until(lambda: len(service.names("act")) >= 3, 30, "the first effects")
    service.cancel(invocation)
    with pytest.raises(Refused) as caught:
        service.result("each_group", "cancelled")
    assert caught.value.status == 499 and service.state("each_group", "cancelled") == "cancelled"
    assert sorted(service.names("undo_act")) == sorted(service.names("act"))
    until(lambda: not service.unfinished(), 30, "the end of all")
