"""People decide: once, in time, while it is asked; and everything else is refused and changes nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "ok_simple",
        """
input: {amount: integer}
nodes:
  before: {tool: act, with: {name: before}}
  sign: {approval: "Pay {{ input.amount }}?", approvers: [ada, bob], needs: [before]}
  pay: {tool: act, with: {name: "paid {{ input.amount }}"}, needs: [sign]}
output: {by: "{{ sign.by }}", outcome: "{{ sign.outcome }}", comment: "{{ sign.comment }}", paid: "{{ pay.id }}"}
""",
    ),
    graph(
        "ok_times",
        """
nodes:
  before: {tool: act, with: {name: before}}
  sign:
    approval: "Now?"
    needs: [before]
    approvers: [ada]
    timeout: 1500ms
    escalate: [{to: [boss], timeout: 1500ms}]
    on_timeout: reject
    on_reject: continue
  paid: {tool: act, with: {name: paid}, when: sign.approved}
output: {outcome: "{{ sign.outcome }}", approved: "{{ sign.approved }}", paid: "{{ paid is not skipped }}"}
""",
    ),
    graph(
        "ok_outcomes",
        """
input: {on_timeout: approve | fail | reject}
nodes:
  before: {tool: act, with: {name: before}}
  sign:
    switch: input.on_timeout
    cases:
      approve: {approval: Go?, approvers: [ada], timeout: 300ms, on_timeout: approve, needs: [before]}
      fail: {approval: Go?, approvers: [ada], timeout: 300ms, on_timeout: fail, needs: [before]}
      reject: {approval: Go?, approvers: [ada], timeout: 300ms, on_timeout: reject, needs: [before]}
  after: {value: "{{ sign.outcome }} {{ sign.approved }}"}
output: "{{ after }}"
""",
    ),
    graph(
        "ok_form",
        """
nodes:
  sign:
    approval: How much?
    approvers: [ada]
    form: {amount: integer, why: {type: string, optional: true}, days: {type: integer, minimum: 1, optional: true}}
output: "{{ sign.form.amount if sign.form else 0 }}"
""",
    ),
    graph(
        "ok_two",
        """
nodes:
  legal: {approval: Legal?, approvers: [lea], on_reject: continue}
  money: {approval: Money?, approvers: [mo], on_reject: continue}
  both: {value: "{{ legal.outcome }} {{ money.outcome }}"}
output: "{{ both }}"
""",
    ),
    graph(
        "ok_notify",
        """
nodes:
  sign:
    approval: "Sure?"
    approvers: [ada, bob]
    timeout: 1s
    escalate: [{to: [boss], timeout: 20s}]
    on_timeout: reject
    notify: {tool: tell, with: {whom: "{{ approver }}", link: "{{ link }}", message: "{{ message }}"}}
""",
    ),
]
KEY = {"AGENTFLOW_APPROVAL_KEY": "a key that nobody knows", "AGENTFLOW_LINKS": "https://example.com/approve"}


def refusal(service: Service, graph: str, gate: str, decision: str, **more: object) -> tuple[int, str]:
    answer = service.decide(graph, gate, decision, **more)
    assert answer.status >= 400
    return answer.status, answer.refusal().message


def test_a_run_waits_through_a_restart_of_service_and_engine_and_goes_on(service: Service) -> None:
    run = service.send("ok_simple", "restart", {"amount": 5})
    gate = service.gate("ok_simple", "restart/sign")
    assert (gate["message"], gate["approvers"], gate["node"]) == ("Pay 5?", ["ada", "bob"], "sign")
    assert service.state("ok_simple", "restart") == "waiting"
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    assert service.gate("ok_simple", "restart/sign") == gate
    until(lambda: service.state("ok_simple", "restart") == "waiting", 20)
    decided = service.decide("ok_simple", "restart/sign", "approve", by="ada", comment="fine")
    assert decided.status == 200
    output = service.attach(run)
    assert output == {"by": "ada", "outcome": "approved", "comment": "fine", "paid": "paid 5"}
    assert service.names() == ["before", "paid 5"] and service.nothing_twice()


def test_rejected_is_an_end_of_its_own_and_what_was_done_is_undone(service: Service) -> None:
    run = service.send("ok_simple", "rejected", {"amount": 5})
    service.gate("ok_simple", "rejected/sign")
    service.decide("ok_simple", "rejected/sign", "reject", by="bob", comment="too much")
    with pytest.raises(Refused) as caught:
        service.attach(run)
    error = caught.value
    assert (error.status, error.metadata["kind"], error.metadata["state"]) == (422, "rejected", "rejected")
    assert error.message == "sign: rejected by bob: too much. Undone: before (undo_act)"
    assert service.names() == ["before", "before"] and service.names("undo_act") == ["before"]
    status = service.status("ok_simple", "rejected")["run"]
    assert (status["state"], status["compensation"]) == ("rejected", "done")


def test_it_escalates_then_expires_and_a_restart_keeps_the_remaining_time(service: Service) -> None:
    began = time.time()
    run = service.send("ok_times", "late")
    first = service.gate("ok_times", "late/sign")
    assert first["approvers"] == ["ada"] and first["deadline"] < first["closes"]
    time.sleep(0.5)
    service.restart()
    until(lambda: service.gate("ok_times", "late/sign")["approvers"] == ["ada", "boss"], 10, "the escalation")
    assert 1.4 < time.time() - began < 3.5
    service.restart()
    assert service.attach(run) == {"outcome": "expired", "approved": False, "paid": False}
    assert 2.9 < time.time() - began < 6
    assert refusal(service, "ok_times", "late/sign", "approve")[0] == 410
    assert "expired" in refusal(service, "ok_times", "late/sign", "approve")[1]
    assert service.names() == ["before"] and service.state("ok_times", "late") == "succeeded"


def test_whom_it_was_escalated_to_can_still_decide(service: Service) -> None:
    run = service.send("ok_times", "boss")
    until(lambda: service.gate("ok_times", "boss/sign")["approvers"] == ["ada", "boss"], 10, "the escalation")
    service.decide("ok_times", "boss/sign", "approve", by="boss")
    assert service.attach(run) == {"outcome": "approved", "approved": True, "paid": True}


def test_an_expired_gate_approves_rejects_or_fails_as_it_says(service: Service) -> None:
    assert service.run("ok_outcomes", "a", {"on_timeout": "approve"}) == "expired true"
    for how, code, state in (("fail", 504, "rejected"), ("reject", 422, "rejected")):
        with pytest.raises(Refused) as caught:
            service.run("ok_outcomes", how, {"on_timeout": how})
        error = caught.value
        assert (error.status, error.metadata["kind"], error.metadata["state"]) == (code, "expired", state), how
    assert service.names("undo_act") == ["before", "before"]


def test_decisions_that_must_not_count_are_refused_and_change_nothing(service: Service) -> None:
    run = service.send("ok_simple", "odd", {"amount": 1})
    service.gate("ok_simple", "odd/sign")
    assert refusal(service, "ok_simple", "nobody/sign", "approve") == (404, "no approval 'nobody/sign' is open")
    assert refusal(service, "ok_simple", "odd/before", "approve")[0] == 404
    assert refusal(service, "ok_simple", "odd/sign", "perhaps")[0] == 400
    assert refusal(service, "ok_simple", "odd/sign", "approve", by=7)[0] == 400
    assert refusal(service, "ok_simple", "odd/sign", "approve", form={"a": 1})[0] == 400
    assert service.gate("ok_simple", "odd/sign")["state"] == "open"
    decided = service.decide("ok_simple", "odd/sign", "approve", by="ada").json()
    status, message = refusal(service, "ok_simple", "odd/sign", "reject", by="bob")
    assert (status, message) == (409, f"already approved by ada at {decided['at']}")  # type: ignore[index, call-overload]
    assert service.attach(run)["by"] == "ada"
    assert refusal(service, "ok_simple", "odd/sign", "reject", by="bob") == (409, message)


def test_with_a_key_a_decision_needs_the_approvers_own_token(service: Service) -> None:
    service.restart(**KEY)
    run = service.send("ok_notify", "token")
    service.gate("ok_notify", "token/sign")
    until(lambda: len(service.effects("tell")) == 3, 10, "telling the three")
    links = {line["name"]: line["link"] for line in service.effects("tell")}
    assert sorted(links) == ["ada", "bob", "boss"] and len(set(links.values())) == 3
    assert links["ada"].startswith("https://example.com/approve/ok_notify/token/sign#token=")
    tokens = {name: link.partition("#token=")[2] for name, link in links.items()}
    for wrong in ({}, {"token": ""}, {"token": tokens["ada"][:-1]}, {"token": "x", "by": "ada"}):
        assert refusal(service, "ok_notify", "token/sign", "approve", **wrong)[0] == 401
    service.decide("ok_notify", "token/sign", "approve", token=tokens["bob"], by="ada").checked()
    assert service.attach(run)["by"] == "bob"  # the token says who, not the caller
    journal = service.engine.admin.query("select id, index, entry_json, entry_lite_json from sys_journal")
    states = service.engine.admin.query("select value_utf8 from state")
    assert not any(token in str(journal) or token in str(states) for token in tokens.values())


def test_a_form_must_fit(service: Service) -> None:
    run = service.send("ok_form", "form")
    service.gate("ok_form", "form/sign")
    for form in (None, {}, {"amount": "5"}, {"amount": 5, "other": 1}):
        status, message = refusal(service, "ok_form", "form/sign", "approve", form=form)
        assert status == 400 and message.startswith("the form does not fit: at $")
    status, message = refusal(service, "ok_form", "form/sign", "approve", form={"amount": 5, "days": 0})
    assert (status, message) == (400, "the form does not fit: at $.days: 0 is less than the minimum of 1")
    service.decide("ok_form", "form/sign", "approve", form={"amount": 5}).checked()
    assert service.attach(run) == 5


def test_two_gates_are_open_at_once(service: Service) -> None:
    run = service.send("ok_two", "two")
    service.gate("ok_two", "two/legal")
    service.gate("ok_two", "two/money")
    service.decide("ok_two", "two/money", "reject").checked()
    service.restart()
    service.decide("ok_two", "two/legal", "approve").checked()
    assert service.attach(run) == "approved rejected"


def test_of_decisions_that_race_one_wins_and_the_others_are_told_who(service: Service) -> None:
    for attempt in range(3):
        key = f"race{attempt}"
        run = service.send("ok_two", key)
        for node in ("legal", "money"):
            service.gate("ok_two", f"{key}/{node}")
        with ThreadPoolExecutor(8) as pool:
            choices = [("approve" if n % 2 else "reject", f"p{n}") for n in range(8)]
            answers = list(
                pool.map(lambda c: service.decide("ok_two", f"{key}/legal", c[0], by=c[1]), choices)  # noqa: B023
            )
        assert sorted(answer.status for answer in answers) == [200] + [409] * 7
        won = next(answer for answer in answers if answer.status == 200).json()
        assert isinstance(won, dict)
        told = {answer.refusal().message for answer in answers if answer.status == 409}
        assert told == {f"already {won['outcome']} by {won['by']} at {won['at']}"}
        service.decide("ok_two", f"{key}/money", "approve").checked()
        assert service.attach(run) == f"{won['outcome']} approved"


def test_a_decision_that_races_with_the_clock_has_one_winner(service: Service) -> None:
    runs = {f"clock{n}": service.send("ok_outcomes", f"clock{n}", {"on_timeout": "approve"}) for n in range(6)}
    for number, key in enumerate(runs):
        time.sleep(0.02 * number)
        answer = service.decide("ok_outcomes", f"{key}/sign.approve", "approve", by="ada")
        output = service.attach(runs[key])
        assert output == ("approved true" if answer.status == 200 else "expired true"), answer


def test_of_a_decision_and_a_cancel_that_race_either_wins_and_the_gate_says_which(service: Service) -> None:
    runs = {f"race-{number}": service.send("ok_simple", f"race-{number}", {"amount": 1}) for number in range(12)}
    for key in runs:
        service.gate("ok_simple", f"{key}/sign")
    with ThreadPoolExecutor(8) as pool:
        for key, run in runs.items():
            pool.submit(service.decide, "ok_simple", f"{key}/sign", "approve", by="ada")
            pool.submit(service.cancel, run)
            pool.submit(service.cancel, run)
    until(lambda: not service.unfinished(), 30, "the end of all")
    assert service.gates("ok_simple") == []


def test_a_gate_that_nobody_waits_for_any_more_is_withdrawn(service: Service) -> None:
    run = service.send("ok_simple", "gone", {"amount": 1})
    service.gate("ok_simple", "gone/sign")
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert (caught.value.status, caught.value.metadata["state"]) == (499, "cancelled")
    status, message = refusal(service, "ok_simple", "gone/sign", "approve")
    assert (status, message) == (410, "the run no longer waits for this approval")
    assert service.names() == ["before", "before"]
