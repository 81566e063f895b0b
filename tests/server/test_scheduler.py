"""Nodes run in the order that the graph asks for, and side by side where it asks for none."""

from __future__ import annotations

import random
import time

import pytest
from harness import Service, graph, until

NEEDS = {
    "a": [],
    "b": [],
    "c": ["a"],
    "d": ["a", "b"],
    "e": ["c"],
    "f": ["d", "b"],
    "g": ["e"],
    "h": ["f", "g"],
}
NODES = "\n".join(f"  {name}: {{tool: work, with: {{name: {name}}}, needs: {needs}}}" for name, needs in NEEDS.items())

GRAPHS = [
    graph("sched_region", f"nodes:\n{NODES}"),
    graph(
        "sched_mixed",
        """
agents:
  helper: {instruction: Help., tools: [work]}
  other: {instruction: Help.}
nodes:
  first: {agent: helper, prompt: go}
  second: {agent: other, prompt: go}
  third: {tool: work, with: {name: third}}
  group:
    nodes:
      one: {tool: work, with: {name: one}}
      two: {tool: work, with: {name: two}}
      both: {tool: work, with: {name: "{{ one }}+{{ two }}"}}
    output: "{{ both }}"
  after: {value: "{{ first }} {{ second }} {{ third }} {{ group }}"}
output: "{{ after }}"
""",
    ),
    graph(
        "sched_nested",
        """
input: {kind: plain | special, deep: boolean}
nodes:
  all_of_it:
    parallel:
      left:
        switch: input.kind
        cases:
          plain: {value: nothing to do}
          special:
            steps:
              one: {tool: work, with: {name: s1}}
              two: {tool: work, with: {name: "s2 after {{ one }}"}}
            output: "{{ two }}"
      right:
        nodes:
          inner:
            parallel:
              x: {tool: work, with: {name: x}}
              y:
                nodes:
                  deepest: {tool: work, with: {name: y}, when: input.deep}
                output: "{{ deepest | default('no') }}"
          sum: {value: "{{ inner.x }}/{{ inner.y }}"}
        output: "{{ sum }}"
output: "{{ all_of_it }}"
""",
    ),
    graph(
        "sched_line",
        """
input: {times: integer}
nodes:
  one: {tool: count, with: {number: "{{ input.times }}"}}
  two: {tool: count, with: {number: "{{ one }}"}}
  quiet: {tool: work, with: {name: never}, when: two > 100}
  own: {tool: journaled, with: {name: "n{{ two }}"}, needs: [quiet]}
  last: {value: {sum: "{{ two }}", skipped: "{{ quiet is skipped }}", own: "{{ own }}"}}
output: "{{ last }}"
""",
    ),
    graph("sched_service", "kind: service\nnodes:\n  one: {tool: work, with: {name: '{{ run.graph }}'}}"),
]
REPLIES = {
    "sched_mixed": """
helper:
  - calls: [{tool: work, with: {name: h1}}, {tool: work, with: {name: h2}}]
  - say: helped
other:
  - say: other
"""
}
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.15"}


def in_order(service: Service) -> bool:
    """Each node began after what it needs had ended, in the run whose effects these are."""
    begun = {line["name"]: line["at"] for line in service.effects(event="begin")}
    done = {line["name"]: line["at"] for line in service.effects()}
    return all(done[needed] <= begun[name] for name, needs in NEEDS.items() for needed in needs)


def test_a_region_keeps_its_order_under_random_delays(service: Service) -> None:
    for key in map(str, range(4)):
        service.forget()
        output = service.run("sched_region", key)
        assert output == {name: f"did {name}" for name in NEEDS}
        assert in_order(service) and service.nothing_twice()


@pytest.mark.at("60s")
def test_a_node_starts_the_moment_what_it_needs_is_done(service: Service) -> None:
    service.control(work={**{name: {"delay": 0.0} for name in "bcdefgh"}, "a": {"delay": 1.0}, "b": {"delay": 0.3}})
    service.run("sched_region", "moment")
    begun = {line["name"]: line["at"] for line in service.effects(event="begin")}
    done = {line["name"]: line["at"] for line in service.effects()}
    assert abs(begun["b"] - begun["a"]) < 0.3  # at once
    for name, needs in NEEDS.items():
        if needs:
            assert begun[name] - max(done[needed] for needed in needs) < 0.35, name


@pytest.mark.at("60s")
def test_there_is_no_barrier_between_levels(service: Service) -> None:
    service.control(work={"a": {"delay": 0.0}, "b": {"delay": 1.5}})
    service.run("sched_region", "barrier")
    done = {line["name"]: line["at"] for line in service.effects()}
    assert max(done["c"], done["e"], done["g"]) < done["b"]  # three levels below a, while b is still at it


def test_kills_in_a_region_repeat_nothing_that_finished(service: Service) -> None:
    service.control(work={"delay": 0.2})
    invocation = service.send("sched_region", "killed")
    for _ in range(3):
        time.sleep(0.1 + random.random() * 0.25)
        service.restart()
    assert service.attach(invocation) == {name: f"did {name}" for name in NEEDS}
    begun = service.effects(event="begin")
    # what was under way when the service died runs again, under the same key; what was done and recorded does not
    assert 8 < len(begun) <= 8 + 3 * 3
    assert len({line["key"] for line in begun}) == len({(line["key"], line["name"]) for line in begun}) == 8


def test_agents_tools_and_groups_run_side_by_side(service: Service) -> None:
    service.run("sched_mixed", "warm")  # a process's first turn is slower
    service.forget()
    service.control(work={"delay": 0.5})
    assert service.run("sched_mixed", "1") == "helped other did third did did one+did two"
    effects = {line["name"]: line["at"] for line in service.effects(event="begin")}
    together = [effects[name] for name in ("h1", "h2", "third", "one", "two")]
    done = {line["name"]: line["at"] for line in service.effects()}
    assert max(together) < min(done[name] for name in ("h1", "h2", "third", "one", "two"))
    assert service.nothing_twice()


def test_groups_switches_and_steps_nest_in_branches(service: Service) -> None:
    output = service.run("sched_nested", "1", {"kind": "special", "deep": True})
    assert output == {"left": "did s2 after did s1", "right": "did x/did y"}
    assert service.nothing_twice()
    output = service.run("sched_nested", "2", {"kind": "plain", "deep": False})
    assert output == {"left": "nothing to do", "right": "did x/no"}
    assert service.nodes("sched_nested", "2")["all_of_it.right.inner.y.deepest"] == "skipped"


def test_a_chain_runs_in_the_entry_alone_and_a_skipped_node_counts_as_done(service: Service) -> None:
    invocation = service.send("sched_line", "1", {"times": 1})
    assert service.attach(invocation) == {"sum": 3, "skipped": True, "own": "one n3, two n3"}
    assert service.names("count") == ["1", "2"] and service.names("work") == []
    assert not service.engine.invocations(f"invoked_by_id = '{invocation}'")
    assert service.nodes("sched_line", "1")["quiet"] == "skipped"
    kinds = service.engine.admin.query(f"select entry_type from sys_journal where id = '{invocation}'")
    assert sum("Run" in str(row["entry_type"]) and "Command" in str(row["entry_type"]) for row in kinds) == 5


def test_a_service_runs_as_often_as_it_is_called(service: Service) -> None:
    assert service.run("sched_service", None) == "did sched_service"
    assert service.run("sched_service", None) == "did sched_service"
    assert len({line["key"] for line in service.effects()}) == 2


def test_many_runs_at_once_do_not_disturb_each_other(service: Service) -> None:
    service.control(work={"delay": 0.05})
    runs = [service.send("sched_nested", f"many{n}", {"kind": "special", "deep": True}) for n in range(10)]
    for run in runs:
        assert service.attach(run) == {"left": "did s2 after did s1", "right": "did x/did y"}
    assert len(service.effects()) == 40 and service.nothing_twice()
    until(lambda: not service.unfinished(), 10, "the end of all invocations")
