"""What a graph must hold to before anything runs: the rules over the whole of it, one file each."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check import (
    conversations,
    endless,
    events,
    futile,
    gates,
    heed,
    models,
    order,
    own,
    places,
    races,
    reachability,
    references,
    switch,
    templates,
    together,
)
from agentflow.check.types import Typed
from agentflow.diagnostics import Diagnostic
from agentflow.spec.model import GraphSpec

_last: list[tuple[GraphSpec, Typed]] = []


def check(graph: GraphSpec) -> Iterator[Diagnostic]:
    """Everything that is wrong with a graph that can be read."""
    found = list(_rules(graph))
    yield from found
    if not any(diagnostic.severity == "error" for diagnostic in found):
        typed = analysed(graph)
        yield from futile.conditions(typed.analysis, typed)


def _rules(graph: GraphSpec) -> Iterator[Diagnostic]:
    typed = analysed(graph)
    analysis = typed.analysis
    yield from references.check(analysis)
    yield from order.check(analysis, typed.order)
    yield from own.check(analysis, typed)
    yield from templates.check(analysis, typed)
    yield from switch.check(analysis, typed)
    yield from conversations.check(analysis, typed)
    yield from reachability.check(analysis, typed.order)
    yield from gates.check(analysis, typed)
    yield from heed.check(analysis, typed)
    yield from races.check(analysis)
    yield from endless.check(analysis, typed)
    yield from futile.check(analysis, typed)
    yield from models.check(graph)
    yield from events.check(analysis)
    yield from together.check(graph)


def analysed(graph: GraphSpec) -> Typed:
    """The graph with every node at its place, and typed. The last one is kept: lowering follows checking."""
    if not _last or _last[0][0] is not graph:
        _last[:] = [(graph, typed(graph))]
    return _last[0][1]


def typed(graph: GraphSpec) -> Typed:
    analysis = places.analyse(graph)
    found = Typed(analysis, order.Order(analysis))
    found.run()
    return found
