"""Decisions that are odd: forms that leave things out, tokens and bodies that are no use."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import path, request

GRAPHS = [
    graph(
        "formed",
        """
types:
  Part: {size: {type: integer, default: 3}, name: string}
nodes:
  ask:
    approval: Well?
    approvers: [ann]
    form:
      code: {type: string, pattern: "^[a-z]+$", max_length: 5}
      level: {type: low | high, default: low}
      note: string | null
      count: {type: integer, minimum: 1, optional: true}
      part: {type: Part, optional: true}
      parts: {type: [Part], default: []}
output:
  form: "{{ ask.form }}"
  text: "{% if ask.form %}{{ ask.form.level }} {{ ask.form.note | default('no note') }}{% endif %}"
""",
    ),
]
ENVIRONMENT = {"AGENTFLOW_APPROVAL_KEY": "a key of the test"}


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> Any:
    from agentflow import tokens

    monkeypatch.setenv(tokens.KEY, ENVIRONMENT[tokens.KEY])
    return lambda gate: tokens.token(gate["id"], gate["run"], "ann")


def test_a_form_gets_what_it_leaves_out(service: Service, proof: Any) -> None:
    service.send("formed", "full")
    gate = service.gate("formed", "full/ask")
    token = proof(gate)
    for form, why in [
        ({"code": "ABC"}, "$.code"),
        ({"code": "abcdef"}, "$.code"),
        ({}, "'code'"),
        ({"code": "a", "more": 1}, "more"),
        ({"code": "a", "count": 0}, "$.count"),
        ({"code": "a", "parts": [{}]}, "$.parts[0]"),
        (None, "$"),
    ]:
        answer = service.decide("formed", "full/ask", "approve", token=token, form=form)
        assert (answer.status, why in answer.refusal().message) == (400, True), answer.body
    given = {"parts": [{"name": "x"}], "part": {"name": "y"}, "code": "abc"}
    assert service.decide("formed", "full/ask", "approve", token=token, form=given).status == 200
    whole = {
        "code": "abc",
        "level": "low",
        "note": None,
        "count": None,
        "part": {"size": 3, "name": "y"},
        "parts": [{"size": 3, "name": "x"}],
    }
    assert service.result("formed", "full") == {"form": whole, "text": "low no note"}


def test_odd_decisions_are_refused_at_once(service: Service, proof: Any) -> None:
    service.send("formed", "odd")
    token = proof(service.gate("formed", "odd/ask"))
    for wrong in ("", "é", "x" * 100_000, None):
        answer = service.decide("formed", "odd/ask", "approve", token=wrong, form={"code": "a"})
        assert answer.status == 401, answer.body
    url = service.engine.ingress + path("formed.approvals", "odd/ask", "decide")
    for body in (
        b"[" * 100_000,
        b'{"decision": "reject", "comment": "\\ud800"}',
        b'{"decision": "approve", "form": {"count": NaN}}',
        b"\xff",
        b"null",
    ):
        assert request("POST", url, body, timeout=10).status == 400
    assert service.decide("formed", "odd/ask", "reject", token=token, comment="é漢\n").status == 200


GRAPHS += [
    graph(
        "untold",
        """
nodes:
  ask: {approval: Well?, approvers: [ann], notify: {tool: work, with: {name: "to {{ approver }}"}}}
""",
    ),
]


@pytest.mark.at("60s")
def test_a_notification_that_never_succeeds_does_not_hold_the_gate(service: Service, proof: Any) -> None:
    service.control(work={"fail": "error"})
    service.send("untold", "one")
    gate = service.gate("untold", "one/ask")
    until(lambda: service.gates("untold")[0].get("not_notified"), 20)
    assert service.decide("untold", "one/ask", "approve", token=proof(gate)).status == 200
    assert service.result("untold", "one", timeout=10)["approved"]
