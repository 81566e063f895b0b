"""A graph that changes under its runs: those that have begun finish as they began."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import Service, Zygote, graph, until

GRAPHS = [
    graph(
        "changing",
        """
nodes:
  sign: {approval: Go on?, approvers: [ada]}
  both:
    needs: [sign]
    parallel:
      a: {steps: {one: {tool: work, with: {name: a1}}, two: {tool: work, with: {name: a2}}}}
      b: {tool: act, with: {name: old}}
  agent: {agent: talker, prompt: go, needs: [both]}
output: "old {{ agent }} {{ both.b.id }}"
agents:
  talker: {instruction: Talk.}
""",
    )
]
CHANGED = """
nodes:
  other: {tool: act, with: {name: new}}
  sign: {approval: "Go on, please?", approvers: [bob], needs: [other]}
  both:
    needs: [sign]
    parallel:
      a: {steps: {one: {tool: act, with: {name: new1}}, two: {agent: talker, prompt: go}}}
      c: {tool: act, with: {name: new2}}
output: "new {{ both.a.two }}"
agents:
  talker: {instruction: Talk.}
"""
REPLIES = {"changing": "talker:\n  - say: talked"}


@pytest.fixture
def changed(service: Service, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The next revision, served beside the first, not yet known to the engine."""
    newer = Service(service.engine, zygote, tmp_path_factory.mktemp("changed"))
    newer.add(graph("changing", CHANGED))
    newer.replies("changing", REPLIES["changing"])
    newer.start()
    yield newer
    newer.kill()


def test_runs_finish_on_the_revision_they_began_on(service: Service, changed: Service) -> None:
    assert service.modules["changing"].revision != changed.modules["changing"].revision
    old = service.send("changing", "old")
    service.gate("changing", "old/sign")
    changed.register()
    new = changed.send("changing", "new")
    until(lambda: changed.names() == ["new"], 20, "the new run's first step")
    assert service.gate("changing", "new/sign")["message"] == "Go on, please?"
    service.restart()
    for key in ("old", "new"):
        service.decide("changing", f"{key}/sign", "approve", by="ada").checked()
    assert service.attach(old) == "old talked old"
    assert service.attach(new) == "new talked"
    assert sorted(service.names()) == ["a1", "a2", "old"] and sorted(changed.names()) == ["new", "new1", "new2"]
    assert service.state("changing", "old") == "succeeded"  # answered by the newest
    old_nodes = service.modules["changing"].revision
    rows = service.engine.invocations(f"target_service_name = 'changing.nodes_{old_nodes}'")
    assert rows and all(row["completion_result"] == "success" for row in rows)
