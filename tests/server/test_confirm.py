"""`confirm` on tools of nodes: who is asked, and when; silence, escalation, items and journals are seen to."""

from __future__ import annotations

import pytest
from harness import Service, graph, until

from agentflow.client import Refused


def confirmed(name: str, how: str, body: str, python: str = "act") -> str:
    tool = f"""\
  safe:
    python: "tools.desk:{python}"
    confirm:
      when: args.name != "small"
      message: "Do {{{{ args.name }}}}?"
      approvers: [desk]
{how}
"""
    return graph(name, tool + body)


LONG = "      timeout: 1h\n      on_timeout: reject"
NODE = """
input: {name: string}
nodes:
  it: {tool: safe, with: {name: "{{ input.name }}"}}
"""
GRAPHS = [
    confirmed("co_node", LONG, NODE),
    confirmed("co_reject", "      timeout: 500ms\n      on_timeout: reject", NODE),
    confirmed("co_fail", "      timeout: 500ms\n      on_timeout: fail", NODE),
    confirmed(
        "co_climb",
        "      timeout: 500ms\n      escalate: [{to: [boss], timeout: 1h}]\n      on_timeout: reject",
        NODE,
    ),
    confirmed("co_own", LONG, NODE, "journaled"),
    confirmed(
        "co_items",
        LONG,
        """
nodes:
  all: {for_each: [a, small, b], as: one, do: {tool: safe, with: {name: "{{ one }}"}}}
""",
    ),
]


def refused(service: Service, run: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.attach(run)
    return caught.value


def test_nobody_is_asked_where_the_condition_does_not_hold(service: Service) -> None:
    assert service.run("co_node", "1", {"name": "small"}) == {"id": "small"}
    assert service.gates("co_node") == [] and service.nothing_twice()


def test_a_call_waits_for_its_approval_through_a_kill(service: Service) -> None:
    run = service.send("co_node", "2", {"name": "big"})
    assert service.gate("co_node", "2/it.confirm")["arguments"] == {"name": "big"}
    service.restart()
    assert service.names("act", event="begin") == []
    assert service.decide("co_node", "2/it.confirm", "approve", by="desk").status == 200
    assert service.attach(run) == {"id": "big"} and service.names("act") == ["big"]


def test_a_rejected_call_ends_the_run_as_rejected(service: Service) -> None:
    run = service.send("co_node", "3", {"name": "big"})
    service.gate("co_node", "3/it.confirm")
    assert service.decide("co_node", "3/it.confirm", "reject", by="desk", comment="no").status == 200
    error = refused(service, run)
    assert error.status == 422 and "rejected by desk: no" in error.message
    assert service.state("co_node", "3") == "rejected" and service.names("act", event="begin") == []


@pytest.mark.parametrize("how", ["reject", "fail"])
def test_silence_is_no_approval(service: Service, how: str) -> None:
    error = refused(service, service.send(f"co_{how}", "1", {"name": "big"}))
    assert error.status == (422 if how == "reject" else 504)
    assert service.state(f"co_{how}", "1") == "rejected" and service.names("act", event="begin") == []


def test_the_next_in_line_may_approve(service: Service) -> None:
    run = service.send("co_climb", "1", {"name": "big"})
    until(lambda: any("boss" in str(gate) for gate in service.gates("co_climb")), 20, "the escalation")
    assert service.decide("co_climb", "1/it.confirm", "approve", by="boss").status == 200
    assert service.attach(run) == {"id": "big"}


def test_a_tool_that_keeps_its_own_journal_waits_too(service: Service) -> None:
    run = service.send("co_own", "1", {"name": "big"})
    service.gate("co_own", "1/it.confirm")
    assert service.names("journaled", event="pass") == []
    service.restart()
    assert service.decide("co_own", "1/it.confirm", "approve", by="desk").status == 200
    assert service.attach(run) == "one big, two big"


def test_items_are_asked_for_one_by_one(service: Service) -> None:
    run = service.send("co_items", "1")
    for item in (1, 3):
        service.gate("co_items", f"1/all[{item}].confirm")
    service.restart()
    for item in (3, 1):
        assert service.decide("co_items", f"1/all[{item}].confirm", "approve", by="desk").status == 200
    assert service.attach(run) == [{"id": "a"}, {"id": "small"}, {"id": "b"}]
    assert sorted(service.names("act")) == ["a", "b", "small"]
