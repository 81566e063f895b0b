"""Graphs that call graphs, and handlers elsewhere: each its own run, one effect of its caller's."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "ca_child",
        """
input: {name: string, fail: {type: boolean, default: false}, ask: {type: boolean, default: false}}
nodes:
  did: {tool: act, with: {name: "{{ input.name }}"}}
  sign: {approval: Go on?, approvers: [ada], when: input.ask, needs: [did]}
  broken: {fail: "{{ input.name }} is no good", code: 418, when: input.fail, needs: [sign]}
  then: {tool: act, with: {name: "{{ input.name }} too"}, needs: [broken]}
output: {id: "{{ then.id }}"}
""",
    ),
    graph(
        "ca_plain",
        """
kind: service
input: {name: string}
nodes:
  did: {tool: act, with: {name: "{{ input.name }}"}}
""",
    ),
    graph(
        "ca_parent",
        """
input: {name: string, fail: {type: boolean, default: false}, ask: {type: boolean, default: false}}
nodes:
  before: {tool: act, with: {name: before}}
  child:
    graph: ca_child
    with: {name: "{{ input.name }}", fail: "{{ input.fail }}", ask: "{{ input.ask }}"}
    needs: [before]
  after: {tool: act, with: {name: "{{ child.id }} after"}}
output: "{{ after.id }}"
""",
    ),
    graph(
        "ca_beside",
        """
nodes:
  one: {graph: ca_child, with: {name: one}}
  two: {graph: ca_plain, with: {name: two}}
  three: {graph: ca_child, with: {name: three}, timeout: 30s}
  four: {service: ca_plain/run, with: {name: four}, returns: {id: string}}
  five: {service: ca_child/run, with: {name: five}, returns: {id: string}}
  bad: {graph: ca_child, with: {name: bad, fail: true}, on_error: {use: {id: "x"}}}
output: ["{{ one.id }}", "{{ two.id }}", "{{ three.id }}", "{{ four.id }}", "{{ five.id }}", "{{ bad.id }}"]
""",
    ),
    graph(
        "ca_caught",
        """
nodes:
  child:
    graph: ca_child
    with: {name: bad, fail: true}
    on_error:
      run: {value: {id: "{{ error.kind }} {{ error.code }} {{ error.node | default('') }}: {{ error.message }}"}}
output: "{{ child.id }}"
""",
    ),
    graph(
        "ca_undo",
        """
nodes:
  child:
    graph: ca_child
    with: {name: child}
    compensate: {tool: undo_try, with: {name: "{{ args.name }} {{ result.id }}"}}
  two: {tool: act, with: {name: two}, needs: [child]}
  broken: {fail: "no", needs: [two]}
""",
    ),
    graph(
        "ca_race",
        """
nodes:
  race:
    parallel:
      slow: {graph: ca_child, with: {name: slow, ask: true}}
      quick: {nodes: {a: {tool: work, with: {name: a}}, b: {tool: work, with: {name: b}, needs: [a]}}}
    join: any
output: "{{ race.winner }}"
""",
    ),
    graph(
        "ca_send",
        """
input: {until: string}
nodes:
  now: {graph: ca_child, with: {name: now}, mode: send}
  keyed: {graph: ca_child, with: {name: keyed}, mode: send, key: "a key/{{ run.key }}"}
  later: {graph: ca_child, with: {name: later}, mode: send, delay: 600ms}
  at: {graph: ca_child, with: {name: at}, mode: send, delay: {until: input.until}}
  plain: {service: ca_plain/run, with: {name: plain}, mode: send}
  waits: {approval: Wait?, approvers: [ada], needs: [now, keyed, later, at, plain]}
output: ["{{ now.key }}", "{{ keyed.key }}"]
""",
    ),
    graph(
        "ca_retry",
        """
nodes:
  again: {graph: ca_flaky, retry: {attempts: 3, initial: 50ms}}
  other: {value: 1}
output: "{{ again.id }}"
""".replace("ca_flaky", "ca_child, with: {name: flaky, fail: true}"),
    ),
    graph(
        "ca_keys",
        """
input: {key: string}
nodes:
  child: {graph: ca_child, with: {name: keyed}, key: "{{ input.key }}"}
output: "{{ child.id }}"
""",
    ),
    graph(
        "ca_itself",
        """
input: {depth: integer}
nodes:
  did: {tool: act, with: {name: "{{ input.depth | string }}"}}
  deeper: {graph: ca_itself, with: {depth: "{{ input.depth - 1 }}"}, when: input.depth > 0, needs: [did]}
  wrong: {fail: deep enough, when: input.depth == 0, needs: [did]}
output: "{{ deeper }}"
""",
    ),
    graph(
        "ca_misfit",
        """
nodes:
  one: {service: ca_plain/run, with: {name: x}, returns: {missing: integer}, on_error: {use: {missing: 7}}}
  two: {service: ca_plain/run, with: {nam: x}, on_error: {run: {value: "{{ error.code }} {{ error.message }}"}}}
output: ["{{ one.missing }}", "{{ two }}"]
""",
    ),
]


def runs(service: Service, graph: str) -> list[dict[str, Any]]:
    return service.engine.invocations(f"target_service_name = '{graph}' and target_handler_name = 'run'")


def all_ended(service: Service) -> bool:
    until(lambda: not service.unfinished(), 20, "the end of all")
    return True


def test_a_called_graph_is_a_run_of_its_own_and_its_caller_is_suspended(service: Service) -> None:
    run = service.send("ca_parent", "waits", {"name": "ada", "ask": True})
    gate = until(lambda: service.gates("ca_child"), 20, "the gate")[0]
    assert gate["key"].startswith("waits.") and gate["key"].endswith("/child")
    child = service.status("ca_child", gate["key"])["run"]
    assert (child["state"], child["graph"]) == ("waiting", "ca_child")
    node = service.status("ca_parent", "waits")["nodes"]["child"]
    assert node["calls"] == {"service": "ca_child", "handler": "run", "key": gate["key"]}
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    service.decide("ca_child", f"{gate['key']}/sign", "approve").checked()
    assert service.attach(run) == "ada too after"
    assert service.names() == ["before", "ada", "ada too", "ada too after"] and service.nothing_twice()
    if service.engine.inactivity == "0s":
        assert all(row["status"] == "completed" for row in runs(service, "ca_parent"))


def test_graphs_and_handlers_of_any_kind_side_by_side(service: Service) -> None:
    service.control(act={"delay": 0.05})
    run = service.send("ca_beside", "b")
    time.sleep(0.1)
    service.restart()
    assert service.attach(run) == ["one too", "two", "three too", "four", "five too", "x"]
    done = {line["key"]: line["name"] for line in service.effects("act")}  # what a kill cut off comes under its key
    assert sorted(done.values()) == sorted(
        ["one", "one too", "two", "three", "three too", "four", "five", "five too", "bad"]
    )
    assert set(service.names("undo_act")) == {"bad"}
    keys = [row["target_service_key"] for row in runs(service, "ca_child")]
    assert "" not in keys and None not in keys
    assert all_ended(service)


def test_nothing_is_called_while_nobody_can_be_asked_what_it_is(service: Service) -> None:
    before = len(runs(service, "ca_plain"))
    service.restart(AGENTFLOW_ADMIN="")
    run = service.send("ca_misfit", "unasked")
    why = "nobody can be asked whether 'ca_plain' has keys: set AGENTFLOW_ADMIN"
    until(lambda: [row for row in service.engine.invocations("true") if why in str(row.get("last_failure"))], 30, "why")
    assert len(runs(service, "ca_plain")) == before
    service.restart()
    assert service.attach(run)[0] == 7


def test_its_error_is_the_callers_and_it_has_undone_its_own(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("ca_parent", "fails", {"name": "bob", "fail": True})
    error = caught.value
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (418, "fail", "child")
    assert error.message == "bob is no good. Undone: did (undo_act). Undone: before (undo_act)"
    assert service.names("undo_act") == ["bob", "before"]
    told = service.run("ca_caught", "caught")
    assert told == "fail 418 child: bad is no good. Undone: did (undo_act)"


def test_to_its_caller_a_graph_is_one_effect(service: Service) -> None:
    with pytest.raises(Refused):
        service.run("ca_undo", "undo")
    assert service.names("undo_act") == ["two"] and service.names("undo_try") == ["child child too"]


def test_a_cancel_reaches_what_was_called_and_not_what_was_sent(service: Service) -> None:
    run = service.send("ca_parent", "cancel", {"name": "eve", "ask": True})
    gate = until(lambda: service.gates("ca_child"), 20, "the gate")[0]
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.metadata["state"] == "cancelled"
    assert service.names("undo_act") == ["eve", "before"]
    assert service.state("ca_child", gate["key"]) == "cancelled"
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 2)) + "Z"
    service.forget()
    run = service.send("ca_send", "sent", {"until": at})
    service.gate("ca_send", "sent/waits")
    service.cancel(run)
    with pytest.raises(Refused):
        service.attach(run)
    names = {"now", "now too", "keyed", "keyed too", "plain", "later", "later too", "at", "at too"}
    until(lambda: set(service.names("act")) == names, 20, "all that was sent")
    assert service.state("ca_child", "a key/sent") == "succeeded"
    assert all_ended(service) and service.names("undo_act") == [] and service.nothing_twice()


def test_a_loser_is_cancelled_and_undoes_itself_before_the_race_ends(service: Service) -> None:
    service.control(work={"delay": 0.3})
    assert service.run("ca_race", "race") == "quick"
    assert service.names("undo_act") == service.names("act")
    assert all_ended(service)


def test_a_failed_call_is_tried_again_as_it_says_each_time_as_a_new_run(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("ca_retry", "not")  # 418 is the caller's fault, and stays so
    assert caught.value.status == 418 and service.names("act") == ["flaky"]
    service.forget()
    service.control(act={"fail": "tool"})
    with pytest.raises(Refused) as caught:
        service.run("ca_retry", "refused")
    assert caught.value.message == "act does not want to"
    assert service.names("act", event="begin") == ["flaky"] * 3
    assert len({line["key"] for line in service.effects("act", event="begin")}) == 3


def test_a_key_that_was_used_is_a_failure_and_an_empty_one_never_calls(service: Service) -> None:
    assert service.run("ca_keys", "one", {"key": "used"}) == "keyed too"
    with pytest.raises(Refused) as caught:
        service.run("ca_keys", "two", {"key": "used"})
    assert caught.value.status == 500, caught.value.message
    with pytest.raises(Refused) as caught:
        service.run("ca_keys", "three", {"key": " "})
    assert (caught.value.status, caught.value.message) == (400, "child: its key is empty")


def test_a_graph_may_call_itself(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("ca_itself", "deep", {"depth": 3})
    assert caught.value.message.startswith("deep enough. Undone: did (undo_act)")
    assert service.names("act") == ["3", "2", "1", "0"] and service.names("undo_act") == ["0", "1", "2", "3"]


def test_what_does_not_fit_is_an_error_of_the_node(service: Service) -> None:
    missing, message = service.run("ca_misfit", "misfit")
    assert missing == 7
    assert message.startswith("400 ca_plain/run: the input does not fit: at $.name: missing")


def test_kills_at_any_moment_call_nothing_twice(service: Service) -> None:
    for attempt in range(4):
        service.forget()
        service.control(act={"delay": 0.05})
        run = service.send("ca_beside", f"kill{attempt}")
        for _ in range(3):
            time.sleep(0.04 + 0.05 * attempt)
            service.restart()
        assert service.attach(run) == ["one too", "two", "three too", "four", "five too", "x"]
        keys = [line["key"] for line in service.effects("act", "undo_act")]
        done = {(line["tool"], line["key"]) for line in service.effects("act", "undo_act")}
        assert len({key for key in keys if key.endswith(":undo")}) == 1, done
        assert len(set(keys)) == 10, keys
    assert all_ended(service)
