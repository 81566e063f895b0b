"""The order: it waits for a payment from outside, which is not lost when it comes too early."""

from __future__ import annotations

import pytest
from harness import PROJECT, Service, until

from agentflow.client import Refused

GRAPHS = [PROJECT / "graphs" / "order.yaml"]
INPUT = {"item": "lamp", "amount": 25}


def pay(service: Service, key: str, amount: int) -> None:
    data = {"name": "payment", "data": {"amount": amount, "reference": f"r-{key}"}}
    service.call("order", key, "event", data).checked()


def done(service: Service) -> list[str]:
    return [line["tool"] for line in service.ledger()]


def test_the_run_waits_for_the_payment_over_restarts(service: Service) -> None:
    run = service.send("order", "waits", INPUT)
    until(lambda: service.state("order", "waits") == "waiting", 20, "waiting")
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    pay(service, "waits", 25)
    assert service.attach(run) == {"parcel": "p-s-lamp", "paid_by": "r-waits"}
    assert done(service) == ["reserve", "ship"] and service.nothing_twice()


def test_a_payment_that_comes_before_the_run_is_not_lost(service: Service) -> None:
    pay(service, "early", 30)
    service.restart()
    assert service.run("order", "early", INPUT) == {"parcel": "p-s-lamp", "paid_by": "r-early"}


def test_too_little_undoes_the_reservation(service: Service) -> None:
    pay(service, "short", 5)
    with pytest.raises(Refused) as caught:
        service.run("order", "short", INPUT)
    assert caught.value.status == 402 and done(service) == ["reserve", "release"]


def test_a_cancel_undoes_the_reservation_and_later_payments_are_refused(service: Service) -> None:
    run = service.send("order", "cancel", INPUT)
    until(lambda: service.state("order", "cancel") == "waiting", 20, "waiting")
    service.cancel(run)
    with pytest.raises(Refused):
        service.attach(run)
    assert done(service) == ["reserve", "release"]
    with pytest.raises(Refused) as caught:
        pay(service, "cancel", 25)
    assert caught.value.status == 410
