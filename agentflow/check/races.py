"""Races and retries that may leave something behind: losers that are not undone, calls that are made twice."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.effects import Call, writes
from agentflow.check.places import Analysis, Place
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.nodes.for_each import ForEachBody
from agentflow.nodes.parallel import ParallelBody
from agentflow.spec.model import GraphSpec
from agentflow.spec.tools import acting
from agentflow.tools.function import PythonBody


def check(analysis: Analysis) -> Iterator[Diagnostic]:
    for place in analysis.places:
        body = place.node.body
        if isinstance(body, ParallelBody | ForEachBody) and _has_losers(body, len(place.branches)):
            yield from _losers(analysis.graph, place)
    yield from _retries(analysis)


def _has_losers(body: ParallelBody | ForEachBody, branches: int) -> bool:
    if isinstance(body, ForEachBody):
        return body.join != "all"
    return body.join != "all" and body.join != branches


def _losers(graph: GraphSpec, place: Place) -> Iterator[Diagnostic]:
    source = graph.source
    for branch in place.branches:
        if not (branch.always or isinstance(place.node.body, ForEachBody)):
            continue
        for call in writes(graph, branch):
            if call.undone or _compensated(call, place):
                continue
            dangerous = call.effect == "dangerous"
            message = f"what {quoted(call.name)} does stays done where {_loser(call, place)} loses the race"
            related = ((source.span((*place.node.path, "join")), "who loses is undone, where it has a compensation"),)
            elsewhere = call.path[-1] in ("graph", "service")
            what = call.place.node.name if elsewhere else call.name
            help = f"give {quoted(what)} a compensate, or call it after the race"
            if dangerous:
                yield source.error("loser-not-undone", message, call.path, help=help, related=related)
            else:
                if call.effect == "unknown":
                    help = f"{help}; if it only reads, let it be a tool that says effect: read"
                elif not elsewhere:
                    help = f"{help}; if it only reads, say effect: read"
                yield source.warning("loser-not-undone", message, call.path, help=help, related=related)


def _compensated(call: Call, race: Place) -> bool:
    """Whether the node itself, or one around it inside the race, has a compensation."""
    here: Place | None = call.place
    while here is not None and here is not race:
        if here.node.compensate is not None:
            return True
        here = here.parent if here.block is None else here.block.owner
    return False


def _loser(call: Call, race: Place) -> str:
    here = call.place
    while True:
        around = here.parent if here.block is None else here.block.owner
        if around is None or around is race:
            break
        here = around
    return "an item" if isinstance(race.node.body, ForEachBody) else quoted(here.node.name)


def _retries(analysis: Analysis) -> Iterator[Diagnostic]:
    """A call that is made again must say that it is the same."""
    graph, source = analysis.graph, analysis.graph.source
    for tool in graph.tools.values():
        if tool.effect == "read" or not isinstance(tool.body, PythonBody) or tool.signature is None:
            continue
        if tool.signature.takes_key or tool.signature.open or tool.signature.keeps_own_journal:
            continue
        for path in _retried(analysis, tool.name):
            message = f"{quoted(tool.name)} is called again when it fails, and cannot tell that it is the same call"
            help = "let its function take idempotency_key: str, and hand that on; or say retry: {attempts: 1}"
            yield source.warning("retry-without-key", message, path, key=True, help=help)


def _retried(analysis: Analysis, name: str) -> Iterator[tuple[str | int, ...]]:
    tool = analysis.graph.tools[name]
    if tool.retry is not None and tool.retry.attempts != 1:
        yield (*tool.path, "retry")
    for place in analysis.places:
        retry = place.node.retry
        if retry is not None and retry.attempts != 1 and _calls(analysis.graph, place, name):
            yield (*place.node.path, "retry")


def _calls(graph: GraphSpec, place: Place, name: str) -> bool:
    called = graph.tools.get(getattr(place.node.body, "tool", ""))
    return called is not None and any(tool.name == name for tool in acting(called, graph.tools))
