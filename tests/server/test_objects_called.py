"""Objects as other graphs call them: by a key of theirs or of none; and how their turns are followed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.cli import main
from agentflow.client import Refused

TALLY = """
input: {by: integer, name: string}
state: {total: {type: integer, default: 0}}
nodes:
  did: {tool: act, with: {name: "{{ input.name }}"}}
  told: {emit: step, data: {name: "{{ input.name }}", total: "{{ state.total }}"}, needs: [did]}
  side:
    needs: [told]
    parallel:
      a: {steps: {x: {tool: look, with: {name: a}}, y: {emit: side, data: a}}}
      b: {emit: side, data: b}
  end: {fail: too much, code: 418, when: input.by > 100, needs: [side]}
  wait: {approval: "{{ input.name }}?", approvers: [desk], when: input.by == 0, needs: [end]}
  add: {set: {total: "{{ state.total + input.by }}"}, needs: [wait]}
output: "{{ state.total + input.by }}"
"""
SILENT = """
input: {by: integer, name: string}
nodes:
  did: {tool: act, with: {name: "{{ input.name }}"}}
  wait: {approval: "{{ input.name }}?", approvers: [desk], when: input.by == 0, needs: [did]}
output: "{{ input.by }}"
"""
GRAPHS = [
    graph("oc_tally", f"kind: object\n{TALLY[1:]}"),
    graph("oc_hasty", f"kind: object\non_busy: interrupt\n{TALLY[1:]}"),
    graph("oc_quiet", f"kind: object\non_busy: interrupt\n{SILENT}"),
    graph(
        "oc_calls",
        """
input: {by: integer}
nodes:
  one: {graph: oc_tally, with: {by: 1, name: one}, key: "t/{{ run.key }}"}
  two:
    graph: oc_tally
    with: {by: "{{ input.by }}", name: two}
    key: "t/{{ run.key }}"
    needs: [one]
    on_error: {use: "{{ error.code }}"}
  own: {graph: oc_tally, with: {by: 5, name: own}}
  hasty: {graph: oc_hasty, with: {by: 7, name: hasty}}
  sent: {graph: oc_tally, with: {by: 10, name: sent}, key: "t/{{ run.key }}", mode: send, needs: [two]}
  later: {graph: oc_hasty, with: {by: 3, name: later}, key: "t/{{ run.key }}", mode: send, delay: 300ms, needs: [two]}
output: ["{{ one }}", "{{ two }}", "{{ own }}", "{{ hasty }}", "{{ sent.key }}", "{{ later.key }}"]
""",
    ),
    *(
        graph(
            f"oc_waits_{callee}",
            f"""
nodes:
  before: {{tool: act, with: {{name: before}}}}
  child: {{graph: oc_{callee}, with: {{by: 0, name: child}}, key: "{{{{ run.key }}}}", needs: [before]}}
""",
        )
        for callee in ("tally", "hasty")
    ),
    graph(
        "oc_agent",
        """\
  tally: {graph: oc_tally, description: Adds.}
agents: {clerk: {instruction: Work., tools: [act, tally]}}
input: {by: integer}
nodes:
  work: {agent: clerk, prompt: "{{ input.by }}", conversation: talk}
""",
    ),
    graph(
        "oc_race",
        """
nodes:
  race:
    join: any
    parallel:
      one: {graph: oc_tally, with: {by: 0, name: one}}
      two: {graph: oc_hasty, with: {by: 0, name: two}}
      three: {tool: work, with: {name: three}}
output: "{{ race.winner }}"
""",
    ),
]


REPLIES = {
    "oc_agent": """
clerk:
  - if: "prompt == '2' and step == 0"
    calls: [{tool: tally, with: {by: 2, name: x}}, {tool: tally, with: {by: 3, name: y}}, {tool: act, with: {name: z}}]
  - if: "prompt == '200' and step == 0"
    calls: [{tool: tally, with: {by: 200, name: x}}, {tool: act, with: {name: z}}]
  - {if: "step > 0", say: done}
""",
}


def total(service: Service, graph: str, key: str) -> int | None:
    rows = service.engine.admin.query(
        f"select value_utf8 from state where service_name = '{graph}' and service_key = '{key}' and key = 'state.total'"
    )
    return int(json.loads(str(rows[0]["value_utf8"]))) if rows else None


def ended(service: Service) -> bool:
    until(lambda: not service.unfinished(), 20, "the end of all")
    return True


def test_an_object_is_called_under_the_key_that_is_given_and_sent_to(service: Service) -> None:
    assert service.run("oc_calls", "a", {"by": 2}) == [1, 3, 5, 7, "t/a", "t/a"]
    assert ended(service) and total(service, "oc_tally", "t/a") == 13
    until(lambda: total(service, "oc_hasty", "t/a") == 3, 20, "the later one")
    keys = {row["target_service_key"] for row in service.engine.invocations("target_service_name = 'oc_tally'")}
    assert len(keys) == 2 and "t/a" in keys and all(keys)


def test_its_error_is_the_callers_and_a_kill_calls_nothing_twice(service: Service) -> None:
    service.control(act={"delay": 0.1})
    run = service.send("oc_calls", "b", {"by": 200})
    for _ in range(2):
        time.sleep(0.15)
        service.restart()
    assert service.attach(run) == [1, 418, 5, 7, "t/b", "t/b"]
    until(lambda: total(service, "oc_hasty", "t/b") == 3, 20, "the later one")
    assert ended(service) and total(service, "oc_tally", "t/b") == 11
    assert list(dict.fromkeys(service.names("undo_act"))) == ["two"]
    assert len({line["key"] for line in service.effects("act", event="begin")}) == 6


@pytest.mark.parametrize("callee", ["tally", "hasty"])
def test_a_cancel_of_the_caller_ends_the_turn(service: Service, callee: str) -> None:
    run = service.send(f"oc_waits_{callee}", "c")
    service.gate(f"oc_{callee}", "c.1/wait")
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.metadata["state"] == "cancelled"
    assert service.names("undo_act") == ["child", "before"]
    assert service.state(f"oc_{callee}", "c") == "cancelled" and ended(service)
    assert service.gates(f"oc_{callee}") == []


def test_turns_that_lose_a_race_end_and_undo_before_it_does(service: Service) -> None:
    service.control(work={"delay": 0.7})
    assert service.run("oc_race", "r") == "three"
    assert sorted(service.names("undo_act")) == ["one", "two"]
    assert ended(service) and service.gates("oc_tally") == service.gates("oc_hasty") == []


def test_an_agent_calls_objects_side_by_side(service: Service) -> None:
    before = len(service.engine.invocations("target_service_name = 'oc_tally'"))
    run = service.send("oc_agent", "g", {"by": 2})
    service.restart()
    assert service.attach(run) == "done" and ended(service)
    assert len(service.engine.invocations("target_service_name = 'oc_tally'")) == before + 2
    with pytest.raises(Refused, match="too much. Undone: did"):
        service.run("oc_agent", "h", {"by": 200})
    assert sorted(service.names("undo_act")) == ["x", "z"] and ended(service)


# ---------------------------------------------------------------- following turns


def asked(service: Service, graph: str, key: str, **body: Any) -> dict[str, Any]:
    told: dict[str, Any] = service.call(graph, key, "events", body).checked()
    return told


def states(events: list[dict[str, Any]], node: str) -> list[str]:
    return [event["state"] for event in events if event.get("node") == node and event["type"] == "node"]


@pytest.mark.parametrize("name", ["oc_tally", "oc_hasty", "oc_quiet"])
def test_a_turn_is_followed_on_the_command_line(
    service: Service, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = ["--ingress", service.engine.ingress]
    for by, said in ((1, "first"), (2, "second")):
        given = json.dumps({"by": by, "name": said})
        assert main(["run", name, "--key", "w", "--input", given, "--json", *urls]) == 0
        told = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
        assert [event["seq"] for event in told] == list(range(len(told)))
        assert states(told, "did") == ["running", "succeeded"] and states(told, "wait") == ["skipped"]
        assert (told[0]["state"], told[-1]["type"], told[-1]["state"]) == ("running", "run", "succeeded")
    assert main(["watch", name, "w", "--json", *urls, "--admin", service.engine.admin.url]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == told
    if name != "oc_quiet":
        assert service.status(name, "w")["topics"]["step"]["data"] == {"name": "second", "total": 1}
        emitted = [(event["topic"], event["data"]) for event in told if event["type"] == "emit"]
        assert emitted[0] == ("step", {"name": "second", "total": 1})
        assert sorted(emitted[1:]) == [("side", "a"), ("side", "b")]


@pytest.mark.parametrize("name", ["oc_tally", "oc_hasty", "oc_quiet"])
def test_a_reader_stays_with_its_turn(service: Service, name: str) -> None:
    first = service.send_message(name, "p", {"by": 0, "name": "first"})
    service.gate(name, "p.1/wait")
    told = asked(service, name, "p")
    assert not told["ended"] and states(told["events"], "wait")[-1:] == ["waiting"]
    again = asked(service, name, "p", **{"from": told["next"], "run": told["run"]})
    assert (again["events"], again["ended"], again["run"]) == ([], False, told["run"])
    service.restart()
    if name == "oc_tally":
        service.decide(name, "p.1/wait", "approve").checked()
        service.attach(first)
    assert service.attach(service.send_message(name, "p", {"by": 3, "name": "second"})) in (3, "3")
    rest = asked(service, name, "p", **{"from": told["next"], "run": told["run"], "wait": "20s"})
    assert rest["ended"] and rest["run"] == told["run"]
    ends = [event["state"] for event in rest["events"] if event["type"] == "run"]
    assert ends[-1:] == {"oc_tally": ["succeeded"], "oc_hasty": ["cancelled"], "oc_quiet": []}[name]
    newest = asked(service, name, "p")
    assert newest["ended"] and newest["run"] != told["run"] and states(newest["events"], "wait") == ["skipped"]
    assert asked(service, name, "p", run="inv_unknown")["events"] == []
    assert service.call(name, "nobody", "events", {}).status == 404
    for wrong in ({"run": 7}, {"form": 1}):
        assert service.call(name, "p", "events", wrong).status == 400
