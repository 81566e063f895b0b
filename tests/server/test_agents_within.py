"""Agents that ask people within other things: races, time limits, agents that call agents, handoffs."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

PEOPLE = """\
  may_i: {approval: "{{ args.what }}?", args: {what: string}, approvers: [desk]}
  own: {python: "tools.desk:journaled", confirm: {message: "{{ args.name }}?", approvers: [desk]}}
agents:
  clerk: {instruction: Work., tools: [act, may_i, own]}
  timed: {instruction: Work., tools: [act, may_i], limits: {time: 600ms}}
  boss: {instruction: Ask., tools: [clerk, act], handoffs: [clerk]}
"""
GRAPHS = [
    graph(
        "within",
        f"""{PEOPLE}
input: {{how: string}}
nodes:
  it:
    switch: input.how
    cases:
      race:
        nodes:
          before: {{tool: act, with: {{name: before}}}}
          race:
            needs: [before]
            join: any
            parallel:
              slow: {{agent: clerk, prompt: ask}}
              quick: {{event: go}}
        output: "{{{{ race.winner }}}}"
      late:
        steps:
          node: {{agent: clerk, prompt: ask, timeout: 600ms, on_error: {{use: "{{{{ error.kind }}}}"}}}}
          limit: {{agent: timed, prompt: ask, on_error: {{use: "{{{{ error.kind }}}}"}}}}
          below: {{agent: boss, prompt: call, timeout: 600ms, on_error: {{use: "{{{{ error.kind }}}}"}}}}
        output: ["{{{{ node }}}}", "{{{{ limit }}}}", "{{{{ below }}}}"]
    default: {{agent: boss, prompt: "{{{{ input.how }}}}"}}
""",
    ),
]
REPLIES = {
    "within": """
clerk:
  - {if: "'own' in prompt and step == 0", calls: [{tool: act, with: {name: done}}, {tool: own, with: {name: x}}]}
  - if: "'hand' not in prompt and step == 0"
    calls: [{tool: act, with: {name: done}}, {tool: may_i, with: {what: go}}]
  - say: done
timed: [{calls: [{tool: act, with: {name: timed}}, {tool: may_i, with: {what: go}}]}, {say: done}]
boss:
  - if: "prompt == 'call' and step == 0"
    calls: [{tool: act, with: {name: boss}}, {tool: clerk, with: {message: ask}}]
  - {if: "prompt == 'own' and step == 0", call: {tool: clerk, with: {message: own}}}
  - if: "prompt == 'twice' and step == 0"
    calls: [{tool: clerk, with: {message: one}}, {tool: clerk, with: {message: two}}]
  - if: "prompt == 'hand' and step == 0"
    calls: [{tool: act, with: {name: boss}}, {tool: transfer_to_agent, with: {agent_name: clerk}}]
  - say: well
""",
}


def gate(service: Service) -> str:
    found: Any = until(lambda: service.gates("within"), 20, "the gate")
    return str(found[0]["id"]).partition("/")[2]


def ended(service: Service) -> bool:
    until(lambda: not service.unfinished(), 20, "the end of all")
    return all(service.gates(name) == [] for name in service.modules)


def test_an_agent_that_asks_and_loses_a_race_asks_no_more(service: Service) -> None:
    run = service.send("within", "r", {"how": "race"})
    place = gate(service)
    until(lambda: service.names("act") == ["before", "done"], 20, "the step")
    service.restart()
    service.call("within", "r", "event", {"name": "go"}).checked()
    assert service.attach(run) == "quick" and service.names("undo_act") == ["done"]
    assert service.decide("within", place, "approve").status == 410 and ended(service)


def test_one_whose_time_is_up_asks_no_more(service: Service) -> None:
    assert service.run("within", "l", {"how": "late"}) == ["timeout", "limit", "timeout"]
    assert sorted(service.names("act")) == sorted(service.names("undo_act")) and ended(service)


def test_an_agent_that_is_called_asks_over_a_kill(service: Service) -> None:
    run = service.send("within", "c", {"how": "call"})
    place = gate(service)
    service.restart()
    service.decide("within", place, "approve").checked()
    assert service.attach(run) == "well" and service.names("act") == ["boss", "done"]
    assert ended(service) and service.nothing_twice()


def test_one_that_is_called_twice_at_once_asks_twice(service: Service) -> None:
    run = service.send("within", "t", {"how": "twice"})
    first = gate(service)
    service.decide("within", first, "approve").checked()
    second = until(lambda: (found := gate(service)) != first and found, 20, "the second")
    service.restart()
    service.decide("within", second, "reject").checked()
    assert service.attach(run) == "well" and first != second and ended(service)
    assert service.names("act") == ["done", "done"]


def test_a_call_that_keeps_a_journal_waits_for_its_confirmation(service: Service) -> None:
    for decision, done in (("reject", []), ("approve", ["x"])):
        service.forget()
        run = service.send("within", decision, {"how": "own"})
        place = gate(service)
        service.restart()
        service.decide("within", place, decision).checked()
        assert service.attach(run) == "well"
        assert list(dict.fromkeys(service.names("journaled", event="pass"))) == done, service.effects()


def test_a_handoff_beside_a_call(service: Service) -> None:
    assert service.run("within", "h", {"how": "hand"}) == "done"
    assert service.names("act") == ["boss"] and service.status("within", "h")["spent"]["handoffs"] == 1


def test_a_cancel_of_a_called_agent_that_asks(service: Service) -> None:
    run = service.send("within", "x", {"how": "call"})
    gate(service)
    until(lambda: service.names("act") == ["boss", "done"], 20, "the steps")
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.status == 499 and service.names("undo_act") == ["done", "boss"] and ended(service)
