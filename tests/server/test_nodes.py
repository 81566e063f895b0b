"""What a node may say about itself: when, on_error, retry, timeout; and how it fails."""

from __future__ import annotations

import json
import time

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "nodes_any_case",
        """
input: {given: any}
nodes:
  which:
    switch: input.given
    cases: {1: {value: one}, true: {value: truth}, "true": {value: word}, "1": {value: digit}, 0: {value: none}}
    default: {value: other}
""",
    ),
    graph(
        "node_error",
        """
input: {how: continue | use | run}
nodes:
  carry_on: {tool: once, with: {name: x}, on_error: continue, when: input.how == "continue"}
  instead:
    tool: once
    with: {name: x}
    when: input.how == "use"
    on_error: {use: "{{ error.code }} {{ error.message }}"}
  other:
    tool: once
    with: {name: x}
    when: input.how == "run"
    on_error: {run: {tool: work, with: {name: "after {{ error.kind }}"}}}
  saw:
    value:
      failed: "{{ carry_on is failed or instead is failed or other is failed }}"
      skipped: "{{ other is skipped }}"
output: {saw: "{{ saw }}", carry_on: "{{ carry_on }}", instead: "{{ instead }}", other: "{{ other }}"}
""",
    ),
    graph(
        "node_undo_first",
        """
nodes:
  group:
    nodes:
      one: {tool: act, with: {name: one}}
      two: {tool: act, with: {name: "two {{ one.id }}"}}
      bad: {tool: once, with: {name: bad}, needs: [two]}
    output: "{{ bad }}"
    on_error: {run: {tool: work, with: {name: "instead of {{ error.node | default('?') }}"}}}
  last: {tool: act, with: {name: last}, needs: [group]}
output: "{{ group }}"
""",
    ),
    graph(
        "node_fail",
        """
input: {code: integer}
nodes:
  done: {tool: act, with: {name: done}}
  a: {fail: "no more than {{ input.code }}", code: 418, when: input.code == 418, needs: [done]}
  b: {fail: just no, when: input.code == 500, needs: [done]}
  c: {nodes: {inner: {fail: within, code: 451}}, when: input.code == 451, needs: [done]}
  d: {nodes: {inner: {fail: within, code: 451}}, when: input.code == 200, needs: [done], on_error: continue}
output: fine
""",
    ),
    graph(
        "node_retry",
        """
nodes:
  flaky: {tool: act, with: {name: flaky}, retry: {attempts: 3, initial: 50ms, factor: 2, max: 1s}}
output: "{{ flaky.id }}"
""",
    ),
    graph(
        "node_within",
        "nodes:\n  flaky: {tool: work, with: {name: flaky}, retry: {within: 1s, initial: 100ms, factor: 1}}",
    ),
    graph(
        "node_beside",
        """
nodes:
  slow: {tool: work, with: {name: slow}}
  flaky: {tool: work, with: {name: flaky}}
""",
    ),
    graph(
        "node_timeout",
        """
input: {which: inline | branch | model | group | effect}
agents:
  thinker: {instruction: Think.}
nodes:
  inline: {tool: look, with: {name: l}, timeout: 700ms, when: input.which == "inline"}
  both:
    when: input.which == "branch"
    parallel:
      a: {tool: act, with: {name: a}}
      b:
        timeout: 700ms
        steps:
          b1: {tool: act, with: {name: b1}}
          b2: {tool: look, with: {name: b2}}
  model: {agent: thinker, prompt: go, timeout: 700ms, when: input.which == "model"}
  group:
    timeout: 700ms
    when: input.which == "group"
    on_error: {use: "{{ error.kind }} {{ error.code }}"}
    nodes:
      one: {tool: act, with: {name: one}}
      two: {tool: look, with: {name: "{{ one.id }}"}}
    output: "{{ two }}"
  effect: {tool: act, with: {name: e}, timeout: 700ms, when: input.which == "effect"}
output: {inline: "{{ inline }}", both: "{{ both }}", model: "{{ model }}", group: "{{ group }}", effect: "{{ effect }}"}
""",
    ),
]
REPLIES = {"node_timeout": "thinker:\n  - {delay: 5s, say: late}"}
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}


def refused(service: Service, graph: str, key: str, given: object = None) -> Refused:
    with pytest.raises(Refused) as caught:
        service.run(graph, key, given)
    return caught.value


def test_on_error_puts_null_a_value_or_a_node_in_the_place(service: Service) -> None:
    service.control(work={"x": {"fail": "error"}})
    output = service.run("node_error", "1", {"how": "continue"})
    assert output == {"saw": {"failed": True, "skipped": True}, "carry_on": None, "instead": None, "other": None}
    output = service.run("node_error", "2", {"how": "use"})
    assert output["instead"] == "500 once failed after 1 try: RuntimeError: work is broken"
    output = service.run("node_error", "3", {"how": "run"})
    assert output["other"] == "did after tool" and output["saw"] == {"failed": True, "skipped": False}
    assert service.nodes("node_error", "3")["other"] == "failed"


def test_a_caught_group_is_undone_before_its_replacement_runs(service: Service) -> None:
    service.control(work={"bad": {"fail": "error"}})
    assert service.run("node_undo_first", "1") == "did instead of group.bad"
    assert service.names() == ["one", "two one", "two one", "one", "instead of group.bad", "last"]
    assert service.names("undo_act") == ["two one", "one"]


def test_fail_ends_the_run_with_its_code_and_undoes(service: Service) -> None:
    for code, node, message in ((418, "a", "no more than 418"), (500, "b", "just no"), (451, "c.inner", "within")):
        service.forget()
        error = refused(service, "node_fail", str(code), {"code": code})
        assert (error.status, error.metadata["kind"], error.metadata["node"]) == (code, "fail", node)
        assert error.message == f"{message}. Undone: done (undo_act)"
        assert service.names("undo_act") == ["done"]
        run = service.status("node_fail", str(code))["run"]
        assert (run["state"], run["compensation"]) == ("failed", "done")
        assert run["error"] == {"kind": "fail", "code": code, "message": message, "node": node}
    service.forget()
    assert service.run("node_fail", "200", {"code": 200}) == "fine"
    assert service.names("undo_act") == []


def test_a_nodes_retry_tries_so_often_under_one_key_then_fails(service: Service) -> None:
    service.control(act={"fail": "error", "times": 2})
    assert service.run("node_retry", "1") == "flaky"
    tries = service.effects(event="begin")
    assert len(tries) == 3 and len({line["key"] for line in tries}) == 1
    assert tries[1]["at"] - tries[0]["at"] >= 0.05 and tries[2]["at"] - tries[1]["at"] >= 0.1
    service.forget()
    service.control(act={"fail": "error"})
    error = refused(service, "node_retry", "2")
    assert error.message == "act failed after 3 tries: RuntimeError: act is broken"
    assert len(service.effects(event="begin")) == 3 and service.names("undo_act") == []


def test_retry_within_goes_on_for_so_long(service: Service) -> None:
    service.control(work={"fail": "error", "delay": 0})
    error = refused(service, "node_within", "1")
    tries = service.effects(event="begin")
    assert error.message.startswith("work failed after ") and 5 <= len(tries) <= 12
    assert tries[-1]["at"] - tries[0]["at"] < 1.6


def test_a_flaky_step_does_not_restart_the_slow_one_beside_it(service: Service) -> None:
    service.control(work={"slow": {"delay": 1.5}, "flaky": {"fail": "error", "times": 2, "delay": 0}})
    assert service.run("node_beside", "1") == {"slow": "did slow", "flaky": "did flaky"}
    assert service.names(event="begin").count("slow") == 1


@pytest.mark.at("0s")
def test_a_step_that_takes_longer_than_the_engines_patience_is_not_begun_anew(service: Service) -> None:
    service.control(work={"slow": {"delay": 4}})  # the stand's engine breaks off after 2 s of silence at inactivity 0
    assert service.run("node_beside", "patience") == {"slow": "did slow", "flaky": "did flaky"}
    assert service.names(event="begin").count("slow") == 1


@pytest.mark.parametrize("which", ["inline", "branch", "model", "effect"])
def test_a_node_that_takes_too_long_is_a_timeout(service: Service, which: str) -> None:
    service.control(look={"delay": 30}, act={"e": {"delay": 30}})
    began = time.monotonic()
    error = refused(service, "node_timeout", which, {"which": which})
    node = "both.b" if which == "branch" else which
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (504, "timeout", node)
    assert error.message.startswith(f"{node} took longer than 700ms")
    # at inactivity 0 the engine tells what is in flight nothing: there it breaks off by itself, a second later
    assert time.monotonic() - began < 15
    if which == "branch":
        assert sorted(service.names("undo_act")) == ["a", "b1"]
    if which == "effect":
        assert "NOT undone: effect" in error.message and "whether it took effect is not known" in error.message
        run = service.status("node_timeout", which)["run"]
        assert run["compensation"] == "failed" and run["not_undone"][0]["node"] == "effect"
    until(lambda: not service.unfinished(), 10, "the end of all that ran")


def test_a_timeout_of_a_group_is_caught_and_what_it_did_undone(service: Service) -> None:
    service.control(look={"delay": 3})
    assert service.run("node_timeout", "group", {"which": "group"})["group"] == "timeout 504"
    assert service.names("undo_act") == ["one"]


def test_true_is_neither_one_nor_a_word_to_a_switch(service: Service) -> None:
    expected = {
        "1": "one",
        "true": "truth",
        '"true"': "word",
        '"1"': "digit",
        "0": "none",
        "false": "other",
        "2": "other",
    }
    for number, (given, which) in enumerate(expected.items()):
        assert service.run("nodes_any_case", f"c{number}", {"given": json.loads(given)}) == which
