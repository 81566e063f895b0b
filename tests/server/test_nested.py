"""Kinds of nodes within each other: events, approvals and compensations in loops, branches and items."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

OWN = """\
  sleepy: {python: "tools.desk:nap", compensate: {tool: undo_try, with: {name: "{{ args.name }}"}}}
"""
GRAPHS = [
    graph(
        "ne_events",
        """
input: {names: [string], end: {type: string, default: well}}
nodes:
  before: {tool: act, with: {name: before}}
  both:
    needs: [before]
    parallel:
      one: {event: ping, returns: integer}
      two: {steps: {work: {tool: look, with: {name: w}}, got: {event: ping, returns: integer}}}
  each:
    needs: [both]
    for_each: input.names
    as: who
    max_parallel: 2
    do: {steps: {got: {event: pong, returns: string}, done: {tool: act, with: {name: "{{ who }} {{ got }}"}}}}
  wrong: {fail: as asked, when: input.end == "fail", needs: [each]}
  held: {approval: "Well?", approvers: [desk], when: input.end == "hold", needs: [wrong]}
output: ["{{ both.one + both.two.got }}", "{{ each | length }}"]
finally:
  last: {event: bye, returns: string, timeout: 20s, on_timeout: continue, on_error: {use: too late}}
  kept: {tool: work, with: {name: "{{ run.state }} {{ last | default('none') }}"}}
""",
    ),
    graph(
        "ne_losers",
        """
nodes:
  race:
    for_each: [1, 2, 3]
    join: any
    do:
      nodes:
        got: {event: ping, returns: integer, when: item < 3}
        wait: {wait: 1h, when: item < 3, needs: [got]}
        sign: {approval: Well?, approvers: [desk], when: item == 3}
      output: "{{ item }}"
  rest: {event: ping, returns: integer, needs: [race]}
  more: {event: ping, returns: integer, needs: [rest]}
output: ["{{ race.winner }}", "{{ rest }}", "{{ more }}"]
""",
    ),
    graph(
        "ne_deep",
        """
input: {names: [string]}
nodes:
  first: {tool: act, with: {name: first}}
  each:
    needs: [first]
    for_each: input.names
    as: who
    do:
      parallel:
        work:
          loop:
            done: {tool: act, with: {name: "{{ who }} {{ index }}"}}
            sign: {approval: "{{ who }} {{ index }}?", approvers: [desk], on_reject: continue, needs: [done]}
          until: sign.approved
          max: 3
        beside: {steps: {a: {tool: act, with: {name: "{{ who }} beside"}}, b: {tool: look, with: {name: "{{ who }}"}}}}
  last: {tool: act, with: {name: last}, needs: [each]}
""",
    ),
    graph(
        "ne_tried",
        """
input: {how: string}
nodes:
  case:
    switch: input.how
    cases:
      in_line:
        timeout: 700ms
        nodes: {it: {event: ping, compensate: &tried {tool: undo_try, on: attempted, with: {name: it}}}}
      beside:
        timeout: 700ms
        nodes: {it: {event: ping, compensate: *tried}, other: {event: ping}}
      collected:
        parallel: {it: {event: ping, timeout: 100ms, on_timeout: fail, compensate: *tried}, other: {value: 1}}
        on_failure: collect
      all:
        parallel: {it: {event: ping, timeout: 100ms, on_timeout: fail, compensate: *tried}, other: {value: 1}}
      lost:
        parallel: {it: {event: ping, compensate: *tried}, other: {tool: work, with: {name: other}}}
        join: any
      group:
        timeout: 700ms
        nodes: {it: {nodes: {a: {event: ping}, b: {event: ping}}, compensate: *tried}, other: {event: ping}}
      caught:
        parallel:
          it: {event: ping, timeout: 100ms, on_timeout: fail, on_error: continue, compensate: *tried}
          other: {value: 1}
    default: {value: null}
    on_error: continue
""".replace("&tried ", "").replace("*tried", "{tool: undo_try, on: attempted, with: {name: it}}"),
    ),
    graph(
        "ne_undo",
        f"""{OWN}
nodes:
  a: {{tool: act, with: {{name: a}}}}
  nap: {{tool: sleepy, with: {{name: nap, ms: 10}}, needs: [a]}}
  b: {{tool: act, with: {{name: b}}, needs: [nap]}}
  c: {{tool: act, with: {{name: c}}, needs: [b]}}
  hold: {{approval: Well?, approvers: [desk], needs: [c]}}
""",
    ),
]


def put(service: Service, graph: str, key: str, name: str, *data: Any) -> None:
    for one in data:
        service.call(graph, key, "event", {"name": name, "data": one}).checked()


def listen(service: Service, graph: str, key: str, name: str, number: int = 1) -> None:
    """Waits until so many nodes wait for a message, wherever they are."""
    query = (
        f"select value_utf8 from state where service_name = '{graph}.inbox' and service_key = '{key}' "
        f"and key = 'queue:{name}'"
    )

    def found() -> bool:
        rows = service.engine.admin.query(query)
        return bool(rows) and len(json.loads(str(rows[0]["value_utf8"]))["waiting"]) == number

    until(found, 20, f"{number} waiting for {name}")


def gone(service: Service, *keys: str) -> bool:
    """Nothing runs, no gate is open, and no queue is left."""

    def left() -> list[Any]:
        rows = service.engine.admin.query("select service_name, service_key from state")
        kept = [row for row in rows if str(row["service_name"]).endswith(".inbox") and row["service_key"] in keys]
        return [*service.unfinished(), *kept, *(gate for name in service.modules for gate in service.gates(name))]

    until(lambda: not left(), 20, "the end of all")
    return True


def refused(service: Service, run: str) -> Refused:
    with pytest.raises(Refused) as caught:
        service.attach(run)
    return caught.value


def reached(service: Service, key: str, end: str) -> str:
    """A run that has had all its events, but the last."""
    run = service.send("ne_events", key, {"names": ["x", "y", "z"], "end": end})
    listen(service, "ne_events", key, "ping", 2)
    service.restart()
    put(service, "ne_events", key, "ping", 1, 2)
    put(service, "ne_events", key, "pong", "a", "b", "c")
    return run


def test_branches_items_and_what_follows_take_a_message_each(service: Service) -> None:
    run = reached(service, "well", "well")
    listen(service, "ne_events", "well", "bye")
    service.restart()
    put(service, "ne_events", "well", "bye", "so long")
    assert service.attach(run) == [3, 3]
    done = service.names("act")
    assert done[0] == "before" and sorted(name[0] for name in done[1:]) == ["x", "y", "z"]
    assert sorted(name[2] for name in done[1:]) == ["a", "b", "c"]
    assert service.names("work") == ["succeeded so long"] and gone(service, "well")


def test_what_follows_a_failure_still_hears(service: Service) -> None:
    run = reached(service, "fail", "fail")
    listen(service, "ne_events", "fail", "bye")
    assert len(service.names("undo_act")) == 4
    put(service, "ne_events", "fail", "bye", "sorry")
    assert refused(service, run).message.startswith("as asked")
    assert service.names("work") == ["failed sorry"] and gone(service, "fail")


def test_what_follows_a_cancel_hears_only_what_is_there(service: Service) -> None:
    run = reached(service, "cancel", "hold")
    service.gate("ne_events", "cancel/held")
    service.cancel(run)
    assert refused(service, run).status == 499
    until(lambda: service.names("work") == ["cancelled too late"], 20, "what follows")
    assert gone(service, "cancel")


def test_losing_items_eat_no_message(service: Service) -> None:
    run = service.send("ne_losers", "l")
    listen(service, "ne_losers", "l", "ping", 2)
    put(service, "ne_losers", "l", "ping", 1)
    listen(service, "ne_losers", "l", "ping", 1)
    service.gate("ne_losers", "l/race[3].sign")
    service.restart()
    service.decide("ne_losers", "l/race[3].sign", "approve").checked()
    listen(service, "ne_losers", "l", "ping", 1)
    assert until(lambda: service.nodes("ne_losers", "l").get("rest") == "succeeded", 20, "the first message")
    put(service, "ne_losers", "l", "ping", 2)
    assert service.attach(run) == [3, 1, 2]
    assert gone(service, "l")


# ---------------------------------------------------------------- rounds with approvals in branches of items


def begun(service: Service, key: str) -> str:
    """Both items are at their second round."""
    run = service.send("ne_deep", key, {"names": ["x", "y"]})
    for item in (1, 2):
        service.gate("ne_deep", f"{key}/each[{item}].work[1].sign")
    service.restart()
    for item in (2, 1):
        service.decide("ne_deep", f"{key}/each[{item}].work[1].sign", "reject").checked()
        service.gate("ne_deep", f"{key}/each[{item}].work[2].sign")
    until(lambda: len(service.names("look")) == 2, 20, "the branches beside")
    return run


def once(service: Service, tool: str) -> list[str]:
    """What was done, in order; what was under way when the service was killed may have been done again."""
    return list(dict.fromkeys(service.names(tool)))


def test_rounds_go_on_over_kills_until_they_are_approved(service: Service) -> None:
    run = begun(service, "deep")
    for item in (1, 2):
        service.decide("ne_deep", f"deep/each[{item}].work[2].sign", "approve").checked()
        service.restart()
    service.attach(run)
    done = ["x 1", "x 2", "x beside", "y 1", "y 2", "y beside"]
    assert sorted(once(service, "act")[1:-1]) == done and service.names("undo_act") == []
    assert gone(service, "deep")


def cancel(service: Service, run: str) -> None:
    service.cancel(run)


def reject(service: Service, run: str) -> None:
    """Thrice, of the second item: `max` fails it."""
    for index in (2, 3):
        service.gate("ne_deep", f"end/each[2].work[{index}].sign")
        service.decide("ne_deep", f"end/each[2].work[{index}].sign", "reject").checked()


@pytest.mark.parametrize("end", [cancel, reject])
def test_what_happened_is_undone_in_reverse(service: Service, end: Callable[[Service, str], None]) -> None:
    run = begun(service, f"end{'' if end is reject else ' cancel'}")
    service.control(undo_act={"delay": 0.1})
    end(service, run)
    until(lambda: len(service.names("undo_act", event="begin")) >= 2, 20, "undoing")
    service.restart()
    error = refused(service, run)
    assert error.metadata["kind"] == ("limit" if end is reject else "cancelled")
    done = once(service, "act")
    assert once(service, "undo_act") == done[::-1]
    assert len(json.loads(error.metadata["undone"])) == len(done)
    until(lambda: not service.unfinished(), 20, "the end of all")
    assert service.gates("ne_deep") == []


# ---------------------------------------------------------------- compensations that fail


def test_an_undo_that_fails_is_told_and_the_others_go_on_over_a_kill(service: Service) -> None:
    other = service.send("ne_undo", "u/more")
    service.gate("ne_undo", "u/more/hold")
    run = service.send("ne_undo", "u")
    service.gate("ne_undo", "u/hold")
    for key in ("u", "u/more"):
        assert [waits["id"] for waits in service.status("ne_undo", key)["waiting"]] == [f"ne_undo/{key}/hold"]
    service.decide("ne_undo", "u/more/hold", "approve").checked()
    service.attach(other)
    service.control(undo_act={"b": {"fail": "error"}, "c": {"delay": 1.5}}, undo_try={"fail": "terminal"})
    service.decide("ne_undo", "u/hold", "reject").checked()
    until(lambda: "c" in service.names("undo_act", event="begin"), 20, "undoing")
    assert service.state("ne_undo", "u") == "compensating"
    service.restart()
    error = refused(service, run)
    assert (error.status, error.metadata["state"]) == (422, "rejected")
    undone = [entry["node"] for entry in json.loads(error.metadata["undone"])]
    left = {entry["node"]: entry["error"] for entry in json.loads(error.metadata["not_undone"])}
    assert undone == ["c", "a"] and list(left) == ["b", "nap"]
    assert "undo_act failed after 2 tries" in left["b"] and "undo_try refuses" in left["nap"]
    about = service.status("ne_undo", "u")["run"]
    assert (about["state"], about["compensation"]) == ("rejected", "failed")
    assert [entry["key"].partition(":")[2] for entry in about["not_undone"]] == ["b", "nap"]
    assert len({line["key"] for line in service.effects("undo_act", event="begin") if line["name"] == "c"}) == 1
    until(lambda: not service.unfinished(), 20, "the end of all")


@pytest.mark.parametrize("how", ["in_line", "beside", "collected", "all", "lost", "group", "caught"])
def test_what_was_only_attempted_is_undone_wherever_it_stood(service: Service, how: str) -> None:
    service.run("ne_tried", how, {"how": how})
    assert service.names("undo_try") == ["it"]
    assert gone(service, how)
