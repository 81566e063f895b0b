"""A graph's clock starts its runs, each once, over kills of whatever runs, and one chain of ticks alone goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.admin import text
from agentflow.client import Refused, request

NODES = 'nodes:\n  beat: {tool: work, with: {name: "{{ input.name }}"}}\n'
INPUT = "input: {name: string}\n"

GRAPHS = [
    graph("sched_fast", f"schedule: {{every: 1s, input: {{name: fast}}}}\n{INPUT}{NODES}"),
    graph("sched_slow", f"schedule: {{every: 24h, input: {{name: slow}}}}\n{INPUT}{NODES}"),
    graph(
        "sched_cron", f'schedule: {{cron: "0 0 1 1 *", timezone: Europe/Berlin, input: {{name: c}}}}\n{INPUT}{NODES}'
    ),
    graph("sched_service_run", f"kind: service\nschedule: {{every: 1s, input: {{name: service}}}}\n{INPUT}{NODES}"),
]

CLOCKS = ("sched_fast", "sched_service_run", "sched_slow", "sched_cron")


def ask(service: Service, name: str, handler: str) -> dict[str, Any]:
    state: Any = service.call(f"{name}.schedule", "clock", handler, timeout=30).checked()
    assert isinstance(state, dict)
    return state


def state(service: Service, name: str) -> dict[str, Any]:
    rows = service.engine.admin.query(
        f"select value_utf8 from state where service_name = {text(f'{name}.schedule')} and key = 'schedule'"
    )
    found: dict[str, Any] = json.loads(str(rows[0]["value_utf8"])) if rows else {}
    return found


def write(service: Service, name: str, new: dict[str, Any]) -> None:
    """Puts a state in the place of the clock's, as if it had been so all the time."""
    body: Any = {"object_key": "clock", "new_state": {"schedule": list(json.dumps(new).encode())}}
    request("POST", f"{service.engine.admin.url}/services/{name}.schedule/state", body).checked()
    until(lambda: state(service, name) == new, 10, "the state")


def ticks(service: Service, name: str) -> list[dict[str, Any]]:
    """The ticks that wait."""
    where = f"target_service_name = '{name}.schedule' and target_handler_name = 'tick' and status <> 'completed'"
    return service.engine.invocations(where)


def keys(service: Service, name: str) -> list[str]:
    """The keys of the graph's runs, by the order of their start."""
    rows = service.engine.invocations(f"target_service_name = {text(name)} and target_handler_name = 'run'")
    rows.sort(key=lambda row: row["created_at"])
    return [row.get("target_service_key") or row["idempotency_key"] for row in rows]


def seconds(keys: list[str]) -> list[int]:
    return [int(datetime.fromisoformat(key).timestamp()) for key in keys]


def now_key(offset: int = 0) -> str:
    return datetime.fromtimestamp(int(time.time()) + offset, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture(autouse=True)
def quiet(service: Service) -> Iterator[None]:
    """Every clock is there, and stands still when a test begins and ends."""
    for name in CLOCKS:
        ask(service, name, "ensure")
        ask(service, name, "pause")
    yield
    for name in CLOCKS:
        ask(service, name, "pause")
    until(lambda: not any(ticks(service, name) for name in CLOCKS), 20, "the end of all ticks")


@pytest.mark.parametrize("name", ["sched_fast", "sched_service_run"])
def test_every_second_has_its_run_once(service: Service, name: str) -> None:
    ask(service, name, "resume")
    until(lambda: len(keys(service, name)) >= 4, 60, "four runs")
    ask(service, name, "pause")
    found = keys(service, name)
    assert len(set(found)) == len(found)
    assert seconds(found) == sorted(seconds(found))
    until(lambda: len(service.names("work")) >= len(found), 30, "their ends")
    time.sleep(1.5)
    assert keys(service, name) == found, "nothing fires while it is paused"
    assert len(service.names("work")) == len(found)


def test_however_often_it_is_ensured_one_tick_waits(service: Service) -> None:
    for _ in range(5):
        ask(service, "sched_slow", "ensure")
    ask(service, "sched_slow", "resume")
    for _ in range(5):
        ask(service, "sched_slow", "ensure")
    assert len(until(lambda: ticks(service, "sched_slow"), 10, "the tick")) == 1
    told = state(service, "sched_slow")
    assert ticks(service, "sched_slow")[0]["id"] == told["tick"]
    assert told["next"].endswith("T00:00:00Z") and told["generation"] >= 11
    ask(service, "sched_slow", "pause")
    until(lambda: not ticks(service, "sched_slow"), 10, "no tick")
    assert state(service, "sched_slow")["next"] is None


def test_of_several_firings_that_were_missed_the_latest_is_made_up_for(service: Service) -> None:
    told = ask(service, "sched_slow", "resume")
    before = keys(service, "sched_slow")
    write(service, "sched_slow", {**told, "seen": told["seen"] - 10 * 86_400_000})
    after = ask(service, "sched_slow", "ensure")
    today = now_key()[:10] + "T00:00:00Z"
    assert after["last"] == today
    until(lambda: keys(service, "sched_slow") == [*before, today], 20, "the run")
    ask(service, "sched_slow", "ensure")
    assert keys(service, "sched_slow") == [*before, today]


def test_a_chain_of_ticks_that_was_left_behind_ends(service: Service) -> None:
    ask(service, "sched_fast", "resume")
    while state(service, "sched_fast")["generation"] < 100_000:
        told = state(service, "sched_fast")
        write(service, "sched_fast", {**told, "generation": 100_000, "tick": None})
        time.sleep(0.1)
    until(lambda: not ticks(service, "sched_fast"), 20, "the end of the chain")
    before = keys(service, "sched_fast")
    time.sleep(1.5)
    assert keys(service, "sched_fast") == before
    ask(service, "sched_fast", "ensure")
    until(lambda: len(keys(service, "sched_fast")) >= len(before) + 3, 30, "the chain that was begun anew")
    found = keys(service, "sched_fast")
    assert len(set(found)) == len(found)


def test_cron_waits_for_its_time(service: Service) -> None:
    told = ask(service, "sched_cron", "resume")
    year = datetime.now(UTC).year
    assert told["next"] in (f"{year}-12-31T23:00:00Z", f"{year + 1}-12-31T23:00:00Z")
    (tick,) = until(lambda: ticks(service, "sched_cron"), 10, "the tick")
    assert tick["status"] == "scheduled"


def test_a_trigger_starts_one_run_also_while_paused(service: Service) -> None:
    ask(service, "sched_cron", "pause")
    first, second = (ask(service, "sched_cron", "trigger")["last"] for _ in range(2))
    assert first != second and not ticks(service, "sched_cron")
    assert service.result("sched_cron", first) == service.result("sched_cron", second) == "did c"
    ask(service, "sched_cron", "resume")
    third = ask(service, "sched_cron", "trigger")["last"]
    assert service.result("sched_cron", third) == "did c"
    assert len(ticks(service, "sched_cron")) == 1


def test_kills_of_service_and_engine_lose_no_tick_and_double_none(service: Service) -> None:
    ask(service, "sched_fast", "resume")
    begun = len(keys(service, "sched_fast"))
    for number in range(6):
        time.sleep(0.35 + 0.21 * number)
        service.restart()
    service.engine.stop()
    service.engine.start()

    def enough() -> bool:
        try:
            return len(keys(service, "sched_fast")) >= begun + 6
        except Refused:  # the engine's tables are not all there yet
            return False

    until(enough, 60, "runs after it all")
    ask(service, "sched_fast", "pause")
    until(lambda: not service.unfinished(), 30, "the end of all runs")
    found = keys(service, "sched_fast")
    assert len(set(found)) == len(found)
    done = service.effects("work")
    assert len({line["key"] for line in done}) == len(found) - begun
    assert seconds(found) == sorted(seconds(found))
