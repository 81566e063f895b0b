"""Messages to a run: none lost, each taken once, in order of arrival; those that must not count are refused."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Answer, Refused

GRAPHS = [
    graph(
        "ev_one",
        """
nodes:
  before: {tool: act, with: {name: before}}
  paid: {event: payment, returns: {amount: number, by: {type: string, default: nobody}}, needs: [before]}
  after: {tool: act, with: {name: "{{ paid.amount }} {{ paid.by }}"}}
output: "{{ after.id }}"
""",
    ),
    graph(
        "ev_three",
        """
nodes:
  one: {event: payment, returns: integer}
  two: {event: payment, returns: integer, needs: [one]}
  three: {event: payment, returns: integer, needs: [two]}
output: ["{{ one }}", "{{ two }}", "{{ three }}"]
""",
    ),
    graph(
        "ev_many",
        """
nodes:
  a: {event: payment, returns: integer}
  b: {event: payment, returns: integer}
  c:
    nodes:
      wait_a_bit: {tool: work, with: {name: w}}
      got: {event: payment, returns: integer, needs: [wait_a_bit]}
    output: "{{ got }}"
  d: {event: payment, returns: integer, needs: [a, b]}
output: ["{{ a }}", "{{ b }}", "{{ c }}", "{{ d }}"]
""",
    ),
    graph(
        "ev_race",
        """
nodes:
  race:
    parallel:
      paid: {event: payment, returns: integer}
      group: {nodes: {wait: {tool: work, with: {name: w}}, got: {event: payment, returns: integer, needs: [wait]}}}
      quick: {tool: work, with: {name: quick}}
    join: any
  rest: {event: payment, returns: integer, needs: [race]}
output: ["{{ race.winner }}", "{{ rest }}"]
""",
    ),
    graph(
        "ev_times",
        """
nodes:
  soft: {event: payment, returns: {n: integer}, timeout: 600ms, on_timeout: continue}
  hard:
    event: payment
    returns: {n: integer}
    timeout: 600ms
    on_timeout: fail
    needs: [soft]
    on_error: {use: {n: 7}}
  last: {event: payment, returns: {n: integer}, timeout: 30s, on_timeout: fail, needs: [hard]}
output: "{{ soft.n if soft else 'none' }} {{ hard.n }} {{ last.n }}"
""",
    ),
    graph(
        "ev_fails",
        """
nodes:
  before: {tool: act, with: {name: before}}
  paid: {event: payment, returns: integer, timeout: 300ms, on_timeout: fail, needs: [before]}
""",
    ),
    graph(
        "ev_limit",
        """
nodes:
  inner:
    timeout: 500ms
    nodes: {paid: {event: payment, returns: integer}, other: {event: other}}
    on_error: continue
  later: {event: payment, returns: integer, needs: [inner]}
""",
    ),
]


def send(service: Service, graph: str, key: str, name: str, data: Any = None) -> Answer:
    answer: Answer = service.call(graph, key, "event", {"name": name, "data": data})
    return answer


def put(service: Service, graph: str, key: str, *data: Any) -> None:
    for one in data:
        send(service, graph, key, "payment", one).checked()


def waits(service: Service, graph: str, key: str, node: str) -> None:
    until(lambda: service.nodes(graph, key).get(node) == "waiting", 20, f"waiting of {node}")


def nothing_left(service: Service, *keys: str) -> bool:
    """No queue, no waiter, no timer is left of runs that have ended."""

    def left() -> list[Any]:
        rows = service.engine.admin.query("select service_name, service_key, key, value_utf8 from state")
        kept = [row for row in rows if str(row["service_name"]).endswith(".inbox") and row["service_key"] in keys]
        return [*service.unfinished(), *kept]

    try:
        until(lambda: not left(), 20, "the end of all")
    except AssertionError:
        raise AssertionError(left()) from None
    return True


def test_a_message_that_comes_while_it_is_waited_for(service: Service) -> None:
    run = service.send("ev_one", "waits")
    waits(service, "ev_one", "waits", "paid")
    assert service.state("ev_one", "waits") == "waiting"
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    answer = send(service, "ev_one", "waits", "payment", {"amount": 5, "by": "ada", "unknown": 1}).checked()
    assert isinstance(answer, dict) and answer["name"] == "payment"
    assert service.attach(run) == "5 ada"
    assert service.names() == ["before", "5 ada"] and service.nothing_twice()
    assert nothing_left(service, "waits")


def test_messages_sent_before_the_run_begins_or_asks_are_kept_in_order(service: Service) -> None:
    put(service, "ev_three", "early", 1, 2)
    service.restart()
    run = service.send("ev_three", "early")
    waits(service, "ev_three", "early", "three")
    put(service, "ev_three", "early", 3)
    assert service.attach(run) == [1, 2, 3]
    assert nothing_left(service, "early")


def test_each_is_taken_once_by_those_that_wait_side_by_side(service: Service) -> None:
    for attempt in range(3):
        key = f"many{attempt}"
        service.control(work={"delay": 0.1 * attempt})
        run = service.send("ev_many", key)
        if attempt == 1:
            waits(service, "ev_many", key, "a")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: put(service, "ev_many", key, n), [1, 2, 3, 4]))  # noqa: B023
        assert sorted(service.attach(run)) == [1, 2, 3, 4]
        assert nothing_left(service, key)


def test_a_loser_of_a_race_eats_none(service: Service) -> None:
    run = service.send("ev_race", "quick")
    waits(service, "ev_race", "quick", "rest")
    put(service, "ev_race", "quick", 1)
    assert service.attach(run) == ["quick", 1]
    service.control(work={"quick": {"delay": 3}, "w": {"delay": 0}})
    run = service.send("ev_race", "paid")
    waits(service, "ev_race", "paid", "race.paid")
    put(service, "ev_race", "paid", 1, 2)
    winner, rest = service.attach(run)
    assert (winner, rest) in (("paid", 2), ("group", 2), ("group", 1)), (winner, rest)
    assert nothing_left(service, "quick", "paid")


def test_a_message_that_comes_as_its_taker_loses_goes_to_the_next(service: Service) -> None:
    """The message and the end of the quick branch race; whoever loses, nothing is lost and nothing comes twice."""
    for attempt in range(8):
        key = f"tie{attempt}"
        service.control(work={"quick": {"delay": 0.2}, "w": {"delay": random.random() * 0.2}})
        run = service.send("ev_race", key)
        waits(service, "ev_race", key, "race.paid")
        time.sleep(max(0.0, 0.16 - 0.01 * attempt))
        put(service, "ev_race", key, 1)
        until(lambda: "rest" in service.nodes("ev_race", key), 20, "the end of the race")  # noqa: B023
        send(service, "ev_race", key, "payment", 2)  # too late where the first one has ended it all
        winner, rest = service.attach(run)
        assert rest == (1 if winner == "quick" else 2), (winner, rest)
        assert nothing_left(service, key)


def test_time_runs_out_as_it_says_also_over_a_restart(service: Service) -> None:
    run = service.send("ev_times", "late")
    waits(service, "ev_times", "late", "soft")
    service.restart()
    waits(service, "ev_times", "late", "last")
    assert service.nodes("ev_times", "late")["hard"] == "failed"
    put(service, "ev_times", "late", {"n": 3})
    assert service.attach(run) == "none 7 3"
    assert nothing_left(service, "late")


def test_a_failure_for_want_of_a_message_undoes_what_was_done(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("ev_fails", "none")
    assert (caught.value.status, caught.value.metadata["kind"]) == (504, "event")
    assert caught.value.message == "paid: nobody sent payment in time. Undone: before (undo_act)"
    assert nothing_left(service, "none")


def test_a_group_that_ran_out_of_time_leaves_the_messages_to_others(service: Service) -> None:
    run = service.send("ev_limit", "limit")
    waits(service, "ev_limit", "limit", "later")
    put(service, "ev_limit", "limit", 4)
    assert service.attach(run)["later"] == 4
    assert nothing_left(service, "limit")


def test_a_cancelled_run_takes_none_and_a_run_that_is_over_refuses_all(service: Service) -> None:
    run = service.send("ev_one", "cancelled")
    waits(service, "ev_one", "cancelled", "paid")
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run)
    assert (caught.value.status, caught.value.metadata["state"]) == (499, "cancelled")
    assert service.names() == ["before", "before"]  # done and undone
    answer = send(service, "ev_one", "cancelled", "payment", {"amount": 1})
    assert (answer.status, answer.refusal().message) == (410, "the run is over")
    assert nothing_left(service, "cancelled")


def test_what_does_not_fit_is_refused_at_the_door(service: Service) -> None:
    for name, data, status, message in (
        ("paiment", {"amount": 1}, 404, "ev_one takes no event 'paiment': did you mean 'payment'?"),
        ("x", {"amount": 1}, 404, "ev_one takes no event 'x': it takes payment"),
        ("payment", {"amount": "1"}, 400, "the data of payment do not fit: at $.amount"),
        ("payment", None, 400, "the data of payment do not fit: at $"),
        (7, None, 400, 'an event is {"name"'),
    ):
        answer = service.call("ev_one", "door", "event", {"name": name, "data": data})
        assert answer.status == status, answer
        assert answer.refusal().message.startswith(message)
    assert service.call("ev_one", "door", "event", [1]).status == 400
    for handler in ("put", "take", "close"):
        assert service.call("ev_one.inbox", "door", handler, {}).status in (400, 403, 404)
    rows = service.engine.admin.query("select key from state where service_name = 'ev_one.inbox'")
    assert not rows


def test_kills_at_awkward_moments_lose_none_and_repeat_none(service: Service) -> None:
    for attempt in range(4):
        key = f"kill{attempt}"
        put(service, "ev_three", key, 1)
        run = service.send("ev_three", key)
        time.sleep(0.05 * attempt)
        service.restart()
        put(service, "ev_three", key, 2)
        time.sleep(0.03 * attempt)
        service.restart()
        put(service, "ev_three", key, 3)
        service.restart()
        assert service.attach(run) == [1, 2, 3]
        assert nothing_left(service, key)
