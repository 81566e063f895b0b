"""The refund desk: a person approves an agent's very call, a graph is its tool, and tools fail in three ways."""

from __future__ import annotations

from typing import Any

import pytest
from harness import PROJECT, Service, until

from agentflow.client import Refused

GRAPHS = [PROJECT / "graphs" / "fraud.yaml", PROJECT / "graphs" / "refund_desk.yaml"]


def begin(service: Service, key: str, order: str = "17", reason: str = "it broke") -> str:
    return service.send("refund_desk", key, {"order": order, "amount": 25, "reason": reason})


def gate(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = until(lambda: service.gates("refund_desk"), 30, "the gate")[0]
    return found


def decide(service: Service, gate: dict[str, Any], decision: str, **more: Any) -> None:
    service.decide("refund_desk", gate["id"].partition("/")[2], decision, **more).checked()


def paid(service: Service) -> list[str]:
    return [line["tool"] for line in service.ledger()]


def test_an_approval_inside_a_tool_call_outlives_service_and_engine(service: Service) -> None:
    run = begin(service, "approve")
    opened = gate(service)
    assert opened["message"] == "Refund 25 EUR for order 17?"
    assert opened["arguments"] == {"order": "17", "amount": 25}
    assert service.state("refund_desk", "approve") == "waiting" and paid(service) == []
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    assert paid(service) == []
    decide(service, opened, "approve", by="support")
    assert service.attach(run) == {"paid": True, "answer": "The money is on its way."}
    assert paid(service) == ["pay"] and service.nothing_twice()
    assert len(service.engine.invocations("target_service_name = 'fraud'")) >= 1
    until(lambda: not service.unfinished(), 20, "the end of all")


def test_a_rejection_is_told_to_the_model_and_nothing_is_paid(service: Service) -> None:
    run = begin(service, "reject", order="13")
    decide(service, gate(service), "reject", by="support", comment="too late")
    assert service.attach(run) == {"paid": False, "answer": "We cannot refund this."}
    assert paid(service) == []


def test_a_tool_error_is_told_to_the_model(service: Service) -> None:
    run = begin(service, "told", order="99")
    assert service.attach(run) == {"paid": False, "answer": "There is no such order."}


def test_a_terminal_error_ends_the_run(service: Service) -> None:
    run = begin(service, "terminal", reason="stolen")
    decide(service, gate(service), "approve")
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert (caught.value.status, caught.value.metadata["kind"]) == (451, "tool")


def test_what_fails_otherwise_is_tried_as_often_as_it_says(service: Service) -> None:
    service.restart(EXAMPLES_BANK="down")
    run = begin(service, "down")
    decide(service, gate(service), "approve")
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert "pay failed after 4 tries" in caught.value.message


def test_a_cancel_withdraws_the_question(service: Service) -> None:
    run = begin(service, "cancel")
    opened = gate(service)
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.metadata["state"] == "cancelled"
    answer = service.decide("refund_desk", opened["id"].partition("/")[2], "approve")
    assert answer.status == 410 and paid(service) == []
    until(lambda: not service.unfinished(), 20, "the end of all")
