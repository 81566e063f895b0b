"""The examples of work side by side and in rounds do what they are there to show, also when things break."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness import PROJECT, Service, until

GRAPHS = [PROJECT / "graphs" / f"{name}.yaml" for name in ("checks", "writer_critic", "research")]
REPORT = "The tides of the bay follow the moon, and it is shallow."


# ------------------------------------------------------------ checks


@pytest.mark.at("60s")
def test_three_tools_of_a_second_take_about_a_second_declared_and_asked_for(service: Service) -> None:
    began = time.monotonic()
    assert service.run("checks", "1", {"customer": "Ada"}) == {
        "declared": True,
        "at_once": True,
        "asked": True,
        "reason": "all three are fine",
    }
    assert time.monotonic() - began < 8  # 9 one after the other
    assert len(service.ledger()) == 9 and service.nothing_twice()


def test_a_kill_in_the_middle_of_the_checks_repeats_none_that_finished(service: Service) -> None:
    service.send("checks", "2", {"customer": "Bob"})
    for begun in (3, 6, 9):
        until(lambda: len(service.ledger()) >= begun, 30, "three checks")  # noqa: B023
        time.sleep(0.3)
        service.restart()
    assert service.result("checks", "2") == {
        "declared": False,
        "at_once": False,
        "asked": False,
        "reason": "no credit",
    }
    assert service.nothing_twice()


# ------------------------------------------------------------ writer_critic


def test_the_critic_and_then_the_editor_are_content(service: Service) -> None:
    service.send("writer_critic", "1", {"topic": "rivers"})
    gate = service.gate("writer_critic", "1/improve[2].editor")
    assert gate["message"] == "Print this? Water flows downhill."
    service.restart()
    decided = service.decide("writer_critic", "1/improve[2].editor", "reject", comment="make it warmer", by="editor")
    assert decided.status == 200
    gate = service.gate("writer_critic", "1/improve[3].editor")
    assert gate["message"] == "Print this? Water flows downhill, singing."
    assert service.decide("writer_critic", "1/improve[3].editor", "approve", by="editor").status == 200
    assert service.result("writer_critic", "1") == {
        "text": "Water flows downhill, singing.",
        "advice": "none",
        "printed": True,
        "rounds": 3,
    }
    assert service.nothing_twice()


def test_what_never_pleases_the_critic_ends_after_four_rounds(service: Service) -> None:
    output: Any = service.run("writer_critic", "2", {"topic": "lakes"})
    assert (output["printed"], output["rounds"]) == (False, 4)
    assert service.status("writer_critic", "2")["spent"]["model_calls"] == 8


# ------------------------------------------------------------ research

SOURCES = {"topic": "tides", "sources": ["almanac", "diary", "atlas"]}


def emitted(service: Service, key: str) -> list[dict[str, Any]]:
    """What the run emitted, once all of it is known to be there."""
    events: list[dict[str, Any]] = []

    def ended() -> bool:
        answer: Any = service.call("research", key, "events", {"from": len(events)}).checked()
        events.extend(answer["events"])
        return bool(answer["ended"])

    until(ended, 30, "the end of the events")
    assert [event["seq"] for event in events] == list(range(len(events)))
    return [event for event in events if event["type"] == "emit"]


def test_research_joins_in_every_way(service: Service) -> None:
    assert service.run("research", "1", SOURCES) == {"report": REPORT, "read": 2}
    until(lambda: not service.unfinished(), 30, "the end of the losers")
    tools = [(line["tool"], line.get("archive") or line.get("slot")) for line in service.ledger() if "key" in line]
    assert (
        ("reserve", "north") in tools and ("release", "slot-south") in tools and ("release", "slot-north") not in tools
    )
    nodes = service.nodes("research", "1")
    assert nodes["findings[2]"] == "failed" and nodes["findings[3]"] == "succeeded"
    assert nodes["reviews.strict"] == "cancelled" and service.nothing_twice()


def test_whoever_comes_late_sees_every_event_in_order_once(service: Service) -> None:
    service.run("research", "late", SOURCES)
    events = emitted(service, "late")
    assert sorted(event["data"]["source"] for event in events[:-1]) == ["almanac", "atlas"]
    assert events[-1]["topic"] == "report" and events[-1]["data"] == REPORT
    assert emitted(service, "late") == events


def test_research_is_killed_in_the_middle_and_gives_the_same(service: Service) -> None:
    service.send("research", "killed", SOURCES)
    for _ in range(3):
        time.sleep(0.5)
        service.restart()
    assert service.result("research", "killed") == {"report": REPORT, "read": 2}
    keys = [line["key"] for line in service.ledger() if line["tool"] == "release"]
    assert len(emitted(service, "killed")) == 3 and len(keys) == len(set(keys)) and service.nothing_twice()
