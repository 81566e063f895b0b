"""What each node kind knows to be wrong with its own nodes."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.algebra import misfit
from agentflow.check.inference import Known
from agentflow.check.places import Analysis, Place
from agentflow.check.types import PlaceContext, Typed
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.nodes import common
from agentflow.types import NULL


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    for place in analysis.places:
        yield from common.check(place.node, PlaceContext(typed, place))
        if place.node.on_error is not None:
            yield from _replacement(typed, place)


def _replacement(typed: Typed, place: Place) -> Iterator[Diagnostic]:
    """What takes a failed node's place fits its type, or is null."""
    on_error, source = place.node.on_error, typed.graph.source
    assert on_error is not None
    if on_error.kind == "continue":
        return
    if on_error.node is not None:
        other = PlaceContext(typed, place).type_of(on_error.node)
        path = on_error.node.path
    else:
        scope = place.scope.inner({"error": common.ERROR}, place)
        other = typed.value(on_error.value, scope, Known(typed.facts(place)))
        path = (*on_error.path, "use")
    value = place.value
    if value is None or value == NULL:
        return
    if reason := misfit(other, value, typed.graph.types):
        message = f"what takes the place of {quoted(place.node.name)} does not fit its type: {reason}"
        yield source.error("wrong-replacement", message, path, help="give a value of that type, or null")
