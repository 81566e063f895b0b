"""What a run did is undone when it ends badly: in reverse, each once in effect, whatever happens meanwhile."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

GRAPHS = [
    graph(
        "back_trip",
        """
agents:
  pays: {instruction: Pay., tools: [act]}
nodes:
  flight: {tool: act, with: {name: flight}, retry: {attempts: 2, initial: 10ms}}
  hotel: {tool: act, with: {name: hotel}, needs: [flight], retry: {attempts: 2, initial: 10ms}}
  payment: {agent: pays, prompt: pay, needs: [hotel]}
  ticket: {tool: once, with: {name: ticket}, needs: [payment]}
  letter: {tool: once, with: {name: letter}, needs: [ticket]}
output: fine
""",
    ),
    graph(
        "back_wide",
        """
nodes:
  a: {tool: act, with: {name: a}}
  b: {tool: act, with: {name: b}}
  c:
    steps:
      one: {tool: act, with: {name: c1}}
      two: {tool: act, with: {name: c2}}
  d:
    parallel:
      x: {tool: act, with: {name: x}}
      y: {steps: {one: {tool: act, with: {name: y1}}, two: {tool: act, with: {name: y2}}}}
  bad: {tool: once, with: {name: bad}, needs: [a, b, c, d]}
""",
    ),
    graph(
        "back_attempted",
        """
nodes:
  sure: {tool: act, with: {name: sure}}
  tried: {tool: maybe, with: {name: tried}, needs: [sure], retry: {attempts: 1}}
""",
    ),
    graph(
        "back_node",
        """
nodes:
  own: {tool: work, with: {name: own}, compensate: {tool: undo_try, with: {name: "{{ result }} for {{ error.kind }}"}}}
  bad: {tool: once, with: {name: bad}, needs: [own]}
""",
    ),
    graph(
        "back_time",
        """
limits: {time: 1s}
nodes:
  done: {tool: act, with: {name: done}}
  slow: {tool: look, with: {name: slow}, needs: [done]}
""",
    ),
    graph(
        "back_caught",
        """
nodes:
  caught: {tool: maybe, with: {name: caught}, retry: {attempts: 1}, on_error: continue}
  beside: {tool: work, with: {name: beside}}
  branches:
    parallel:
      p: {tool: maybe, with: {name: p}, retry: {attempts: 1}, on_error: {use: {id: instead}}}
      q: {tool: work, with: {name: q}}
  last: {tool: once, with: {name: last}, needs: [caught, beside, branches]}
output: "{{ branches.p.id }}"
""",
    ),
    graph(
        "back_unknown",
        """
nodes:
  unknown: {tool: brief, with: {name: unknown}, on_error: continue}
  beside: {tool: work, with: {name: beside}}
  branches:
    parallel:
      p: {tool: brief, with: {name: p}, on_error: {use: {id: instead}}}
      q: {tool: work, with: {name: q}}
output: "{{ branches.p.id }}"
""",
    ),
    graph(
        "back_loser",
        """
nodes:
  race:
    join: any
    parallel:
      fast: {tool: look, with: {name: fast}}
      slow: {steps: {one: {tool: act, with: {name: one}}, two: {tool: act, with: {name: two}}}}
  last: {tool: once, with: {name: last}, needs: [race]}
""",
    ),
    graph(
        "back_long",
        "nodes:\n"
        + "".join(
            f"  n{n}: {{tool: act, with: {{name: n{n}}}, needs: [{f'n{n - 1}' if n else ''}]}}\n" for n in range(6)
        )
        + "  bad: {tool: once, with: {name: bad}, needs: [n5]}\n",
    ),
]
REPLIES = {
    "back_trip": """
pays:
  - call: {tool: act, with: {name: deposit}}
  - call: {tool: act, with: {name: rest}}
  - say: paid
"""
}
STEPS = ["flight", "hotel", "deposit", "rest", "ticket", "letter"]
UNDOABLE = ["flight", "hotel", "deposit", "rest"]


def refused(service: Service, graph: str, key: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.run(graph, key)
    return caught.value


@pytest.mark.parametrize("step", STEPS)
def test_a_trip_that_fails_at_any_step_is_undone_in_reverse(service: Service, step: str) -> None:
    behaviour = {step: {"fail": "terminal"}}
    service.control(act=behaviour, work=behaviour)
    error = refused(service, "back_trip", step)
    assert error.status == 402 and error.metadata["state"] == "failed"
    done = STEPS[: STEPS.index(step)]
    assert service.names("act", "work") == done
    expected = [name for name in reversed(done) if name in UNDOABLE]
    assert service.names("undo_act") == expected and service.nothing_twice()
    keys = [line["key"] for line in service.effects()]
    assert len(set(keys)) == len(keys)
    run = service.status("back_trip", step)["run"]
    assert (run["state"], run["compensation"]) == ("failed", "done" if expected else "none")
    assert [entry["tool"] for entry in run["undone"]] == ["undo_act"] * len(expected)
    for place in run["undone"]:
        assert f"{place['node']} (undo_act)" in error.message


def test_a_trip_that_succeeds_undoes_nothing(service: Service) -> None:
    assert service.run("back_trip", "well") == "fine"
    assert service.names() == STEPS and service.nothing_twice()


def test_what_branches_did_is_undone_in_the_reverse_of_when_it_happened(service: Service) -> None:
    for key in ("1", "2"):
        service.forget()
        service.control(work={"bad": {"fail": "terminal"}})
        refused(service, "back_wide", key)
        assert len(service.names("act")) == 7
        assert service.names("undo_act") == service.names("act")[::-1]
        assert service.nothing_twice()


def test_a_nodes_own_compensation_sees_result_and_error(service: Service) -> None:
    service.control(work={"bad": {"fail": "error"}})
    refused(service, "back_node", "1")
    assert service.names("undo_try") == ["did own for tool"]


def test_what_was_only_attempted_is_undone_where_the_graph_says_so(service: Service) -> None:
    service.control(act={"tried": {"fail": "error"}})
    error = refused(service, "back_attempted", "1")
    assert service.names() == ["sure", "tried", "sure"]
    assert [line["tool"] for line in service.effects()] == ["act", "undo_try", "undo_act"]
    assert error.message == (
        "maybe failed after 1 try: RuntimeError: act is broken. Undone: tried (undo_try), sure (undo_act)"
    )


def test_an_undo_that_fails_for_good_is_reported_and_the_others_go_on(service: Service) -> None:
    service.control(work={"bad": {"fail": "terminal"}}, undo_act={"n2": {"fail": "terminal"}, "n4": {"fail": "error"}})
    error = refused(service, "back_long", "fails")
    assert service.names("undo_act") == ["n5", "n3", "n1", "n0"]
    run = service.status("back_long", "fails")["run"]
    assert (run["state"], run["compensation"]) == ("failed", "failed")
    assert [entry["node"] for entry in run["undone"]] == ["n5", "n3", "n1", "n0"]
    assert [entry["node"] for entry in run["not_undone"]] == ["n4", "n2"]
    keys = {entry["node"]: entry["key"] for entry in run["not_undone"]}
    assert keys["n2"] == next(line["key"] for line in service.effects("act") if line["name"] == "n2")
    assert f"NOT undone: n4 (undo_act, key {keys['n4']}): undo_act failed after 2 tries: RuntimeError" in error.message
    assert f"n2 (undo_act, key {keys['n2']}): undo_act refuses" in error.message


def test_a_caught_failure_beside_others_is_undone_before_its_replacement_counts(service: Service) -> None:
    service.control(act={"fail": "error"}, work={"beside": {"delay": 0.3}})
    assert service.run("back_caught", "1") == "instead"
    assert sorted(service.names("undo_try")) == ["caught", "p"]
    assert service.names()[-1] == "last"
    run = service.status("back_caught", "1")["run"]
    assert (run["state"], run["compensation"]) == ("succeeded", "done")
    service.forget()
    service.control(act={"fail": "error"}, work={"last": {"fail": "terminal"}})
    refused(service, "back_caught", "2")
    assert sorted(service.names("undo_try")) == ["caught", "p"]  # once, also when the run fails later


def test_of_a_caught_failure_with_an_unknown_outcome_the_run_says_so(service: Service) -> None:
    service.control(act={"delay": 1})
    assert service.run("back_unknown", "1") == "instead"
    run = service.status("back_unknown", "1")["run"]
    assert (run["state"], run["compensation"]) == ("succeeded", "failed")
    assert sorted(entry["node"] for entry in run["not_undone"]) == ["branches.p", "unknown"]
    assert {entry["error"] for entry in run["not_undone"]} == {"whether it took effect is not known"}


def test_what_could_not_be_undone_of_a_loser_is_told_however_the_run_ends(service: Service) -> None:
    behaviour: dict[str, Any] = {
        "look": {"delay": 0.6},
        "act": {"two": {"delay": 1}},
        "undo_act": {"one": {"fail": "terminal"}},
    }
    service.control(**behaviour)
    service.run("back_loser", "1")
    run = service.status("back_loser", "1")["run"]
    assert (run["state"], run["compensation"]) == ("succeeded", "failed")
    assert [entry["node"] for entry in run["not_undone"]] == ["race.slow.one"]
    assert [entry["node"] for entry in run["undone"]] == ["race.slow.two"]
    service.control(**behaviour, work={"last": {"fail": "terminal"}})
    error = refused(service, "back_loser", "2")
    assert "Undone: race.slow.two (undo_act). NOT undone: race.slow.one (undo_act, key " in error.message


def test_the_time_limit_of_a_run_undoes_what_it_did(service: Service) -> None:
    patient = service.engine.inactivity == "60s"  # at 0 what is in flight hears of nothing
    service.control(look={"delay": 30 if patient else 3})
    began = time.monotonic()
    error = refused(service, "back_time", "1")
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (504, "limit", "")
    assert error.message == "the run took longer than 1s (limits.time). Undone: done (undo_act)"
    assert not patient or time.monotonic() - began < 15


def test_kills_in_the_middle_of_undoing_repeat_nothing_that_was_recorded(service: Service) -> None:
    service.control(work={"bad": {"fail": "terminal"}}, undo_act={"delay": 0.2})
    run = service.send("back_long", "kills")
    for kill in range(1, 4):
        under_way = lambda: len(service.names("undo_act", event="begin")) >= 2 * kill  # noqa: B023, E731
        until(under_way, 20, "another undo")
        time.sleep(random.random() * 0.15)
        service.restart()
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert caught.value.metadata["not_undone"] == "[]"
    undone = service.effects("undo_act", event="begin")
    first: dict[str, str] = {}
    for line in undone:
        assert first.setdefault(line["name"], line["key"]) == line["key"]
    assert list(first) == ["n5", "n4", "n3", "n2", "n1", "n0"]
    assert 6 < len(undone) <= 6 + 3  # at most the one that was under way at each kill
    assert service.names("act") == ["n0", "n1", "n2", "n3", "n4", "n5"]
    assert sum(times - 1 for times in service.steps().values()) <= 3


def test_a_cancel_undoes_and_further_cancels_do_not_disturb_it(service: Service) -> None:
    service.control(work={"bad": {"delay": 1.0}}, undo_act={"delay": 0.2})
    run = service.send("back_long", "cancel")
    until(lambda: "bad" in service.names(event="begin"), 20, "the last step")
    service.cancel(run)
    until(lambda: service.names("undo_act"), 20, "the first undo")
    service.cancel(run)
    time.sleep(0.3)
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    error = caught.value
    assert (error.status, error.metadata["kind"], error.metadata["state"]) == (499, "cancelled", "cancelled")
    assert service.names("undo_act") == ["n5", "n4", "n3", "n2", "n1", "n0"] and service.nothing_twice()
    run_state = service.status("back_long", "cancel")["run"]
    assert (run_state["state"], run_state["compensation"]) == ("cancelled", "done")
