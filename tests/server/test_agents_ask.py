"""Agents ask people, by `approval` and `ask` tools: what the model is told, and that nothing is consent by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

TELLERS = ["may_i", "unheard", "unheard_fine", "unheard_end", "question", "unanswered", "unanswered_end"]
PEOPLE = """\
  may_i: {approval: "{{ args.what }}?", args: {what: string}, approvers: [desk], timeout: 1h, on_timeout: reject}
  unheard: {approval: "{{ args.what }}?", args: {what: string}, approvers: [desk], timeout: 300ms, on_timeout: reject}
  unheard_fine:
    {approval: "{{ args.what }}?", args: {what: string}, approvers: [desk], timeout: 300ms, on_timeout: approve}
  unheard_end: {approval: "{{ args.what }}?", args: {what: string}, approvers: [desk], timeout: 300ms, on_timeout: fail}
  question:
    ask: "{{ args.what }}"
    args: {what: string}
    form: {answer: string, grade: {type: integer, default: 3}}
    to: [desk]
  unanswered:
    {ask: "{{ args.what }}", args: {what: string}, form: {answer: string}, timeout: 300ms, on_timeout: continue}
  unanswered_end:
    {ask: "{{ args.what }}", args: {what: string}, form: {answer: string}, timeout: 300ms, on_timeout: fail}
  safe:
    python: "tools.desk:work"
    confirm: {message: "Do {{ args.name }}?", approvers: [desk], timeout: 1h, on_timeout: reject}
  whom: {approval: "{{ args.what }}?", args: {what: string, who: string}, approvers: ["{{ args.who }}"]}
"""
GRAPHS = [
    graph(
        "people",
        f"{PEOPLE}agents: {{clerk: {{instruction: Work., tools: [act, look, {', '.join(TELLERS)}, safe, whom]}}}}\n",
    )
    + "kind: object\n",
]
REPLIES = {
    "people": "clerk:\n"
    + "".join(
        f"  - {{if: \"prompt == '{name}' and step == 0\", call: {{tool: {name}, with: {{what: go}}}}}}\n"
        for name in TELLERS
    )
    + """\
  - if: "prompt == 'batch' and step == 0"
    calls:
      - {tool: act, with: {name: beside}}
      - {tool: may_i, with: {what: go}}
      - {tool: question, with: {what: why}}
      - {tool: look, with: {name: last}}
  - if: "prompt == 'nobody' and step == 0"
    calls:
      - {tool: act, with: {name: beside}}
      - {tool: may_i, with: {what: go}}
      - {tool: whom, with: {what: go, who: ""}}
      - {tool: safe, with: {name: never}}
  - if: "prompt == 'confirm' and step == 0"
    calls:
      - {tool: safe, with: {name: never}}
      - {tool: look, with: {name: last}}
  - say: done
""",
}


def tell(service: Service, key: str, text: str) -> str:
    return service.send_message("people", key, {"message": text})


def results(service: Service, key: str) -> list[Any]:
    """What the model was told of its calls, in the last turn."""
    messages = json.loads(service.call("people", key, "history").body)["messages"]
    given = [message["results"] for message in messages if "results" in message]
    return [one["result"] for one in given[-1]]


def gate(service: Service, key: str, place: str) -> str:
    name = f"{key}.1/clerk.{place}"
    service.gate("people", name)
    return name


def refused(service: Service, invocation: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.attach(invocation)
    return caught.value


def settled(service: Service) -> bool:
    until(lambda: not service.unfinished(), 20, "the end of all")
    return service.nothing_twice() and service.gates("people") == []


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_is_told_to_the_model_over_a_kill(service: Service, decision: str) -> None:
    turn = tell(service, decision, "may_i")
    place = gate(service, decision, "may_i-2")
    assert service.state("people", decision) == "waiting"
    service.restart()
    service.decide("people", place, decision, by="desk", comment="because").checked()
    assert service.attach(turn) == "done"
    told = results(service, decision)[0]
    assert isinstance(told.pop("at"), str)
    assert told == {
        "approved": decision == "approve",
        "outcome": {"approve": "approved", "reject": "rejected"}[decision],
        "by": "desk",
        "comment": "because",
    }
    assert settled(service)


def test_what_nobody_decides_is_told_as_expired(service: Service) -> None:
    for tool, approved in (("unheard", False), ("unheard_fine", True)):
        assert service.attach(tell(service, tool, tool)) == "done"
        told = results(service, tool)[0]
        assert (told["approved"], told["outcome"], told["by"]) == (approved, "expired", None)
    assert service.attach(tell(service, "unanswered", "unanswered")) == "done"
    assert results(service, "unanswered") == [{"result": None}]
    for tool, why in (("unheard_end", "nobody decided in time"), ("unanswered_end", "nobody answered in time")):
        error = refused(service, tell(service, tool, tool))
        assert (error.status, error.metadata["kind"]) == (504, "expired") and why in error.message
        assert "gave no" not in str(results(service, tool)) and "the turn ended" in str(results(service, tool))
    assert settled(service)


def test_an_answer_is_what_the_model_is_told(service: Service) -> None:
    turn = tell(service, "asked", "question")
    place = gate(service, "asked", "question-2")
    for decision in ("approve", "reject"):
        assert service.decide("people", place, decision).status == 400
    assert service.decide("people", place, "answer", form={"answer": 7}).status == 400
    service.restart()
    service.decide("people", place, "answer", form={"answer": "so"}, by="desk").checked()
    assert service.attach(turn) == "done"
    assert results(service, "asked") == [{"answer": "so", "grade": 3}]
    assert settled(service)


def test_two_gates_of_one_answer_are_open_at_once_beside_its_steps(service: Service) -> None:
    turn = tell(service, "batch", "batch")
    asked, may = gate(service, "batch", "question-4"), gate(service, "batch", "may_i-3")
    until(lambda: sorted(service.names("act", "look")) == ["beside", "last"], 20, "what asks nobody")
    service.restart()
    service.decide("people", may, "reject", by="desk").checked()
    service.restart()
    service.decide("people", asked, "answer", form={"answer": "so", "grade": 1}).checked()
    assert service.attach(turn) == "done"
    told = results(service, "batch")
    assert (told[0], told[1]["approved"], told[2]["grade"], told[3]) == (
        {"id": "beside"},
        False,
        1,
        {"result": "saw last"},
    )
    assert service.names("undo_act") == [] and settled(service)


def test_a_step_that_fails_withdraws_the_questions_beside_it(service: Service) -> None:
    service.control(look={"delay": 0.5, "fail": "terminal"})
    error = refused(service, tell(service, "fails", "batch"))
    assert (error.status, error.metadata["kind"]) == (402, "tool")
    assert service.names("undo_act") == ["beside"] and settled(service)
    for place in ("may_i-3", "question-4"):
        assert service.decide("people", f"fails.1/clerk.{place}", "approve").status in (400, 410)


def test_a_step_that_fails_withdraws_the_confirmation_of_a_call_beside_it(service: Service) -> None:
    service.control(look={"delay": 0.5, "fail": "terminal"})
    turn = tell(service, "confirm", "confirm")
    place = gate(service, "confirm", "safe-2.confirm")
    assert refused(service, turn).status == 402
    assert service.decide("people", place, "approve").status == 410
    assert service.effects("work", event="begin") == [] and settled(service)


def test_a_step_that_tells_its_error_leaves_the_questions_open(service: Service) -> None:
    service.control(act={"fail": "tool"})
    turn = tell(service, "tells", "batch")
    service.decide("people", gate(service, "tells", "may_i-3"), "approve", by="desk").checked()
    service.decide("people", gate(service, "tells", "question-4"), "answer", form={"answer": "so"}).checked()
    assert service.attach(turn) == "done"
    told = results(service, "tells")
    assert told[0] == {"error": "act does not want to"} and told[1]["approved"] and told[2]["answer"] == "so"
    assert settled(service)


def test_a_call_that_cannot_begin_leaves_nothing_behind_of_those_beside_it(service: Service) -> None:
    error = refused(service, tell(service, "nobody", "nobody"))
    assert "nobody is left to ask" in error.message and service.effects("work", event="begin") == []
    assert service.names("undo_act") == service.names("act")[:1] and settled(service)


def test_an_interrupt_withdraws_what_is_asked_in_the_turn(service: Service) -> None:
    turn = tell(service, "stop", "batch")
    place = gate(service, "stop", "may_i-3")
    until(lambda: service.names("act") == ["beside"], 20, "the step")
    assert service.call("people", "stop", "interrupt").checked() == {"interrupted": True}
    assert refused(service, turn).status == 499
    assert service.names("undo_act") == ["beside"] and settled(service)
    assert service.decide("people", place, "approve").status == 410
    assert service.attach(tell(service, "stop", "plain")) == "done"
