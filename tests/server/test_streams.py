"""The events of a run: all of them, in order, each once, for whoever follows the run and for who comes late."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

QUIET = """
input: {fail: {type: boolean, default: false}}
nodes:
  first: {tool: act, with: {name: first}}
  both:
    parallel:
      left: {steps: {a: {tool: act, with: {name: a}}, b: {tool: act, with: {name: b}}}}
      right: {tool: act, with: {name: right}}
    needs: [first]
  never: {tool: act, with: {name: never}, when: false, needs: [both]}
  bad: {fail: as asked, when: input.fail, needs: [both]}
  caught:
    nodes:
      broken: {fail: it is broken}
      beside: {value: 1}
    timeout: 1m
    on_error: continue
    needs: [bad]
"""
TELLING = """
input: {fail: {type: boolean, default: false}}
nodes:
  begun: {emit: progress, data: {done: 0}}
  both:
    parallel:
      left:
        steps:
          a: {tool: act, with: {name: a}}
          half: {emit: progress, data: {done: 1, by: "{{ a.id }}"}}
          b: {tool: act, with: {name: b}}
          whole: {emit: side, data: "{{ b.id }}"}
      right:
        steps:
          c: {tool: act, with: {name: c}}
          told: {emit: side, data: "{{ c.id }}"}
    needs: [begun]
  bad: {fail: as asked, when: input.fail, needs: [both]}
  last: {emit: progress, data: {done: 2}, needs: [bad]}
output: "{{ last.done }}"
"""
LISTS = """
input: {items: [string]}
nodes:
  each:
    for_each: input.items
    max_parallel: 3
    do:
      steps:
        did: {tool: act, with: {name: "{{ item }}"}}
        told: {emit: done, data: {at: "{{ index }}", id: "{{ did.id }}"}}
  rounds:
    loop:
      counted: {value: "{{ (previous | default(0)) + 1 }}"}
      told: {emit: round, data: "{{ counted }}"}
    output: "{{ counted }}"
    until: counted >= 3
    max: 5
    every: 300ms
    needs: [each]
output: "{{ rounds }}"
"""
GRAPHS = [
    graph("listing", LISTS),
    graph("listing_quietly", LISTS.replace("{emit: done, data:", "{value:").replace("{emit: round, data:", "{value:")),
    graph("quiet", QUIET),
    graph("telling", TELLING),
    graph("telling_service", f"kind: service{TELLING}"),
    graph(
        "race",
        """
nodes:
  one_of:
    parallel:
      quick: {steps: {q: {tool: work, with: {name: quick}}, done: {emit: won, data: quick}}}
      slow:
        steps:
          early: {emit: early, data: slow}
          s: {tool: act, with: {name: slow}}
          done: {emit: won, data: slow}
    join: any
output: "{{ one_of.winner }}"
""",
    ),
    graph(
        "questions",
        "nodes:\n  gate: {approval: Really?, approvers: [ann]}\n  after: {emit: said, data: '{{ gate.by }}'}",
    ),
    graph(
        "questions_quietly", "nodes:\n  gate: {approval: Really?, approvers: [ann]}\n  after: {value: '{{ gate.by }}'}"
    ),
    graph(
        "many",
        "input: {text: string}\nnodes:\n"
        + "".join(
            f"  n{at}: {{emit: count, data: [{at}, '{{{{ input.text }}}}'], needs: {[f'n{at - 1}'] if at else []}}}\n"
            for at in range(350)
        )
        + "output: {ok: true}",
    ),
]


def asked(service: Service, name: str, key: str, start: int = 0, wait: str | None = None) -> dict[str, Any]:
    body = {"from": start, **({} if wait is None else {"wait": wait})}
    answer: Any = service.call(name, key, "events", body, timeout=90).checked()
    return dict(answer)


def follow(service: Service, name: str, key: str, start: int = 0) -> Iterator[dict[str, Any]]:
    """As a client does: from where it was, until the run has ended, through whatever breaks on the way."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            told = asked(service, name, key, start, "5s")
        except (Refused, OSError):  # it has not begun, or the service is being started again
            time.sleep(0.1)
            continue
        yield from told["events"]
        assert told["next"] == start + len(told["events"])
        start = told["next"]
        if told["ended"]:
            return
    raise AssertionError("it did not end")


def whole(service: Service, name: str, key: str) -> list[dict[str, Any]]:
    return sound(list(follow(service, name, key)))


def sound(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbered without gaps; the run begins and ends once; a node begins, then ends, and nothing twice."""
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "run" and events[0]["state"] == "running"
    assert events[-1]["type"] == "run" and events[-1]["state"] in ("succeeded", "failed", "rejected", "cancelled")
    steady = [event for event in events if event.get("state") not in ("waiting", "running")]  # a loop waits often
    told = Counter((event.get("node"), event.get("state"), event.get("topic")) for event in steady)
    assert set(told.values()) == {1}, told
    begun: set[str] = set()
    over: set[str] = set()
    for event in events:
        assert "at" in event
        if event["type"] == "emit":
            assert event["node"] in begun and event["node"] not in over
        if event["type"] == "node":
            assert event["node"] not in over, event
            if event["state"] in ("succeeded", "failed", "cancelled", "skipped"):
                assert event["node"] in begun or event["state"] == "skipped"
                over.add(event["node"])
            begun.add(event["node"])
            group = event["node"].rpartition(".")[0]
            if group not in begun:
                group = group.partition("[")[0]  # a round of a loop is no node
            assert not group or (group in begun and group not in over), f"{event} outside {group}"
    assert begun == over
    return events


def states(events: list[dict[str, Any]]) -> list[str]:
    return [event["state"] for event in events if "state" in event]


def told(events: list[dict[str, Any]], of: str) -> list[str]:
    """How a node was, in order."""
    return [event["state"] for event in events if event["type"] == "node" and event["node"] == of]


def emitted(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(event["topic"], event["data"]) for event in events if event["type"] == "emit"]


def test_a_run_tells_its_progress_without_any_emit(service: Service) -> None:
    service.run("quiet", "a")
    events = whole(service, "quiet", "a")
    assert told(events, "both.left.b") == ["running", "succeeded"]
    assert told(events, "never") == ["skipped"]
    assert told(events, "caught.broken") == ["running", "failed"]
    assert told(events, "caught") == ["running", "failed"]
    failed = next(e for e in events if e.get("node") == "caught.broken" and e["state"] == "failed")
    assert failed["error"]["message"] == "it is broken"
    assert [e["state"] for e in events if e["type"] == "run"] == ["running", "succeeded"]


@pytest.mark.parametrize("name", ["quiet", "telling"])
def test_a_run_that_fails_tells_so_and_why(service: Service, name: str) -> None:
    with pytest.raises(Refused, match="as asked"):
        service.run(name, "b", {"fail": True})
    events = whole(service, name, "b")
    assert [e["state"] for e in events if e["type"] == "run"] == ["running", "compensating", "failed"]
    assert events[-1]["error"]["message"] == "as asked" and events[-1]["error"]["node"] == "bad"


def test_what_is_emitted_is_told_in_order_and_keeps_its_type(service: Service) -> None:
    assert service.run("telling", "a") == 2
    events = whole(service, "telling", "a")
    data = emitted(events)
    assert [value for topic, value in data if topic == "progress"] == [{"done": 0}, {"done": 1, "by": "a"}, {"done": 2}]
    assert sorted(value for topic, value in data if topic == "side") == ["b", "c"]
    assert told(events, "both.left") == ["running", "succeeded"]
    topics = service.status("telling", "a")["topics"]
    assert topics["progress"]["data"] == {"done": 2} and topics["progress"]["node"] == "last"


def test_readers_begin_where_they_like(service: Service) -> None:
    for name in ("quiet", "telling"):
        service.run(name, "c")
        events = whole(service, name, "c")
        for start in (1, 5, len(events) - 1):
            assert list(follow(service, name, "c", start)) == events[start:]
        beyond = asked(service, name, "c", len(events) + 3)
        assert beyond == {"events": [], "next": len(events) + 3, "ended": True}


def test_a_reader_is_refused_what_it_cannot_mean(service: Service) -> None:
    service.run("telling", "d")
    for body in ({"from": -1}, {"from": "x"}, {"wait": "long"}, {"wait": 3}, [1], {"form": 1}):
        assert service.call("telling", "d", "events", body).status == 400
        assert service.call("quiet", "d", "events", body).status == 400
    for name in ("telling", "quiet"):
        assert service.call(name, "nobody", "events", {}).status == 404
    assert service.call("telling.stream", "d", "publish", {"run": "x", "events": []}).status in (400, 404)
    assert len(whole(service, "telling", "d")) == len(whole(service, "telling", "d"))


def test_who_waits_hears_of_it_when_it_happens(service: Service) -> None:
    for name in ("quiet", "telling"):
        service.control(act={"b": {"delay": 1.5}})
        run = service.send(name, "w")
        until(lambda name=name: service.status(name, "w"), 20, "the run")
        events = list(follow(service, name, "w"))
        assert sound(events)
        service.attach(run)


def test_an_idle_reader_costs_the_engine_little(service: Service) -> None:
    """Six seconds of waiting for nothing are a handful of looks, and leave no journals."""
    for name in ("questions", "questions_quietly"):
        run = service.send(name, "idle")
        service.gate(name, "idle/gate")
        until(lambda name=name: "waiting" in states(asked(service, name, "idle", 0, "1s")["events"]), 20, "the event")
        start = asked(service, name, "idle")["next"]
        began = time.monotonic()
        before = time.process_time()
        waited = asked(service, name, "idle", start, "6s")
        assert not waited["events"] and not waited["ended"] and waited["next"] == start
        assert time.monotonic() - began > 5 and time.process_time() - before < 1
        assert not service.engine.invocations("target_handler_name in ('events', 'publish') and status = 'completed'")
        service.cancel(run)
        assert whole(service, name, "idle")[-1]["state"] == "cancelled"


def test_the_losers_of_a_race_tell_their_end_once(service: Service) -> None:
    service.control(act={"delay": 3})
    assert service.run("race", "a") == "quick"
    events = whole(service, "race", "a")
    assert told(events, "one_of.slow") == ["running", "cancelled"]
    assert ("early", "slow") in emitted(events) and ("won", "slow") not in emitted(events)


def test_a_run_that_waits_tells_for_what(service: Service) -> None:
    service.send("questions", "a")
    gate = service.gate("questions", "a/gate")
    waiting = until(
        lambda: [e for e in asked(service, "questions", "a", 0, "5s")["events"] if e.get("state") == "waiting"],
        20,
        "it",
    )
    assert waiting[0]["waits"]["id"] == gate["id"] and waiting[0]["node"] == "gate"
    service.decide("questions", "a/gate", "approve", by="ann").checked()
    events = whole(service, "questions", "a")
    assert told(events, "gate") == ["running", "waiting", "succeeded"] and emitted(events) == [("said", "ann")]


def test_a_thousand_events_are_told_whether_small_or_large(service: Service) -> None:
    """Each node tells that it began, what it emits, and that it ended."""
    service.run("many", "small", {"text": "x"}, timeout=120)
    events = whole(service, "many", "small")
    assert len(events) == 2 + 3 * 350
    assert [data[0] for _, data in emitted(events)] == list(range(350))
    assert list(follow(service, "many", "small", 777)) == events[777:]
    service.run("many", "large", {"text": "y" * 4000}, timeout=120)
    events = whole(service, "many", "large")
    assert len(events) == 2 + 3 * 350 and {len(data[1]) for _, data in emitted(events)} == {4000}
    assert service.status("many", "large")["topics"]["count"]["data"][0] == 349


def test_lists_and_loops_tell_their_items_and_rounds(service: Service) -> None:
    items = [f"i{at}" for at in range(1, 130)]  # more than one invocation takes
    for name in ("listing", "listing_quietly"):
        assert service.run(name, "a", {"items": items}, timeout=120) == 3
        events = whole(service, name, "a")
        assert told(events, "each[129].did") == ["running", "succeeded"]
        assert told(events, "rounds[2].told") == ["running", "succeeded"]
        assert told(events, "rounds") == ["running", "waiting", "running", "waiting", "running", "succeeded"]
    events = whole(service, "listing", "a")
    told_of = {data["at"]: data["id"] for topic, data in emitted(events) if topic == "done"}
    assert told_of == dict(enumerate(items, 1))
    assert [data for topic, data in emitted(events) if topic == "round"] == [1, 2, 3]


def test_a_services_run_is_followed_by_its_invocation(service: Service) -> None:
    run = service.send("telling_service", None)
    assert service.attach(run) == 2
    events = whole(service, "telling_service.stream", run)
    assert [data for topic, data in emitted(events) if topic == "progress"][-1] == {"done": 2}


@pytest.mark.parametrize("name", ["quiet", "telling"])
def test_kills_lose_no_event_and_repeat_none(service: Service, name: str) -> None:
    """One who follows from the beginning and one who comes late see the same."""
    for attempt in range(3):
        service.control(act={"delay": 0.4})
        key = f"killed{attempt}"
        run = service.send(name, key)
        followed: list[dict[str, Any]] = []
        reader = threading.Thread(target=lambda key=key, into=followed: into.extend(follow(service, name, key)))
        reader.start()
        for _ in range(2):
            time.sleep(random.uniform(0.1, 0.7))
            service.restart()
        service.attach(run, timeout=90)
        reader.join(90)
        assert not reader.is_alive()
        assert sound(followed) == whole(service, name, key)
        assert set(service.names("act")) >= {"a", "b"}
