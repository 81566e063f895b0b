"""Random graphs run on the engine as a small interpreter of the language says: values, errors, effects, undoing.

Eighty in every run; `pytest tests/server/test_random_graphs.py --many` runs twelve hundred.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness import DESK, Engine, Service, Zygote

from agentflow.client import Refused

PROPERTY = Path(__file__).parents[1] / "property"
sys.path.insert(0, str(PROPERTY))

from corpus import dumped  # noqa: E402 - found by the line above
from interpreter import Ambiguous, Done, Interpreter  # noqa: E402

from graphs import REPLIES, given, made  # noqa: E402

DECISIONS = {"yes": "approve", "no": "reject"}
BATCH = 40  # graphs that one service serves
MANY = {"0s": range(25, 30), "60s": range(25)}  # batches at each inactivity
FEW = {"0s": range(1, 2), "60s": range(1)}


def expected(graph: dict[str, Any], values: dict[str, Any]) -> Done | None:
    try:
        return Interpreter(graph, REPLIES).run(values)
    except Ambiguous:
        return None


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    tools = tmp_path / "lab"
    tools.mkdir()
    shutil.copy(PROPERTY / "lab" / "lab.py", tools)
    return tools


def compare(service: Service, name: str, key: str, graph: dict[str, Any], values: dict[str, Any], done: Done) -> None:
    try:
        output, error = service.run(name, key, values, timeout=120), None
    except Refused as refused:
        output, error = None, refused
    lines = [line for line in service.effects() if line["key"].split(":")[0] == run_of(service, name, key)]
    effects = [line["name"] for line in lines if line["tool"] != "undo"]
    undone = [line["name"] for line in lines if line["tool"] == "undo"]
    if done.failed:
        assert error is not None, f"{output} instead of {done.errors}"
        found = (error.metadata["kind"], error.status, error.metadata["node"])
        assert found in [(one.kind, one.code, one.node) for one in done.errors], (found, error.message, done.errors)
        assert json.loads(error.metadata["not_undone"]) == []
    else:
        assert error is None, f"{error.status} {error.message}" if error else ""
        assert output == done.value
    after = [effect for effect in effects if "finally" in effect]
    state = error.metadata["kind"] if error is not None else "succeeded"
    assert after == ([f"{name}.finally-{state}"] if "finally" in graph else [])
    happened = [effect for effect in effects if effect not in after]
    assert len(set(happened)) == len(happened), "something was done twice"
    assert done.log.must <= set(happened) <= done.log.all
    for first, second in done.log.order:
        if first in happened and second in happened:
            assert happened.index(first) < happened.index(second), (first, second)
    due = {name for name in happened if name in done.log.undoable and (done.failed or name in done.log.back)}
    may_be = {name for name in done.log.tried if done.failed or name in done.log.back}
    assert len(set(undone)) == len(undone), "something was undone twice"
    assert due <= set(undone) <= due | may_be
    for first, second in done.log.order:
        if first in due - done.log.back and second in due - done.log.back:
            assert undone.index(second) < undone.index(first), ("undone in this order", first, second)


def run_of(service: Service, name: str, key: str) -> str:
    return str(service.status(name, key)["run"]["id"])


def test_graphs_do_what_the_interpreter_says(
    engine: Engine, zygote: Zygote, tmp_path: Path, lab: Path, request: pytest.FixtureRequest
) -> None:
    many = request.config.getoption("--many")
    runs_each = 1 if many else 2
    wrong: list[str] = []
    compared = failed = 0
    for batch in (MANY if many else FEW)[engine.inactivity]:
        service = Service(engine, zygote, tmp_path / f"batch{batch}", tools=(DESK, lab))
        runs: list[tuple[str, str, dict[str, Any], dict[str, Any], Done]] = []
        for seed in range(batch * BATCH, (batch + 1) * BATCH):
            name = f"random_{seed}"
            graph = made(seed, name)
            service.add(dumped(graph))
            service.replies(name, dumped({agent: REPLIES[agent] for agent in graph.get("agents", ())}))
            for number in range(runs_each):
                values = given(seed * 3 + number)
                done = expected(graph, values)
                if done is not None:
                    runs.append((name, f"k{number}", graph, values, done))
        service.start().register()
        try:
            with ThreadPoolExecutor(8) as pool, deciding(service):
                for run, problem in zip(runs, pool.map(partial(differs, service), runs), strict=True):
                    if problem:
                        wrong.append(f"{run[0]} {run[1]}: {problem}\n{run[3]}")
            assert service.nothing_twice()
        finally:
            service.kill()
        compared += len(runs)
        failed += sum(done.failed for *_, done in runs)
    assert not wrong, f"{len(wrong)} of {compared}:\n" + "\n".join(wrong[:5])
    assert compared > failed > BATCH / 4
    print(f"{compared} runs, of which {failed} fail")


@contextlib.contextmanager
def deciding(service: Service) -> Iterator[None]:
    """Meanwhile somebody decides each approval as its message says."""
    over = threading.Event()

    def decide() -> None:
        while not over.wait(0.1):
            rows = service.engine.admin.query(
                "select value_utf8 from state where service_name like 'random_%.approvals' and key = 'gate'"
            )
            for gate in (json.loads(str(row["value_utf8"])) for row in rows):
                if gate["state"] == "open" and (word := gate["message"].split()[0]) in DECISIONS:
                    graph, _, place = str(gate["id"]).partition("/")
                    service.decide(graph, place, DECISIONS[word])  # refused where it is too late: a race is over

    person = threading.Thread(target=decide)
    person.start()
    try:
        yield
    finally:
        over.set()
        person.join()


def differs(service: Service, run: Any) -> str:
    try:
        compare(service, *run)
    except AssertionError as problem:
        return str(problem)[:1500]
    return ""
