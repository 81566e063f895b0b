"""Agents elsewhere as tools: another process serves them; it is not there yet, or dies; the caller waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from harness import DESK, EXAMPLES, PROJECT, Service, graph, until

from agentflow.client import Refused

OBJECT = """
agentflow: 1
graph: cr_desk
kind: object
models: {default: gemini-2.5-flash}
agents: {clerk: {instruction: You answer.}}
"""
CALLER = graph(
    "cr_caller",
    """
input: {name: string}
nodes:
  before: {tool: act, with: {name: before}}
  desk: {tool: talk, with: {message: "{{ input.name }}"}, needs: [before]}
  again: {tool: talk, with: {message: again}, needs: [desk]}
  child: {tool: ask, with: {name: "{{ input.name }}"}, needs: [again]}
output: ["{{ desk }}", "{{ again }}", "{{ child.id }}"]
""",
).replace(
    "  act: ",
    """  talk: {service: cr_desk/message, args: {message: string}, returns: string}
  ask:
    service: cr_child/run
    args: {name: string}
    returns: {id: string}
    compensate: {tool: undo_try, with: {name: "{{ args.name }}"}}
  act: """,
)
CHILD = graph(
    "cr_child",
    """
input: {name: string}
nodes:
  sign: {approval: Go on?, approvers: [ada], when: input.name != "bad"}
  bad: {fail: It is no good, code: 418, when: input.name == "bad"}
  did: {tool: act, with: {name: "{{ input.name }}"}, needs: [sign, bad]}
output: {id: "{{ did.id }}"}
""",
)
GRAPHS = [PROJECT / "graphs" / "claim_remote.yaml", CALLER]
CLAIM = {"claim_id": "17", "amount": 200, "text": "a broken arm"}
PAID = {"decision": "pay", "reason": "both find it fine", "receipt": "p-17"}


@pytest.fixture(scope="module")
def elsewhere(stand: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The other process, which the engine does not know yet."""
    other = Service(stand.engine, stand.zygote, tmp_path_factory.mktemp("elsewhere"), tools=(EXAMPLES, DESK))
    for name in ("medical_review", "fraud"):
        other.add(PROJECT / "graphs" / f"{name}.yaml")
    for source in (OBJECT, CHILD):
        other.add(source)
    other.replies("cr_desk", "clerk: [{say: hello}]")
    yield other
    other.kill()


def there(other: Service) -> Service:
    if not other.alive():
        other.start()
    other.forget()
    return other.register()


def waits(service: Service, run: str) -> None:
    """The caller has come to its calls, and has not ended."""
    time.sleep(1)
    assert service.engine.invocations(f"id = '{run}' and status <> 'completed'")


def all_ended(*services: Service) -> None:
    for service in services:
        until(lambda service=service: not service.unfinished(), 30, "the end of all")


def nothing_twice(service: Service, elsewhere: Service) -> None:
    assert service.nothing_twice() and elsewhere.nothing_twice()
    assert [line["tool"] for line in service.ledger()] == ["pay"]


def test_what_was_never_registered_is_waited_for(service: Service, elsewhere: Service) -> None:
    run = service.send("claim_remote", "early", CLAIM)
    waits(service, run)
    assert service.ledger() == []
    there(elsewhere)
    assert service.attach(run) == PAID
    nothing_twice(service, elsewhere)
    all_ended(service, elsewhere)


def test_what_is_down_is_waited_for_through_the_death_of_everybody(service: Service, elsewhere: Service) -> None:
    there(elsewhere).kill()
    run = service.send("claim_remote", "down", CLAIM)
    calls = "target_service_name in ('medical_review', 'fraud') and status <> 'completed'"
    until(lambda: len(service.engine.invocations(calls)) == 2, 30, "both calls")
    waits(service, run)
    service.kill()  # the caller too, while it waits
    service.engine.stop()
    service.engine.start()
    service.start()
    waits(service, run)
    elsewhere.start()
    assert service.attach(run) == PAID
    nothing_twice(service, elsewhere)
    all_ended(service, elsewhere)
    keys = [row["target_service_key"] for row in service.engine.invocations("target_service_name = 'fraud'")]
    assert keys and all(keys) and len(set(keys)) == len(keys)


def test_a_cancel_reaches_what_is_down_once_it_is_there(service: Service, elsewhere: Service) -> None:
    there(elsewhere).kill()
    run = service.send("claim_remote", "cancel", CLAIM)
    calls = "target_service_name in ('medical_review', 'fraud') and status <> 'completed'"
    until(lambda: len(service.engine.invocations(calls)) == 2, 30, "both calls")
    service.cancel(run)
    elsewhere.start()
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.metadata["state"] == "cancelled" and service.ledger() == []
    all_ended(service, elsewhere)


def test_objects_and_workflows_are_called_by_nodes_under_keys_of_their_own(
    service: Service, elsewhere: Service
) -> None:
    there(elsewhere)
    run = service.send("cr_caller", "kinds", {"name": "ada"})
    gate = until(lambda: elsewhere.gates("cr_child"), 30, "the gate")[0]
    service.kill()
    service.start()
    elsewhere.restart()
    elsewhere.decide("cr_child", f"{gate['key']}/sign", "approve").checked()
    assert service.attach(run) == ["hello", "hello", "ada"]
    rows = service.engine.invocations("target_service_name = 'cr_desk' and target_handler_name = 'message'")
    keys = [row["target_service_key"] for row in rows]
    assert len(set(keys)) == 2 and all(keys)
    assert service.names("act") == ["before"] and elsewhere.names("act") == ["ada"]
    assert service.nothing_twice() and elsewhere.nothing_twice()


def test_its_failure_ends_the_caller_with_its_code(service: Service, elsewhere: Service) -> None:
    there(elsewhere)
    with pytest.raises(Refused) as caught:
        service.run("cr_caller", "bad", {"name": "bad"})
    assert (caught.value.status, caught.value.metadata["kind"]) == (418, "fail")
    assert service.names("undo_act") == ["before"] and service.names("undo_try") == []
    all_ended(service, elsewhere)
