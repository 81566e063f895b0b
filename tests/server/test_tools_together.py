"""A parallel tool: several tools in one call, of nodes and of agents; each a step of its own, told of as one."""

from __future__ import annotations

import time

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

TOGETHER = """\
  both: {parallel: [act, work, look], args: {name: string}}
  asked:
    parallel: [act, look]
    args: {name: string}
    confirm: {message: "Do {{ args.name }}?", approvers: [desk], timeout: 1h, on_timeout: reject}
"""
GRAPHS = [
    graph(
        "to_node",
        f"""{TOGETHER}
input: {{name: string}}
nodes:
  now: {{tool: both, with: {{name: "{{{{ input.name }}}}"}}}}
  beside: {{tool: look, with: {{name: beside}}}}
output: "{{{{ now.act.id }}}}, {{{{ now.work }}}}, {{{{ now.look }}}}, {{{{ beside }}}}"
""",
    ),
    graph(
        "to_end",
        f"""{TOGETHER}
nodes:
  now: {{tool: both, with: {{name: n}}}}
""",
    ),
    graph(
        "to_limit",
        f"""{TOGETHER}
limits: {{tool_calls: 4}}
nodes:
  one: {{tool: both, with: {{name: one}}}}
  two: {{tool: both, with: {{name: two}}, needs: [one]}}
""",
    ),
    graph(
        "to_items",
        f"""{TOGETHER}
nodes:
  all: {{for_each: "{{{{ ['x', 'y'] }}}}", as: it, do: {{tool: both, with: {{name: "{{{{ it }}}}"}}}}}}
output: "{{{{ all | map('required') | length }}}}"
""".replace("\"{{ ['x', 'y'] }}\"", "[x, y]").replace("{{ all | map('required') | length }}", "{{ all | length }}"),
    ),
    graph(
        "to_gate",
        f"""{TOGETHER}
nodes:
  now: {{tool: asked, with: {{name: g}}}}
output: "{{{{ now.act.id }}}}"
""",
    ),
    graph(
        "to_agent",
        f"""{TOGETHER}
agents:
  busy: {{instruction: Work., tools: [both, asked, look]}}
input: {{story: string}}
nodes:
  work: {{agent: busy, prompt: "{{{{ input.story }}}}"}}
""",
    ),
]
REPLIES = {
    "to_agent": """
busy:
  - if: "'gate' in prompt"
    calls:
      - {tool: both, with: {name: a}}
      - {tool: asked, with: {name: b}}
      - {tool: look, with: {name: c}}
  - {if: "'gate' in prompt", say: gated}
  - if: "'gate' not in prompt"
    calls:
      - {tool: both, with: {name: a}}
      - {tool: look, with: {name: c}}
  - {if: "'gate' not in prompt", say: done}
""",
}


def keys(service: Service, *tools: str) -> set[str]:
    return {line["key"].partition(":")[2] for line in service.effects(*tools, event="begin")}


def test_the_tools_of_a_node_run_at_once_each_with_a_key_of_its_own(service: Service) -> None:
    service.control(act={"delay": 0.7}, work={"delay": 0.7}, look={"delay": 0.7})
    assert service.run("to_node", "1", {"name": "n"}) == "n, did n, saw n, saw beside"
    assert keys(service, "act", "work") == {"now.act", "now.work"}
    begun = [line["at"] for line in service.effects("act", "work", event="begin")]
    ended = [line["at"] for line in service.effects("act", "work")]
    assert max(begun) < min(ended) and service.nothing_twice()


def test_a_kill_repeats_none_that_finished(service: Service) -> None:
    service.control(act={"delay": 0.1}, work={"delay": 2}, look={"delay": 0.1})
    run = service.send("to_end", "kill")
    until(lambda: service.names("act") and service.names("look"), 20, "two of the three")
    time.sleep(0.3)
    service.restart()
    assert service.attach(run) == {"act": {"id": "n"}, "work": "did n", "look": "saw n"}
    assert len(service.effects("work", event="begin")) == 2 and len(keys(service, "work")) == 1
    assert service.engine.inactivity == "0s" or len(service.effects("act", event="begin")) == 1
    assert service.nothing_twice()


@pytest.mark.parametrize("how", ["tool", "terminal"])
def test_one_that_fails_ends_the_node_and_the_others_are_undone(service: Service, how: str) -> None:
    service.control(act={"delay": 0.1}, work={"delay": 0.5, "fail": how})
    with pytest.raises(Refused) as caught:
        service.run("to_end", how)
    assert caught.value.message.startswith("work")
    assert service.names("undo_act") == ["n"]
    assert service.status("to_end", how)["nodes"]["now"]["error"]["node"] == "now.work"
    assert service.nothing_twice()


def test_each_counts_against_the_limits(service: Service) -> None:
    with pytest.raises(Refused, match="tool_calls"):
        service.run("to_limit", "1")
    assert service.names("act", "work", "look", event="begin").count("two") == 0
    assert service.names("undo_act") == ["one"]


def test_items_run_them_side_by_side(service: Service) -> None:
    assert service.run("to_items", "1") in (2, "2")
    assert keys(service, "act") == {"all[1].act", "all[2].act"} and service.nothing_twice()


def test_one_approval_is_for_all_of_them(service: Service) -> None:
    run = service.send("to_gate", "1")
    opened = service.gate("to_gate", "1/now.confirm")
    assert opened["arguments"] == {"name": "g"} and service.effects("act", "look", event="begin") == []
    service.restart()
    assert service.decide("to_gate", "1/now.confirm", "approve", by="desk").status == 200
    assert service.attach(run) == "g" and keys(service, "act") == {"now.act"}


def test_one_rejection_is_for_all_of_them(service: Service) -> None:
    run = service.send("to_gate", "2")
    service.gate("to_gate", "2/now.confirm")
    assert service.decide("to_gate", "2/now.confirm", "reject", by="desk").status == 200
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.status == 422
    assert service.effects("act", "look", event="begin") == []


def test_an_agent_asks_for_several_tools_in_one_call_beside_another(service: Service) -> None:
    service.control(act={"delay": 0.1}, work={"delay": 1.5})
    run = service.send("to_agent", "1", {"story": "all"})
    until(lambda: service.names("act"), 20, "the first")
    time.sleep(0.3)
    service.restart()
    assert service.attach(run) == "done"
    assert keys(service, "act", "work") == {"work.both#2.act", "work.both#2.work"}
    assert service.status("to_agent", "1")["spent"]["tool_calls"] == 4 and service.nothing_twice()


def test_a_tool_error_of_one_is_told_and_what_the_others_did_stays(service: Service) -> None:
    service.control(work={"fail": "tool"})
    assert service.run("to_agent", "2", {"story": "told"}) == "done"
    assert service.names("act") == ["a"] and service.names("undo_act") == []


def test_another_failure_of_one_ends_the_agent_and_what_was_done_is_undone(service: Service) -> None:
    service.control(work={"delay": 0.3, "fail": "terminal"})
    with pytest.raises(Refused) as caught:
        service.run("to_agent", "3", {"story": "ends"})
    assert caught.value.message.startswith("work") and service.names("undo_act") == ["a"]


def test_one_with_a_gate_stands_in_a_batch(service: Service) -> None:
    run = service.send("to_agent", "4", {"story": "gate"})
    gate = until(lambda: service.gates("to_agent"), 20, "the gate")[0]
    until(lambda: service.names("act") == ["a"], 20, "what needs no gate")
    service.restart()
    assert service.decide("to_agent", gate["id"].partition("/")[2], "approve", by="desk").status == 200
    assert service.attach(run) == "gated"
    assert sorted(service.names("act")) == ["a", "b"] and service.nothing_twice()
