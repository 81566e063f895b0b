"""Turns of objects that end early, by limits, interrupts and newer messages, as a tool works or a person is asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import TOOLS, Service, graph, until

from agentflow.client import Refused, path, request

sys.path.insert(0, str(Path(__file__).parents[1]))

from standin import call, standin  # noqa: E402 - found by the line above
from standin import say as answer  # noqa: E402 - likewise

PRICED = """
models: {default: {model: gemini-2.5-flash, price: {input: 1000000, output: 2000000}}}
"""
CLERK = """
  may_i: {approval: "{{ args.what }}?", args: {what: string}, approvers: [desk]}
agents:
  clerk: {instruction: Work., tools: [act, look, may_i], handoffs: [other]}
  other: {instruction: Work., tools: [act], handoffs: [clerk]}
entry: clerk
kind: object
"""


def desk(name: str, more: str) -> str:
    return graph(name, f"{CLERK[1:]}{more}\n")


GRAPHS = [
    desk("tu_held", "limits: {model_calls: 4, tool_calls: 3, handoffs: 1}"),
    desk("tu_hasty", "on_busy: interrupt"),
    desk("tu_time", "limits: {time: 1s}"),
    f"agentflow: 1\ngraph: tu_tokens\n{PRICED}{TOOLS}{CLERK[1:]}limits: {{tokens: 15}}\n",
    f"agentflow: 1\ngraph: tu_cost\n{PRICED}{TOOLS}{CLERK[1:]}limits: {{cost: 15}}\n",
]
CLERKS = """
clerk:
  - {if: "prompt == 'talk'", call: {tool: nothing}}
  - {if: "prompt == 'tools' and step == 0", call: {tool: act, with: {name: first}}}
  - if: "prompt == 'tools'"
    calls: [{tool: look, with: {name: a}}, {tool: look, with: {name: b}}, {tool: look, with: {name: c}}]
  - {if: "prompt == 'hand'", handoff: other}
  - {if: "prompt == 'slow' and step == 0", calls: [{tool: act, with: {name: done}}, {tool: look, with: {name: slow}}]}
  - {if: "prompt == 'ask' and step == 0", calls: [{tool: act, with: {name: done}}, {tool: may_i, with: {what: go}}]}
  - {if: "prompt == 'plain' or (prompt in ['slow', 'ask'] and step > 0)", say: fine}
other:
  - {if: "prompt == 'hand' and step == 0", call: {tool: act, with: {name: handed}}}
  - handoff: clerk
"""
REPLIES = dict.fromkeys(("tu_held", "tu_hasty", "tu_time"), CLERKS)


def tell(service: Service, graph: str, key: str, text: str) -> str:
    return service.send_message(graph, key, {"message": text})


def refused(service: Service, invocation: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.attach(invocation)
    return caught.value


def told(service: Service, graph: str, key: str) -> list[str]:
    """The history, but what agents asked for and were given."""
    messages = json.loads(service.call(graph, key, "history").body)["messages"]
    return [f"{one['by']}: {one['text']}" for one in messages if "text" in one]


def spent(service: Service, graph: str, key: str) -> dict[str, Any]:
    return {name: value for name, value in service.status(graph, key)["spent"].items() if value}


UNANSWERED = "system: This was not answered, for it "


@pytest.mark.parametrize(
    ("message", "why", "used", "undone"),
    [
        ("talk", "the run has made its 4 model calls (limits.model_calls)", {"model_calls": 4}, ""),
        (
            "tools",
            "the run has made 1 of its 3 tool calls, and 3 more were asked for at once (limits.tool_calls)",
            {"model_calls": 2, "tool_calls": 1},
            "first",
        ),
        (
            "hand",
            "the run has made its 1 handoffs (limits.handoffs)",
            {"model_calls": 3, "tool_calls": 1, "handoffs": 1},
            "handed",
        ),
    ],
)
def test_a_turn_over_its_limit_keeps_the_message_and_says_why(
    service: Service, message: str, why: str, used: dict[str, int], undone: str
) -> None:
    error = refused(service, tell(service, "tu_held", message, message))
    assert (error.status, error.metadata["kind"], error.metadata["state"]) == (500, "limit", "failed")
    assert error.message.startswith(why) and service.names("undo_act") == ([undone] if undone else [])
    first, last = told(service, "tu_held", message)
    assert first == f"user: {message}" and last.startswith(f"{UNANSWERED}failed: {why}")
    assert (". Undone: " in last) == bool(undone)
    assert spent(service, "tu_held", message) == used
    assert service.attach(tell(service, "tu_held", message, "plain")) == "fine"
    assert spent(service, "tu_held", message) == {"model_calls": 1}, "each turn has its own"
    assert service.nothing_twice()


def test_a_turn_that_takes_too_long_is_over(service: Service) -> None:
    service.control(look={"delay": 2})
    error = refused(service, tell(service, "tu_time", "t", "slow"))
    assert (error.status, error.metadata["kind"]) == (504, "limit")
    assert error.message == "the run took longer than 1s (limits.time). Undone: clerk.act#2 (undo_act)"
    assert told(service, "tu_time", "t")[-1].startswith(f"{UNANSWERED}ran out of time. Undone: ")
    error = refused(service, tell(service, "tu_time", "t", "ask"))  # the clock runs while a person is waited for
    assert error.status == 504 and service.gates("tu_time") == []
    assert service.names("undo_act") == ["done", "done"] and service.nothing_twice()


def test_tokens_and_cost_of_a_turn_over_a_kill(service: Service) -> None:
    with standin(call(("look", {"name": "x"}))) as provider:
        real = {"AGENTFLOW_OFFLINE": "0", "GOOGLE_GEMINI_BASE_URL": provider.url, "GOOGLE_API_KEY": "none"}
        service.restart(**real)
        service.control(look={"delay": 0.5})
        turns = [tell(service, name, "k", "go") for name in ("tu_tokens", "tu_cost")]
        until(lambda: len(service.names("look", event="begin")) == 2, 20, "the tools")
        service.restart(**real)
        whys = "used 20 tokens, of 15", "cost 26, of 15"
        for turn, name, why in zip(turns, ("tu_tokens", "tu_cost"), whys, strict=True):
            error = refused(service, turn)
            assert error.metadata["kind"] == "limit" and f"the run has {why}" in error.message
            assert why in told(service, name, "k")[-1]
            used = spent(service, name, "k")
            assert (used["input_tokens"], used["output_tokens"], used["cost"]) == (14, 6, 26)
        provider.script[:] = [answer("fine")]
        assert service.attach(tell(service, "tu_tokens", "k", "again")) == "fine"
        assert spent(service, "tu_tokens", "k") == {"model_calls": 1, "input_tokens": 7, "output_tokens": 3, "cost": 13}
        assert len(provider.requests) == 5 and service.nothing_twice()


# ---------------------------------------------------------------- interrupts, newer messages, reset


def begun(service: Service, graph: str, key: str, how: str) -> str:
    """A turn in which a tool works, or a person is asked; beside it something has been done."""
    service.control(look={"delay": 1.5})
    turn = tell(service, graph, key, how)
    until(lambda: service.names("act") == ["done"], 20, "the step")
    if how == "ask":
        service.gate(graph, f"{key}.1/clerk.may_i-3")
    else:
        until(lambda: service.names("look", event="begin"), 20, "the tool")
    return turn


@pytest.mark.parametrize("how", ["slow", "ask"])
def test_an_interrupt_ends_what_is_under_way(service: Service, how: str) -> None:
    turn = begun(service, "tu_held", f"stop {how}", how)
    assert service.call("tu_held", f"stop {how}", "interrupt").checked() == {"interrupted": True}
    assert refused(service, turn).status == 499
    last = told(service, "tu_held", f"stop {how}")[-1]
    assert last == f"{UNANSWERED}was interrupted. Undone: clerk.act#2 (undo_act)"
    assert service.attach(tell(service, "tu_held", f"stop {how}", "plain")) == "fine"
    assert service.gates("tu_held") == [] and service.names("undo_act") == ["done"]
    until(lambda: not service.unfinished(), 20, "the end of all")


def test_an_interrupt_waits_for_the_effect_that_is_under_way_and_undoes_it(service: Service) -> None:
    service.control(act={"delay": 1})
    turn = tell(service, "tu_held", "effect", "ask")
    until(lambda: service.names("act", event="begin"), 20, "the step")
    service.call("tu_held", "effect", "interrupt").checked()
    assert refused(service, turn).status == 499
    assert service.names("act", "undo_act") == ["done", "done"] and service.nothing_twice()


@pytest.mark.parametrize("how", ["slow", "ask"])
def test_a_newer_message_ends_what_is_under_way(service: Service, how: str) -> None:
    turn = begun(service, "tu_hasty", f"new {how}", how)
    assert service.attach(tell(service, "tu_hasty", f"new {how}", "plain")) == "fine"
    assert refused(service, turn).status == 499
    assert told(service, "tu_hasty", f"new {how}") == [
        f"user: {how}",
        f"{UNANSWERED}was interrupted. Undone: clerk.act#2 (undo_act)",
        "user: plain",
        "clerk: fine",
    ]
    assert service.gates("tu_hasty") == [] and service.names("undo_act") == ["done"]


def test_newer_messages_do_not_disturb_an_undo(service: Service) -> None:
    first = begun(service, "tu_hasty", "undo", "ask")
    service.control(undo_act={"delay": 0.5})
    second = tell(service, "tu_hasty", "undo", "plain")
    until(lambda: service.names("undo_act", event="begin"), 20, "undoing")
    third = tell(service, "tu_hasty", "undo", "plain")
    service.call("tu_hasty", "undo", "interrupt").checked()
    service.restart()
    assert service.attach(third) == "fine"
    assert refused(service, first).metadata["undone"] != "[]" and refused(service, second).status == 499
    assert told(service, "tu_hasty", "undo")[1].endswith("Undone: clerk.act#2 (undo_act)")
    assert list(dict.fromkeys(service.names("undo_act"))) == ["done"]


def test_a_message_waits_its_turn_behind_a_question(service: Service) -> None:
    first = begun(service, "tu_held", "queue", "ask")
    second = tell(service, "tu_held", "queue", "plain")
    service.restart()
    service.decide("tu_held", "queue.1/clerk.may_i-3", "approve").checked()
    assert (service.attach(first), service.attach(second)) == ("fine", "fine")
    assert told(service, "tu_held", "queue") == ["user: ask", "clerk: fine", "user: plain", "clerk: fine"]
    assert service.names("undo_act") == []


@pytest.mark.parametrize("graph", ["tu_held", "tu_hasty"])
def test_a_reset_during_a_turn_comes_after_it(service: Service, graph: str) -> None:
    turn = begun(service, graph, "reset", "ask")
    sent: Any = request("POST", service.engine.ingress + path(graph, "reset", "reset", "send")).checked()
    assert told(service, graph, "reset")[-1] == "user: ask"
    service.decide(graph, "reset.1/clerk.may_i-3", "approve").checked()
    assert service.attach(turn) == "fine"
    service.attach(sent["invocationId"])
    assert told(service, graph, "reset") == []
    assert service.attach(tell(service, graph, "reset", "plain")) == "fine"
    assert told(service, graph, "reset") == ["user: plain", "clerk: fine"]
