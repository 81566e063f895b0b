"""Runs that are cancelled or that reach a limit end soon, say so, and undo what they did."""

from __future__ import annotations

import time

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "end_cancel",
        """
agents:
  thinker: {instruction: Think., tools: [act]}
input: {where: model | side_by_side | effect | gate | retry | group}
nodes:
  done: {tool: act, with: {name: done}}
  model: {agent: thinker, prompt: go, needs: [done], when: input.where == "model"}
  side_by_side:
    needs: [done]
    when: input.where == "side_by_side"
    parallel:
      thinks: {agent: thinker, prompt: go}
      looks: {steps: {one: {tool: act, with: {name: one}}, two: {tool: look, with: {name: slow}}}}
      asks: {approval: Well?, approvers: [ada]}
  effect: {tool: act, with: {name: slow}, needs: [done], when: input.where == "effect"}
  gate: {approval: Well?, approvers: [ada], needs: [done], when: input.where == "gate"}
  retry:
    tool: work
    with: {name: broken}
    needs: [done]
    when: input.where == "retry"
    retry: {attempts: 12, initial: 200ms, factor: 1}
  group:
    needs: [done]
    when: input.where == "group"
    on_error: continue
    nodes:
      inner: {tool: act, with: {name: inner}}
      waits: {approval: Well?, approvers: [ada], needs: [inner]}
  after: {tool: act, with: {name: never}, needs: [model, side_by_side, effect, gate, retry, group]}
output: "{{ after.id }}"
""",
    ),
    graph(
        "end_time",
        """
limits: {time: 1s}
input: {where: gate | region | agent}
agents:
  thinker: {instruction: Think.}
nodes:
  done: {tool: act, with: {name: done}}
  gate: {approval: Well?, approvers: [ada], needs: [done], when: input.where == "gate"}
  region:
    needs: [done]
    when: input.where == "region"
    parallel:
      asks: {approval: Well?, approvers: [ada], on_reject: continue}
      acts: {steps: {one: {tool: act, with: {name: one}}, then: {approval: Well?, approvers: [ada]}}}
  agent: {agent: thinker, prompt: go, needs: [done], when: input.where == "agent"}
""",
    ),
    graph(
        "end_calls",
        """
limits: {model_calls: 3}
agents:
  chatty: {instruction: Talk., tools: [look]}
nodes:
  done: {tool: act, with: {name: done}}
  first: {agent: chatty, prompt: two, needs: [done]}
  second: {agent: chatty, prompt: endless, needs: [first]}
""",
    ),
    graph(
        "end_service",
        """
kind: service
nodes:
  one: {tool: act, with: {name: one}}
  two: {approval: Well?, approvers: [ada], needs: [one]}
""",
    ),
]
REPLIES = {
    "end_cancel": "thinker:\n  - call: {tool: act, with: {name: thought}}\n  - {delay: 4s, say: late}",
    "end_time": "thinker:\n  - {delay: 4s, say: late}",
    "end_calls": """
chatty:
  - {if: "'two' in prompt and turn == 0", call: {tool: look, with: {name: x}}}
  - {if: "'two' in prompt and turn > 0", say: well}
  - {if: "'endless' in prompt", call: {tool: look, with: {name: y}}}
""",
}
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}


def end(service: Service, run: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.attach(run, timeout=15)
    return caught.value


def nothing_is_left(service: Service) -> bool:
    until(lambda: not service.unfinished(), 15, "the end of all that it started")
    return True


CANCELLED = {
    "model": ["thought", "done"],
    "side_by_side": ["done", "one", "thought"],
    "effect": ["slow", "done"],
    "gate": ["done"],
    "retry": ["done"],
    "group": ["inner", "done"],
}


@pytest.mark.parametrize("where", CANCELLED)
def test_a_cancel_reaches_a_run_wherever_it_is(service: Service, where: str) -> None:
    patient = service.engine.inactivity == "60s"  # at 0 what is in flight hears of nothing
    slow = {"delay": 30 if patient else 3}
    service.control(look={"slow": slow}, act={"slow": {"delay": 1.5}}, work={"fail": "error"})
    run = service.send("end_cancel", where, {"where": where})
    if where in ("gate", "group"):
        service.gate("end_cancel", f"{where}/{'gate' if where == 'gate' else 'group.waits'}")
    elif where == "side_by_side":
        until(lambda: "slow" in service.names(event="begin") and "thought" in service.names(), 20, "all branches")
    else:
        word = {"model": "thought", "effect": "slow", "retry": "broken"}[where]
        until(lambda: word in service.names(event="begin"), 20, word)
    time.sleep(0.4)
    began = time.monotonic()
    service.cancel(run)
    error = end(service, run)
    took = time.monotonic() - began
    assert (error.status, error.metadata["kind"], error.metadata["state"]) == (499, "cancelled", "cancelled")
    assert error.message.startswith("the run was cancelled. Undone: ") and error.metadata["not_undone"] == "[]"
    undone = service.names("undo_act")
    assert (sorted(undone) if where == "side_by_side" else undone) == CANCELLED[where]
    assert not patient or took < 15
    assert service.state("end_cancel", where) == "cancelled"
    assert nothing_is_left(service) and service.nothing_twice() and "never" not in service.names()


def test_a_cancel_while_a_run_is_still_undoing_a_failure_disturbs_nothing(service: Service) -> None:
    service.control(work={"fail": "terminal"}, undo_act={"delay": 1})
    run = service.send("end_cancel", "late", {"where": "retry"})
    until(lambda: service.names("undo_act", event="begin"), 20, "the undoing")
    assert service.state("end_cancel", "late") == "compensating"
    service.cancel(run)
    error = end(service, run)
    assert (error.status, error.metadata["kind"]) == (402, "tool")
    assert service.names("undo_act") == ["done"] and service.nothing_twice()


def test_a_cancel_of_a_service_run_undoes_too(service: Service) -> None:
    run = service.send("end_service", None)
    until(lambda: service.gates("end_service"), 20, "the gate")
    service.cancel(run)
    assert end(service, run).message == "the run was cancelled. Undone: one (undo_act)"
    assert nothing_is_left(service)


@pytest.mark.parametrize("where", ["gate", "region", "agent"])
def test_the_time_limit_ends_a_run_wherever_it_is_also_over_a_restart(service: Service, where: str) -> None:
    run = service.send("end_time", where, {"where": where})
    until(lambda: "done" in service.names(), 20, "the first step")
    time.sleep(0.4)
    service.restart()
    error = end(service, run)
    assert (error.status, error.metadata["kind"], error.metadata["state"]) == (504, "limit", "failed")
    assert error.message.startswith("the run took longer than 1s (limits.time). Undone: ")
    assert service.names("undo_act") == {"gate": ["done"], "region": ["one", "done"], "agent": ["done"]}[where]
    assert nothing_is_left(service)


def test_the_limit_of_model_calls_counts_over_nodes_and_restarts(service: Service) -> None:
    run = service.send("end_calls", "1")
    until(lambda: "x" in service.names(), 20, "the first agent's tool")
    service.restart()
    error = end(service, run)
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (500, "limit", "second")
    assert error.message == "the run has made its 3 model calls (limits.model_calls). Undone: done (undo_act)"
    assert service.status("end_calls", "1")["spent"]["model_calls"] == 3
    assert service.names("look") in (["x", "y"], ["x", "x", "y"])
