"""People answer questions: once, in time, with a form that fits; an answer is never a decision."""

from __future__ import annotations

import pytest
from harness import Service, graph, until
from test_approvals import KEY, refusal

from agentflow.client import Refused

GRAPHS = [
    graph(
        "qu_simple",
        """
input: {topic: string}
nodes:
  before: {tool: act, with: {name: before}}
  brief:
    ask: "What about {{ input.topic }}?"
    to: [ada]
    form: {tone: formal | plain, words: {type: integer, default: 300}}
    needs: [before]
  after: {tool: act, with: {name: "{{ brief.tone }} {{ brief.words }}"}}
output: "{{ after.id }}"
""",
    ),
    graph(
        "qu_times",
        """
nodes:
  soft: {ask: Soft?, form: {a: integer}, timeout: 700ms, on_timeout: continue}
  hard: {ask: Hard?, form: {a: integer}, timeout: 700ms, on_timeout: fail, needs: [soft], on_error: {use: {a: 7}}}
output: "{{ soft.a if soft else 'none' }} {{ hard.a }} {{ hard is failed }}"
""",
    ),
    graph(
        "qu_both",
        """
nodes:
  sign: {approval: Sign?, approvers: [lea], on_reject: continue}
  name: {ask: Name?, form: {name: string}}
output: "{{ sign.outcome }} {{ name.name }}"
""",
    ),
    graph(
        "qu_race",
        """
nodes:
  before: {tool: act, with: {name: before}}
  one:
    needs: [before]
    parallel:
      person: {ask: "Who?", form: {name: string}}
      quick: {nodes: {a: {tool: work, with: {name: a}}, b: {tool: work, with: {name: b}, needs: [a]}}}
    join: any
output: "{{ one.winner }}"
""",
    ),
]


def test_the_form_is_the_value_over_restarts_of_service_and_engine(service: Service) -> None:
    run = service.send("qu_simple", "answer", {"topic": "bees"})
    gate = service.gate("qu_simple", "answer/brief")
    assert (gate["kind"], gate["message"], gate["approvers"]) == ("ask", "What about bees?", ["ada"])
    assert service.state("qu_simple", "answer") == "waiting"
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    for decision in ("approve", "reject"):
        status, message = refusal(service, "qu_simple", "answer/brief", decision)
        assert (status, message) == (400, "qu_simple/answer/brief wants an answer: fill in its form")
    for form in (None, {}, {"tone": "odd"}, {"tone": "plain", "words": 1, "more": 1}):
        assert refusal(service, "qu_simple", "answer/brief", "answer", form=form)[0] == 400
    service.decide("qu_simple", "answer/brief", "answer", form={"tone": "plain"}, by="ada").checked()
    assert refusal(service, "qu_simple", "answer/brief", "answer", form={"tone": "formal"})[0] == 409
    assert service.attach(run) == "plain 300"
    assert service.names() == ["before", "plain 300"] and service.nothing_twice()
    assert refusal(service, "qu_simple", "answer/before", "answer", form={})[0] == 404


def test_an_approval_takes_no_answer(service: Service) -> None:
    run = service.send("qu_both", "both")
    for gate in ("sign", "name"):
        service.gate("qu_both", f"both/{gate}")
    status, message = refusal(service, "qu_both", "both/sign", "answer", form={"name": "x"})
    assert (status, message) == (400, "qu_both/both/sign wants a decision: approve or reject")
    service.decide("qu_both", "both/name", "answer", form={"name": "Ada"}).checked()
    service.restart()
    service.decide("qu_both", "both/sign", "reject").checked()
    assert service.attach(run) == "rejected Ada"


def test_what_nobody_answers_is_null_or_a_failure_as_it_says(service: Service) -> None:
    run = service.send("qu_times", "late")
    service.gate("qu_times", "late/soft")
    service.restart()
    assert service.attach(run) == "none 7 true"
    assert service.nodes("qu_times", "late")["hard"] == "failed"
    assert refusal(service, "qu_times", "late/soft", "answer", form={"a": 1})[0] == 410


def test_a_question_that_lost_its_race_or_whose_run_was_cancelled_is_withdrawn(service: Service) -> None:
    assert service.run("qu_race", "lost") == "quick"
    assert refusal(service, "qu_race", "lost/one.person", "answer", form={"name": "x"})[0] == 410
    run = service.send("qu_simple", "gone", {"topic": "x"})
    service.gate("qu_simple", "gone/brief")
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert (caught.value.status, caught.value.metadata["state"]) == (499, "cancelled")
    assert refusal(service, "qu_simple", "gone/brief", "answer", form={"tone": "plain"})[0] == 410
    assert service.names("undo_act")[-1:] == ["before"]
    until(lambda: not service.unfinished(), 20, "the end of all")


def test_with_a_key_an_answer_needs_the_token_of_whom_it_asks(service: Service) -> None:
    service.restart(**KEY)
    run = service.send("qu_both", "token")
    service.gate("qu_both", "token/name")
    assert refusal(service, "qu_both", "token/name", "answer", form={"name": "x"}, by="anyone")[0] == 401
    service.cancel(run)
    with pytest.raises(Refused):
        service.attach(run)
