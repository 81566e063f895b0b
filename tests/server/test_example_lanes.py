"""Every example, over whatever happens to it: random delays, the death of the service anywhere, a cancel anywhere.

What comes out is the same, every effect is there once by its key, and nothing is left hanging. Of the deaths and the
cancels, which can be at every entry of every journal, a sample is tried, or with `--all-points` all.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from harness import PROJECT, Service

from agentflow.admin import text
from agentflow.client import Refused

UNDONE_BY = {  # by graph, which tool undoes which
    "claim": {"pay": "refund"},
    "trip": {"book_flight": "cancel_flight", "book_hotel": "cancel_hotel", "charge": "repay"},
    "research": {"reserve": "release"},
    "support": {"credit": "take_back"},
    "refund_desk": {"pay": "take_back"},
    "order": {"reserve": "release"},
}


@dataclass(frozen=True)
class Scene:
    """One run of an example, and what must come of it."""

    graph: str
    given: Mapping[str, Any]
    output: Any  # of an object what it says of these fields; of an error, how its message begins
    effects: tuple[str, ...] = ()  # each once by its key, in any order, where nothing is cancelled
    people: Mapping[str, str] = field(default_factory=dict)  # what is decided at a gate, by how its path begins
    sent: Mapping[str, Any] | None = None  # a message
    keyed: bool = True
    handler: str = "run"
    kept: Mapping[str, Any] = field(default_factory=dict)  # of an object's state
    racing: tuple[str, ...] = ()  # effects of losers, which may or may not have come about


CLAIM = {"claim_id": "7", "holder": "Ada", "amount": 5000, "text": "broken arm"}
SCENES = {
    "paid": Scene("claim", CLAIM, {"receipt": "p-7"}, ("pay",), {"sign_off": "approve"}),
    "refused": Scene("claim", CLAIM, {"receipt": None}, (), {"sign_off": "reject"}),
    "refunded": Scene("claim", {**CLAIM, "holder": "Nemo", "amount": 200}, "answers with error 400", ("pay", "refund")),
    "weather": Scene("weather", {"message": "How is it in Oslo?"}, "It is 4 degrees", keyed=False),
    "support": Scene("support", {"message": "I was charged twice for order 7."}, "You were charged twice", ("credit",)),
    "booked": Scene(
        "trip",
        {"traveller": "Ada", "to": "Paris", "nights": 3},
        {"tickets": "tickets-Paris"},
        ("book_flight", "book_hotel", "charge", "issue_tickets"),
    ),
    "not_booked": Scene(
        "trip",
        {"traveller": "Ada", "to": "Lima", "nights": 3},
        "no tickets to Lima",
        ("book_flight", "book_hotel", "charge", "repay", "cancel_hotel", "cancel_flight"),
    ),
    "digest": Scene(
        "digest", {"topic": "energy", "hold": "300ms"}, {"subject": "Energy: wind at a new high"}, ("send",)
    ),
    "checks": Scene("checks", {"customer": "Ada"}, {"declared": True, "asked": True}),
    "remote": Scene(
        "claim_remote", {"claim_id": "17", "amount": 200, "text": "a broken arm"}, {"receipt": "p-17"}, ("pay",)
    ),
    "written": Scene(
        "writer_critic", {"topic": "rivers"}, {"printed": True, "rounds": 2}, (), {"improve[2].editor": "approve"}
    ),
    "refund": Scene(
        "refund_desk", {"order": "17", "amount": 25, "reason": "it broke"}, {"paid": True}, ("pay",), {"": "approve"}
    ),
    "no_refund": Scene(
        "refund_desk", {"order": "13", "amount": 25, "reason": "it broke"}, {"paid": False}, (), {"": "reject"}
    ),
    "shipped": Scene(
        "order",
        {"item": "lamp", "amount": 25},
        {"paid_by": "r1"},
        ("reserve", "ship"),
        sent={"name": "payment", "data": {"amount": 25, "reference": "r1"}},
    ),
    "not_shipped": Scene(
        "order",
        {"item": "lamp", "amount": 25},
        "20 EUR are too few",
        ("reserve", "release"),
        sent={"name": "payment", "data": {"amount": 20, "reference": "r1"}},
    ),
    "research": Scene(
        "research",
        {"topic": "tides", "sources": ["almanac", "diary", "atlas"]},
        {"read": 2},
        racing=("reserve", "release"),
    ),
    "suspected": Scene("fraud", {"order": "17", "amount": 25, "reason": "it broke"}, {"suspicious": False}),
    "reviewed": Scene("medical_review", {"text": "a broken arm"}, {"ok": True}, keyed=False),
    "noted": Scene(
        "assistant",
        {"message": "Take a note."},
        "Noted.",
        handler="message",
        kept={"notes": ["The train leaves at nine."]},
    ),
}
NAMES = dict.fromkeys(["fraud", *(scene.graph for scene in SCENES.values())])  # the refund desk calls fraud
GRAPHS = [PROJECT / "graphs" / f"{name}.yaml" for name in NAMES]
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}

each = pytest.mark.parametrize("name", SCENES)


@pytest.fixture(scope="module", autouse=True)
def hurry(stand: Service) -> None:
    """A check takes a moment, so that all points are tried in a reasonable time."""
    for module, before, after in (
        ("checks", "SECONDS = 1.0", "SECONDS = 0.1"),
        ("weather", '"Oslo": 1.0', '"Oslo": 0.1'),
    ):
        file = stand.root / "tools" / f"{module}.py"
        file.write_text(file.read_text().replace(before, after))
    stand.restart()


class Run:
    """A run of a scene, whose people decide as soon as they are asked, and whose service is revived when it dies."""

    def __init__(self, service: Service, scene: Scene, key: str) -> None:
        self.service, self.scene, self.key = service, scene, key
        self.deaths = 0
        self.cancelled = False
        self.pool = ThreadPoolExecutor(4)
        self.deciding: dict[str, Future[Any]] = {}
        if scene.sent is not None:  # before there is a run: it is kept
            self.deciding["sent"] = self.pool.submit(service.call, scene.graph, key, "event", scene.sent)
        self.id = service.send(scene.graph, key if scene.keyed else None, scene.given, scene.handler)

    def finish(self, *, cancel: bool = False) -> Any:
        """What comes of it: the output, or the error as Refused."""
        end = time.monotonic() + 90
        while self.service.engine.invocations(f"id = '{self.id}' and status <> 'completed'"):
            assert time.monotonic() < end, f"it hangs: {self.service.unfinished()}"
            if not self.service.alive():
                self.deaths += 1
                self.service.start()
            if cancel and self.service.held_file.exists():
                self.service.cancel(self.id)
                self.cancelled = True
                time.sleep(0.05)  # so that the engine has written it down
                self.service.held_file.unlink()
            self._decide()
            time.sleep(0.02)
        for decision in self.deciding.values():
            decision.result(30)
        self.pool.shutdown()
        try:
            return self.service.attach(self.id)
        except Refused as refused:
            return refused

    def _decide(self) -> None:
        for gate in self.service.gates(self.scene.graph):
            mine = gate["id"].startswith(f"{self.scene.graph}/{self.key}/")
            if mine and gate["id"] not in self.deciding and not self.cancelled:
                decision = next(does for path, does in self.scene.people.items() if gate["node"].startswith(path))
                at = gate["id"].removeprefix(f"{self.scene.graph}/")
                decided = self.pool.submit(self.service.decide, self.scene.graph, at, decision)
                self.deciding[gate["id"]] = decided

    def settle(self) -> None:
        """Nothing goes on any more."""
        end = time.monotonic() + 30
        while left := self.service.unfinished():
            assert time.monotonic() < end, f"left hanging: {left}"
            time.sleep(0.05)

    @property
    def effects(self) -> Counter[str]:
        """By tool, each once by its key."""
        keyed = {line["key"]: line["tool"] for line in self.service.ledger() if line["key"]}
        return Counter(keyed.values())

    @property
    def kept(self) -> dict[str, Any]:
        """An object's state, which a tool that ran twice would show."""
        rows = self.service.engine.admin.query(
            "select key, value_utf8 from state where starts_with(key, 'state.')"
            f" and service_name = {text(self.scene.graph)} and service_key = {text(self.key)}"
        )
        return {str(row["key"]).removeprefix("state."): json.loads(str(row["value_utf8"])) for row in rows}


def as_ever(run: Run, result: Any) -> None:
    """The run came out as it does when nothing happens to it."""
    scene = run.scene
    if isinstance(scene.output, dict):
        assert isinstance(result, dict), result
        assert {name: result[name] for name in scene.output} == scene.output
    else:
        said = result.message if isinstance(result, Refused) else str(result)
        assert scene.output in said, said
    steady = Counter({tool: times for tool, times in run.effects.items() if tool not in scene.racing})
    assert steady == Counter(scene.effects)
    assert run.effects["release"] <= run.effects["reserve"]
    assert run.kept == scene.kept


@each
def test_random_delays_make_no_difference(service: Service, name: str) -> None:
    for at in range(2):
        run = Run(service, SCENES[name], f"{name}-{at}")
        result = run.finish()
        run.settle()
        as_ever(run, result)
        assert service.nothing_twice()
        service.forget()


def points(request: pytest.FixtureRequest, name: str, number: int) -> Iterator[int]:
    if request.config.getoption("--all-points", default=False):
        yield from range(1, 1000)
    yield from sorted(random.Random(name).sample(range(2, 40), number))


@each
def test_the_death_of_the_service_makes_no_difference(
    service: Service, name: str, request: pytest.FixtureRequest
) -> None:
    for at in points(request, name, 2):
        service.forget()
        service.restart(AGENTFLOW_TEST_DIE_AT=str(at))
        run = Run(service, SCENES[name], f"{name}-die-{at}")
        result = run.finish()
        if not run.deaths:
            service.restart()  # so that it does not die of what is asked now
        run.settle()
        as_ever(run, result)
        assert sum(times - 1 for times in service.steps().values()) <= 4  # what was under way when it died
        if not run.deaths:
            break


@each
def test_a_cancel_anywhere_leaves_nothing_done_and_nothing_hanging(
    service: Service, name: str, request: pytest.FixtureRequest
) -> None:
    for at in points(request, name, 2):
        service.forget()
        service.restart(AGENTFLOW_TEST_HOLD_AT=str(at))
        run = Run(service, SCENES[name], f"{name}-cancel-{at}")
        result = run.finish(cancel=True)
        service.restart()
        run.settle()
        if not run.cancelled:
            break
        if not isinstance(result, Refused) or result.status != 499:
            as_ever(run, result)  # it was as good as over
            continue
        if run.scene.keyed and run.scene.handler == "run":
            assert service.state(run.scene.graph, run.key) == "cancelled"
        left = {entry["tool"] for entry in json.loads(result.metadata.get("not_undone", "[]"))}
        done = run.effects
        for tool, undo in UNDONE_BY.get(run.scene.graph, {}).items():
            assert done[undo] == done[tool] or undo in left, (at, done, result.message)
