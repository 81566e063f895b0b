"""A `wait` is one durable timer: it goes off once, over restarts of service and engine, or is dropped with its node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow import runs
from agentflow.client import Refused

GRAPHS = [
    graph(
        "wait_line",
        """
input: {pause: string}
nodes:
  before: {tool: work, with: {name: before}}
  pause: {wait: "{{ input.pause }}", needs: [before]}
  after: {tool: work, with: {name: after}, needs: [pause]}
output: {ended: "{{ pause }}", after: "{{ after }}"}
""",
    ),
    graph(
        "wait_until",
        """
input: {due: any}
nodes:
  pause: {wait: {until: input.due}}
  after: {tool: work, with: {name: after}, needs: [pause]}
output: "{{ pause }}"
""",
    ),
    graph(
        "wait_beside",
        """
nodes:
  first: {wait: 700ms}
  second: {wait: 300ms}
  third: {tool: work, with: {name: third}}
  joined: {value: ["{{ first }}", "{{ second }}", "{{ third }}"]}
  last: {wait: 200ms, needs: [joined]}
output: {joined: "{{ joined }}", last: "{{ last }}"}
""",
    ),
    graph(
        "wait_race",
        """
nodes:
  race:
    parallel:
      slow: {wait: 30d}
      quick: {tool: work, with: {name: quick}}
      group:
        steps:
          rest: {wait: 30d}
          never: {tool: work, with: {name: never}}
    join: first
output: "{{ race }}"
""",
    ),
    graph(
        "wait_limit",
        """
nodes:
  both:
    nodes:
      patient: {wait: 30d}
      hasty: {wait: 400ms}
      late: {fail: too late, needs: [hasty]}
    output: done
    on_error: {use: caught}
  short: {wait: 30d, timeout: 500ms, on_error: continue, needs: [both]}
output: {both: "{{ both }}", short: "{{ short }}"}
""",
    ),
    graph(
        "wait_service",
        """
kind: service
nodes:
  pause: {wait: 30d}
""",
    ),
    graph(
        "wait_undone",
        """
nodes:
  book: {tool: act, with: {name: book}}
  pause: {wait: 30d, needs: [book]}
""",
    ),
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def waits(service: Service, name: str, key: str) -> dict[str, Any]:
    """What the run's status says of its wait, once it waits."""
    until(lambda: service.state(name, key) == "waiting", 30, "the wait")
    status = service.status(name, key)
    assert [wait["kind"] for wait in status["waiting"]] == ["wait"]
    found: dict[str, Any] = status["waiting"][0]
    return found


def test_a_wait_goes_off_when_its_time_has_come(service: Service) -> None:
    started = datetime.now(UTC)
    service.send("wait_line", "a", {"pause": "2s"})
    told = waits(service, "wait_line", "a")
    assert told["node"] == "pause"
    result = service.result("wait_line", "a")
    assert result["after"] == "did after"
    assert moment(result["ended"]) >= started + timedelta(seconds=2)
    assert result["ended"] == told["until"]
    assert service.names() == ["before", "after"] and service.nothing_twice()
    assert service.nodes("wait_line", "a")["pause"] == "succeeded"


def test_thirty_days_survive_restarts_of_service_and_engine(service: Service) -> None:
    service.send("wait_line", "month", {"pause": "30d"})
    told = waits(service, "wait_line", "month")
    left = moment(told["until"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    service.send("wait_line", "soon", {"pause": "4s"})
    soon = waits(service, "wait_line", "soon")
    service.kill()
    service.engine.stop()
    service.engine.start()
    service.start()
    assert service.result("wait_line", "soon")["ended"] == soon["until"]
    assert waits(service, "wait_line", "month") == told
    service.restart()
    assert waits(service, "wait_line", "month") == told
    (run,) = service.engine.invocations("target_service_name = 'wait_line' and target_service_key = 'month'")
    service.cancel(run["id"])
    until(lambda: service.state("wait_line", "month") == "cancelled", 30, "the cancel")
    assert service.names().count("before") == 2 and service.names().count("after") == 1


def test_a_time_that_passed_while_everything_was_down_is_over_at_once(service: Service) -> None:
    due = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    service.send("wait_until", "down", {"due": due})
    waits(service, "wait_until", "down")
    service.kill()
    service.engine.stop()
    time.sleep(2)
    service.engine.start()
    service.start()
    ended = service.result("wait_until", "down")
    assert abs((moment(ended) - moment(due)).total_seconds()) < 0.01
    assert service.names() == ["after"]


@pytest.mark.parametrize("due", ["2001-01-01T00:00:00Z", "2001-01-01T00:00:00.123456+14:00"])
def test_a_time_in_the_past_is_over_at_once(service: Service, due: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    ended = moment(service.run("wait_until", f"past{due[19]}", {"due": due}))
    assert before < ended < datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("wait_line", {"pause": "30"}, "pause: a duration needs a unit: '30'"),
        ("wait_line", {"pause": "soon"}, "pause: this is not a duration: 'soon'"),
        ("wait_line", {"pause": "9999d"}, "pause: a duration is more than nothing and at most 3650d: '9999d'"),
        ("wait_until", {"due": "tomorrow"}, "pause: this is not a time: 'tomorrow'"),
        ("wait_until", {"due": "2030-01-01T00:00:00"}, "pause: a time needs its offset from UTC: "),
        ("wait_until", {"due": "2030-02-31T00:00:00Z"}, "pause: there is no such time: '2030-02-31T00:00:00Z'"),
        ("wait_until", {"due": "9999-01-01T00:00:00Z"}, "pause: this is more than ten years ahead: "),
        ("wait_until", {"due": 5}, "pause: this is not a time: 5"),
        ("wait_until", {"due": None}, "pause: this is not a time: null"),
    ],
)
def test_what_is_computed_wrong_is_a_terminal_error_that_names_it(
    service: Service, name: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refused) as refused:
        service.run(name, f"wrong{sorted(given.items())}", given)
    assert refused.value.message.startswith(said)
    assert "after" not in service.names()


def test_waits_run_side_by_side_and_the_later_is_the_later(service: Service) -> None:
    for number in range(5):
        service.send("wait_beside", f"b{number}")
    service.restart()
    for number in range(5):
        result = service.result("wait_beside", f"b{number}")
        first, second = (moment(text) for text in result["joined"][:2])
        assert first - second == timedelta(milliseconds=400)
        assert moment(result["last"]) >= first + timedelta(milliseconds=200)


def test_a_wait_that_loses_a_race_is_dropped(service: Service) -> None:
    assert service.run("wait_race", "r", timeout=30) == {"winner": "quick", "value": "did quick"}
    until(lambda: not service.unfinished(), 20, "the losers' end")
    nodes = service.nodes("wait_race", "r")
    assert (nodes["race.slow"], nodes["race.quick"]) == ("cancelled", "succeeded")


def test_a_failure_beside_it_and_a_time_limit_end_a_wait(service: Service) -> None:
    assert service.run("wait_limit", "l", timeout=30) == {"both": "caught", "short": None}
    assert not service.unfinished()


def test_a_cancel_ends_a_wait_and_undoes_what_was_before(service: Service) -> None:
    run = service.send("wait_undone", "u")
    waits(service, "wait_undone", "u")
    service.cancel(run)
    with pytest.raises(Refused) as refused:
        service.attach(run, timeout=30)
    assert refused.value.status == 499
    assert service.names("act", "undo_act") == ["book", "book"]


@pytest.fixture(autouse=True)
def nothing_left(service: Service) -> Iterator[None]:
    yield
    for row in service.unfinished():
        service.cancel(row["id"])
    until(lambda: not service.unfinished(), 30, "the end of what still waits")


def test_a_service_waits_too(service: Service) -> None:
    run = service.send("wait_service", None)

    def told() -> dict[str, Any]:
        return runs.status(service.engine.admin, "wait_service", run) or {}

    until(lambda: told().get("run", {}).get("state") == "waiting", 30, "the wait")
    (waits,) = told()["waiting"]
    assert (waits["node"], waits["kind"]) == ("pause", "wait")
    assert moment(waits["until"]) > datetime.now(UTC) + timedelta(days=29)
    until(lambda: service.engine.invocations(f"id = '{run}' and status in ('running', 'suspended')"), 20, "the run")
    service.restart()
    service.cancel(run)
    with pytest.raises(Refused) as refused:
        service.attach(run, timeout=30)
    assert refused.value.status == 499
