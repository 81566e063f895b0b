"""Messages of one name are of one type, wherever in the graph they are waited for: they are checked as they come."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.places import Analysis, Place
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.nodes.event import EventBody


def check(analysis: Analysis) -> Iterator[Diagnostic]:
    source = analysis.graph.source
    first: dict[str, Place] = {}
    for place in analysis.places:
        body = place.node.body
        if not isinstance(body, EventBody):
            continue
        before = first.setdefault(body.event, place)
        assert isinstance(before.node.body, EventBody)
        if before.node.body.returns != body.returns:
            key = "returns" if _has_returns(place, analysis) else "event"
            message = f"the event {quoted(body.event)} is waited for with two types"
            related = ((source.key_span((*before.node.path, "event")), "this expects another"),)
            help = "name the type in types, and give it in both places"
            yield source.error("event-of-two-types", message, (*place.node.path, key), help=help, related=related)


def _has_returns(place: Place, analysis: Analysis) -> bool:
    data = analysis.graph.source.data
    for step in place.node.path:
        data = data[step] if isinstance(data, dict | list) else None  # type: ignore[index]
    return isinstance(data, dict) and "returns" in data
